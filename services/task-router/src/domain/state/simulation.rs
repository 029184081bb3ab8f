//! Many workers and two routers on one table, with everything going wrong that can: slow transactions, lost, late and
//! repeated messages, crashed workers, ended leases, clocks that step. A checker that knows nothing of the rules looks on.
//!
//! Every transaction reads a task, and writes it some time later. With the guard, it writes only onto what it read; one
//! variant goes without, as a statement would that forgot the lease in its condition: the checker must notice.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Command, Dependents, Event, Leases, Outcome, Report, State, Task, step, tests::new_task};

const WORKERS: u8 = 8;
const TASKS: usize = 60;
/// Seconds during which clocks step and tasks are cancelled.
const TROUBLE: i64 = 300;
/// Seconds after which a task that has not ended never will.
const PATIENCE: i64 = 20_000;

/// Numbers that are the same for the same seed, whatever becomes of any library.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(limit)).unwrap()
    }

    fn one_in(&mut self, many: u32) -> bool {
        self.below(many) == 0
    }

    fn seconds(&mut self, limit: u32) -> i64 {
        i64::from(self.below(limit))
    }

    fn worker(&mut self) -> u8 {
        u8::try_from(self.below(u32::from(WORKERS))).unwrap()
    }
}

type Said = Command<'static, u8>;

enum Mail {
    /// A transaction that read this comes to its end.
    Commit {
        task: usize,
        read: Task<u8>,
        command: Said,
    },
    /// Something reaches a router, which then reads.
    Arrive {
        task: usize,
        command: Said,
    },
    Push {
        task: usize,
        worker: u8,
        attempt: i32,
    },
}

/// What must hold, seen from outside.
#[derive(Default)]
struct Checker {
    given: HashSet<(usize, i32)>,
    ends: Vec<u32>,
    loads: [i32; WORKERS as usize],
    violations: Vec<String>,
}

impl Checker {
    fn wrong(&mut self, what: String) {
        self.violations.push(what);
    }
}

struct World {
    dice: Dice,
    guarded: bool,
    now: i64,
    /// By how much the clock is wrong.
    skew: i64,
    tasks: Vec<Task<u8>>,
    parents: Vec<Option<usize>>,
    mail: Vec<(i64, Mail)>,
    checker: Checker,
}

impl World {
    fn new(seed: u64, guarded: bool) -> Self {
        let mut dice = Dice(seed);
        let parents: Vec<_> =
            (0..TASKS).map(|at| at.checked_sub(1 + dice.below(3) as usize).filter(|_| at % 4 == 3)).collect();
        let made = parents.iter().map(|parent| Task { blocked: parent.is_some(), ..new_task(2, 20) }).collect();
        let checker = Checker { ends: vec![0; TASKS], ..Checker::default() };
        Self { dice, guarded, now: 0, skew: 0, tasks: made, parents, mail: Vec::new(), checker }
    }

    fn clock(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(1_000 + self.now + self.skew)
    }

    fn send(&mut self, delay: i64, mail: Mail) {
        self.mail.push((self.now + delay, mail));
    }

    /// Reads now, writes soon.
    fn transact(&mut self, task: usize, command: Said) {
        let (delay, read) = (self.dice.seconds(4), self.tasks[task]);
        self.send(delay, Mail::Commit { task, read, command });
    }

    fn commit(&mut self, task: usize, read: Task<u8>, command: Said) {
        let stored = self.tasks[task];
        let base = if self.guarded && stored.guard() != read.guard() { stored } else { read };
        if let Ok(Some(outcome)) = step(&base, command, self.clock(), &Leases::default()) {
            self.write(task, &outcome);
            if let (true, Some(worker)) = (outcome.events.contains(&Event::Assigned), outcome.loaded) {
                let attempt = outcome.task.attempt;
                match command {
                    Command::Claim { .. } => self.work(task, worker, attempt),
                    _ => self.send(1, Mail::Push { task, worker, attempt }),
                }
            }
        }
    }

    fn write(&mut self, task: usize, outcome: &Outcome<u8>) {
        let (before, after) = (self.tasks[task], outcome.task);
        if before.state.is_end() {
            self.checker.wrong(format!("task {task} went from {:?} to {:?}", before.state, after.state));
        }
        if after.attempt < before.attempt {
            self.checker.wrong(format!("task {task} is back in attempt {}", after.attempt));
        }
        if outcome.events.contains(&Event::Assigned) {
            if !self.checker.given.insert((task, after.attempt)) {
                self.checker.wrong(format!("attempt {} at task {task} was given twice", after.attempt));
            }
            if self.parents[task].is_some_and(|parent| self.tasks[parent].state != State::Completed) {
                self.checker.wrong(format!("task {task} runs before what it depends on"));
            }
        }
        for (worker, change) in [(outcome.loaded, 1), (outcome.unloaded, -1)] {
            if let Some(worker) = worker {
                self.checker.loads[usize::from(worker)] += change;
            }
        }
        self.checker.ends[task] += u32::from(after.state.is_end());
        self.tasks[task] = after;
        if let Some(dependents) = outcome.dependents {
            let command = match dependents {
                Dependents::Unblock => Command::Unblock,
                Dependents::Fail => Command::DependencyFailed { id: "parent" },
            };
            for child in (0..TASKS).filter(|child| self.parents[*child] == Some(task)).collect::<Vec<_>>() {
                // In the same transaction.
                if let Ok(Some(outcome)) = step(&self.tasks[child], command, self.clock(), &Leases::default()) {
                    self.write(child, &outcome);
                }
            }
        }
    }

