use proptest::prelude::*;

use super::{Beginning, Dependency, Fault, Item, Links, beginning};
use crate::domain::state::State;

struct Batch(Vec<(Option<String>, Vec<String>)>);

impl Batch {
    /// Each task as its reference and the dependencies, separated by spaces.
    fn new(tasks: &[(&str, &str)]) -> Self {
        let texts = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Self(tasks.iter().map(|(name, on)| ((!name.is_empty()).then(|| (*name).to_owned()), texts(on))).collect())
    }

    fn links<'a>(&'a self) -> Result<Links<'a>, Fault> {
        let item =
            |task: &'a (Option<String>, Vec<String>)| Item { client_ref: task.0.as_deref(), depends_on: &task.1 };
        let items: Vec<_> = self.0.iter().map(item).collect();
        Links::of(&items)
    }

    fn fault(&self) -> Fault {
        self.links().err().unwrap()
    }
}

fn cycle(references: &[&str]) -> Fault {
    Fault::Cycle(references.iter().map(|one| (*one).to_owned()).collect())
}

#[test]
fn references_lead_forwards_and_backwards() {
    let batch = Batch::new(&[("load", "ref:clean task_1 ref:clean"), ("clean", ""), ("", "ref:load ref:gone")]);
    let links = batch.links().unwrap();
    assert_eq!(links.dependencies(0), [Dependency::Here(1, "ref:clean"), Dependency::Stored("task_1")]);
    assert_eq!(links.dependencies(2), [Dependency::Here(0, "ref:load"), Dependency::Nowhere("ref:gone")]);
    assert_eq!(links.order(), [1, 0, 2]);
}

#[test]
fn a_reference_stands_at_one_task_only() {
    let fault = Batch::new(&[("a", ""), ("", ""), ("a", "")]).fault();
    assert_eq!(fault, Fault::Repeated { index: 2, client_ref: "a".to_owned() });
}

#[test]
fn a_cycle_is_told_as_its_references() {
    assert_eq!(Batch::new(&[("a", "ref:a")]).fault(), cycle(&["ref:a"]));
    assert_eq!(Batch::new(&[("a", "ref:b"), ("b", "ref:a"), ("", "")]).fault(), cycle(&["ref:a", "ref:b"]));
    let tail = Batch::new(&[("", "ref:x ref:a"), ("x", ""), ("a", "ref:b"), ("b", "ref:x ref:c"), ("c", "ref:a")]);
    assert_eq!(tail.fault(), cycle(&["ref:a", "ref:b", "ref:c"]), "not what leads there");
}

#[test]
fn what_waits_for_a_bad_task_is_bad_itself() {
    let batch = Batch::new(&[
        ("top", "ref:middle task_here"),
        ("middle", "ref:bad"),
        ("bad", ""),
        ("", "task_gone ref:no task_here"),
        ("", "task_here"),
    ]);
    let missing = batch.links().unwrap().missing(|index| index == 2, |id| id == "task_here");
    assert_eq!(missing, [vec!["ref:middle"], vec!["ref:bad"], vec![], vec!["task_gone", "ref:no"], vec![]]);
}

#[test]
fn a_long_way_needs_no_deep_stack() {
    let names: Vec<_> = (0..100_000).map(|at| (format!("t{at}"), format!("ref:t{}", at + 1))).collect();
    let mut tasks: Vec<_> = names.iter().map(|(name, on)| (name.as_str(), on.as_str())).collect();
    tasks.push(("t100000", ""));
    assert_eq!(Batch::new(&tasks).links().unwrap().order().first(), Some(&100_000));
}

#[test]
fn a_task_begins_as_its_dependencies_stand() {
    use State::{Cancelled, Completed, Failed, Pending, Running, TimedOut};
    assert_eq!(beginning([]), Beginning::Free);
    assert_eq!(beginning([("a", Completed)]), Beginning::Free);
    assert_eq!(beginning([("a", Completed), ("b", Running), ("c", Pending)]), Beginning::Blocked(2));
    for end in [Failed, Cancelled, TimedOut] {
        assert_eq!(beginning([("a", Running), ("b", end), ("c", Failed)]), Beginning::Failed("b"));
    }
}

proptest! {
    #[test]
    fn either_the_order_fits_or_the_cycle_is_one(
        edges in prop::collection::vec((0..9_usize, 0..9_usize), 0..16),
    ) {
        let depends = |from: usize, on: usize| edges.contains(&(from, on));
        let task = |at: usize| {
            let on: Vec<_> = (0..9).filter(|on| depends(at, *on)).map(|on| format!("ref:{on}")).collect();
            (Some(at.to_string()), on)
        };
        let batch = Batch((0..9).map(task).collect());
        match batch.links() {
            Ok(links) => {
                let place = |at: usize| links.order().iter().position(|one| *one == at).unwrap();
                prop_assert_eq!(links.order().len(), 9);
                prop_assert!(edges.iter().all(|(from, on)| place(*on) < place(*from)));
            }
            Err(Fault::Cycle(references)) => {
                let at = |text: &String| text.trim_start_matches("ref:").parse::<usize>().unwrap();
                let next = references.iter().cycle().skip(1);
                prop_assert!(references.iter().zip(next).all(|(from, on)| depends(at(from), at(on))));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
