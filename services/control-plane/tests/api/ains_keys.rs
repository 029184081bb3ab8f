//! Keys on the AINS door.

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::{Answer, Client};

use crate::{
    keys::{PATH as NATIVE, make},
    rig::Rig,
};

pub(crate) const PATH: &str = "/ains/api-keys";

/// Makes a key; returns its token and the answer.
pub(crate) async fn make_ains(client: &Client, body: Value) -> (String, Value) {
    let made = client.post(PATH, &body).await.ains(201);
    (made["api_key"].as_str().unwrap().to_owned(), made)
}

pub(crate) fn path_of(key: &Value) -> String {
    format!("{PATH}/{}", key["key_id"].as_str().unwrap())
}

fn names(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

/// The fields that a failure blames, in order.
fn blamed(answer: &Answer) -> Vec<String> {
    let errors = answer.body.pointer("/error/details/errors").and_then(Value::as_array).unwrap();
    errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
}

fn manager_of(client: &str) -> Value {
    json!({"client_id": client, "name": "manager", "scopes": ["keys:manage", "agents:write"]})
}

#[tokio::test]
async fn a_key_lives_from_its_making_to_its_revocation() {
    let rig = Rig::start(&[]).await;
    let admin = rig.admin();
    let asked = json!({
        "client_id": "production_application", "name": "Production API Key",
        "scopes": ["keys:manage", "agents:read", "webhooks:manage"], "rate_limit_per_minute": 100,
        "rate_limit_per_hour": 5000, "expires_at": "2199-12-31T23:59:59.000Z",
    });
    let (token, made) = make_ains(&admin, asked.clone()).await;
    for (name, value) in asked.as_object().unwrap() {
        assert_eq!(&made[name], value, "{name}");
    }
    let id = made["key_id"].as_str().unwrap();
    assert!(id.starts_with("key_") && id.len() == 36 && token.starts_with("ains_") && token.len() == 48, "{made}");
    let expected = [
        "api_key",
        "client_id",
        "created_at",
        "expires_at",
        "key_id",
        "name",
        "rate_limit_per_hour",
        "rate_limit_per_minute",
        "scopes",
        "warning",
    ];
    let mut found = names(&made);
    found.sort();
    assert_eq!(found, expected.iter().collect::<Vec<_>>());

    let client = rig.service.client().header("x-api-key", &token);
    client.get(PATH).await.ains(200);
    let listed = admin.get(&format!("{PATH}?client_id=production_application&active_only=true")).await.ains(200);
    assert_eq!(listed["total"], 1);
    let shown = &listed["keys"][0];
    assert_eq!(admin.get(&path_of(&made)).await.ains(200), *shown);
    assert_eq!(names(shown).len(), 11, "{shown}");
    assert_eq!((&shown["active"], &shown["revoked_at"]), (&json!(true), &Value::Null));
    assert!(shown["last_used_at"].is_string() && shown.get("api_key").is_none());

    let gone = admin.delete(&path_of(&made)).await.ains(200);
    assert_eq!((&gone["key_id"], &gone["message"]), (&json!(id), &json!("API key revoked successfully")));
    assert_eq!(admin.delete(&path_of(&made)).await.ains(200), gone);
    let error = client.get(PATH).await.ains_error(401, "INVALID_API_KEY");
    assert_eq!(error["message"], "Invalid API key");
    let active = format!("{PATH}?client_id=production_application&active_only=");
    assert_eq!(admin.get(&format!("{active}true")).await.ains(200)["total"], 0);
    let listed = admin.get(&format!("{active}false")).await.ains(200);
    assert_eq!((&listed["keys"][0]["active"], &listed["keys"][0]["revoked_at"]), (&json!(false), &gone["revoked_at"]));
}

#[tokio::test]
async fn what_is_not_asked_for_has_its_default() {
    let rig = Rig::start(&[]).await;
    for body in [json!({"client_id": "c", "name": "n"}), json!({"client_id": "c", "name": "n", "scopes": [], "x": 1})] {
        let (_, made) = make_ains(&rig.admin(), body).await;
        assert_eq!((&made["rate_limit_per_minute"], &made["rate_limit_per_hour"]), (&json!(60), &json!(1000)));
        assert_eq!(made["expires_at"], Value::Null);
        let ordinary = api_types::auth::Role::Service.scopes();
        assert_eq!(made["scopes"], json!(ordinary));
        assert!(ordinary.contains(&"tasks:execute") && !ordinary.contains(&"keys:manage"));
        assert_eq!(rig.admin().get(&path_of(&made)).await.ains(200)["scopes"], json!(ordinary));
    }
    let (_, made) = make_ains(&rig.admin(), json!({"client_id": "c", "name": "n", "expires_in_days": 3})).await;
    let between = |name: &str| api_types::time::parse(made[name].as_str().unwrap()).unwrap();
    assert_eq!((between("expires_at") - between("created_at")).num_hours(), 72);
}

#[tokio::test]
async fn input_is_checked_field_by_field() {
    let rig = Rig::start(&[]).await;
    for (body, code, field) in [
        (json!({"name": "x"}), "MISSING_REQUIRED_FIELD", "client_id"),
        (json!({"client_id": "x"}), "MISSING_REQUIRED_FIELD", "name"),
        (json!({"client_id": "x", "name": null}), "MISSING_REQUIRED_FIELD", "name"),
        (json!({"client_id": "x", "name": ""}), "INVALID_FIELD_VALUE", "name"),
        (json!({"client_id": "x", "name": "n".repeat(256)}), "INVALID_FIELD_VALUE", "name"),
        (json!({"client_id": "-x", "name": "x"}), "INVALID_FIELD_VALUE", "client_id"),
        (json!({"client_id": "x", "name": "x", "scopes": ["fly:high"]}), "INVALID_FIELD_VALUE", "scopes[0]"),
        (json!({"client_id": "x", "name": "x", "scopes": "tasks:read"}), "INVALID_FIELD_VALUE", "scopes"),
        (
            json!({"client_id": "x", "name": "x", "rate_limit_per_minute": 0}),
            "INVALID_FIELD_VALUE",
            "rate_limit_per_minute",
        ),
        (
            json!({"client_id": "x", "name": "x", "rate_limit_per_hour": "7"}),
            "INVALID_FIELD_VALUE",
            "rate_limit_per_hour",
        ),
        (
            json!({"client_id": "x", "name": "x", "expires_at": "2020-01-01T00:00:00Z"}),
            "INVALID_FIELD_VALUE",
            "expires_at",
        ),
        (json!({"client_id": "x", "name": "x", "expires_at": "soon"}), "INVALID_FIELD_VALUE", "expires_at"),
        (json!({"client_id": "x", "name": "x", "expires_in_days": 0}), "INVALID_FIELD_VALUE", "expires_in_days"),
        (
            json!({"client_id": "x", "name": "x", "expires_in_days": 1, "expires_at": "2199-01-01"}),
            "INVALID_FIELD_VALUE",
            "expires_in_days",
        ),
    ] {
        let error = rig.admin().post(PATH, &body).await.ains_error(400, code);
        assert_eq!(error["details"]["field"], field, "{body}");
    }
    let answer = rig.admin().post(PATH, &json!({"scopes": ["a:b"], "expires_in_days": 0})).await;
    assert_eq!(blamed(&answer), ["client_id", "name", "scopes[0]", "expires_in_days"]);
    rig.admin().post(PATH, &json!([])).await.ains_error(400, "INVALID_REQUEST");
    assert_eq!(rig.texts("SELECT id AS value FROM keys"), ["admin-key"]);
}

#[tokio::test]
async fn a_changed_key_is_changed_at_once_where_it_was_changed() {
    let rig = Rig::start(&[]).await;
    let admin = rig.admin();
    let body = json!({"client_id": "c", "name": "n", "scopes": ["keys:manage"], "expires_in_days": 5});
    let (token, made) = make_ains(&admin, body).await;
    let client = rig.service.client().bearer(&token);
    client.get(PATH).await.ains(200);
    let changed = admin
        .patch(&path_of(&made), &json!({"name": "Renamed", "rate_limit_per_minute": 777, "expires_at": null}))
        .await
        .ains(200);
    assert_eq!((&changed["name"], &changed["rate_limit_per_minute"]), (&json!("Renamed"), &json!(777)));
    assert_eq!((&changed["expires_at"], &changed["rate_limit_per_hour"]), (&Value::Null, &json!(1000)));
    assert_eq!(client.get(NATIVE).await.header("x-ratelimit-limit"), "777");
    let changed = admin.patch(&path_of(&made), &json!({"scopes": ["agents:read"]})).await.ains(200);
    assert_eq!(changed["scopes"], json!(["agents:read"]));
    client.get(PATH).await.ains_error(403, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(admin.get(&path_of(&made)).await.ains(200)["name"], "Renamed");
}

#[tokio::test]
async fn a_change_must_change_something() {
    let rig = Rig::start(&[]).await;
    let (_, made) = make_ains(&rig.admin(), json!({"client_id": "c", "name": "n"})).await;
    for body in [json!({}), json!({"name": null}), json!({"client_id": "other"})] {
        let error = rig.admin().patch(&path_of(&made), &body).await.ains_error(400, "MISSING_REQUIRED_FIELD");
        assert_eq!(error["details"]["field"], "body");
    }
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"scopes": ["agents:read", "x"]}), "scopes[1]"),
        (json!({"rate_limit_per_hour": 0}), "rate_limit_per_hour"),
        (json!({"expires_at": "2020-01-01"}), "expires_at"),
    ] {
        let error = rig.admin().patch(&path_of(&made), &body).await.ains_error(400, "INVALID_FIELD_VALUE");
        assert_eq!(error["details"]["field"], field);
    }
    // The same again is no event.
    rig.admin().patch(&path_of(&made), &json!({"name": "n"})).await.ains(200);
    assert_eq!(rig.events_of(made["key_id"].as_str().unwrap()), ["key.created"]);
}

