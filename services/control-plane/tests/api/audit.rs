//! The audit log: what is in it, who reads it, and how it is let go.

use std::time::{Duration, Instant};

use control_plane::audit::verify;
use serde_json::{Value, json};
use test_support::{Answer, Client, jwt};

use crate::{
    audit_verify::emptied,
    keys::{PATH, make},
    rig::{Rig, on},
};

pub(crate) const ACCESS: &str = "/internal/v1/access";
const LOGS: &str = "/ains/audit-logs";
/// What all rigs sign with.
pub(crate) const SECRET: &str = api_core::settings::DEVELOPMENT_JWT_SECRET;

/// A batch id that depends on a number.
pub(crate) fn batch(number: u32) -> String {
    format!("00000000-0000-7000-8000-{number:012}")
}

pub(crate) fn used(key: &str, at: &str, succeeded: u32) -> Value {
    json!({
        "key_id": key, "client_id": format!("client-{key}"), "at": at, "service": "agentbuilder", "method": "GET",
        "route": "/ains/tasks", "ip_address": "192.0.2.7", "user_agent": "ProductionApp/1.0", "request_id": "r",
        "succeeded": succeeded, "failed": 0, "rate_limited": 0,
    })
}

fn refused(at: &str, why: &Value) -> Value {
    json!({
        "at": at, "why": why, "service": "agentbuilder", "method": "GET", "route": "/ains/tasks",
        "ip_address": "192.0.2.7", "request_id": "r", "times": 1,
    })
}

pub(crate) async fn tell(rig: &Rig, number: u32, counts: Value, refused: Value) -> bool {
    let body = json!({"id": batch(number), "counts": counts, "refused": refused});
    let answer = rig.service.client().service("platform").post(ACCESS, &body).await;
    answer.data(200)["counted"].as_bool().unwrap()
}

async fn logs(client: &Client, query: &str) -> Vec<Value> {
    client.get(&format!("{LOGS}{query}")).await.ains(200)["logs"].as_array().unwrap().clone()
}

