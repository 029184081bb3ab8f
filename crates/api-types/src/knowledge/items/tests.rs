use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{ItemDraft, ItemFault, ItemProblem, Subject, build_item, expand_records, item_entries, parse_items};
use crate::knowledge::{ItemMetadata, KnowledgeId, KnowledgeItem, Origin, item_id};

fn now() -> DateTime<Utc> {
    crate::time::parse("2026-01-31T12:00:00Z").unwrap()
}

fn subject() -> Subject<'static> {
    Subject {
        record: KnowledgeId::new("person:ada_lovelace"),
        name: "Ada Lovelace",
        entity_type: Some("person"),
        keeps_entity_ids: false,
    }
}

fn parse(values: &Value) -> Result<Vec<KnowledgeItem>, Vec<ItemProblem>> {
    let values = values.as_array().unwrap();
    parse_items(&item_entries(values), &subject(), now())
}

fn parse_one(value: Value) -> KnowledgeItem {
    parse(&Value::Array(vec![value])).unwrap().remove(0)
}

#[test]
fn a_plain_text_becomes_a_whole_item() {
    let item = parse_one(json!("Ada Lovelace wrote programs."));
    assert_eq!(item.text, "Ada Lovelace wrote programs.");
    assert_eq!(item.entity.text, item.text);
    assert_eq!(item.entity.id.as_str(), "person:ada_lovelace");
    assert_eq!((item.entity.name.as_str(), item.entity.kind.as_str()), ("Ada Lovelace", "Person"));
    assert_eq!(item.source, "User");
    assert_eq!(item.timestamp, now());
    assert_eq!(item.knowledge_id, item_id(&subject().record, "User", &item.text));
    assert_eq!(item.resolved.schema_type, "schema:Person");
    // Trust 1; quality 0.4 × 28/400 + 0.3 + 0.3.
    assert!((item.confidence - 0.81).abs() < 1e-9, "{}", item.confidence);
    assert!((item.entity.quality_score - 0.63).abs() < 1e-9);
    assert!((item.entity.trust_score - 1.0).abs() < 1e-9);
}

#[test]
fn texts_are_kept_exactly() {
    let text = "  Two  spaces,\n<b>tags</b> & a tab\t";
    assert_eq!(parse_one(json!(text)).text, text);
    assert_eq!(parse_one(json!({ "text": text })).text, text);
}

#[test]
fn an_object_may_carry_its_text_in_its_entity() {
    let item = parse_one(json!({"entity": {"text": "Short and stout."}}));
    assert_eq!(item.text, "Short and stout.");
    let item = parse_one(json!({"text": null, "entity": {"text": "Short and stout."}}));
    assert_eq!(item.text, "Short and stout.");
    let item = parse_one(json!({"text": "Own.", "entity": {"text": "Inner."}}));
    assert_eq!(item.text, "Own.");
    assert_eq!(item.entity.text, "Own.");
}

#[test]
fn what_is_given_is_kept_and_the_rest_derived() {
    let item = parse_one(json!({
        "text": "Known for notes.",
        "source": " Almanac ",
        "confidence": 0.456,
        "timestamp": "2020-01-01T00:00:00Z",
        "attributes": {"birthDate": "1815-12-10", "occupation": "mathematician"},
        "metadata": {"url": "https://example.org", "passage": 2, "round": 1, "shelf": "B4", "title": 7},
        "entity": {"name": "Countess", "type": "Place", "trust_score": 0.25, "quality_score": 7, "id": "thing:other"},
        "knowledge_id": "kn_made_up",
        "resolved": {"schema_type": "schema:Made"},
    }));
    assert_eq!(item.source, "Almanac");
    assert!((item.confidence - 0.46).abs() < 1e-9);
    assert_eq!(crate::time::format(item.timestamp), "2020-01-01T00:00:00.000Z");
    assert_eq!(item.attributes["birthDate"], "1815-12-10");
    assert_eq!(item.metadata.url.as_deref(), Some("https://example.org"));
    assert_eq!((item.metadata.passage, item.metadata.round), (Some(2), Some(1)));
    assert_eq!(item.metadata.title, None);
    assert_eq!(item.metadata.further["shelf"], "B4");
    assert_eq!((item.entity.name.as_str(), item.entity.kind.as_str()), ("Countess", "Place"));
    assert!((item.entity.trust_score - 0.25).abs() < 1e-9);
    assert!(item.entity.quality_score < 1.0);
    assert_eq!(item.entity.id.as_str(), "person:ada_lovelace");
    assert_eq!(item.knowledge_id, item_id(&subject().record, "Almanac", "Known for notes."));
    assert_eq!(item.resolved.schema_type, "schema:Place");
}

