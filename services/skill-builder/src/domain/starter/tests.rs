use std::collections::{HashMap, HashSet};
use std::path::Path;

use api_types::skills::normalise;

use super::super::matching::{Candidate, LabelHit, choose, rank};
use super::super::taxonomy::{Need, Taxonomy};
use super::{Error, FILES, read, taxonomy};

/// The occupations that every installation has, whatever else is in the data.
const PROMISED: &str = "mathematician, statistician, physicist, chemist, biologist, data scientist, data analyst, \
    software developer, software tester, database administrator, project manager, accountant, lawyer, psychologist, \
    historian, librarian, journalist, writer, translator, higher education lecturer, secondary school teacher, \
    drawing artist, graphic designer, musician, architect, civil engineer, nurse, chef, \
    customer service representative, electrician, carpenter, farmer, truck driver";

fn starter() -> Taxonomy {
    taxonomy().unwrap()
}

/// The occupation that a text stands for by one of its labels.
fn labelled(taxonomy: &Taxonomy, text: &str) -> Option<(String, u32)> {
    let text = normalise(text);
    let hits = taxonomy.occupations.iter().flat_map(|one| {
        let occupation = Candidate { uri: one.uri.clone(), label: one.label.clone(), code: one.code.clone() };
        let labels = std::iter::once((&one.label, true)).chain(one.alternative.iter().map(|label| (label, false)));
        let text = &text;
        let equal = labels.filter(move |(label, _)| normalise(label) == *text);
        equal.map(move |(_, preferred)| LabelHit { occupation: occupation.clone(), preferred })
    });
    let best = choose(rank(hits.collect(), vec![]), 100)?.best;
    Some((best.occupation.label, best.score))
}

#[test]
fn every_data_file_is_compiled_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/starter");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> =
        names.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".toml")).collect();
    names.sort_unstable();
    assert_eq!(names, FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

#[test]
fn it_covers_all_ten_major_groups() {
    let starter = starter();
    assert!(starter.occupations.len() >= 60, "{}", starter.occupations.len());
    let groups: HashSet<_> = starter.occupations.iter().filter_map(|one| one.code.chars().next()).collect();
    assert_eq!(groups, ('0'..='9').collect());
    for one in &starter.occupations {
        assert!(
            one.code.len() == 4 && one.code.bytes().all(|b| b.is_ascii_digit()),
            "{one:?}: a unit group has four digits"
        );
    }
}

#[test]
fn it_has_the_promised_occupations() {
    let starter = starter();
    for label in PROMISED.split(", ") {
        assert_eq!(labelled(&starter, label), Some((label.to_owned(), 100)), "{label}");
    }
}

#[test]
fn usual_names_find_their_occupations() {
    let starter = starter();
    for (text, label) in [
        ("Artist", "drawing artist"),
        ("Tester", "software tester"),
        ("Software Engineer", "software developer"),
        ("Author", "writer"),
        ("Professor", "higher education lecturer"),
    ] {
        assert_eq!(labelled(&starter, text), Some((label.to_owned(), 95)), "{text}");
    }
    assert_eq!(labelled(&starter, "Developer"), None, "left to similarity");
}

#[test]
fn every_occupation_has_labels_a_description_and_enough_skills() {
    let starter = starter();
    let mut needs: HashMap<(&str, Need), usize> = HashMap::new();
    for one in &starter.occupation_skills {
        *needs.entry((&one.occupation, one.need)).or_default() += 1;
    }
    let count = |uri: &str, need| needs.get(&(uri, need)).copied().unwrap_or_default();
    for one in &starter.occupations {
        assert!(!one.alternative.is_empty() && !one.description.trim().is_empty(), "{}", one.label);
        assert!(one.uri.starts_with("https://imago.example/occupation/"), "{}", one.uri);
        assert!(count(&one.uri, Need::Essential) >= 8, "essential skills of {}", one.label);
        assert!(count(&one.uri, Need::Optional) >= 4, "optional skills of {}", one.label);
    }
}

#[test]
fn every_skill_is_linked_and_described() {
    let starter = starter();
    let links = starter.related.iter().chain(&starter.broader);
    let linked: HashSet<_> = links.flat_map(|link| [&link.from, &link.to]).collect();
    for one in &starter.skills {
        assert!(linked.contains(&one.uri), "{} leads nowhere", one.label);
        assert!(!one.description.trim().is_empty(), "{}", one.label);
        assert!(one.uri.starts_with("urn:imago:skill:"), "{}", one.uri);
    }
}

#[test]
fn there_are_more_skills_than_occupations_and_more_relations_still() {
    let starter = starter();
    assert!(starter.skills.len() > starter.occupations.len());
    assert!(starter.occupation_skills.len() > starter.occupations.len());
    assert!(starter.builtin && starter.name == "Imago starter" && starter.version.starts_with("starter-"));
}

#[test]
fn no_label_is_repeated_within_an_occupation() {
    for one in &starter().occupations {
        let mut seen = HashSet::new();
        let labels = std::iter::once(&one.label).chain(&one.alternative);
        for label in labels {
            assert!(seen.insert(normalise(label)), "{label} of {}", one.label);
        }
    }
}

const GOOD: &str = r#"
[[skill]]
label = "a"
kind = "skill"
description = "d"
related = ["B b"]
[[skill]]
label = "b-b"
kind = "transversal"
description = "d"
[[occupation]]
label = "o"
code = "1111"
description = "d"
essential = ["a"]
optional = ["b b"]
"#;

#[test]
fn labels_in_the_data_are_compared_normalised() {
    let read = read(&[("x.toml", GOOD)]).unwrap();
    assert_eq!((read.occupation_skills.len(), read.related.len()), (2, 1));
    assert_eq!(&*read.related[0].to, "urn:imago:skill:b-b");
}

#[test]
fn faulty_data_is_refused() {
    let unknown = GOOD.replace(r#"essential = ["a"]"#, r#"essential = ["zzz"]"#);
    assert!(
        matches!(read(&[("x.toml", &unknown)]), Err(Error::UnknownSkill { by, skill }) if by == "o" && skill == "zzz")
    );
    let repeated = GOOD.replace(r#""b-b""#, r#""A""#);
    assert!(matches!(read(&[("x.toml", &repeated)]), Err(Error::Repeated(label)) if label == "A"));
    assert!(matches!(read(&[("x.toml", GOOD), ("y.toml", GOOD)]), Err(Error::Repeated(_))));
    let misspelt = GOOD.replace("optional", "optionel");
    assert!(matches!(read(&[("x.toml", &misspelt)]), Err(Error::Syntax { file: "x.toml", .. })));
}
