//! Lists, single reads, deletion, and who sees what.

use serde_json::{Value, json};

use crate::{Rig, body, builders::MATCH};

#[tokio::test]
async fn an_unknown_agent_is_not_found_anywhere() {
    let rig = Rig::new().await;
    let patch = json!({"deepening_cycles": 1});
    for (method, suffix, body) in [
        ("GET", "", None),
        ("PATCH", "", Some(&patch)),
        ("DELETE", "", None),
        ("GET", "/capabilities", None),
        ("POST", "/build", None),
    ] {
        let answer = rig.admin().send(method, &format!("/api/v1/agents/nobody{suffix}"), body).await;
        let error = answer.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
        assert_eq!(error["message"], "Agent 'nobody' not found");
    }
}

#[tokio::test]
async fn capabilities_are_the_parts_of_the_record() {
    let rig = Rig::new().await;
    let agent = rig.agent("ada").await;
    let expected = json!({
        "agent_id": "ada", "skills": agent["generated_skills"], "knowledge": agent["generated_knowledge"],
        "capabilities": agent["capabilities"],
    });
    assert_eq!(rig.admin().get("/api/v1/agents/ada/capabilities").await.data(200), expected);
}

#[tokio::test]
async fn a_deleted_agent_is_gone_with_all_its_rows_and_its_id_is_free() {
    let rig = Rig::new().await;
    rig.agent("ada").await;
    let deleted = rig.admin().delete("/api/v1/agents/ada").await.data(200);
    assert_eq!(deleted, json!({"deleted": true, "agent_id": "ada"}));
    rig.admin().get("/api/v1/agents/ada").await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    rig.admin().delete("/api/v1/agents/ada").await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    assert_eq!(rig.count("agents") + rig.count("agent_skills") + rig.count("agent_knowledge"), 0);
    assert_eq!(rig.count("outbox WHERE kind = 'agent.deleted'"), 1);
    rig.agent("ada").await;
}

/// Four agents that differ in everything that can be filtered by.
async fn four(rig: &Rig) -> Vec<Value> {
    let mut agents = Vec::new();
    for (id, name, occupation, cycles) in [
        ("b-2", "Zoe", "Baker", 2),
        ("a-1", "ada", "Baker", 0),
        ("c_3", "Bob", "Chef 100%", 11),
        ("B-4", "Émile", "Chef, pastry", 2),
    ] {
        let role_model = json!({"name": name, "occupation": occupation});
        let new = json!({"agent_id": id, "role_model": role_model, "deepening_cycles": cycles});
        agents.push(rig.admin().post("/api/v1/agents", &new).await.data(201));
    }
    agents
}

