use std::collections::HashMap;
use std::sync::Arc;

use api_types::skills::{Category, Skill, SkillRound, SkillSource, SourceName, SourceStatus};

use super::super::corpus::Finding;
use super::super::taxonomy::SkillConcept;
use super::{Edge, EdgeKind, Generated, Generation, Neighbour, Progress, Relation, Suggestion};

fn concept(label: &str) -> SkillConcept {
    SkillConcept {
        uri: uri(label),
        label: label.to_owned(),
        alternative: vec![format!("{label} alias")],
        description: format!("About {label}."),
        category: Category::Knowledge,
    }
}

fn uri(label: &str) -> Arc<str> {
    format!("urn:{label}").into()
}

fn finding(name: &str, count: u32) -> Finding {
    Finding { name: name.to_owned(), uri: None, count, lines: vec![3], context: "Said so.".to_owned() }
}

fn suggestions(names: &[&str]) -> Vec<Suggestion> {
    let suggestion = |name: &&str| Suggestion { name: (*name).to_owned(), description: String::new() };
    names.iter().map(suggestion).collect()
}

fn edge(from: &str, to: &str, kind: EdgeKind) -> Edge {
    Edge { from: uri(from), to: uri(to), label: to.to_owned(), kind }
}

fn run() -> Generation {
    Generation::new(SkillSource::Esco, 100)
}

fn essential(run: &mut Generation, labels: &[&str]) {
    run.add_concepts(labels.iter().map(|label| (Relation::Essential, concept(label))));
}

fn of<'a>(generated: &'a Generated, name: &str) -> &'a Skill {
    generated.skills.iter().find(|skill| skill.name == name).unwrap()
}

fn percent(skill: &Skill) -> f64 {
    (skill.confidence * 100.0).round()
}

/// The confidence, in hundredths, of one concept that is added in a round.
fn confidence(relation: Relation, score: u32, round: u32) -> f64 {
    let mut run = Generation::new(SkillSource::Esco, score);
    for n in 0..round {
        run.add_concepts([(Relation::Essential, concept(&format!("filler {n}")))]);
        assert_eq!(run.end_round(), Progress::Added);
    }
    run.add_concepts([(relation, concept("it"))]);
    run.end_round();
    percent(of(&run.finish(), "it"))
}

#[test]
fn confidence_is_base_times_score_less_each_late_round() {
    for (relation, score, round, expected) in [
        (Relation::Essential, 100, 0, 95.0),
        (Relation::Optional, 100, 1, 80.0),
        (Relation::Related, 100, 2, 65.0),
        (Relation::Broader, 100, 2, 55.0),
        (Relation::Essential, 95, 0, 90.0),
        (Relation::Related, 95, 2, 62.0),
        (Relation::Related, 100, 3, 60.0),
        (Relation::Broader, 100, 7, 30.0),
        (Relation::Related, 100, 9, 30.0),
        (Relation::Related, 100, 11, 30.0),
        (Relation::Broader, 55, 6, 30.0),
    ] {
        let found = confidence(relation, score, round);
        assert!((found - expected).abs() < f64::EPSILON, "{relation:?} {score} {round}: {found}");
    }
}

#[test]
fn a_concept_becomes_a_skill() {
    let mut run = run();
    essential(&mut run, &["algebra"]);
    run.end_round();
    let generated = run.finish();
    let skill = &generated.skills[0];
    assert_eq!((skill.name.as_str(), skill.description.as_str()), ("algebra", "About algebra."));
    assert_eq!((skill.source, skill.category, skill.round), (SkillSource::Esco, Category::Knowledge, 0));
    assert_eq!(skill.esco_uri.as_deref(), Some("urn:algebra"));
    assert_eq!(
        (skill.evidence.as_slice(), skill.triggers.as_slice()),
        (&["urn:algebra".into()][..], &["algebra alias".into()][..])
    );
    assert!(skill.skill.starts_with("skill: algebra\n"), "{}", skill.skill);
}

#[test]
fn corpus_confidence_grows_with_mentions_not_with_the_score() {
    let mut run = Generation::new(SkillSource::Esco, 60);
    run.add_findings(&[finding("once", 1), finding("thrice", 3), finding("often", 40)], &HashMap::new());
    run.end_round();
    run.add_findings(&[finding("phrase", 7)], &HashMap::new());
    run.end_round();
    let generated = run.finish();
    let found = ["once", "thrice", "often", "phrase"].map(|name| percent(of(&generated, name)));
    assert_eq!(found, [60.0, 80.0, 90.0, 40.0]);
    let skill = of(&generated, "once");
    assert_eq!((skill.source, skill.category), (SkillSource::Corpus, Category::Domain));
    assert_eq!((skill.evidence.as_slice(), skill.description.as_str()), (&["corpus:3".into()][..], "Said so."));
}

