use std::{sync::Arc, time::Duration};

use actix_web::http::StatusCode;
use api_types::{
    access::{AccessBatch, Refusal, Window},
    auth::Principal,
    keys::{KeyForm, KeyRecord},
};
use chrono::{TimeDelta, Utc};
use uuid::Uuid;

use super::{Answer, Recorder, waiting::Waiting};
use crate::context::Context;

fn key(id: &str) -> Arc<KeyRecord> {
    Arc::new(KeyRecord {
        id: id.into(),
        form: KeyForm::Native,
        secret_sha256: String::new(),
        previous: None,
        roles: Vec::new(),
        permissions: Vec::new(),
        client_id: format!("client of {id}"),
        expires_at: None,
        revoked_at: None,
        rate_limit_per_minute: None,
        rate_limit_per_hour: None,
    })
}

fn principal(key: &KeyRecord) -> Principal {
    Principal { id: key.id.to_string(), client_id: key.client_id.clone(), roles: [].into(), permissions: Vec::new() }
}

/// One request with a key, and perhaps refused.
fn request(recorder: &Recorder, key: &Arc<KeyRecord>, route: &str, status: u16, refusal: Option<Refusal>) {
    let context = Context::new(Uuid::new_v4(), Duration::from_secs(1), Vec::new());
    context.notes.key.get_or_init(|| Arc::clone(key));
    context.identified(principal(key), false, None);
    if let Some(refusal) = refusal {
        context.notes.refusal.get_or_init(|| refusal);
    }
    let status = StatusCode::from_u16(status).unwrap();
    let answer = Answer { service: "tiny", method: "GET", route, status };
    recorder.answered(&context, answer);
}

fn collected(recorder: &Recorder) -> Waiting {
    let mut waiting = Waiting::default();
    for part in &recorder.parts {
        waiting.add(part.lock().unwrap().take());
    }
    waiting
}

fn batches(mut waiting: Waiting) -> Vec<AccessBatch> {
    let mut all = Vec::new();
    while let Some(batch) = waiting.next() {
        all.push(batch.clone());
        waiting.done();
    }
    all
}

#[test]
fn requests_of_one_key_to_one_route_are_one_entry_whichever_thread_saw_them() {
    let recorder = Recorder::default();
    let (one, other) = (key("one"), key("other"));
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for status in [200, 304, 404, 429, 500] {
                    request(&recorder, &one, "/things/{id}", status, None);
                }
                request(&recorder, &one, "/things", 200, None);
                request(&recorder, &other, "/things", 200, None);
            });
        }
    });
    let mut counts = batches(collected(&recorder)).remove(0).counts;
    // A minute may have ended in between; nothing is lost then either.
    counts.sort_by(|a, b| (&a.key_id, &a.route).cmp(&(&b.key_id, &b.route)));
    let total = |route: &str| {
        let of = counts.iter().filter(|count| count.route == route && &*count.key_id == "one");
        of.fold((0, 0, 0), |sum, c| (sum.0 + c.succeeded, sum.1 + c.failed, sum.2 + c.rate_limited))
    };
    assert_eq!(total("/things/{id}"), (8, 12, 4));
    assert_eq!(total("/things"), (4, 0, 0));
    assert!(counts.len() <= 6);
    assert!(batches(collected(&recorder)).is_empty());
}

#[test]
fn a_refused_request_is_told_of_by_itself_and_a_limit_once() {
    let recorder = Recorder::default();
    let one = key("one");
    let scope = Refusal::Permission { required_scope: Some("tasks:write".to_owned()) };
    let rate = Refusal::Rate { window: Window::PerHour, limit: 9 };
    for _ in 0..3 {
        request(&recorder, &one, "/a", 403, Some(scope.clone()));
        request(&recorder, &one, "/a", 429, Some(rate.clone()));
        // As a handler does it.
        request(&recorder, &one, "/b", 403, None);
    }
    let refused = batches(collected(&recorder)).remove(0).refused;
    let count = |why: &Refusal| refused.iter().filter(|entry| entry.why == *why).count();
    assert_eq!((count(&scope), count(&Refusal::Permission { required_scope: None })), (3, 3));
    assert!(count(&rate) <= 2, "{refused:?}");
    assert_eq!(refused.iter().map(|entry| entry.times).sum::<u32>(), 9);
    assert!(refused.iter().all(|entry| entry.principal_id.as_deref() == Some("one")));
}

#[test]
fn too_many_refusals_are_added_up_and_none_is_forgotten() {
    let recorder = Recorder::default();
    let one = key("one");
    for _ in 0..2000 {
        request(&recorder, &one, "/a", 403, None);
    }
    let refused: Vec<_> = batches(collected(&recorder)).into_iter().flat_map(|batch| batch.refused).collect();
    assert_eq!(refused.iter().map(|entry| entry.times).sum::<u32>(), 2000);
    assert!(refused.len() <= 502, "{}", refused.len());
}

#[test]
fn a_batch_is_the_same_until_it_was_taken_and_nothing_is_added_to_it() {
    let recorder = Recorder::default();
    let one = key("one");
    request(&recorder, &one, "/a", 200, None);
    let mut waiting = collected(&recorder);
    let first = waiting.next().unwrap().clone();
    request(&recorder, &one, "/a", 200, None);
    waiting.add(recorder.part().lock().unwrap().take());
    assert_eq!(waiting.next(), Some(&first));
    waiting.done();
    let second = waiting.next().unwrap();
    assert!(second.id != first.id && second.counts[0].succeeded == 1);
}

#[test]
fn what_waits_has_an_end() {
    let recorder = Recorder::default();
    let mut waiting = Waiting::default();
    for number in 0..30_000 {
        request(&recorder, &key(&format!("k{number}")), "/a", 403, None);
        if number % 1000 == 0 {
            waiting.add(recorder.part().lock().unwrap().take());
            waiting.shrink(Utc::now());
        }
    }
    let batches = batches(waiting);
    assert!(batches.iter().all(|batch| batch.counts.len() <= 2000 && batch.refused.len() <= 2000));
    let entries = |of: fn(&AccessBatch) -> usize| batches.iter().map(of).sum::<usize>();
    assert_eq!((entries(|b| b.counts.len()), entries(|b| b.refused.len())), (20_000, 20_000));
}

#[test]
fn what_is_too_old_is_let_go() {
    let recorder = Recorder::default();
    request(&recorder, &key("one"), "/a", 403, None);
    let mut waiting = collected(&recorder);
    waiting.shrink(Utc::now() + TimeDelta::hours(5));
    assert!(waiting.next().is_some());
    waiting.shrink(Utc::now() + TimeDelta::hours(7));
    assert!(waiting.next().is_none());
}