#[tokio::test]
async fn nobody_gives_what_they_have_not() {
    let rig = Rig::start(&[]).await;
    let (token, made) = make_ains(&rig.admin(), manager_of("acme")).await;
    let manager = rig.service.client().header("x-api-key", &token);
    for beyond in [
        json!({"client_id": "acme", "name": "n"}),
        json!({"client_id": "acme", "name": "n", "scopes": ["skills:read"]}),
        json!({"client_id": "acme", "name": "n", "scopes": ["agents:read", "*"]}),
        json!({"client_id": "acme", "name": "n", "scopes": ["keys:*"]}),
        json!({"client_id": "other", "name": "n", "scopes": ["agents:read"]}),
    ] {
        manager.post(PATH, &beyond).await.ains_error(403, "INSUFFICIENT_PERMISSIONS");
    }
    let own = json!({"client_id": "acme", "name": "n", "scopes": ["agents:read", "keys:manage"]});
    let (_, weak) = make_ains(&manager, own).await;
    let wider = json!({"scopes": ["agents:read", "skills:read"]});
    manager.patch(&path_of(&weak), &wider).await.ains_error(403, "INSUFFICIENT_PERMISSIONS");
    manager.patch(&path_of(&made), &json!({"scopes": []})).await.ains_error(403, "INSUFFICIENT_PERMISSIONS");
    // A new secret of a key that can do more would be a way to do more.
    let (_, strong) = make_ains(&rig.admin(), json!({"client_id": "acme", "name": "strong"})).await;
    let rotate = format!("{}/rotate", path_of(&strong));
    manager.post(&rotate, &json!({})).await.ains_error(403, "INSUFFICIENT_PERMISSIONS");
    manager.post(&format!("{}/rotate", path_of(&weak)), &json!({})).await.ains(200);
    manager.delete(&path_of(&strong)).await.ains(200);
}