    fn pushed(&mut self, task: usize, worker: u8, attempt: i32) {
        match self.dice.below(8) {
            0 => {}
            1 => self.transact(task, Command::RefusePush { attempt, retry_after: None }),
            _ => {
                self.transact(task, Command::AcceptPush { attempt });
                self.work(task, worker, attempt);
            }
        }
    }

    /// The worker has the task: it may crash, take too long, or say things late, twice or never.
    fn work(&mut self, task: usize, worker: u8, attempt: i32) {
        let says = |report| Command::Report { worker, attempt: Some(attempt), report };
        if self.dice.one_in(8) {
            return;
        }
        if self.dice.one_in(2) {
            let (delay, progress) = (self.dice.seconds(3), Some(10.0));
            self.send(delay, Mail::Arrive { task, command: says(Report::Running { progress }) });
        }
        let took = self.dice.seconds(40);
        if self.dice.one_in(2) {
            for beat in (5..took).step_by(5) {
                self.send(beat, Mail::Arrive { task, command: Command::Renew { worker } });
            }
        }
        let end = if self.dice.one_in(4) {
            Report::Failed { error: Some("oops"), retryable: None, progress: None }
        } else {
            Report::Completed { progress: None }
        };
        let copies = [0, 1, 1, 1, 1, 1, 1, 2, 2, 3][self.dice.below(10) as usize];
        for _ in 0..copies {
            let delay = took + if self.dice.one_in(4) { self.dice.seconds(60) } else { 0 };
            self.send(delay, Mail::Arrive { task, command: says(end) });
        }
    }

    fn make_trouble(&mut self) {
        if self.dice.one_in(10) {
            self.skew += self.dice.seconds(61) - 30;
        }
        if self.dice.one_in(20) {
            let task = self.dice.below(60) as usize;
            self.transact(task, Command::Cancel);
        }
    }

    fn second(&mut self) {
        if self.now < TROUBLE {
            self.make_trouble();
        }
        let (due, later) = std::mem::take(&mut self.mail).into_iter().partition::<Vec<_>, _>(|(at, _)| *at <= self.now);
        self.mail = later;
        for (_, mail) in due {
            match mail {
                Mail::Commit { task, read, command } => self.commit(task, read, command),
                Mail::Arrive { task, command } => self.transact(task, command),
                Mail::Push { task, worker, attempt } => self.pushed(task, worker, attempt),
            }
        }
        let clock = self.clock();
        for task in 0..TASKS {
            // Two routers look, each on its own.
            for _ in 0..2 {
                let seen = self.tasks[task];
                if seen.is_ready(clock) && self.dice.one_in(3) {
                    let worker = self.dice.worker();
                    let lease_seconds = [None, Some(5), Some(12)][self.dice.below(3) as usize];
                    let claims = self.dice.one_in(2);
                    let claim = Command::Claim { worker, lease_seconds };
                    self.transact(task, if claims { claim } else { Command::Assign { worker } });
                } else if seen.lease_expires_at.is_some_and(|lease| lease <= clock) {
                    self.transact(task, Command::Expire);
                }
            }
        }
        self.now += 1;
    }

    /// Everything that went wrong.
    fn run(seed: u64, guarded: bool) -> Vec<String> {
        let mut world = Self::new(seed, guarded);
        let is_open = |world: &Self| !world.mail.is_empty() || world.tasks.iter().any(|task| !task.state.is_end());
        while world.now < TROUBLE || (world.now < PATIENCE && is_open(&world)) {
            world.second();
        }
        let Self { mut checker, tasks, .. } = world;
        for (at, task) in tasks.iter().enumerate() {
            if (task.state.is_end(), checker.ends[at]) != (true, 1) {
                checker.violations.push(format!("task {at} is {:?} and ended {} times", task.state, checker.ends[at]));
            }
        }
        if checker.loads != [0; WORKERS as usize] {
            checker.violations.push(format!("loads are left: {:?}", checker.loads));
        }
        checker.violations
    }
}

#[test]
fn every_task_ends_once_whatever_goes_wrong() {
    for seed in 0..48 {
        assert_eq!(World::run(seed, true), [""; 0], "seed {seed}");
    }
}

/// Else the test above shows nothing.
#[test]
fn without_the_guard_the_checker_notices() {
    for seed in 0..8 {
        let violations = World::run(seed, false);
        let has = |text: &str| violations.iter().any(|violation| violation.contains(text));
        assert!(has("went from") && has("ended"), "seed {seed}: {violations:?}");
    }
}