/// Asks until it is there.
async fn wait_for<T>(mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_intact(rig: &Rig) -> i64 {
    verify(&rig.db.url(), &api_core::secret::Secret::new(SECRET), None).unwrap().rows
}

#[tokio::test]
async fn uses_of_a_key_in_a_minute_are_one_row_whoever_reports_them() {
    let rig = Rig::start(&[]).await;
    let (first, later) = ("2026-01-01T10:00:01.000Z", "2026-01-01T10:00:59.999Z");
    assert!(tell(&rig, 1, json!([used("k_1", first, 2)]), json!([])).await);
    assert!(!tell(&rig, 1, json!([used("k_1", first, 2)]), json!([])).await);
    // Another process, and one that tells of the same minute in two entries.
    assert!(tell(&rig, 2, json!([used("k_1", later, 3), used("k_1", later, 1)]), json!([])).await);
    tell(&rig, 3, json!([used("k_1", "2026-01-01T10:01:00.000Z", 1), used("k_2", first, 1)]), json!([])).await;

    let rows = logs(&rig.admin(), "?client_id=client-k_1").await;
    let counts: Vec<_> = rows.iter().map(|row| (&row["created_at"], &row["details"]["count"])).collect();
    assert_eq!(counts, [(&json!("2026-01-01T10:01:00.000Z"), &json!(1)), (&json!(first), &json!(6))]);
    let shape = json!({
        "log_id": rows[1]["log_id"], "event_type": "authentication", "client_id": "client-k_1", "action": "api_key_used",
        "success": true, "ip_address": "192.0.2.7", "user_agent": "ProductionApp/1.0",
        "details": {"count": 6, "endpoint": "/ains/tasks", "method": "GET"}, "created_at": first,
    });
    assert_eq!(rows[1], shape);

    // The log says so itself once the minute is over; and again when somebody was late.
    let corrections = "SELECT details::text AS value FROM audit_log WHERE corrects IS NOT NULL ORDER BY seq";
    let settled = async |expected: &[&str]| {
        wait_for(async || (rig.texts(corrections) == expected).then_some(())).await;
    };
    settled(&[r#"{"count":4}"#]).await;
    tell(&rig, 4, json!([used("k_1", later, 10)]), json!([])).await;
    let count = async || logs(&rig.admin(), "?client_id=client-k_1").await[1]["details"]["count"].clone();
    assert_eq!(count().await, 16);
    settled(&[r#"{"count":4}"#, r#"{"count":10}"#]).await;
    assert_eq!(count().await, 16);
    assert_eq!(logs(&rig.admin(), "?client_id=client-k_1").await.len(), 2);
    is_intact(&rig);
}

#[tokio::test]
async fn each_rejected_credential_is_a_row_and_of_a_window_the_first() {
    let rig = Rig::start(&[]).await;
    let at = "2026-01-01T10:00:01.000Z";
    let rejected = refused(at, &json!({"kind": "credential", "reason": "unknown"}));
    let minute = |at: &str| {
        let mut over = refused(at, &json!({"kind": "rate", "window": "per_minute", "limit": 3}));
        over["principal_id"] = json!("k_1");
        over["client_id"] = json!("acme");
        over
    };
    let scope = refused(at, &json!({"kind": "permission", "required_scope": "tasks:write"}));
    tell(&rig, 1, json!([]), json!([rejected, rejected, minute(at), minute("2026-01-01T10:00:02.000Z"), scope])).await;
    tell(&rig, 2, json!([]), json!([minute("2026-01-01T10:00:30.000Z"), minute("2026-01-01T10:01:00.000Z")])).await;
    let admin = rig.admin();
    let query = |kind: &str| format!("?event_type={kind}&end_date=2026-01-01");
    let rows = logs(&admin, &query("authentication")).await;
    assert_eq!(rows.len(), 2);
    let expected = json!({"endpoint": "/ains/tasks", "method": "GET", "reason": "unknown"});
    assert_eq!((&rows[0]["action"], &rows[0]["details"]), (&json!("api_key_rejected"), &expected));
    assert_eq!((&rows[0]["client_id"], &rows[0]["success"]), (&Value::Null, &json!(false)));
    let rows = logs(&admin, &query("rate_limit_exceeded")).await;
    let times: Vec<_> = rows.iter().map(|row| row["created_at"].as_str().unwrap()).collect();
    assert_eq!(times, ["2026-01-01T10:01:00.000Z", at]);
    assert_eq!(
        (&rows[1]["client_id"], &rows[1]["details"]),
        (&json!("acme"), &json!({"limit": 3, "window": "per_minute"}))
    );
    let rows = logs(&admin, &query("authorization")).await;
    assert_eq!((rows.len(), &rows[0]["details"]["required_scope"]), (1, &json!("tasks:write")));
}

#[tokio::test]
async fn changes_are_rows_of_whoever_made_them() {
    let rig = Rig::start(&[]).await;
    let client = rig.admin().header("user-agent", "maker/2");
    let (_, made) = make(&client, json!({"name": "n", "client_id": "somebody"})).await;
    client.delete(&format!("{PATH}/{}", made["id"].as_str().unwrap())).await.data(200);
    let find = async |kind: &str| {
        let query = format!("?event_type={kind}&client_id=admin-key");
        let mut found = Value::Null;
        wait_for(async || {
            let rows = logs(&rig.admin(), &query).await;
            found = rows.into_iter().find(|row| row["details"]["key_id"] == made["id"])?;
            Some(())
        })
        .await;
        found
    };
    for (kind, action) in [("api_key_created", "create_api_key"), ("api_key_revoked", "revoke_api_key")] {
        let row = find(kind).await;
        assert_eq!((&row["action"], &row["details"]), (&json!(action), &json!({"key_id": made["id"]})));
        assert_eq!((&row["ip_address"], &row["user_agent"]), (&json!("127.0.0.1"), &json!("maker/2")));
    }
    // The client of the key that was made did nothing.
    assert!(logs(&rig.admin(), "?client_id=somebody&event_type=api_key_created").await.is_empty());
    let actors = rig.texts("SELECT DISTINCT actor AS value FROM audit_log WHERE event_type = 'api_key_revoked'");
    assert_eq!(actors, ["admin-key"]);
    is_intact(&rig);
}

#[tokio::test]
async fn a_reader_sees_what_its_own_client_did_and_an_administrator_everything() {
    let rig = Rig::start(&[]).await;
    tell(
        &rig,
        1,
        json!([used("k_1", "2026-01-01T10:00:00.000Z", 1), used("k_2", "2026-01-01T10:00:00.000Z", 1)]),
        json!([]),
    )
    .await;
    let reader = rig.service.client().bearer(&jwt("client-k_1", &[], &["audit:read"]));
    let clients = async |client: &Client, query: &str| {
        let rows = logs(client, query).await;
        let mut clients: Vec<_> = rows.iter().map(|row| row["client_id"].as_str().unwrap_or("-").to_owned()).collect();
        clients.sort();
        clients.dedup();
        clients
    };
    let of_uses = "?end_date=2026-01-02";
    assert_eq!(clients(&reader, of_uses).await, ["client-k_1"]);
    assert_eq!(clients(&reader, "?client_id=client-k_1").await, ["client-k_1"]);
    assert!(clients(&reader, "?client_id=client-k_2").await.is_empty());
    assert_eq!(clients(&rig.admin(), of_uses).await, ["client-k_1", "client-k_2"]);
    let lines = reader.header("accept", "application/x-ndjson").get(&format!("{LOGS}?client_id=client-k_2")).await;
    assert_eq!((lines.status, &*lines.text), (200, ""));

    rig.service.client().get(LOGS).await.ains_error(401, "INVALID_API_KEY");
    let error = rig.service.client().bearer(&jwt("u", &[], &["agents:read"])).get(LOGS).await;
    assert_eq!(error.ains_error(403, "INSUFFICIENT_PERMISSIONS")["details"]["required_scope"], "audit:read");
}

#[tokio::test]
async fn rows_are_found_by_what_they_say_and_paged() {
    let rig = Rig::start(&[]).await;
    let minutes: Vec<Value> =
        (10..20).map(|minute| used("k_1", &format!("2026-01-01T10:{minute}:00.000Z"), 1)).collect();
    let rejected = refused("2026-01-02T23:59:59.999Z", &json!({"kind": "credential", "reason": "missing"}));
    tell(&rig, 1, json!(minutes), json!([rejected])).await;
    let admin = rig.admin();
    let page = admin.get(&format!("{LOGS}?client_id=client-k_1&limit=3&offset=2")).await.ains(200);
    let times: Vec<_> =
        page["logs"].as_array().unwrap().iter().map(|row| row["created_at"].as_str().unwrap()).collect();
    assert_eq!(times, ["2026-01-01T10:17:00.000Z", "2026-01-01T10:16:00.000Z", "2026-01-01T10:15:00.000Z"]);
    assert_eq!(
        (&page["total"], &page["limit"], &page["offset"], &page["has_more"]),
        (&json!(10), &json!(3), &json!(2), &json!(true))
    );
    let rest = admin.get(&format!("{LOGS}?client_id=client-k_1&offset=9")).await.ains(200);
    assert_eq!(
        (&rest["limit"], &rest["has_more"], rest["logs"].as_array().unwrap().len()),
        (&json!(50), &json!(false), 1)
    );
    for (query, count) in [
        ("start_date=2026-01-01T10:15:00Z&end_date=2026-01-01T11:17:00%2B01:00", 3),
        ("start_date=2026-01-01&end_date=2026-01-01", 10),
        ("start_date=2026-01-02&end_date=2026-01-02", 1),
        ("end_date=2026-01-02&success=false", 1),
        ("end_date=2026-01-02&success=true&client_id=client-k_1", 10),
        ("end_date=2026-01-02&event_type=nothing", 0),
        ("end_date=2025-12-31", 0),
    ] {
        assert_eq!(logs(&admin, &format!("?limit=100&{query}")).await.len(), count, "{query}");
    }
    // The ids are in the order of creation.
    let rows = logs(&admin, "?limit=100").await;
    let ids: Vec<_> = rows.iter().map(|row| row["log_id"].as_str().unwrap()).collect();
    assert!(ids.windows(2).all(|two| two[0] > two[1]), "{ids:?}");
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("offset=-1", "offset"),
        ("offset=x", "offset"),
        ("success=maybe", "success"),
        ("start_date=soon", "start_date"),
        ("end_date=2026-13-01", "end_date"),
    ] {
        let error = admin.get(&format!("{LOGS}?{query}")).await.ains_error(400, "INVALID_FIELD_VALUE");
        assert_eq!(error["details"]["field"], field);
    }
    admin.get(&format!("{LOGS}?nonsense=1&event_type=%00")).await.ains(200);
}

#[tokio::test]
async fn an_export_has_every_row_that_matches_with_all_that_it_holds() {
    let rig = Rig::start(&[]).await;
    let times = (0..1200).map(|n| used(&format!("k_{n}"), "2026-01-01T10:00:00.000Z", 1));
    tell(&rig, 1, Value::from_iter(times), json!([])).await;
    tell(&rig, 2, json!([used("k_3", "2026-01-01T10:00:01.000Z", 4)]), json!([])).await;
    let client = rig.admin().header("accept", "text/plain, application/x-ndjson;q=0.9");
    let answer: Answer = client.get(&format!("{LOGS}?end_date=2026-01-01&limit=1")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-ndjson"));
    let lines: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1200);
    assert!(lines.windows(2).all(|two| two[0]["seq"].as_i64() < two[1]["seq"].as_i64()));
    let third = lines.iter().find(|line| line["actor"] == "k_3").unwrap();
    assert_eq!((&third["details"]["count"], &third["request_id"]), (&json!(5), &json!("r")));
    assert_eq!(third["hash"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn the_tables_take_no_other_change() {
    use diesel::connection::SimpleConnection as _;
    let rig = Rig::start(&[]).await;
    tell(&rig, 1, json!([used("k_1", "2026-01-01T10:00:00.000Z", 1)]), json!([])).await;
    for sql in [
        "UPDATE audit_log SET success = false",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET seq = 0",
        "TRUNCATE audit_head",
        "INSERT INTO audit_checkpoints VALUES (0, '', 0, now(), now(), ''); DELETE FROM audit_checkpoints",
        "INSERT INTO audit_checkpoints VALUES (0, '', 0, now(), now(), ''); DELETE FROM audit_log",
    ] {
        let error = rig.db.connect().batch_execute(sql).unwrap_err().to_string();
        assert!(error.contains("is refused"), "{sql}: {error}");
    }
    is_intact(&rig);
}

#[tokio::test]
async fn old_rows_are_let_go_and_the_rest_is_verified_from_there() {
    // Without what the start writes down, which would be young rows before the old ones.
    let rig = emptied(&[("BOOTSTRAP_ADMIN_KEY", "")], 1).await;
    let now = chrono::Utc::now();
    let days_ago = |days| api_types::time::format(now - chrono::TimeDelta::days(days));
    tell(&rig, 1, json!([used("k_1", &days_ago(5), 1), used("k_2", &days_ago(3), 1)]), json!([])).await;
    tell(&rig, 2, json!([used("k_3", &days_ago(1), 1)]), json!([])).await;
    let before = is_intact(&rig);
    // A worker looks for them as it starts.
    let again = on(&rig.db, &[("BOOTSTRAP_ADMIN_KEY", ""), ("AUDIT_RETENTION_DAYS", "2")], &rig.tokens).await;
    let keys = || {
        rig.texts(
            "SELECT actor AS value FROM audit_log WHERE action = 'api_key_used' AND actor LIKE 'k\\__' ORDER BY seq",
        )
    };
    wait_for(async || (keys() == ["k_3"]).then_some(())).await;
    let intact = verify(&rig.db.url(), &api_core::secret::Secret::new(SECRET), None).unwrap();
    let checkpoint = intact.checkpoint.unwrap();
    assert!(checkpoint >= 2 && intact.head.seq >= before && intact.rows == intact.head.seq - checkpoint);
    drop(again);
}

#[tokio::test]
async fn no_secret_gets_into_the_log() {
    let rig = Rig::start(&[]).await;
    let (token, key) = make(&rig.admin(), json!({"name": "n", "permissions": ["keys:manage", "agents:read"]})).await;
    let secret = key["secret"].as_str().unwrap();
    let foreign = "ains_q7Zx0-Ab_3kLmN9pQrStUvWxYz012345678AbCdEfGh";
    let client = rig.service.client();
    for place in [secret, &token, foreign] {
        let client = client.header("user-agent", &format!("me/1 ({place})")).header("x-request-id", place);
        for credential in [&token, place, foreign, &format!("{}.{foreign}", key["id"].as_str().unwrap())] {
            let client = client.bearer(credential);
            client.get(&format!("{PATH}/{place}?key={place}")).await;
            client.get(&format!("/{place}")).await;
            client.post(PATH, &json!({"name": place, "permissions": ["agents:read"]})).await;
            client.get(LOGS).await;
        }
    }
    let mut seen = used("k_1", "2026-01-01T10:00:00.000Z", 1);
    seen["user_agent"] = json!(format!("x {foreign}"));
    tell(&rig, 1, json!([seen]), json!([])).await;
    for kind in ["api_key_created", "authentication", "authorization"] {
        wait_for(async || {
            (logs(&rig.admin(), &format!("?event_type={kind}&limit=100")).await.len() >= 3).then_some(())
        })
        .await;
    }
    let all = rig.texts("SELECT audit_log::text AS value FROM audit_log").join("\n");
    assert!(!all.contains(secret) && !all.contains(&foreign[5..]), "{all}");
    assert!(all.contains("[redacted]") && all.contains("api_key_rejected") && all.contains("access_denied"), "{all}");
}

#[tokio::test]
async fn what_this_process_answers_is_there_within_five_seconds() {
    let rig = Rig::start(&[]).await;
    let asked = json!({"name": "n", "client_id": "acme", "permissions": ["keys:manage"], "rate_limit_per_minute": 3});
    let (token, key) = make(&rig.admin(), asked).await;
    let (reader, _) = make(&rig.admin(), json!({"name": "n", "permissions": ["agents:read"]})).await;
    let client = rig.service.client().header("user-agent", "ProductionApp/1.0");
    let begin = Instant::now();
    // A minute that ends in between allows three more.
    let known = client.bearer(&token);
    let answers = futures_util::future::join_all((0..8).map(|_| known.get(PATH))).await;
    assert!(answers.iter().any(|answer| answer.status == 429));
    let path = format!("{PATH}/{}", key["id"].as_str().unwrap());
    client.bearer(&reader).get(PATH).await;
    client.get(&path).await;
    client.bearer("nodot").get(&path).await;
    client.bearer(&format!("{token}x")).get(&path).await;
    rig.admin().delete(&path).await.data(200);
    client.bearer(&token).get(&path).await;
    client.bearer(&token).get("/health").await;
    client.bearer(&token).get("/nowhere").await;

    let rows = wait_for(async || {
        let rows = logs(&rig.admin(), "?limit=100").await;
        let reasons = rows.iter().filter(|row| row["action"] == "api_key_rejected").count();
        (reasons >= 4).then_some(rows)
    })
    .await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let of = |action: &str| rows.iter().filter(|row| row["action"] == action).collect::<Vec<_>>();
    let mut reasons: Vec<_> =
        of("api_key_rejected").iter().map(|row| (row["details"]["reason"].clone(), row["client_id"].clone())).collect();
    reasons.sort_by_key(|(reason, _)| reason.to_string());
    let nobody = Value::Null;
    let expected = [("malformed", &nobody), ("missing", &nobody), ("revoked", &json!("acme")), ("unknown", &nobody)];
    assert_eq!(reasons, expected.map(|(reason, client)| (json!(reason), client.clone())));
    let template = format!("{PATH}/{{id}}");
    assert!(of("api_key_rejected").iter().all(|row| row["details"]["endpoint"] == template.as_str()), "{rows:#?}");
    let used = of("api_key_used").into_iter().filter(|row| row["client_id"] == "acme").collect::<Vec<_>>();
    assert_eq!(used.iter().map(|row| row["details"]["count"].as_i64().unwrap()).sum::<i64>(), 8, "{used:#?}");
    assert_eq!((&used[0]["user_agent"], &used[0]["ip_address"]), (&json!("ProductionApp/1.0"), &json!("127.0.0.1")));
    assert!(used[0]["details"]["endpoint"] == PATH && used.len() <= 2);
    let denied = of("access_denied");
    assert!(!denied.is_empty() && denied.iter().all(|row| row["details"]["required_scope"] == "keys:manage"));
    let blocked = of("request_blocked");
    assert!((1..=2).contains(&blocked.len()), "{blocked:#?}");
    assert_eq!(blocked[0]["details"], json!({"limit": 3, "window": "per_minute"}));
    is_intact(&rig);
}