#[tokio::test]
async fn managers_see_the_keys_of_their_own_client_on_both_doors() {
    let rig = Rig::start(&[]).await;
    let (token, mine) = make_ains(&rig.admin(), manager_of("acme")).await;
    let (_, theirs) = make_ains(&rig.admin(), json!({"client_id": "other", "name": "theirs"})).await;
    let (_, native) = make(&rig.admin(), json!({"name": "native", "client_id": "acme"})).await;
    let manager = rig.service.client().header("x-api-key", &token);
    let (_, made) = make(&manager, json!({"name": "made", "permissions": ["agents:read"]})).await;
    assert_eq!(made["client_id"], made["id"]);

    let listed = manager.get(PATH).await.ains(200);
    let mut ids: Vec<&Value> = listed["keys"].as_array().unwrap().iter().map(|key| &key["key_id"]).collect();
    assert_eq!((listed["total"].as_i64(), ids.remove(0)), (Some(3), &made["id"]));
    let listed = manager.get(&format!("{NATIVE}?sort=-created_at")).await.data(200);
    let native_ids: Vec<&Value> = listed.as_array().unwrap().iter().map(|key| &key["id"]).collect();
    assert_eq!((native_ids[0], native_ids.len()), (&made["id"], 3));
    assert!(ids.contains(&&native["id"]) && ids.contains(&&mine["key_id"]));
    assert_eq!(manager.get(&format!("{PATH}?client_id=other")).await.ains(200)["total"], 0);

    let (id, path) = (theirs["key_id"].as_str().unwrap(), path_of(&theirs));
    for answer in [
        manager.get(&path).await,
        manager.get(&format!("{path}/usage")).await,
        manager.patch(&path, &json!({"name": "n"})).await,
        manager.delete(&path).await,
        manager.post(&format!("{path}/rotate"), &json!({})).await,
    ] {
        answer.ains_error(404, "RESOURCE_NOT_FOUND");
    }
    for answer in [
        manager.get(&format!("{NATIVE}/{id}")).await,
        manager.delete(&format!("{NATIVE}/{id}")).await,
        manager.post(&format!("{NATIVE}/{id}/rotate"), &json!({})).await,
    ] {
        answer.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    }
    assert_eq!(rig.admin().get(&path).await.ains(200)["active"], true);
}

