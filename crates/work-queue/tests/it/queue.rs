//! What can happen to a job, one statement at a time.

use std::{collections::HashSet, thread, time::Duration};

use serde_json::json;
use work_queue::{Error, cancel, claim, fail, finish, hand_back, heartbeat, hold, purge, reclaim};

use crate::{KIND, enqueue, expire_leases, schema, state};

const LEASE: Duration = Duration::from_secs(60);

#[test]
fn the_oldest_job_is_claimed_with_what_it_was_given() {
    let db = schema();
    let mut conn = db.connect();
    enqueue(&mut conn, "a");
    enqueue(&mut conn, "b");
    let jobs = claim(&mut conn, KIND, 1, LEASE).unwrap();
    assert_eq!(jobs.len(), 1);
    assert_eq!((jobs[0].key.as_str(), jobs[0].lease.attempt), ("a", 1));
    assert_eq!(jobs[0].payload, json!({"key": "a"}));
    assert!(claim(&mut conn, "other", 9, LEASE).unwrap().is_empty());
}

#[test]
fn two_claimers_never_get_one_job() {
    let db = schema();
    let mut conn = db.connect();
    for number in 0..200 {
        enqueue(&mut conn, &number.to_string());
    }
    let claimed: Vec<Vec<i64>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut conn = db.connect();
                    let mut mine = Vec::new();
                    loop {
                        let jobs = claim(&mut conn, KIND, 3, LEASE).unwrap();
                        assert!(jobs.len() <= 3);
                        if jobs.is_empty() {
                            return mine;
                        }
                        mine.extend(jobs.iter().map(|job| job.lease.job));
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let all: Vec<i64> = claimed.into_iter().flatten().collect();
    assert_eq!(all.len(), 200);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 200);
}

#[test]
fn a_finished_job_is_done_and_ends_only_once() {
    let db = schema();
    let mut conn = db.connect();
    let id = enqueue(&mut conn, "a");
    let lease = claim(&mut conn, KIND, 1, LEASE).unwrap()[0].lease;
    hold(&mut conn, &lease).unwrap();
    finish(&mut conn, &lease).unwrap();
    assert_eq!(state(&mut conn, id), "done");
    assert!(matches!(finish(&mut conn, &lease), Err(Error::LeaseLost)));
    assert!(matches!(fail(&mut conn, &lease, "late"), Err(Error::LeaseLost)));
    assert!(matches!(hold(&mut conn, &lease), Err(Error::LeaseLost)));
}

#[test]
fn an_expired_lease_is_taken_over_with_the_next_attempt_and_the_old_holder_cannot_end_the_job() {
    let db = schema();
    let mut conn = db.connect();
    let id = enqueue(&mut conn, "a");
    let old = claim(&mut conn, KIND, 1, LEASE).unwrap()[0].lease;
    assert!(reclaim(&mut conn, KIND, 3).unwrap().is_empty());
    assert!(claim(&mut conn, KIND, 1, LEASE).unwrap().is_empty());
    expire_leases(&mut conn);
    assert!(reclaim(&mut conn, KIND, 3).unwrap().is_empty());
    let new = claim(&mut conn, KIND, 1, LEASE).unwrap()[0].lease;
    assert_eq!((old.attempt, new.attempt), (1, 2));
    for refused in [
        heartbeat(&mut conn, &old, LEASE),
        hold(&mut conn, &old),
        finish(&mut conn, &old),
        fail(&mut conn, &old, "x"),
        hand_back(&mut conn, &old),
    ] {
        assert!(matches!(refused, Err(Error::LeaseLost)));
    }
    assert_eq!(state(&mut conn, id), "running");
    finish(&mut conn, &new).unwrap();
}

#[test]
fn a_heartbeat_keeps_the_lease() {
    let db = schema();
    let mut conn = db.connect();
    enqueue(&mut conn, "a");
    let lease = claim(&mut conn, KIND, 1, LEASE).unwrap()[0].lease;
    expire_leases(&mut conn);
    heartbeat(&mut conn, &lease, LEASE).unwrap();
    reclaim(&mut conn, KIND, 3).unwrap();
    finish(&mut conn, &lease).unwrap();
}

#[test]
fn the_third_loss_ends_the_job_as_lost() {
    let db = schema();
    let mut conn = db.connect();
    let id = enqueue(&mut conn, "a");
    for attempt in 1..=3 {
        assert_eq!(claim(&mut conn, KIND, 1, LEASE).unwrap()[0].lease.attempt, attempt);
        expire_leases(&mut conn);
        let lost = reclaim(&mut conn, KIND, 3).unwrap();
        assert_eq!(lost.len(), usize::from(attempt == 3));
    }
    assert_eq!(state(&mut conn, id), "lost");
    assert!(claim(&mut conn, KIND, 1, LEASE).unwrap().is_empty());
}

#[test]
fn handing_back_is_no_loss() {
    let db = schema();
    let mut conn = db.connect();
    enqueue(&mut conn, "a");
    for attempt in 1..=5 {
        let lease = claim(&mut conn, KIND, 1, LEASE).unwrap()[0].lease;
        assert_eq!(lease.attempt, attempt);
        hand_back(&mut conn, &lease).unwrap();
    }
}

#[test]
fn a_cancelled_job_is_never_claimed_and_its_runner_loses_the_lease() {
    let db = schema();
    let mut conn = db.connect();
    let waiting = enqueue(&mut conn, "a");
    assert_eq!(cancel(&mut conn, KIND, "a").unwrap(), 1);
    assert!(claim(&mut conn, KIND, 1, LEASE).unwrap().is_empty());
    let running = enqueue(&mut conn, "a");
    let lease = claim(&mut conn, KIND, 1, LEASE).unwrap()[0].lease;
    assert_eq!(cancel(&mut conn, KIND, "a").unwrap(), 1);
    assert!(matches!(finish(&mut conn, &lease), Err(Error::LeaseLost)));
    assert_eq!(
        (state(&mut conn, waiting), state(&mut conn, running)),
        ("cancelled".to_owned(), "cancelled".to_owned())
    );
    assert_eq!(cancel(&mut conn, KIND, "a").unwrap(), 0);
}

#[test]
fn only_jobs_that_ended_long_ago_are_cleared_away() {
    let db = schema();
    let mut conn = db.connect();
    enqueue(&mut conn, "open");
    let old = enqueue(&mut conn, "old");
    cancel(&mut conn, KIND, "old").unwrap();
    assert_eq!(purge(&mut conn, LEASE).unwrap(), 0);
    assert_eq!(state(&mut conn, old), "cancelled");
    assert_eq!(purge(&mut conn, Duration::ZERO).unwrap(), 1);
    assert_eq!(claim(&mut conn, KIND, 9, LEASE).unwrap().len(), 1);
}
