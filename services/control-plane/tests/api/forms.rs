//! Keys of both forms, in every state, through both doors and both headers: they all behave the same.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::{Answer, Client};

use crate::{
    ains_keys::{self, make_ains},
    keys::{self, make},
    rig::{Rig, on},
};

/// What somebody who presents a key is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Welcome,
    Invalid,
    Revoked,
    Expired,
}

impl Told {
    fn check(self, answer: &Answer, is_ains: bool) {
        let native = match self {
            Self::Welcome => return assert_eq!(answer.status, 200, "{}", answer.text),
            Self::Invalid => "AUTHENTICATION_ERROR.INVALID_TOKEN",
            Self::Revoked => "AUTHENTICATION_ERROR.REVOKED_TOKEN",
            Self::Expired => "AUTHENTICATION_ERROR.EXPIRED_TOKEN",
        };
        if is_ains {
            let error = answer.ains_error(401, "INVALID_API_KEY");
            assert_eq!(error["message"], "Invalid API key");
        } else {
            answer.error(401, native);
        }
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

/// A key of either form that manages keys: its id and what its holder presents.
async fn key(client: &Client, is_ains: bool) -> (String, String) {
    if is_ains {
        let body = json!({"client_id": "c", "name": "n", "scopes": ["keys:manage"], "rate_limit_per_minute": 1000});
        let (token, made) = make_ains(client, body).await;
        (made["key_id"].as_str().unwrap().to_owned(), token)
    } else {
        let (token, key) = make(client, json!({"name": "n", "permissions": ["keys:manage"]})).await;
        (key["id"].as_str().unwrap().to_owned(), token)
    }
}

/// Presents a key in every way there is.
async fn present(client: &Client, token: &str, told: Told) {
    for by in [client.bearer(token), client.header("x-api-key", token)] {
        told.check(&by.get(keys::PATH).await, false);
        told.check(&by.get(ains_keys::PATH).await, true);
    }
}

fn swapped_case(text: &str) -> String {
    let swap = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    text.chars().map(swap).collect()
}

#[tokio::test]
async fn a_key_in_any_state_is_told_the_same_everywhere() {
    let rig = Rig::start(&[]).await;
    let (admin, client) = (rig.admin(), rig.service.client());
    for is_ains in [false, true] {
        for told in [Told::Welcome, Told::Revoked, Told::Expired] {
            let (id, token) = key(&admin, is_ains).await;
            match told {
                Told::Revoked if is_ains => drop(admin.delete(&format!("{}/{id}", keys::PATH)).await.data(200)),
                Told::Revoked => drop(admin.delete(&format!("{}/{id}", ains_keys::PATH)).await.ains(200)),
                Told::Expired => {
                    rig.execute(&format!("UPDATE keys SET expires_at = now() - interval '1 s' WHERE id = '{id}'"));
                }
                Told::Welcome | Told::Invalid => {}
            }
            present(&client, &token, told).await;
            // The state is told only to holders of the right secret.
            let middle = token.len() - 20;
            let wrong_case = format!("{}{}", &token[..middle], swapped_case(&token[middle..]));
            let truncated = &token[..token.len() - 1];
            for wrong in [wrong_case.as_str(), truncated, &format!("{token}x"), &format!("{token}.")] {
                present(&client, wrong, Told::Invalid).await;
            }
        }
    }
}

#[tokio::test]
async fn no_key_stands_in_for_another() {
    let rig = Rig::start(&[]).await;
    let (admin, client) = (rig.admin(), rig.service.client());
    let (ains_id, ains) = key(&admin, true).await;
    let (native_id, native) = key(&admin, false).await;
    present(&client, &ains, Told::Welcome).await;
    let secret = native.split_once('.').unwrap().1;
    let mixed = [
        format!("{ains_id}.{ains}"),
        format!("{ains_id}.{}", &ains[5..]),
        format!("{native_id}.{ains}"),
        format!("ains_{secret}"),
        secret.to_owned(),
        ains.replacen("ains_", "", 1),
        ains.replacen("ains_", "AINS_", 1),
    ];
    for wrong in &mixed {
        present(&client, wrong, Told::Invalid).await;
    }
    // The first header counts, whatever the other says.
    let both = client.bearer("x.y").header("x-api-key", &ains);
    Told::Invalid.check(&both.get(keys::PATH).await, false);
}

#[tokio::test]
async fn a_rotated_key_has_two_secrets_for_a_while() {
    let rig = Rig::start(&[]).await;
    let (admin, client) = (rig.admin(), rig.service.client());
    for is_ains in [false, true] {
        let (id, first) = key(&admin, is_ains).await;
        present(&client, &first, Told::Welcome).await;
        // Each through the door of the other form.
        let second = rotated(&admin, &id, !is_ains, json!({})).await;
        assert_eq!(second.starts_with("ains_"), is_ains, "{second}");
        present(&client, &first, Told::Welcome).await;
        present(&client, &second, Told::Welcome).await;
        // The one before the last ends with the next rotation.
        let third = rotated(&admin, &id, is_ains, json!({"overlap_seconds": 60})).await;
        present(&client, &first, Told::Invalid).await;
        present(&client, &second, Told::Welcome).await;
        rig.execute(&format!("UPDATE keys SET previous_until = now() WHERE id = '{id}'"));
        let other = on(&rig.db, &[], &rig.tokens).await;
        present(&other.client(), &second, Told::Invalid).await;
        present(&other.client(), &third, Told::Welcome).await;
        // Without an overlap the old one ends at once.
        let fourth = rotated(&admin, &id, is_ains, json!({"overlap_seconds": 0})).await;
        present(&client, &third, Told::Invalid).await;
        let fifth = rotated(&admin, &id, is_ains, json!({"overlap_seconds": 604_800})).await;
        // A revocation ends them all.
        admin.delete(&format!("{}/{id}", ains_keys::PATH)).await.ains(200);
        present(&client, &fourth, Told::Revoked).await;
        present(&client, &fifth, Told::Revoked).await;
        let path = format!("{}/{id}/rotate", keys::PATH);
        admin.post(&path, &json!({})).await.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
    }
}

/// Rotates a key; returns what its holder presents from now on.
async fn rotated(client: &Client, id: &str, is_ains: bool, body: Value) -> String {
    if is_ains {
        let answer = client.post(&format!("{}/{id}/rotate", ains_keys::PATH), &body).await.ains(200);
        assert!(answer["previous_valid_until"].is_string() && answer["key_id"] == id, "{answer}");
        answer["api_key"].as_str().unwrap().to_owned()
    } else {
        let answer = client.post(&format!("{}/{id}/rotate", keys::PATH), &body).await.data(200);
        assert!(answer["previous_valid_until"].is_string() && answer["key"]["id"] == id, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_rotation_is_checked_and_done_once() {
    let rig = Rig::start(&[]).await;
    let admin = rig.admin();
    let (id, token) = key(&admin, true).await;
    let (native, ains) = (format!("{}/{id}/rotate", keys::PATH), format!("{}/{id}/rotate", ains_keys::PATH));
    for bad in [json!({"overlap_seconds": -1}), json!({"overlap_seconds": 604_801}), json!({"overlap_seconds": "x"})] {
        assert_eq!(admin.post(&native, &bad).await.status, 422);
        let error = admin.post(&ains, &bad).await.ains_error(400, "INVALID_FIELD_VALUE");
        assert_eq!(error["details"]["field"], "overlap_seconds");
    }
    admin
        .post(&format!("{}/none/rotate", keys::PATH), &json!({}))
        .await
        .error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    let once = admin.header("idempotency-key", "once");
    let (first, again) = (once.post(&ains, &json!({})).await, once.post(&ains, &json!({})).await);
    assert_eq!((again.status, &again.text), (200, &first.text));
    // Done twice, the first secret would have ended.
    present(&rig.service.client(), &token, Told::Welcome).await;
    // Without a body, and no longer than the key itself lasts.
    rig.execute(&format!(
        "UPDATE keys SET expires_at = date_trunc('second', now()) + interval '1 hour' WHERE id = '{id}'"
    ));
    let last = admin.send("POST", &ains, None).await.ains(200);
    assert_eq!(last["previous_valid_until"], last["expires_at"]);
}

#[tokio::test]
async fn a_new_key_works_at_once_and_a_revoked_or_changed_one_within_thirty_seconds_in_another_process() {
    let rig = Rig::start(&[]).await;
    let other = on(&rig.db, &[], &rig.tokens).await;
    let (admin, there) = (rig.admin(), other.client());
    let (native_id, native) = key(&admin, false).await;
    let (ains_id, ains) = key(&admin, true).await;
    let (changed_id, changed) = key(&admin, true).await;
    for token in [&native, &ains, &changed] {
        present(&there, token, Told::Welcome).await;
    }
    let ended = Instant::now();
    admin.delete(&format!("{}/{native_id}", keys::PATH)).await.data(200);
    admin.delete(&format!("{}/{ains_id}", ains_keys::PATH)).await.ains(200);
    let body = json!({"rate_limit_per_minute": 999});
    admin.patch(&format!("{}/{changed_id}", ains_keys::PATH), &body).await.ains(200);
    // Here at once, there soon.
    for token in [&native, &ains] {
        present(&rig.service.client(), token, Told::Revoked).await;
    }
    loop {
        let asked = [&native, &ains, &changed].map(|token| there.bearer(token));
        let answers = join_all(asked.iter().map(|client| client.get(keys::PATH))).await;
        let limit = answers[2].header("x-ratelimit-limit");
        if answers[0].status == 401 && answers[1].status == 401 && limit == "999" {
            break;
        }
        assert!(ended.elapsed() < Duration::from_secs(30), "{answers:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
