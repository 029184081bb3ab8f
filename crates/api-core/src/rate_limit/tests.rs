use super::{
    Counted, Limits, Window,
    table::{Moment, Table},
};

const LIMITS: Limits = Limits { per_minute: 2, per_hour: 3 };
/// An hour's start, in unix milliseconds.
const START: u64 = 3_600_000;

/// A table without the hint to those who settle.
struct Plain(Table);

impl Plain {
    fn count(&self, name: &str, limits: Limits, at: Moment) -> Counted {
        self.0.count(name, limits, at).0
    }
}

fn table() -> Plain {
    Plain(Table::new(1000, Window::Hour))
}

#[test]
fn the_first_request_over_the_minute_is_refused_until_the_window_ends() {
    let table = table();
    let count = |ms| table.count("a", LIMITS, Moment::at(START + ms));
    assert_eq!(count(500).allowance.minute.remaining(), 1);
    let last = count(500);
    assert_eq!((last.allowance.minute.remaining(), last.exceeded), (0, None));
    let exceeded = count(500).exceeded.unwrap();
    assert_eq!((exceeded.window, exceeded.retry_after_s), (Window::Minute, 60));
    assert_eq!((exceeded.standing.limit, exceeded.standing.used, exceeded.standing.reset_s), (2, 3, 3660));
    assert!(count(60_000).allowance.minute.used == 1);
}

#[test]
fn refused_requests_count_and_nothing_is_left_below_nought() {
    let table = table();
    let limits = Limits { per_minute: 3, per_hour: 100 };
    let counted = [(); 6].map(|()| table.count("a", limits, Moment::at(START)))[5];
    assert_eq!((counted.allowance.minute.used, counted.allowance.minute.remaining()), (6, 0));
    assert_eq!((counted.allowance.hour.used, counted.allowance.hour.remaining()), (6, 94));
}

#[test]
fn the_minute_is_looked_at_before_the_hour() {
    let table = table();
    let windows: Vec<_> = (0..5)
        .map(|request| table.count("a", LIMITS, Moment::at(START + request / 3 * 60_000)))
        .map(|counted| counted.exceeded.map(|exceeded| (exceeded.window, exceeded.retry_after_s)))
        .collect();
    // The third is over the minute, the fourth and fifth, a minute later, over the hour.
    assert_eq!(
        windows,
        [None, None, Some((Window::Minute, 60)), Some((Window::Hour, 3540)), Some((Window::Hour, 3540))]
    );
}

#[test]
fn only_the_first_refusal_of_a_window_is_called_so() {
    let table = table();
    let first = |ms| table.count("a", Limits { per_minute: 0, per_hour: 9 }, Moment::at(START + ms)).exceeded;
    let first = [0, 1, 60_000, 60_001].map(|ms| first(ms).unwrap().is_first);
    assert_eq!(first, [true, false, true, false]);
}

#[test]
fn callers_do_not_share_a_budget() {
    let table = table();
    let one = Limits { per_minute: 1, per_hour: 1 };
    let count = |name| table.count(name, one, Moment::at(0)).exceeded.is_none();
    assert_eq!([count("a"), count("a"), count("b")], [true, false, true]);
}

#[test]
fn a_request_that_was_held_up_at_the_turn_does_not_begin_the_window_anew() {
    let table = table();
    let count = |ms| table.count("a", LIMITS, Moment::at(START + ms)).allowance.minute.used;
    assert_eq!([count(60_000), count(59_999), count(60_001)], [1, 2, 3]);
    // A clock that was set back by more is believed.
    assert_eq!(count(0), 4);
    let table = self::table();
    table.count("a", LIMITS, Moment::at(START + 600_000));
    assert_eq!(table.count("a", LIMITS, Moment::at(START)).allowance.minute.used, 1);
}

#[test]
fn made_up_names_share_counters_once_there_are_too_many() {
    let table = Plain(Table::new(64, Window::Minute));
    let limits = Limits { per_minute: 10, per_hour: u64::MAX };
    let refused = |names: std::ops::Range<u32>, ms| {
        names.filter(|name| table.count(&name.to_string(), limits, Moment::at(ms)).exceeded.is_some()).count()
    };
    // 64 names have counters of their own and 64 x 16 counters are shared, each good for ten requests.
    let admitted = 100_000 - refused(0..100_000, 0);
    assert!(admitted <= 64 + 64 * 16 * 10, "{admitted}");
    // In the next minute there is room again.
    assert_eq!(refused(200_000..200_020, 60_000), 0);
}

#[test]
fn no_request_is_lost_between_threads() {
    let table = table();
    let limits = Limits { per_minute: 10_000, per_hour: u64::MAX };
    let admitted: usize = std::thread::scope(|scope| {
        let work = || (0..5_000).filter(|_| table.count("a", limits, Moment::at(0)).exceeded.is_none()).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 10_000);
    assert_eq!(table.count("a", limits, Moment::at(0)).allowance.minute.used, 20_001);
}

#[test]
fn what_others_counted_counts_once_it_is_known() {
    let table = table();
    let limits = Limits { per_minute: 10, per_hour: 100 };
    let at = Moment::at(START);
    for _ in 0..4 {
        table.count("a", limits, at);
    }
    let untold = table.0.untold(at, 10);
    assert_eq!(untold.len(), 1);
    assert_eq!((untold[0].minute.unwrap().new, untold[0].hour.unwrap().new), (4, 4));
    // One more comes in while the others are told.
    table.count("a", limits, at);
    table.0.settle(&untold[0], Some(9), Some(50));
    let counted = table.count("a", limits, at);
    assert_eq!((counted.allowance.minute.used, counted.allowance.hour.used), (11, 52));
    assert!(counted.exceeded.is_some());
    assert_eq!(table.0.untold(at, 10)[0].minute.unwrap().new, 2);
    // The next minute begins without what was known of this one, and the hour goes on.
    let counted = table.count("a", limits, Moment::at(START + 60_000));
    assert_eq!((counted.allowance.minute.used, counted.allowance.hour.used), (1, 53));
}

#[test]
fn a_store_that_forgot_is_told_again() {
    let table = table();
    let at = Moment::at(START);
    let count = || table.count("a", LIMITS, at);
    for _ in 0..3 {
        count();
    }
    table.0.settle(&table.0.untold(at, 10)[0], Some(3), Some(3));
    assert!(table.0.untold(at, 10).is_empty());
    count();
    table.0.settle(&table.0.untold(at, 10)[0], Some(1), Some(1));
    assert_eq!(table.0.untold(at, 10)[0].minute.unwrap().new, 3);
}

#[test]
fn it_is_said_when_others_should_know_soon() {
    let table = Table::new(10, Window::Hour);
    let limits = Limits { per_minute: 100, per_hour: 1_000_000 };
    let at = Moment::at(START);
    let due: Vec<usize> = (1..=101).filter(|_| table.count("a", limits, at).1).collect();
    // From a fifth on: then a quarter of what is left is untold. Over the limit it matters no longer.
    assert_eq!((due.first(), due.last(), due.len()), (Some(&20), Some(&100), 81));
}
