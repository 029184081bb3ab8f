use serde_json::json;

use super::{Category, Fault, FaultKind, Skill, SkillSource, normalise, skill_id, slug, written};

fn fault(value: &serde_json::Value) -> Fault {
    written(value).unwrap_err()
}

#[test]
fn names_are_compared_without_case_space_hyphens_and_punctuation() {
    for (name, expected) in [
        ("  HIGHER-education \t  lecturer ", "higher education lecturer"),
        ("Children's rights (law), etc.", "childrens rights law etc"),
        ("e\u{2011}commerce \u{2013} basics", "e commerce basics"),
        ("non\u{a0}breaking", "non breaking"),
        ("CAD/CAM_software", "cadcamsoftware"),
        ("ÉCOLE", "école"),
        ("e\u{301}cole", "école"),
        ("soft\u{ad}ware", "software"),
        ("a - b", "a b"),
        ("-- !! --", ""),
    ] {
        assert_eq!(normalise(name), expected, "{name:?}");
    }
}

#[test]
fn signs_that_are_no_punctuation_stay() {
    let names = ["C", "C#", "C++"];
    assert_eq!(names.map(normalise), ["c", "c#", "c++"]);
}

#[test]
fn normalising_twice_changes_nothing() {
    for name in ["İstanbul Guide", "A\u{200d}\u{301}B", "Œuvre—d’Art", "ΣΑΣ", "ﬁne-tuning", "e'\u{301}"] {
        let once = normalise(name);
        assert_eq!(normalise(&once), once, "{name:?}");
    }
}