async fn ids(rig: &Rig, query: &str) -> Vec<String> {
    let rows = rig.admin().get(&format!("/api/v1/agents?{query}")).await.data(200);
    rows.as_array().unwrap().iter().map(|row| row["agent_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lists_hold_whole_records_in_the_order_of_their_making() {
    let rig = Rig::new().await;
    let agents = four(&rig).await;
    let answer = rig.admin().get("/api/v1/agents").await;
    assert_eq!(answer.data(200), json!(agents));
    let pages = json!({
        "page": 1, "per_page": 20, "total": 4, "total_pages": 1, "has_next": false, "has_prev": false,
    });
    assert_eq!(answer.meta()["pagination"], pages);
    let answer = rig.admin().get("/api/v1/agents?page=2&per_page=3").await;
    assert_eq!(answer.data(200), json!([agents[3]]));
    let pages = json!({
        "page": 2, "per_page": 3, "total": 4, "total_pages": 2, "has_next": false, "has_prev": true,
    });
    assert_eq!(answer.meta()["pagination"], pages);
    assert_eq!(rig.admin().get("/api/v1/agents?page=9").await.data(200), json!([]));
}

#[tokio::test]
async fn every_field_can_be_filtered_and_sorted_by() {
    let rig = Rig::new().await;
    let agents = four(&rig).await;
    let third = agents[2]["created_at"].as_str().unwrap();
    for (query, expected) in [
        ("filter[agent_id]=a-1".to_owned(), vec!["a-1"]),
        ("filter[agent_id][contains]=B-".to_owned(), vec!["b-2", "B-4"]),
        ("filter[agent_id][in]=a-1,%20c_3,none".to_owned(), vec!["a-1", "c_3"]),
        ("filter[status]=completed&sort=agent_id".to_owned(), vec!["B-4", "a-1", "b-2", "c_3"]),
        ("filter[status][ne]=completed".to_owned(), vec![]),
        ("filter[deepening_cycles][gte]=2&sort=-deepening_cycles".to_owned(), vec!["c_3", "b-2", "B-4"]),
        ("filter[deepening_cycles]=0".to_owned(), vec!["a-1"]),
        ("sort=name".to_owned(), vec!["c_3", "b-2", "a-1", "B-4"]),
        ("sort=-name".to_owned(), vec!["B-4", "a-1", "b-2", "c_3"]),
        ("filter[name]=Ada".to_owned(), vec![]),
        ("filter[name][contains]=%C3%A9mi".to_owned(), vec!["B-4"]),
        ("filter[occupation]=Baker&sort=-agent_id".to_owned(), vec!["b-2", "a-1"]),
        ("filter[occupation][contains]=100%25".to_owned(), vec!["c_3"]),
        ("sort=occupation,-name".to_owned(), vec!["a-1", "b-2", "c_3", "B-4"]),
        ("filter[created_by]=test-admin&filter[name][lt]=Y".to_owned(), vec!["c_3"]),
        (format!("filter[created_at]={third}"), vec!["c_3"]),
        (format!("filter[created_at][gt]={third}"), vec!["B-4"]),
        ("sort=-created_at&per_page=2".to_owned(), vec!["B-4", "c_3"]),
        ("sort=-updated_at&per_page=1".to_owned(), vec!["B-4"]),
        (format!("filter[updated_at][lt]={third}&sort=-updated_at"), vec!["a-1", "b-2"]),
    ] {
        assert_eq!(ids(&rig, &query).await, expected, "{query}");
    }
    for query in ["filter[mode]=balanced", "sort=mode", "filter[deepening_cycles]=many", "filter[name][like]=x"] {
        assert_eq!(rig.admin().get(&format!("/api/v1/agents?{query}")).await.status, 422, "{query}");
    }
}

#[tokio::test]
async fn users_see_only_what_they_made() {
    let rig = Rig::new().await;
    rig.agent("theirs").await;
    let user = rig.user("user-1");
    user.post("/api/v1/agents", &body("mine")).await.data(201);
    let rows = user.get("/api/v1/agents").await;
    assert_eq!(rows.data(200)[0]["agent_id"], "mine");
    assert_eq!(rows.meta()["pagination"]["total"], 1);
    assert_eq!(user.get("/api/v1/agents?filter[agent_id]=theirs").await.data(200), json!([]));
    assert_eq!(rig.admin().get("/api/v1/agents").await.data(200).as_array().unwrap().len(), 2);
    for (method, suffix, sent) in [
        ("GET", "", None),
        ("GET", "/capabilities", None),
        ("PATCH", "", Some(json!({"deepening_cycles": 1}))),
        ("PATCH", "", Some(json!({"generated_skills": ["x"]}))),
        ("DELETE", "", None),
        ("POST", "/build", None),
    ] {
        let answer = user.send(method, &format!("/api/v1/agents/theirs{suffix}"), sent.as_ref()).await;
        answer.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    }
    let asked = rig.builders.asked(MATCH).len();
    user.post("/api/v1/agents", &body("theirs")).await.error(409, "CONFLICT_ERROR.DUPLICATE_RESOURCE");
    let put = json!({"role_model": {"name": "A", "occupation": "B"}});
    user.put("/api/v1/agents/theirs", &put).await.error(409, "CONFLICT_ERROR.DUPLICATE_RESOURCE");
    assert_eq!(rig.builders.asked(MATCH).len(), asked);
    user.patch("/api/v1/agents/mine", &json!({"deepening_cycles": 1})).await.data(200);
    user.delete("/api/v1/agents/mine").await.data(200);
    rig.admin().get("/api/v1/agents/theirs").await.data(200);
}

#[tokio::test]
async fn scopes_are_asked_for() {
    use api_types::auth::Role;
    let rig = Rig::new().await;
    rig.agent("ada").await;
    let with =
        |permissions: &[&str]| rig.service.client().bearer(&test_support::jwt("k", &[Role::Service], permissions));
    let reader = with(&["agents:read"]);
    reader.get("/api/v1/agents/ada").await.data(200);
    let error = reader.post("/api/v1/agents", &json!({})).await;
    assert_eq!(
        error.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS")["message"],
        "Permission 'agents:write' required"
    );
    assert_eq!(reader.delete("/api/v1/agents/ada").await.status, 403);
    assert_eq!(reader.post("/build", &json!({})).await.status, 403);
    assert_eq!(with(&["skills:read"]).get("/api/v1/agents").await.status, 403);
    with(&["agents:delete"]).delete("/api/v1/agents/ada").await.data(200);
}