#[test]
fn a_mention_tells_of_its_concept() {
    let mut run = run();
    let mention = Finding { uri: Some(uri("algebra")), ..finding("algebra", 1) };
    run.add_findings(&[mention], &HashMap::from([(uri("algebra"), concept("algebra"))]));
    run.end_round();
    let generated = run.finish();
    let skill = &generated.skills[0];
    assert_eq!((skill.source, skill.category), (SkillSource::Corpus, Category::Domain));
    assert_eq!((skill.esco_uri.as_deref(), skill.description.as_str()), (Some("urn:algebra"), "About algebra."));
    assert_eq!(skill.evidence, ["urn:algebra", "corpus:3"]);
}

#[test]
fn the_same_name_merges() {
    let mut run = run();
    essential(&mut run, &["Project-management"]);
    run.add_findings(&[finding("project  management", 1), finding("kites", 2)], &HashMap::new());
    run.end_round();
    run.add_findings(&[finding("Kites!", 1)], &HashMap::new());
    run.end_round();
    let generated = run.finish();
    assert_eq!(generated.skills.len(), 2);
    let merged = of(&generated, "Project-management");
    assert_eq!((percent(merged), merged.source), (99.0, SkillSource::Esco));
    assert_eq!(merged.evidence, ["urn:Project-management", "corpus:3"]);
    let kites = of(&generated, "kites");
    assert_eq!((percent(kites), kites.round), (75.0, 0));
    assert_eq!(kites.evidence, ["corpus:3"], "the same evidence stands once");
}

#[test]
fn a_merged_concept_lends_its_uri() {
    let mut run = run();
    run.add_findings(&[finding("kites", 1)], &HashMap::new());
    run.add_concepts([(Relation::Optional, concept("Kites"))]);
    run.end_round();
    assert_eq!(run.frontier(), [uri("Kites")]);
    run.end_round();
    assert_eq!(of(&run.finish(), "kites").esco_uri.as_deref(), Some("urn:Kites"));
}

#[test]
fn skills_are_ordered_by_round_confidence_and_name() {
    let mut run = run();
    run.add_findings(&[finding("b", 1), finding("c", 2), finding("a", 1)], &HashMap::new());
    run.end_round();
    run.add_concepts([(Relation::Optional, concept("z"))]);
    run.end_round();
    let names: Vec<_> = run.finish().skills.into_iter().map(|skill| skill.name).collect();
    assert_eq!(names, ["c", "a", "b", "z"]);
}

#[test]
fn a_later_round_that_adds_nothing_ends_the_run() {
    let mut run = run();
    essential(&mut run, &["a"]);
    assert_eq!(run.end_round(), Progress::Added);
    essential(&mut run, &["a"]);
    assert_eq!(run.end_round(), Progress::Nothing);
    let generated = run.finish();
    assert!(generated.stopped_early);
    assert_eq!(generated.cycles_run, 0);
    assert_eq!(generated.rounds, [SkillRound { round: 0, added: 1 }]);
}

#[test]
fn an_empty_round_0_does_not_end_the_run() {
    let mut run = run();
    assert_eq!(run.end_round(), Progress::Added);
    essential(&mut run, &["a"]);
    assert_eq!(run.end_round(), Progress::Added);
    let generated = run.finish();
    assert_eq!((generated.stopped_early, generated.cycles_run), (false, 1));
    let rounds = [SkillRound { round: 0, added: 0 }, SkillRound { round: 1, added: 1 }];
    assert_eq!(generated.rounds, rounds);
}

#[test]
fn the_frontier_is_the_round_before_and_in_round_2_both_before() {
    let mut run = run();
    for label in ["a", "b", "c"] {
        essential(&mut run, &[label]);
        run.end_round();
    }
    assert_eq!((run.round(), run.frontier()), (3, vec![uri("c")]));
    let mut run = self::run();
    essential(&mut run, &["a"]);
    run.end_round();
    run.add_concepts([(Relation::Optional, concept("b"))]);
    run.end_round();
    assert_eq!((run.round(), run.frontier()), (2, vec![uri("a"), uri("b")]));
}