#[tokio::test]
async fn an_unknown_key_is_not_found() {
    let rig = Rig::start(&[]).await;
    for path in [format!("{PATH}/none"), format!("{PATH}/none/usage"), format!("{PATH}/%00")] {
        rig.admin().get(&path).await.ains_error(404, "RESOURCE_NOT_FOUND");
    }
    rig.admin().patch(&format!("{PATH}/none"), &json!({"name": "n"})).await.ains_error(404, "RESOURCE_NOT_FOUND");
    rig.admin().delete(&format!("{PATH}/none")).await.ains_error(404, "RESOURCE_NOT_FOUND");
}

#[tokio::test]
async fn keys_are_managed_with_their_scope_alone() {
    let rig = Rig::start(&[]).await;
    let (token, made) = make_ains(&rig.admin(), json!({"client_id": "c", "name": "n"})).await;
    let client = rig.service.client().header("x-api-key", &token);
    for answer in [
        client.get(PATH).await,
        client.get(&path_of(&made)).await,
        client.get(&format!("{}/usage", path_of(&made))).await,
        client.patch(&path_of(&made), &json!({})).await,
        client.delete(&path_of(&made)).await,
        client.post(PATH, &json!({})).await,
        client.post(&format!("{}/rotate", path_of(&made)), &json!({})).await,
    ] {
        let error = answer.ains_error(403, "INSUFFICIENT_PERMISSIONS");
        assert_eq!(error["details"]["required_scope"], "keys:manage");
    }
    let nobody = rig.service.client();
    assert_eq!(nobody.get(PATH).await.ains_error(401, "INVALID_API_KEY")["message"], "API key required");
    let error = nobody.header("x-api-key", "garbage").get(PATH).await.ains_error(401, "INVALID_API_KEY");
    assert_eq!(error["message"], "Invalid API key");
}