#[test]
fn items_survive_being_read_and_written_back() {
    let draft = ItemDraft {
        text: "Found text.".to_owned(),
        source: "Wikipedia".to_owned(),
        origin: Origin::Wikipedia,
        name: Some("Charles Babbage".to_owned()),
        confidence: None,
        timestamp: now(),
        attributes: Map::from_iter([("summary".to_owned(), json!("Found"))]),
        metadata: ItemMetadata { round: Some(2), ..ItemMetadata::default() },
    };
    let item = build_item(&subject(), draft);
    let back = parse_one(serde_json::to_value(&item).unwrap());
    assert_eq!(back, item);
}

#[test]
fn ids_of_other_records_are_kept_where_they_may_be() {
    let value = json!({"text": "Elsewhere.", "entity": {"id": "place:turin"}});
    let agent = Subject { keeps_entity_ids: true, ..subject() };
    let items = parse_items(&[("[0]".to_owned(), &value)], &agent, now()).unwrap();
    assert_eq!(items[0].entity.id.as_str(), "place:turin");
    assert_eq!(items[0].knowledge_id, item_id(&"place:turin".into(), "User", "Elsewhere."));
}

#[test]
fn equal_texts_are_one_item_the_first() {
    let items = parse(&json!(["Same.", {"text": "Same.", "source": "Almanac"}, "Other."])).unwrap();
    let texts: Vec<_> = items.iter().map(|item| (item.text.as_str(), item.source.as_str())).collect();
    assert_eq!(texts, [("Same.", "User"), ("Other.", "User")]);
}

#[test]
fn the_round_lowers_the_confidence() {
    let draft = |round| ItemDraft {
        text: "x".repeat(400),
        source: "Wikidata".to_owned(),
        origin: Origin::Wikidata,
        name: None,
        confidence: None,
        timestamp: now(),
        attributes: Map::new(),
        metadata: ItemMetadata { round: Some(round), ..ItemMetadata::default() },
    };
    let confidence = |round| build_item(&subject(), draft(round)).confidence;
    assert!((confidence(0) - 0.63).abs() < 1e-9);
    assert!((confidence(1) - 0.57).abs() < 1e-9);
}

#[test]
fn every_problem_is_named_with_its_place() {
    let long = "x".repeat(100_001);
    let problems = parse(&json!([
        7,
        null,
        {},
        {"text": 3},
        {"text": "  "},
        {"entity": {"text": []}},
        {"entity": "x", "text": "t"},
        {"text": "t", "confidence": 1.5},
        {"text": "t", "confidence": "high"},
        {"text": "t", "source": "", "timestamp": "yesterday"},
        {"text": "t", "source": 4, "attributes": [], "metadata": 1},
        long,
        {"text": "fine", "source": null, "confidence": null},
    ]))
    .unwrap_err();
    let found: Vec<_> = problems.iter().map(|problem| (problem.field.as_str(), problem.fault)).collect();
    assert_eq!(
        found,
        [
            ("[0]", ItemFault::Type),
            ("[1]", ItemFault::Type),
            ("[2]", ItemFault::Type),
            ("[3].text", ItemFault::Type),
            ("[4].text", ItemFault::Range),
            ("[5].entity.text", ItemFault::Type),
            ("[6].entity", ItemFault::Type),
            ("[7].confidence", ItemFault::Range),
            ("[8].confidence", ItemFault::Type),
            ("[9].source", ItemFault::Range),
            ("[9].timestamp", ItemFault::Format),
            ("[10].source", ItemFault::Type),
            ("[10].attributes", ItemFault::Type),
            ("[10].metadata", ItemFault::Type),
            ("[11]", ItemFault::Range),
        ]
    );
}

#[test]
fn records_in_a_list_stand_for_their_items() {
    let values = [
        json!({"knowledge_id": "person:a", "text": "One.\n\nTwo.", "knowledge_items": [{"text": "One."}, "Two."]}),
        json!("Three."),
    ];
    let entries = expand_records(&values);
    let places: Vec<_> = entries.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(places, ["[0].knowledge_items[0]", "[0].knowledge_items[1]", "[1]"]);
    let items = parse_items(&entries, &subject(), now()).unwrap();
    let texts: Vec<_> = items.iter().map(|item| item.text.as_str()).collect();
    assert_eq!(texts, ["One.", "Two.", "Three."]);
}