#[test]
fn neighbours_come_most_linked_first_then_by_label() {
    let run = run();
    let edges = vec![
        edge("a", "zebra", EdgeKind::Broader),
        edge("b", "zebra", EdgeKind::Broader),
        edge("a", "yak", EdgeKind::Related),
        edge("a", "xerus", EdgeKind::Broader),
        // Twice from one skill is one link.
        edge("a", "xerus", EdgeKind::Related),
    ];
    let neighbour = |label: &str, relation| Neighbour { uri: uri(label), relation };
    let expected = [
        neighbour("zebra", Relation::Broader),
        neighbour("xerus", Relation::Related),
        neighbour("yak", Relation::Related),
    ];
    assert_eq!(run.choose(edges), expected);
}

#[test]
fn at_most_a_hundred_neighbours_are_taken_and_none_that_is_known() {
    let mut run = run();
    essential(&mut run, &["n000", "n001"]);
    let edges = (0..150).map(|n| edge("a", &format!("n{n:03}"), EdgeKind::Related)).collect();
    let chosen = run.choose(edges);
    assert_eq!(chosen.len(), 100);
    assert_eq!((&*chosen[0].uri, &*chosen[99].uri), ("urn:n002", "urn:n101"));
}

#[test]
fn a_model_adds_only_new_skills_up_to_its_limit() {
    let many: Vec<String> = (0..40).map(|n| format!("skill {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut run = run();
    essential(&mut run, &["known"]);
    run.add_suggestions(suggestions(&["Known", " ", "?!"]));
    run.add_suggestions(suggestions(&many));
    run.end_round();
    run.add_suggestions(suggestions(&many));
    run.end_round();
    let generated = run.finish();
    let added: Vec<_> = generated.rounds.iter().map(|round| round.added).collect();
    assert_eq!(added, [16, 10]);
    let skill = of(&generated, "skill 0");
    assert_eq!((percent(skill), skill.source, skill.category), (70.0, SkillSource::Model, Category::Domain));
    assert_eq!(percent(of(&generated, "known")), 95.0, "what is known is not found again");
}

#[test]
fn long_names_are_cut() {
    let mut run = run();
    essential(&mut run, &["x".repeat(300).as_str()]);
    run.add_suggestions(suggestions(&["y".repeat(300).as_str()]));
    run.end_round();
    assert!(run.finish().skills.iter().all(|skill| skill.name.len() == 200));
}

#[test]
fn sources_say_how_they_fared() {
    let mut run = run();
    essential(&mut run, &["a", "b"]);
    run.add_findings(&[], &HashMap::new());
    run.skip(SourceName::Model, "built_in");
    run.end_round();
    let sources = run.finish().sources;
    let shown: Vec<_> = sources.iter().map(|one| (one.source, one.status, one.items)).collect();
    let expected = [
        (SourceName::Taxonomy, SourceStatus::Ok, 2),
        (SourceName::Corpus, SourceStatus::Empty, 0),
        (SourceName::Model, SourceStatus::Skipped, 0),
    ];
    assert_eq!(shown, expected);
    assert_eq!(sources[2].reason.as_deref(), Some("built_in"));
}

#[test]
fn a_failed_source_keeps_what_it_gave() {
    let mut run = run();
    run.add_suggestions(suggestions(&["a"]));
    run.end_round();
    run.fail(SourceName::Model, "TIMEOUT", "no answer in time");
    run.end_round();
    let generated = run.finish();
    let report = &generated.sources[2];
    assert_eq!((report.status, report.items), (SourceStatus::Failed, 1));
    assert_eq!(report.error.as_ref().unwrap().code, "TIMEOUT");
    assert_eq!(generated.skills.len(), 1);
}

#[test]
fn more_cycles_contain_fewer() {
    let generate = |cycles: u32| {
        let mut run = run();
        for round in 0..=cycles {
            essential(&mut run, &[format!("skill {round}").as_str()]);
            run.add_findings(&[finding(&format!("phrase {round}"), 2)], &HashMap::new());
            run.end_round();
        }
        run.finish().skills
    };
    for cycles in 1..5 {
        let (few, more) = (generate(cycles - 1), generate(cycles));
        assert!(few.len() < more.len() && few.iter().all(|skill| more.contains(skill)));
    }
}