#[test]
fn a_skill_id_is_that_of_the_normalised_name() {
    let id = skill_id("Mathematical  Modelling");
    assert_eq!(id, skill_id("mathematical-modelling"));
    assert_ne!(id, skill_id("mathematical modeling"));
    assert!(id.len() == 19 && id.starts_with("sk_"), "{id}");
    assert!(id[3..].chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')), "{id}");
}

#[test]
fn names_without_a_normalised_form_keep_ids_of_their_own() {
    assert_ne!(skill_id("!?"), skill_id("..."));
}

#[test]
fn slugs_have_letters_digits_and_single_hyphens() {
    assert_eq!(slug("  Data Scientist (AI & ML) "), "data-scientist-ai-ml");
    assert_eq!(slug("Café"), "caf");
    assert_eq!(slug("数学"), "");
    assert_eq!(slug(&"ab ".repeat(60)).len(), 100);
    assert_eq!(slug(&format!("{} x", "a".repeat(99))), "a".repeat(99));
}

#[test]
fn a_text_is_the_name_of_a_skill() {
    let skill = written(&json!("  Unicycling ")).unwrap();
    assert_eq!(skill.name, "Unicycling");
    assert_eq!(skill.skill_id, skill_id("unicycling"));
    assert_eq!((skill.source, skill.category), (SkillSource::User, Category::Domain));
    assert_eq!((skill.round, skill.confidence.to_bits()), (0, 1f64.to_bits()));
    assert!(skill.skill.starts_with("skill: Unicycling\n"), "{}", skill.skill);
}

#[test]
fn an_object_with_a_name_is_a_skill() {
    let skill = written(&json!({
        "name": "Juggling", "description": "Three balls", "category": "Competence", "triggers": ["circus"],
        "evidence": ["corpus:1"], "confidence": 0.456, "source": "esco", "esco_uri": "http://x/1", "round": 2,
        "skill_id": "sk_mine", "unknown": [1]
    }));
    let skill = skill.unwrap();
    assert_eq!((skill.name.as_str(), skill.description.as_str()), ("Juggling", "Three balls"));
    assert_eq!((skill.category, skill.source, skill.round), (Category::Competence, SkillSource::Esco, 2));
    assert_eq!(skill.triggers, ["circus"]);
    assert_eq!(skill.confidence.to_bits(), 0.46f64.to_bits());
    assert_eq!(skill.esco_uri.as_deref(), Some("http://x/1"));
    assert_eq!(skill.skill_id, skill_id("juggling"), "the id follows the name");
}

#[test]
fn an_object_with_yaml_is_a_skill() {
    let yaml = "skill: Fuzzing\ndescription: Throwing noise\ntriggers: [tests, 3]\nconstraints: only at night\nconfidence: 0.7\n";
    let skill = written(&json!({ "skill": yaml })).unwrap();
    assert_eq!((skill.name.as_str(), skill.description.as_str()), ("Fuzzing", "Throwing noise"));
    assert_eq!(skill.triggers, ["tests", "3"]);
    assert_eq!(skill.constraints, ["only at night"]);
    assert_eq!(skill.confidence.to_bits(), 0.7f64.to_bits());
    assert_eq!(written(&json!({ "skill": "name: Fuzzing" })).unwrap().name, "Fuzzing");
}

#[test]
fn fields_win_over_the_yaml() {
    let value = json!({ "name": "Own", "skill": "skill: Other\ndescription: From YAML" });
    let skill = written(&value).unwrap();
    assert_eq!((skill.name.as_str(), skill.description.as_str()), ("Own", "From YAML"));
    assert!(skill.skill.starts_with("skill: Own\n"));
}

#[test]
fn yaml_that_does_not_parse_is_name_and_description() {
    for text in ["Fuzzing\n  finds: [bugs\nquickly", "Fuzzing\nin plain prose", "\n Fuzzing\n* &a *b"] {
        let skill = written(&json!({ "skill": text })).unwrap();
        assert_eq!(skill.name, "Fuzzing", "{text:?}");
        assert_eq!(skill.description, text.trim());
    }
    let long = written(&json!({ "skill": "x".repeat(300) })).unwrap();
    assert_eq!((long.name.len(), long.description.len()), (200, 300));
}

#[test]
fn yaml_aliases_are_not_followed() {
    let mut bomb = String::from("skill: Bomb\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for n in 1..30 {
        let one = format!("*a{}", n - 1);
        bomb.push_str(&format!("a{n}: &a{n} [{}]\n", [one.as_str(); 10].join(",")));
    }
    assert_eq!(written(&json!({ "skill": bomb })).unwrap().name, "skill: Bomb");
}

#[test]
fn no_nul_comes_out_of_yaml() {
    let skill = written(&json!({ "skill": "skill: \"a\\0b\"\ntriggers: [\"\\0\"]" })).unwrap();
    assert_eq!((skill.name.as_str(), skill.triggers[0].as_str()), ("ab", ""));
}

#[test]
fn anything_else_is_no_skill() {
    for value in [
        json!(1),
        json!(null),
        json!([]),
        json!({}),
        json!({ "confidence": 1 }),
        json!({ "name": 3 }),
        json!({ "name": null }),
        json!({ "skill": {} }),
        json!({ "skill": "description: nameless" }),
        json!({ "name": "x", "triggers": "one" }),
        json!({ "name": "x", "triggers": [1] }),
        json!({ "name": "x", "confidence": "1" }),
        json!({ "name": "x", "round": 1.0 }),
    ] {
        let fault = fault(&value);
        assert_eq!((fault.kind, fault.key), (FaultKind::Type, None), "{value}");
    }
}

#[test]
fn fields_out_of_their_range_are_named() {
    for (value, kind, key) in [
        (json!(" "), FaultKind::Range, "name"),
        (json!("x".repeat(201)), FaultKind::Range, "name"),
        (json!({ "name": "" }), FaultKind::Range, "name"),
        (json!({ "name": "x", "confidence": 1.01 }), FaultKind::Range, "confidence"),
        (json!({ "name": "x", "round": 12 }), FaultKind::Range, "round"),
        (json!({ "name": "x", "category": "knowledge" }), FaultKind::Format, "category"),
        (json!({ "name": "x", "source": "rumour" }), FaultKind::Format, "source"),
    ] {
        let fault = fault(&value);
        assert_eq!((fault.kind, fault.key), (kind, Some(key)), "{value}");
    }
}

#[test]
fn the_yaml_has_its_keys_in_order_and_reads_back() {
    let value = json!({
        "name": "Tricky: name #1", "description": "skill: no\nkey here\n\n  indented", "triggers": ["a: b", "- c", ""],
        "constraints": ["two\nlines"], "evidence": ["corpus:3"], "confidence": 0.5
    });
    let skill = written(&value).unwrap();
    let keys = skill.skill.lines().filter(|line| line.starts_with(|c: char| c.is_alphabetic()));
    let keys: Vec<_> = keys.map(|line| line.split(':').next().unwrap()).collect();
    let expected = ["skill", "description", "triggers", "artifacts", "constraints", "evidence", "confidence"];
    assert_eq!(keys, expected);
    let again = written(&json!({ "skill": skill.skill })).unwrap();
    let texts = |skill: &Skill| (skill.name.clone(), skill.triggers.clone(), skill.constraints.clone());
    assert_eq!(texts(&again), texts(&skill));
    assert_eq!(again.description, skill.description);
}

#[test]
fn embeddings_are_left_out_until_there() {
    let mut skill = written(&json!("Juggling")).unwrap();
    let shown = serde_json::to_value(&skill).unwrap();
    assert!(shown.get("embedding").is_none() && shown.get("esco_uri").is_none());
    skill.embedding = Some(vec![0.5]);
    assert_eq!(serde_json::to_value(&skill).unwrap()["embedding"], json!([0.5]));
}