#[tokio::test]
async fn lists_are_windows_with_the_newest_first() {
    let rig = Rig::start(&[]).await;
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        made.push(make_ains(&rig.admin(), json!({"client_id": "c", "name": name})).await.1["key_id"].clone());
    }
    assert!(made.is_sorted_by_key(|id| id.as_str().unwrap().to_owned()));
    let page = async |query: &str| rig.admin().get(&format!("{PATH}?client_id=c{query}")).await;
    let ids = |answer: &Answer| -> Vec<Value> {
        answer.ains(200)["keys"].as_array().unwrap().iter().map(|key| key["key_id"].clone()).collect()
    };
    made.reverse();
    assert_eq!(ids(&page("").await), made);
    let window = page("&limit=1&offset=1").await;
    assert_eq!((ids(&window), &window.body["total"]), (vec![made[1].clone()], &json!(3)));
    for (query, field) in [
        ("&limit=0", "limit"),
        ("&limit=101", "limit"),
        ("&limit=x", "limit"),
        ("&offset=-1", "offset"),
        ("&active_only=yes", "active_only"),
    ] {
        let error = page(query).await.ains_error(400, "INVALID_FIELD_VALUE");
        assert_eq!(error["details"]["field"], field);
    }
}

#[tokio::test]
async fn each_door_shows_the_keys_of_the_other() {
    let rig = Rig::start(&[]).await;
    let admin = rig.admin();
    let (_, made) =
        make_ains(&admin, json!({"client_id": "c", "name": "n".repeat(255), "scopes": ["task:read"]})).await;
    assert_eq!(made["scopes"], json!(["tasks:read"]));
    let id = made["key_id"].as_str().unwrap();
    let native = admin.get(&format!("{NATIVE}/{id}")).await.data(200);
    assert_eq!((&native["roles"], &native["permissions"]), (&json!(["service"]), &json!(["tasks:read"])));
    assert_eq!((&native["rate_limit_per_minute"], &native["client_id"]), (&json!(60), &json!("c")));
    assert_eq!(admin.get(&format!("{NATIVE}?filter[id]={id}")).await.data(200), json!([native]));

    let (_, user) = make(&admin, json!({"name": "user", "roles": ["user"]})).await;
    let shown = admin.get(&format!("{PATH}/{}", user["id"].as_str().unwrap())).await.ains(200);
    assert_eq!(shown["scopes"], json!(api_types::auth::Role::User.scopes()));
    assert_eq!((&shown["rate_limit_per_minute"], &shown["rate_limit_per_hour"]), (&json!(600), &json!(20_000)));
    let shown = admin.get(&format!("{PATH}/admin-key")).await.ains(200);
    assert_eq!((&shown["scopes"], &shown["rate_limit_per_minute"]), (&json!(["*"]), &json!(1_000_000)));

    // And each changes and ends them.
    let path = format!("{PATH}/{}", user["id"].as_str().unwrap());
    assert_eq!(admin.patch(&path, &json!({"name": "renamed"})).await.ains(200)["name"], "renamed");
    let gone = admin.delete(&format!("{NATIVE}/{id}")).await.data(200);
    assert_eq!(admin.delete(&path_of(&made)).await.ains(200)["revoked_at"], gone["revoked_at"]);
}

