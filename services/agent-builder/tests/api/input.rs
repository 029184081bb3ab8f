//! What is refused, and how.

use serde_json::{Value, json};

use crate::{Rig, body};

fn with(key: &str, value: Value) -> Value {
    let mut body = body("x");
    body[key] = value;
    body
}

fn with_role_model(role_model: Value) -> Value {
    with("role_model", role_model)
}

fn refusals() -> Vec<(Value, &'static str, &'static str)> {
    let document = |document: Value| with("documents", json!([{"text": "fine"}, document]));
    vec![
        (json!({"agent_id": "x"}), "role_model", "REQUIRED_FIELD"),
        (json!({"role_model": {"name": "A", "occupation": "B"}}), "agent_id", "REQUIRED_FIELD"),
        (with("role_model", json!(null)), "role_model", "REQUIRED_FIELD"),
        (with("role_model", json!("Bob")), "role_model", "INVALID_TYPE"),
        (
            with_role_model(json!({"name": "A", "occupation": "B", "x": "y".repeat(65536)})),
            "role_model",
            "INVALID_RANGE",
        ),
        (with_role_model(json!({"occupation": "B"})), "role_model.name", "REQUIRED_FIELD"),
        (with_role_model(json!({"name": "A"})), "role_model.occupation", "REQUIRED_FIELD"),
        (with_role_model(json!({"name": "  ", "occupation": "B"})), "role_model.name", "INVALID_RANGE"),
        (
            with_role_model(json!({"name": "A", "occupation": "o".repeat(201)})),
            "role_model.occupation",
            "INVALID_RANGE",
        ),
        (with_role_model(json!({"name": 5, "occupation": "B"})), "role_model.name", "INVALID_TYPE"),
        (
            with_role_model(json!({"name": "A", "occupation": "B", "capabilities": "c"})),
            "role_model.capabilities",
            "INVALID_TYPE",
        ),
        (
            with_role_model(json!({"name": "A", "occupation": "B", "capabilities": [1]})),
            "role_model.capabilities[0]",
            "INVALID_TYPE",
        ),
        (
            with_role_model(json!({"name": "A", "occupation": "B", "capabilities": vec!["c"; 51]})),
            "role_model.capabilities",
            "INVALID_RANGE",
        ),
        (with("agent_id", json!("")), "agent_id", "INVALID_RANGE"),
        (with("agent_id", json!("a".repeat(101))), "agent_id", "INVALID_RANGE"),
        (with("agent_id", json!("a/b")), "agent_id", "INVALID_FORMAT"),
        (with("agent_id", json!("-a")), "agent_id", "INVALID_FORMAT"),
        (with("agent_id", json!(["x"])), "agent_id", "INVALID_TYPE"),
        (with("mode", json!("no-such-mode")), "mode", "INVALID_FORMAT"),
        (with("mode", json!(1)), "mode", "INVALID_TYPE"),
        (with("sources", json!(["gossip"])), "sources[0]", "INVALID_FORMAT"),
        (with("sources", json!("wikipedia")), "sources", "INVALID_TYPE"),
        (with("documents", json!({})), "documents", "INVALID_TYPE"),
        (with("documents", json!(vec![json!({"text": "t"}); 21])), "documents", "INVALID_RANGE"),
        (document(json!("text")), "documents[1]", "INVALID_TYPE"),
        (document(json!({})), "documents[1].text", "REQUIRED_FIELD"),
        (document(json!({"text": " "})), "documents[1].text", "INVALID_RANGE"),
        (document(json!({"text": "t", "title": "t".repeat(301)})), "documents[1].title", "INVALID_RANGE"),
        (document(json!({"text": "t", "content_base64": "dA=="})), "documents[1].text", "INVALID_FORMAT"),
        (document(json!({"content_base64": "dA=="})), "documents[1].media_type", "REQUIRED_FIELD"),
        (
            document(json!({"content_base64": "%", "media_type": "text/plain"})),
            "documents[1].content_base64",
            "INVALID_FORMAT",
        ),
        (
            document(json!({"content_base64": "dA==", "media_type": "image/png"})),
            "documents[1].media_type",
            "INVALID_FORMAT",
        ),
        (with("metadata", json!([])), "metadata", "INVALID_TYPE"),
        (with("metadata", json!({"x": "y".repeat(16384)})), "metadata", "INVALID_RANGE"),
    ]
}

