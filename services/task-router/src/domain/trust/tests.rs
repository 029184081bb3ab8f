use chrono::TimeDelta;
use proptest::prelude::*;

use super::{Attempt, Delta, Score, Standing, running_average, trend};

fn completed(millis: i64) -> Attempt {
    Attempt::Completed { took: TimeDelta::milliseconds(millis), limit_seconds: 10 }
}

fn failed(error: Option<&str>, ended: bool) -> Attempt {
    Attempt::Failed { error: error.map(str::to_owned), ended }
}

fn timed_out(ended: bool) -> Attempt {
    Attempt::TimedOut { limit_seconds: 10, ended }
}

#[test]
fn an_attempt_changes_trust_by_its_kind() {
    let delta = |attempt: &Attempt| attempt.delta().ten_thousandths();
    assert_eq!(delta(&completed(4_999)), 500);
    assert_eq!(delta(&completed(5_000)), 200, "half of the limit is not less than half");
    assert_eq!(delta(&failed(None, true)), -500);
    assert_eq!(delta(&timed_out(false)), -300);
}

#[test]
fn reasons_say_what_happened() {
    assert_eq!(completed(1).reason(), "Task completed successfully in less than half of its time limit");
    assert_eq!(completed(9_000).reason(), "Task completed successfully within expected time");
    assert_eq!(failed(Some("disk full"), true).reason(), "Task failed: disk full");
    assert_eq!(failed(None, true).reason(), "Task failed: no error message");
    assert_eq!(timed_out(true).reason(), "Task timed out after 10 seconds");
    let types = [completed(1), failed(None, true), timed_out(true)].map(|attempt| attempt.event_type());
    assert_eq!(types, ["task_completed", "task_failed", "task_timeout"]);
}

#[test]
fn at_an_end_of_the_scale_the_record_holds_what_really_changed() {
    let change = Score::new(9_700).changed_by(Delta::new(500));
    assert_eq!((change.after, change.effective()), (Score::MAX, Delta::new(300)));
    let change = Score::new(100).changed_by(Delta::of_decimal(-1.0));
    assert_eq!((change.after, change.effective()), (Score::MIN, Delta::new(-100)));
}

#[test]
fn levels_begin_at_their_limits() {
    let levels =
        [0, 2_999, 3_000, 4_999, 5_000, 6_999, 7_000, 8_999, 9_000, 10_000].map(|score| Score::new(score).level());
    let expected = ["very_low", "very_low", "low", "low", "medium", "medium", "high", "high", "excellent", "excellent"];
    assert_eq!(levels, expected);
}

#[test]
fn decimals_have_four_places_and_no_more() {
    assert_eq!(Delta::of_decimal(0.12345).ten_thousandths(), 1_235);
    assert_eq!(Delta::of_decimal(-0.00004).ten_thousandths(), 0);
    assert_eq!(Delta::of_decimal(0.29).decimal().to_string(), "0.29");
    assert_eq!(Delta::of_decimal(f64::NAN).ten_thousandths(), 0);
    assert_eq!(Score::new(5_200).decimal().to_string(), "0.52");
}

#[test]
fn only_tasks_that_ended_count() {
    let standing = |attempts: &[Attempt]| attempts.iter().fold(Standing::NEW, |standing, one| standing.after(one).0);
    let after =
        standing(&[completed(4_000), failed(None, false), failed(None, true), timed_out(false), timed_out(true)]);
    assert_eq!((after.completed, after.failed), (1, 2));
    assert_eq!(after.score.ten_thousandths(), 5_000 + 500 - 500 - 500 - 300 - 300);
    assert_eq!(after.average_seconds, Some(4.0));
    assert_eq!(after.success_rate(), 0.333);
}

#[test]
fn the_average_moves_by_three_tenths() {
    assert_eq!(running_average(None, 4.0), 4.0);
    assert!((running_average(Some(4.0), 14.0) - 7.0).abs() < 1e-9);
}

#[test]
fn rates_and_ratings_are_rounded_half_up_without_error() {
    let standing = |completed, failed, score| Standing { score: Score::new(score), completed, failed, ..Standing::NEW };
    assert_eq!(Standing::NEW.success_rate(), 0.0);
    assert_eq!(standing(1, 15, 0).success_thousandths(), 63, "0.0625");
    assert_eq!(Standing::NEW.rating(), 0.8, "0.75");
    assert_eq!(standing(1, 0, 10_000).rating(), 5.0);
    assert_eq!(standing(1, 0, 5_500).rating(), 4.3, "4.325");
    assert_eq!(standing(1, 1, 0).rating(), 1.8, "1.75");
}

#[test]
fn the_trend_is_the_sum_of_the_changes() {
    let of = |deltas: &[i32]| trend(deltas.iter().copied().map(Delta::new));
    assert_eq!(of(&[]), "stable");
    assert_eq!((of(&[100]), of(&[101]), of(&[-100]), of(&[-101])), ("stable", "increasing", "stable", "decreasing"));
    assert_eq!(of(&[200, 200, -500]), "stable");
}

proptest! {
    #[test]
    fn records_form_a_chain_and_stay_on_the_scale(kinds in prop::collection::vec(0..6, 0..200)) {
        let mut standing = Standing::NEW;
        for kind in kinds {
            let attempt = match kind {
                0 => completed(1),
                1 => completed(9_000),
                2 | 3 => failed(None, kind == 2),
                _ => timed_out(kind == 4),
            };
            let (next, change) = standing.after(&attempt);
            prop_assert_eq!(change.before, standing.score);
            prop_assert_eq!(change.after, next.score);
            let sum = change.before.ten_thousandths() + change.effective().ten_thousandths();
            prop_assert_eq!(sum, change.after.ten_thousandths());
            prop_assert!((Score::MIN..=Score::MAX).contains(&next.score));
            prop_assert!((0.0..=5.0).contains(&next.rating()) && (0.0..=1.0).contains(&next.success_rate()));
            standing = next;
        }
    }
}
