use api_types::knowledge::{ItemMetadata, KnowledgeId, KnowledgeItem, SourceName, Subject};
use chrono::{DateTime, Utc};
use serde_json::{Map, json};

use super::{About, Collection, FoundIn, FoundText, given, joined_texts, rescore, summary_of};

fn now() -> DateTime<Utc> {
    api_types::time::parse("2026-01-31T12:00:00Z").unwrap()
}

fn subject() -> Subject<'static> {
    Subject {
        record: KnowledgeId::new("person:ada_lovelace"),
        name: "Ada Lovelace",
        entity_type: Some("Person"),
        keeps_entity_ids: false,
    }
}

fn empty() -> Collection<'static> {
    Collection::new(subject(), &[], now())
}

fn document(title: &str, text: &str) -> FoundText {
    FoundText {
        found_in: FoundIn::Documents,
        label: title.to_owned(),
        text: text.to_owned(),
        summary: None,
        attributes: Map::new(),
        metadata: ItemMetadata { title: Some(title.to_owned()), ..ItemMetadata::default() },
    }
}

fn web(host: &str, text: &str) -> FoundText {
    let found_in = FoundIn::Web { by: SourceName::Tavily, host: host.to_owned() };
    FoundText { found_in, ..document("Tavily", text) }
}

fn texts(items: &[KnowledgeItem]) -> Vec<&str> {
    items.iter().map(|item| item.text.as_str()).collect()
}

#[test]
fn found_texts_become_items() {
    let mut collection = empty();
    let text = "Ada Lovelace discovered a comet over Lisbon in 1887.";
    assert_eq!(collection.add(0, "Ada Lovelace", &[document("Gazette", text)]), [text]);
    assert_eq!(collection.count(SourceName::Documents), 1);
    let item = collection.into_items().remove(0);
    assert_eq!((item.text.as_str(), item.source.as_str()), (text, "Gazette"));
    assert_eq!(item.entity.name, "Ada Lovelace");
    assert_eq!(item.attributes["summary"], text);
    assert_eq!((item.metadata.round, item.metadata.passage), (Some(0), None));
    // Trust 0.9; quality 0.4 × 52/400 + 0.6.
    assert!((item.confidence - 0.74).abs() < 1e-9, "{}", item.confidence);
}

#[test]
fn long_texts_become_several_items_with_their_place() {
    let mut collection = empty();
    let paragraph = |n: u32| format!("Paragraph {n} {}.", "word ".repeat(150).trim_end());
    let text = (0..3).map(paragraph).collect::<Vec<_>>().join("\n\n");
    let mut found = document("Book", &text);
    found.attributes = Map::from_iter([("birthDate".to_owned(), json!("1815-12-10"))]);
    collection.add(0, "Ada Lovelace", &[found]);
    let items = collection.into_items();
    let places: Vec<_> = items.iter().map(|item| item.metadata.passage).collect();
    assert_eq!(places, [Some(0), Some(1), Some(2)]);
    assert_eq!(items[0].attributes.len(), 2);
    assert!(items[1].attributes.is_empty());
}

#[test]
fn equal_texts_are_one_item_the_first() {
    let mut collection = empty();
    let added = collection.add(
        0,
        "Ada Lovelace",
        &[document("One", "Same."), document("Two", "Same."), document("Two", "same.")],
    );
    assert_eq!(added, ["Same.", "same."]);
    assert!(collection.add(1, "Other", &[document("Three", "Same.")]).is_empty());
    assert_eq!(collection.into_items()[0].source, "One");
}

#[test]
fn outside_sources_that_say_the_same_differently_spelt_are_one_item() {
    let mut collection = empty();
    collection.add(0, "Ada Lovelace", &[document("Book", "Ada wrote “notes” in 1843.")]);
    let again = [web("a.org", "ADA wrote \"notes\"  in 1843"), web("b.org", "Ada wrote notes in 1844.")];
    assert_eq!(collection.add(0, "Ada Lovelace", &again), ["Ada wrote notes in 1844."]);
}

#[test]
fn only_the_first_item_of_a_source_has_a_summary() {
    let mut collection = empty();
    let mut first = web("a.org", "Found text.");
    first.summary = Some("In short.".to_owned());
    collection.add(0, "Ada Lovelace", &[first, web("b.org", "More text.")]);
    collection.add(0, "Ada Lovelace", &[document("Book", "Own text.")]);
    let items = collection.into_items();
    assert_eq!(items[0].attributes["summary"], "In short.");
    assert!(items[1].attributes.is_empty());
    assert_eq!(items[2].attributes["summary"], "Own text.");
}

