//! What tasks of one batch have to do with each other, and what becomes of a task with dependencies when it is stored
//! (AINS contract, sections 4.2 and 4.5).

use std::collections::{HashMap, HashSet};

use super::state::State;

/// What a dependency begins with that names another task of the same batch. Outside of a batch there is no such task.
pub const REFERENCE: &str = "ref:";

/// A task of a batch, as far as it names others. Tasks that are bad for other reasons belong here, too, if they can be read.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    pub client_ref: Option<&'a str>,
    pub depends_on: &'a [String],
}

/// What a task depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dependency<'a> {
    /// A task of that id, stored before.
    Stored(&'a str),
    /// The task at that place in the batch, by its reference.
    Here(usize, &'a str),
    /// A reference to no task of the batch.
    Nowhere(&'a str),
}

/// Why a whole batch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("client_ref {client_ref} stands at more than one task")]
    Repeated { index: usize, client_ref: String },
    /// The references of one cycle, each depending on the next and the last on the first.
    #[error("the tasks depend on each other: {}", .0.join(" → "))]
    Cycle(Vec<String>),
}

/// The dependencies of a batch without cycles.
#[derive(Debug, Clone)]
pub struct Links<'a> {
    dependencies: Vec<Vec<Dependency<'a>>>,
    order: Vec<usize>,
}

impl<'a> Links<'a> {
    /// Follows the references of a batch.
    ///
    /// # Errors
    /// When a reference is given twice, or tasks wait for each other.
    pub fn of(items: &[Item<'a>]) -> Result<Self, Fault> {
        let mut places = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            let Some(client_ref) = item.client_ref else { continue };
            if places.insert(client_ref, index).is_some() {
                return Err(Fault::Repeated { index, client_ref: client_ref.to_owned() });
            }
        }
        let follow = |text: &'a String| match text.strip_prefix(REFERENCE) {
            None => Dependency::Stored(text),
            Some(name) => places.get(name).map_or(Dependency::Nowhere(text), |at| Dependency::Here(*at, text)),
        };
        let without_repeats = |item: &Item<'a>| {
            let mut seen = HashSet::new();
            item.depends_on.iter().map(follow).filter(|one| seen.insert(*one)).collect()
        };
        let dependencies = items.iter().map(without_repeats).collect::<Vec<_>>();
        let order = sorted(&dependencies).map_err(Fault::Cycle)?;
        Ok(Self { dependencies, order })
    }

    /// What the task at `index` depends on, in its order and without repeats.
    #[must_use]
    pub fn dependencies(&self, index: usize) -> &[Dependency<'a>] {
        self.dependencies.get(index).map_or(&[], Vec::as_slice)
    }

    /// Every place of the batch, dependencies before those that wait for them.
    #[must_use]
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// For each task the dependencies that are not there: tasks that `is_stored` does not know, references to nothing, and
    /// references to tasks that are bad: `is_bad` by themselves, or because they miss something.
    #[must_use]
    pub fn missing(&self, is_bad: impl Fn(usize) -> bool, is_stored: impl Fn(&str) -> bool) -> Vec<Vec<&'a str>> {
        let mut missing: Vec<Vec<&'a str>> = vec![Vec::new(); self.dependencies.len()];
        for &index in &self.order {
            let lacks = |dependency: &Dependency<'a>| match *dependency {
                Dependency::Stored(id) => (!is_stored(id)).then_some(id),
                Dependency::Here(at, text) => {
                    (is_bad(at) || missing.get(at).is_some_and(|one| !one.is_empty())).then_some(text)
                }
                Dependency::Nowhere(text) => Some(text),
            };
            let found = self.dependencies(index).iter().filter_map(lacks).collect();
            if let Some(entry) = missing.get_mut(index) {
                *entry = found;
            }
        }
        missing
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    /// On the way that is being followed.
    Open,
    Done,
}

/// Depth first, on a stack of its own: the tasks in the order in which they can be stored, or the references of a cycle.
fn sorted(dependencies: &[Vec<Dependency<'_>>]) -> Result<Vec<usize>, Vec<String>> {
    let mut marks = vec![Mark::New; dependencies.len()];
    let mut order = Vec::with_capacity(dependencies.len());
    for start in 0..dependencies.len() {
        if marks[start] != Mark::New {
            continue;
        }
        marks[start] = Mark::Open;
        // Each place of the way, how many of its dependencies were followed, and the reference that led there.
        let mut way = vec![(start, 0, "")];
        while let Some((at, followed, _)) = way.last_mut() {
            let Some(dependency) = dependencies[*at].get(*followed) else {
                marks[*at] = Mark::Done;
                order.push(*at);
                way.pop();
                continue;
            };
            *followed += 1;
            let Dependency::Here(next, text) = *dependency else { continue };
            match marks[next] {
                Mark::Done => {}
                Mark::New => {
                    marks[next] = Mark::Open;
                    way.push((next, 0, text));
                }
                Mark::Open => {
                    let inner = way.iter().skip_while(|(at, ..)| *at != next).skip(1).map(|(_, _, text)| *text);
                    return Err([text].into_iter().chain(inner).map(str::to_owned).collect());
                }
            }
        }
    }
    Ok(order)
}

/// How a task begins that depends on others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning<'a> {
    /// All of them have completed.
    Free,
    /// So many have not.
    Blocked(usize),
    /// It has failed already: the task of this id ended without completing.
    Failed(&'a str),
}

/// How a task begins whose dependencies stand like this; when several have failed, the first one counts.
#[must_use]
pub fn beginning<'a>(dependencies: impl IntoIterator<Item = (&'a str, State)>) -> Beginning<'a> {
    let mut waiting = 0;
    for (id, state) in dependencies {
        match state {
            State::Completed => {}
            state if state.is_end() => return Beginning::Failed(id),
            _ => waiting += 1,
        }
    }
    if waiting == 0 { Beginning::Free } else { Beginning::Blocked(waiting) }
}

#[cfg(test)]
mod tests;