#[tokio::test]
async fn the_last_administrator_stays_one_on_both_doors() {
    let rig = Rig::start(&[]).await;
    let (admin, path) = (rig.service.client().admin(), format!("{PATH}/admin-key"));
    // Neither is an administrator's key, for all it can do.
    make_ains(&admin, json!({"client_id": "c", "name": "n", "scopes": ["*"]})).await;
    admin.delete(&path).await.ains_error(409, "TASK_STATE_CONFLICT");
    admin.delete(&format!("{NATIVE}/admin-key")).await.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
    for body in [json!({"scopes": ["agents:read"]}), json!({"expires_at": "2199-01-01T00:00:00Z"})] {
        admin.patch(&path, &body).await.ains_error(409, "TASK_STATE_CONFLICT");
    }
    admin.patch(&path, &json!({"name": "n", "scopes": ["*"], "rate_limit_per_minute": 5})).await.ains(200);
    rig.execute(crate::revoking::SECOND);
    let narrowed = admin.patch(&path, &json!({"scopes": ["agents:read"]})).await.ains(200);
    assert_eq!(narrowed["scopes"], json!(["agents:read"]));
    // Now the other one is the last.
    admin.delete(&format!("{PATH}/second")).await.ains_error(409, "TASK_STATE_CONFLICT");
    assert_eq!(rig.texts("SELECT roles::text AS value FROM keys WHERE id = 'admin-key'"), ["{service}"]);
}

#[tokio::test]
async fn of_the_last_two_administrators_only_one_is_narrowed_however_they_hurry() {
    let rig = Rig::start(&[]).await;
    let admin = rig.service.client().admin();
    rig.execute(crate::revoking::SECOND);
    for _ in 0..5 {
        rig.execute("UPDATE keys SET roles = '{admin}', permissions = '{*}'");
        let body = json!({"scopes": ["agents:read"]});
        let paths = ["admin-key", "second"].map(|id| format!("{PATH}/{id}"));
        let answers = join_all(paths.iter().map(|path| admin.patch(path, &body))).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }
}

#[tokio::test]
async fn the_same_request_again_makes_no_second_key() {
    let rig = Rig::start(&[]).await;
    let client = rig.admin().header("idempotency-key", "once");
    let body = json!({"client_id": "c", "name": "n"});
    let (first, again) = (client.post(PATH, &body).await, client.post(PATH, &body).await);
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotent-replayed"), "true");
    client.post(PATH, &json!({"client_id": "c", "name": "other"})).await.ains_error(422, "IDEMPOTENCY_CONFLICT");
    assert_eq!(rig.texts("SELECT name AS value FROM keys ORDER BY created_at"), ["admin", "n"]);
    assert!(!rig.everything_stored().contains(first.body["api_key"].as_str().unwrap()));
}

#[tokio::test]
async fn every_change_is_an_event_without_the_secret() {
    let rig = Rig::start(&[]).await;
    let admin = rig.admin();
    let (token, made) = make_ains(&admin, json!({"client_id": "c", "name": "n"})).await;
    admin.patch(&path_of(&made), &json!({"name": "m", "scopes": ["agents:read"]})).await.ains(200);
    let rotated = admin.post(&format!("{}/rotate", path_of(&made)), &json!({})).await.ains(200);
    admin.delete(&path_of(&made)).await.ains(200);
    let id = made["key_id"].as_str().unwrap();
    assert_eq!(rig.events_of(id), ["key.created", "key.updated", "key.rotated", "key.revoked"]);
    let payloads = rig.texts(&format!(
        "SELECT payload::text AS value FROM (SELECT payload, aggregate FROM outbox \
         UNION ALL SELECT payload, aggregate FROM events) AS every WHERE aggregate = 'key:{id}'"
    ));
    for payload in &payloads {
        let payload: Value = serde_json::from_str(payload).unwrap();
        assert_eq!((&payload["key_id"], &payload["client_id"]), (&made["key_id"], &json!("c")), "{payload}");
    }
    assert!(payloads.iter().any(|payload| payload.contains(r#"["name", "scopes"]"#)), "{payloads:?}");
    let stored = rig.everything_stored();
    for secret in [token.as_str(), rotated["api_key"].as_str().unwrap()] {
        assert!(!stored.contains(secret) && !stored.contains(&secret[5..]));
    }
}