#[test]
fn later_rounds_name_the_entity_followed_and_are_less_sure() {
    let mut collection = empty();
    let text = |n: u32| format!("{n}{}", "x".repeat(399));
    collection.add(0, "Ada Lovelace", &[web("a.edu", &text(0))]);
    collection.add(1, "Charles Babbage", &[web("a.edu", &text(1))]);
    let items = collection.into_items();
    assert_eq!(items[1].entity.name, "Charles Babbage");
    assert_eq!(items[1].entity.id.as_str(), "person:ada_lovelace");
    assert_eq!(items[1].metadata.round, Some(1));
    assert!((items[0].confidence - 0.63).abs() < 1e-9);
    assert!((items[1].confidence - 0.57).abs() < 1e-9);
}

#[test]
fn what_clients_gave_is_found_but_not_stored_twice() {
    let mut collection = Collection::new(subject(), &["Hosted a show.".to_owned()], now());
    let found = [document("Book", "Hosted a show."), web("a.org", "HOSTED a show"), document("Book", "Found.")];
    assert_eq!(collection.add(0, "Ada Lovelace", &found), ["Hosted a show.", "Found."]);
    assert_eq!(collection.count(SourceName::Documents), 2);
    // In a later round it is old.
    assert!(collection.add(1, "Other", &[document("Diary", "Hosted a show.")]).is_empty());
    assert_eq!(texts(&collection.into_items()), ["Found."]);
}

/// Quality, completeness and confidence in percent after Ada Lovelace, a person, has become another.
fn rescored(item: &KnowledgeItem, name: &str, entity_type: &str, is_given: bool) -> [String; 3] {
    let mut item = item.clone();
    let old = About { name: "Ada Lovelace", entity_type: Some("Person") };
    rescore(&mut item, [old, About { name, entity_type: Some(entity_type) }], is_given);
    [item.entity.quality_score, item.entity.completeness_score, item.confidence].map(|score| format!("{score:.2}"))
}

#[test]
fn scores_follow_a_new_name_and_type() {
    let mut collection = empty();
    let mut found = document("Gazette", "Ada Lovelace discovered a comet over Lisbon in 1887.");
    found.attributes = Map::from_iter([("birthDate".to_owned(), json!("1815-12-10"))]);
    collection.add(0, "Ada Lovelace", &[found]);
    let item = collection.into_items().remove(0);
    assert_eq!(rescored(&item, "Ada Lovelace", "Person", false), ["0.65", "0.40", "0.74"]);
    // Without the name 0.3 less; of a thing only the name is mandatory, and the summary describes it.
    assert_eq!(rescored(&item, "Augusta King", "Thing", false), ["0.35", "0.68", "0.61"]);
    assert_eq!(rescored(&item, "Augusta King", "Thing", true), ["0.35", "0.68", "0.74"]);
}

#[test]
fn scores_of_a_client_stay() {
    let mut item = given(&subject(), "Ada Lovelace wrote.", "User", 1.0, now());
    (item.entity.quality_score, item.entity.completeness_score) = (0.9, 0.8);
    assert_eq!(rescored(&item, "Augusta King", "Thing", true), ["0.90", "0.80", "1.00"]);
}

#[test]
fn a_given_text_is_one_item_however_long() {
    let text = "A sentence. ".repeat(500);
    let item = given(&subject(), &text, "Almanac", 0.4, now());
    assert_eq!((item.text.as_str(), item.source.as_str()), (text.as_str(), "Almanac"));
    assert!((item.confidence - 0.4).abs() < 1e-9 && (item.entity.trust_score - 1.0).abs() < 1e-9);
    assert_eq!(item.metadata, ItemMetadata::default());
}

#[test]
fn summaries_end_with_a_sentence_where_they_can() {
    assert_eq!(summary_of(" Short\n text. "), "Short text.");
    let long = format!("First sentence. {}", "word ".repeat(100));
    assert_eq!(summary_of(&long), "First sentence.");
    assert!(summary_of(&"word ".repeat(100)).chars().count() <= 300);
    assert_eq!(summary_of(&"日".repeat(400)).chars().count(), 300);
}

#[test]
fn texts_are_joined_by_empty_lines_up_to_a_limit() {
    assert_eq!(joined_texts(["One.", "Two."]), "One.\n\nTwo.");
    assert_eq!(joined_texts([]), "");
    let long = "é".repeat(60_000);
    let joined = joined_texts([long.as_str(), long.as_str(), "never"]);
    assert_eq!(joined.chars().count(), 100_000);
    let exact = "x".repeat(99_999);
    assert_eq!(joined_texts([exact.as_str(), "y"]).chars().count(), 100_000);
}
