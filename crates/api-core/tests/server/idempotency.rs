//! The same request twice.

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::{Answer, Client};

use crate::tiny::{SECRETS, THINGS, Tiny};

const IN_PROGRESS: &str = "CONFLICT_ERROR.IDEMPOTENCY_IN_PROGRESS";

fn keyed(tiny: &Tiny, key: &str) -> Client {
    tiny.admin().header("idempotency-key", key)
}

async fn post(client: &Client, name: &str) -> Answer {
    client.post(THINGS, &json!({"name": name})).await
}

#[tokio::test]
async fn the_first_answer_comes_again_to_the_letter() {
    let tiny = Tiny::with_database(&[]).await;
    let first = post(&keyed(&tiny, "k"), "a").await;
    let again = post(&keyed(&tiny, "k"), "a").await;
    assert_eq!((first.status, again.status, &first.text), (201, 201, &again.text));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    assert_eq!(again.header("location"), "/api/v1/things/a");
    assert_eq!(again.header("x-request-id"), again.body["meta"]["request_id"]);
    assert_eq!((tiny.made(), &first.meta()["warnings"]), (1, &json!(["number 1"])));
    assert_eq!(again.header("x-ratelimit-limit"), "1000000");
}

#[tokio::test]
async fn bodies_are_equal_when_their_values_are() {
    let tiny = Tiny::with_database(&[]).await;
    let client = keyed(&tiny, "k");
    client.raw("POST", THINGS, None, br#"{"name": "a", "x": {"b": 1, "c": [1, 2]}}"#.to_vec()).await.data(201);
    let again = client.raw("POST", THINGS, None, br#"{"x":{"c":[1.0,2],"b":1},"name":"\u0061"}"#.to_vec()).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    let other = client.raw("POST", THINGS, None, br#"{"name": "a", "x": {"b": 1, "c": [2, 1]}}"#.to_vec()).await;
    other.error(422, "VALIDATION_ERROR.IDEMPOTENCY_CONFLICT");
    assert_eq!(tiny.made(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_its_caller_and_path() {
    let tiny = Tiny::with_database(&[]).await;
    tiny.keys.add("other.secret", &[api_types::auth::Role::Admin], &[]);
    post(&keyed(&tiny, "k"), "a").await.data(201);
    let other = tiny.client().bearer("other.secret").header("idempotency-key", "k");
    assert_eq!(post(&other, "b").await.data(201)["number"], 2);
    keyed(&tiny, "k").post(SECRETS, &json!({})).await.data(201);
    let slash = keyed(&tiny, "k").post(&format!("{THINGS}/"), &json!({"name": "a"})).await;
    assert_eq!(slash.header("idempotent-replayed"), "true");
    assert_eq!(post(&keyed(&tiny, "K"), "a").await.data(201)["number"], 4);
}

#[tokio::test]
async fn while_the_first_runs_the_second_is_told_to_wait() {
    let tiny = Tiny::with_database(&[]).await;
    let client = keyed(&tiny, "k");
    let meanwhile = async {
        tiny.app.wait_for(1).await;
        let answer = post(&client, "wait").await;
        let error = answer.error(409, IN_PROGRESS);
        assert_eq!((&error["retry_after"], answer.header("retry-after")), (&json!(1), "1"));
        post(&client, "other").await.error(422, "VALIDATION_ERROR.IDEMPOTENCY_CONFLICT");
        tiny.app.gate.add_permits(1);
    };
    let (first, ()) = tokio::join!(post(&client, "wait"), meanwhile);
    first.data(201);
    assert_eq!(post(&client, "wait").await.text, first.text);
    assert_eq!(tiny.made(), 1);
}

#[tokio::test]
async fn of_many_at_once_one_is_done() {
    let tiny = Tiny::with_database(&[]).await;
    let client = keyed(&tiny, "k");
    let answers = join_all((0..16).map(|_| post(&client, "a"))).await;
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.error(409, IN_PROGRESS);
    }
    assert_eq!(tiny.made(), 1);
}

#[tokio::test]
async fn a_request_that_failed_may_be_made_again() {
    let tiny = Tiny::with_database(&[]).await;
    for (number, (name, status)) in [("conflict", 409), ("internal", 500), ("panic", 500)].into_iter().enumerate() {
        let client = keyed(&tiny, name);
        assert_eq!(post(&client, name).await.status, status);
        // The key of one that panicked is given back a moment later.
        let again = loop {
            let answer = post(&client, "a").await;
            if answer.status != 409 && answer.body["error"]["code"] != "VALIDATION_ERROR.IDEMPOTENCY_CONFLICT" {
                break answer;
            }
        };
        assert_eq!(again.data(201)["number"], 2 * (number + 1));
    }
}

#[tokio::test]
async fn a_request_that_was_cut_short_keeps_its_key_a_little_longer() {
    let tiny = Tiny::with_database(&[("REQUEST_TIMEOUT_SECONDS", "1")]).await;
    let client = keyed(&tiny, "k");
    post(&client, "wait").await.error(503, "SERVICE_ERROR.SERVICE_UNAVAILABLE");
    post(&client, "wait").await.error(409, IN_PROGRESS);
    tiny.execute("UPDATE idempotency_keys SET locked_until = now() - interval '1 second'");
    tiny.app.gate.add_permits(1);
    assert_eq!(post(&client, "wait").await.data(201)["number"], 2);
}

#[tokio::test]
async fn a_key_that_a_dead_process_left_is_taken_over() {
    let tiny = Tiny::with_database(&[]).await;
    let client = keyed(&tiny, "k");
    post(&client, "a").await.data(201);
    tiny.execute("UPDATE idempotency_keys SET locked_until = now() - interval '1 second', body = NULL, status = NULL");
    assert_eq!(post(&client, "b").await.data(201)["number"], 2);
    assert_eq!(post(&client, "b").await.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn after_a_day_a_key_is_new_again() {
    let tiny = Tiny::with_database(&[]).await;
    let client = keyed(&tiny, "k");
    post(&client, "a").await.data(201);
    tiny.execute("UPDATE idempotency_keys SET created_at = now() - interval '23 hours 59 minutes'");
    assert_eq!(post(&client, "a").await.header("idempotent-replayed"), "true");
    tiny.execute("UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 minute'");
    assert_eq!(post(&client, "b").await.data(201)["number"], 2);
    // By then it may have been cleared away, too.
    tiny.execute("UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 minute'");
    let mut conn = tiny.db.as_ref().unwrap().connect();
    assert_eq!(api_core::idempotency::purge(&mut conn).unwrap(), 1);
    assert_eq!(api_core::idempotency::purge(&mut conn).unwrap(), 0);
}

#[tokio::test]
async fn a_key_is_printable_and_not_too_long() {
    let tiny = Tiny::with_database(&[]).await;
    for bad in ["", &"x".repeat(256), "t\tab"] {
        let answer = post(&keyed(&tiny, bad), "a").await;
        answer.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
        assert_eq!(answer.fields(), ["Idempotency-Key"]);
    }
    post(&keyed(&tiny, &"x".repeat(255)), "a").await.data(201);
    post(&keyed(&tiny, "with space ~"), "a").await.data(201);
}

#[tokio::test]
async fn an_answer_with_a_secret_is_kept_sealed() {
    let tiny = Tiny::with_database(&[]).await;
    let client = keyed(&tiny, "k");
    let first = client.post(SECRETS, &json!({})).await;
    assert_eq!(first.data(201)["secret"], "geheim-1");
    let again = client.post(SECRETS, &json!({})).await;
    assert_eq!((again.header("idempotent-replayed"), &again.text), ("true", &first.text));
    assert!(!kept(&tiny).contains("geheim"));
    // Put in another's place it is no answer.
    keyed(&tiny, "l").post(SECRETS, &json!({})).await.data(201);
    tiny.execute("UPDATE idempotency_keys SET body = (SELECT body FROM idempotency_keys WHERE key = 'k')");
    keyed(&tiny, "l").post(SECRETS, &json!({})).await.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
}

/// All that is kept, as text.
fn kept(tiny: &Tiny) -> String {
    use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types::Text};
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        value: String,
    }
    let rows = sql_query("SELECT idempotency_keys::text AS value FROM idempotency_keys");
    let rows: Vec<Row> = rows.load(&mut tiny.db.as_ref().unwrap().connect()).unwrap();
    rows.into_iter().map(|row| row.value).collect()
}

#[tokio::test]
async fn without_a_key_nothing_is_kept() {
    let tiny = Tiny::with_database(&[]).await;
    post(&tiny.admin(), "a").await.data(201);
    assert_eq!(post(&tiny.admin(), "a").await.data(201)["number"], 2);
    assert_eq!(kept(&tiny), "");
}

#[tokio::test]
async fn without_the_database_a_keyed_request_is_not_begun() {
    let tiny = Tiny::start(&[]).await;
    let error = post(&keyed(&tiny, "k"), "a").await.error(503, "SERVICE_ERROR.SERVICE_UNAVAILABLE");
    assert_eq!((&error["retry_after"], tiny.made()), (&Value::from(1), 0));
}
