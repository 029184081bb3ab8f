use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::{Candidate, Choice, Health, Strategy as By, choose};
use crate::domain::trust::Score;

fn worker(id: u32) -> Candidate<u32> {
    Candidate {
        id,
        registered_at: DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::from(id)),
        active: true,
        health: Health::Healthy,
        load: 0,
        capacity: 10,
        trust: Score::START,
        last_turn: Some(0),
        average_seconds: None,
        excluded: false,
        failed_before: false,
    }
}

fn chosen(by: By, candidates: &[Candidate<u32>]) -> Option<u32> {
    choose(by, candidates).map(|choice| candidates[choice.index].id)
}

#[test]
fn round_robin_takes_who_waited_longest() {
    let candidates =
        [worker(1), Candidate { last_turn: Some(-5), ..worker(2) }, Candidate { last_turn: Some(-9), ..worker(3) }];
    assert_eq!(chosen(By::RoundRobin, &candidates), Some(3));
    let never = [candidates[1], Candidate { last_turn: None, ..worker(9) }];
    assert_eq!(chosen(By::RoundRobin, &never), Some(9));
    assert_eq!(chosen(By::RoundRobin, &[worker(7), worker(4)]), Some(4), "registered earlier");
}

#[test]
fn least_loaded_counts_tasks_and_then_shares() {
    let candidates = [
        Candidate { load: 2, capacity: 4, ..worker(1) },
        Candidate { load: 2, capacity: 5, ..worker(2) },
        Candidate { load: 3, capacity: 100, ..worker(3) },
    ];
    assert_eq!(chosen(By::LeastLoaded, &candidates), Some(2));
    let equal = [Candidate { last_turn: Some(1), ..worker(1) }, worker(2)];
    assert_eq!(chosen(By::LeastLoaded, &equal), Some(2), "then as round robin");
}

#[test]
fn trust_decides_and_then_the_load() {
    let trusted = |id, score, load| Candidate { trust: Score::new(score), load, ..worker(id) };
    assert_eq!(chosen(By::TrustWeighted, &[trusted(1, 5_000, 0), trusted(2, 5_001, 9)]), Some(2));
    assert_eq!(chosen(By::TrustWeighted, &[trusted(1, 5_000, 3), trusted(2, 5_000, 2)]), Some(2));
}

#[test]
fn the_fastest_comes_first_and_the_unknown_last() {
    let timed = |id, average_seconds| Candidate { average_seconds, ..worker(id) };
    let candidates = [timed(1, None), timed(2, Some(4.0)), timed(3, Some(3.5))];
    assert_eq!(chosen(By::FastestResponse, &candidates), Some(3));
    assert_eq!(chosen(By::FastestResponse, &[timed(5, None), timed(2, None)]), Some(2));
}

#[test]
fn who_cannot_take_it_is_no_candidate() {
    let unable = [
        Candidate { active: false, ..worker(1) },
        Candidate { health: Health::Unreachable, ..worker(2) },
        Candidate { load: 10, ..worker(3) },
        Candidate { excluded: true, ..worker(4) },
    ];
    assert_eq!(choose(By::RoundRobin, &unable), None);
    let mut all = unable.to_vec();
    all.extend([worker(5), worker(6)]);
    assert_eq!(choose(By::RoundRobin, &all), Some(Choice { index: 4, alternatives: 1 }));
}

#[test]
fn the_degraded_come_after_the_healthy_and_those_who_failed_after_all() {
    let degraded = Candidate { health: Health::Degraded, trust: Score::MAX, ..worker(1) };
    let failed = Candidate { failed_before: true, trust: Score::MAX, ..worker(2) };
    for by in By::ALL {
        assert_eq!(chosen(by, &[degraded, worker(9)]), Some(9));
        assert_eq!(chosen(by, &[failed, degraded]), Some(1));
        assert_eq!(chosen(by, &[failed]), Some(2), "when there is no other");
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    assert_eq!(By::ALL.map(By::as_str), By::NAMES);
    for name in By::NAMES {
        assert_eq!(By::parse(name).map(By::as_str), Some(name));
    }
    assert_eq!((By::parse("random"), By::default()), (None, By::RoundRobin));
}

/// From few values each, so that ties are common.
fn anybody() -> impl Strategy<Value = Candidate<u32>> {
    let flags = (prop::bool::weighted(0.9), prop::bool::weighted(0.1), prop::bool::weighted(0.2), 0..4_u8);
    let numbers = (0..4_i32, 1..4_i32, 0..3_i32, prop::option::of(0..3_i64), prop::option::of(0..3_u8), 0..2_u32);
    (flags, numbers).prop_map(
        |((active, excluded, failed_before, health), (load, capacity, trust, turn, seconds, age))| Candidate {
            active,
            excluded,
            failed_before,
            health: [Health::Healthy, Health::Healthy, Health::Degraded, Health::Unreachable][usize::from(health)],
            load,
            capacity,
            trust: Score::new(trust * 2_500),
            last_turn: turn,
            average_seconds: seconds.map(f64::from),
            ..worker(age)
        },
    )
}

proptest! {
    #[test]
    fn the_choice_is_available_is_beaten_by_nobody_and_does_not_depend_on_the_order(
        mut candidates in prop::collection::vec(anybody(), 0..12),
        by in prop::sample::select(By::ALL.to_vec()),
        turns in 0..12_usize,
    ) {
        for (id, candidate) in (0..).zip(&mut candidates) {
            candidate.id = id;
        }
        let available = candidates.iter().filter(|candidate| candidate.is_available()).count();
        let choice = choose(by, &candidates);
        prop_assert_eq!(choice.map(|choice| choice.alternatives + 1).unwrap_or_default(), available);
        let first = choice.map(|choice| candidates[choice.index]);
        if let Some(first) = first {
            prop_assert!(first.is_available());
            let usable = |one: &&Candidate<u32>| one.is_available();
            prop_assert!(!first.failed_before || candidates.iter().filter(usable).all(|one| one.failed_before));
            let best = candidates.iter().filter(usable).min_by(|one, other| one.against(other, by));
            prop_assert_eq!(best.copied(), Some(first));
        }
        let split = turns.min(candidates.len());
        candidates.rotate_left(split);
        prop_assert_eq!(chosen(by, &candidates), first.map(|first| first.id));
        candidates.reverse();
        prop_assert_eq!(chosen(by, &candidates), first.map(|first| first.id));
    }
}
