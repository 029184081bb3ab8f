//! `POST /build`.

use serde_json::json;

use crate::{Rig, builders::MATCH};

#[tokio::test]
async fn older_clients_find_their_keys_at_the_top() {
    let rig = Rig::new().await;
    let old = json!({
        "agentId": "ada", "roleModel": {"name": " Ada Lovelace", "occupation": "Mathematician"}, "deepeningCycles": 1,
        "apiKeys": {"OPENAI_API_KEY": "sk-secret"}, "extra": 1,
    });
    let answer = rig.admin().post("/build", &old).await;
    let agent = answer.data(201);
    assert_eq!((&agent["agent_id"], &agent["deepening_cycles"]), (&json!("ada"), &json!(1)));
    assert_eq!(answer.meta()["deprecated"], true);
    assert_eq!(answer.meta()["deprecation_notice"], "Use POST /api/v1/agents instead");
    let warnings = json!(["Field 'apiKeys' was ignored", "Unknown field 'extra' was ignored"]);
    assert_eq!(answer.meta()["warnings"], warnings);
    assert_eq!((answer.header("deprecation"), answer.header("location")), ("true", "/api/v1/agents/ada"));
    assert_eq!(answer.body["agentId"], "ada");
    assert_eq!(answer.body["roleModel"], json!({"name": "Ada Lovelace", "occupation": "Mathematician"}));
    for list in ["generated_skills", "generated_knowledge"] {
        assert_eq!(answer.body[list], agent[list]);
        assert_eq!(agent[list][0]["embedding"].as_array().unwrap().len(), 384);
    }
    assert!(agent["generated_skills"][0]["skill"].as_str().unwrap().starts_with("skill:"));
    assert!(!answer.text.contains("sk-secret"));
    assert_eq!(rig.count("builds WHERE request::text LIKE '%sk-secret%'"), 0);
    assert_eq!(rig.admin().post("/build", &old).await.status, 409);
}

#[tokio::test]
async fn a_missing_id_is_a_bad_request_and_the_rest_is_as_elsewhere() {
    let rig = Rig::new().await;
    let role_model = json!({"name": "A", "occupation": "B"});
    for id in [json!(null), json!("")] {
        let answer = rig.admin().post("/build", &json!({"agentId": id, "roleModel": role_model})).await;
        assert_eq!(answer.error(400, "VALIDATION_ERROR.REQUIRED_FIELD")["message"], "Missing 'agentId' field");
    }
    let answer = rig.admin().post("/build", &json!({"roleModel": role_model})).await;
    answer.error(400, "VALIDATION_ERROR.REQUIRED_FIELD");
    for (old, field, reason) in [
        (json!({"agentId": "a"}), "roleModel", "REQUIRED_FIELD"),
        (json!({"agentId": "a", "roleModel": {"name": "A"}}), "roleModel.occupation", "REQUIRED_FIELD"),
        (json!({"agentId": 1, "roleModel": role_model}), "agentId", "INVALID_TYPE"),
        (json!({"agentId": "a b", "roleModel": role_model}), "agentId", "INVALID_FORMAT"),
        (json!({"agentId": "a", "roleModel": role_model, "deepeningCycles": 12}), "deepeningCycles", "INVALID_RANGE"),
    ] {
        let answer = rig.admin().post("/build", &old).await;
        answer.error(422, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(answer.fields(), [field]);
    }
}

#[tokio::test]
async fn older_clients_need_a_credential_unless_the_door_is_open() {
    let old = json!({"agentId": "ada", "roleModel": {"name": "A", "occupation": "B"}});
    let closed = Rig::new().await;
    closed.service.client().post("/build", &old).await.error(401, "AUTHENTICATION_ERROR.MISSING_AUTHORIZATION");
    let open = Rig::with(&[("AUTH_OPEN_DOORS", "legacy")]).await;
    let agent = open.service.client().post("/build", &old).await.data(201);
    assert_eq!(agent["created_by"], "anonymous");
}

#[tokio::test]
async fn older_clients_repeat_themselves_safely() {
    let rig = Rig::new().await;
    let old = json!({"agentId": "ada", "roleModel": {"name": "A", "occupation": "B"}});
    let client = rig.admin().header("idempotency-key", "k");
    let first = client.post("/build", &old).await;
    let again = client.post("/build", &old).await;
    assert_eq!((again.status, &again.text, again.header("deprecation")), (201, &first.text, "true"));
    assert_eq!(rig.builders.asked(MATCH).len(), 1);
}