#[tokio::test]
async fn a_bad_definition_is_refused_by_its_field_and_asks_nobody() {
    let rig = Rig::new().await;
    let client = rig.admin();
    for (body, field, reason) in refusals() {
        let answer = client.post("/api/v1/agents", &body).await;
        let error = answer.error(422, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(answer.fields(), [field], "{body}");
        assert_eq!(error["details"][0]["code"], reason);
        if reason == "REQUIRED_FIELD" {
            assert_eq!(error["message"], format!("Field '{field}' is required"));
        }
    }
    assert!(!rig.builders.asked_anything());
    assert_eq!(rig.count("agents") + rig.count("jobs") + rig.count("outbox"), 0);
}

#[tokio::test]
async fn cycles_have_one_message_for_everything_wrong_with_them() {
    let rig = Rig::new().await;
    for (cycles, reason) in [
        (json!(12), "INVALID_RANGE"),
        (json!(-1), "INVALID_RANGE"),
        (json!(10_000_000_000_u64), "INVALID_RANGE"),
        (json!("3"), "INVALID_TYPE"),
        (json!(2.5), "INVALID_TYPE"),
        (json!(3.0), "INVALID_TYPE"),
        (json!(true), "INVALID_TYPE"),
    ] {
        let answer = rig.admin().post("/api/v1/agents", &with("deepening_cycles", cycles)).await;
        let error = answer.error(422, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(error["message"], "deepening_cycles must be an integer between 0 and 11");
        assert_eq!(error["details"][0]["path"], json!(["deepening_cycles"]));
    }
}

#[tokio::test]
async fn all_problems_are_listed_in_the_order_of_the_fields() {
    let rig = Rig::new().await;
    let client = rig.admin();
    let answer = client.post("/api/v1/agents", &json!({"deepening_cycles": 99})).await;
    assert_eq!(answer.fields(), ["role_model", "agent_id", "deepening_cycles"]);
    let answer = client.post("/api/v1/agents", &json!({"agent_id": "ok", "role_model": {}})).await;
    let error = answer.error(422, "VALIDATION_ERROR.REQUIRED_FIELD");
    assert_eq!(error["details"][0]["path"], json!(["role_model", "name"]));
    assert_eq!(error["details"][1]["path"], json!(["role_model", "occupation"]));
    let bad = json!({
        "metadata": 1, "documents": 1, "sources": 1, "mode": 1, "deepening_cycles": -1, "agent_id": "/",
        "role_model": {"capabilities": 1},
    });
    let expected = [
        "agent_id",
        "role_model.name",
        "role_model.occupation",
        "role_model.capabilities",
        "deepening_cycles",
        "mode",
        "sources",
        "documents",
        "metadata",
    ];
    assert_eq!(client.post("/api/v1/agents", &bad).await.fields(), expected);
}

#[tokio::test]
async fn a_definition_by_name_alone_lacks_its_role_model() {
    let rig = Rig::new().await;
    let answer = rig.admin().post("/api/v1/agents", &json!({"name": "Helper", "description": "Helps"})).await;
    answer.error(422, "VALIDATION_ERROR.REQUIRED_FIELD");
    assert_eq!(answer.fields(), ["role_model", "agent_id"]);
}

#[tokio::test]
async fn unknown_fields_are_ignored_with_a_warning() {
    let rig = Rig::new().await;
    let answer = rig.admin().post("/api/v1/agents", &with("deepening_cycle", json!(3))).await;
    answer.data(201);
    assert_eq!(answer.meta()["warnings"], json!(["Unknown field 'deepening_cycle' was ignored"]));
}

#[tokio::test]
async fn hostile_ids_in_paths_are_nobody() {
    let rig = Rig::new().await;
    let client = rig.admin();
    for id in [
        "..%2F..%2Fetc%2Fpasswd",
        "%00",
        "a%00b",
        "x'%20OR%201=1--",
        "%0d%0aSet-Cookie:x",
        "%E2%80%AEevil",
        "%F0%9F%92%A9",
        "%25s%25n",
        &"a".repeat(5000),
        "a;DROP%20TABLE%20agents",
    ] {
        for (method, suffix, body) in [
            ("GET", "", None),
            ("DELETE", "", None),
            ("GET", "/capabilities", None),
            ("POST", "/build", None),
            ("PATCH", "", Some(json!({"deepening_cycles": 1}))),
        ] {
            let answer = client.send(method, &format!("/api/v1/agents/{id}{suffix}"), body.as_ref()).await;
            answer.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
        }
        let definition = json!({"role_model": {"name": "A", "occupation": "B"}});
        let answer = client.put(&format!("/api/v1/agents/{id}"), &definition).await;
        if id.contains("%00") {
            answer.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
        } else {
            assert_eq!((answer.status, answer.fields()), (422, vec!["agent_id".to_owned()]), "{id}");
        }
    }
    assert_eq!(rig.count("agents"), 0);
}

#[tokio::test]
async fn hostile_texts_are_kept_as_they_are_or_refused_but_never_break_anything() {
    let rig = Rig::new().await;
    let client = rig.admin();
    let texts = [
        "'; DROP TABLE agents; --",
        "\u{202e}rotceles\u{202c}",
        "a\u{1}b\u{7f}c\r\nd\te",
        "<script>alert(1)</script>",
        "${jndi:ldap://x}",
        "😀👩‍👩‍👧‍👦 Zürich Ω",
        "\\u0000 is no NUL",
        "{{7*7}} %s %n",
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let role_model = json!({"name": text, "occupation": text, text: {text: [text]}, "capabilities": [text]});
        let new = json!({"agent_id": format!("h{number}"), "role_model": role_model, "metadata": {text: text}});
        let agent = client.post("/api/v1/agents", &new).await.data(201);
        assert_eq!((&agent["role_model"], &agent["metadata"]), (&role_model, &new["metadata"]));
    }
    assert_eq!(rig.count("agents"), 8);
    for long in ["ä".repeat(10_000), "\u{202e}".repeat(10_000), "😀".repeat(10_000)] {
        let answer =
            client.post("/api/v1/agents", &with_role_model(json!({"name": long, "occupation": long[..12_000]}))).await;
        answer.error(422, "VALIDATION_ERROR.INVALID_RANGE");
        assert_eq!(answer.fields(), ["role_model.name", "role_model.occupation"]);
    }
    let nul = client.post("/api/v1/agents", &with_role_model(json!({"name": "a\0b", "occupation": "B"}))).await;
    nul.error(400, "VALIDATION_ERROR.INVALID_FORMAT");
    let nul = client.get("/api/v1/agents?filter[name]=%00").await;
    nul.error(422, "VALIDATION_ERROR.INVALID_TYPE");
}
