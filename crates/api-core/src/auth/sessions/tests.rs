use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use api_types::{
    error::Code,
    users::{EndedAfter, EndedSession, EndedSessions, SessionId},
};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{Ended, RHYTHM, Rhythm, SessionKeeper, SessionSource, SessionSourceError, Sessions};

/// A list of a test's own making; two at a time.
#[derive(Debug, Default)]
struct List {
    ended: Mutex<Vec<EndedSession>>,
    asked: AtomicUsize,
    away: AtomicBool,
}

impl List {
    fn add(&self, id: &str) {
        self.ended.lock().unwrap().push(ended(id, Utc::now() + TimeDelta::minutes(30)));
    }
}

impl SessionSource for List {
    fn ended_after(&self, after: EndedAfter) -> BoxFuture<'_, Result<EndedSessions, SessionSourceError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let all = self.ended.lock().unwrap().clone();
        let away = self.away.load(Ordering::SeqCst);
        Box::pin(async move {
            if away {
                return Err(SessionSourceError(anyhow::anyhow!("away")));
            }
            let from = usize::try_from(after.cursor).unwrap();
            let page: Vec<_> = all.iter().skip(from).take(2).cloned().collect();
            let cursor = from + page.len();
            Ok(EndedSessions { ended: page, cursor: i64::try_from(cursor).unwrap(), more: cursor < all.len() })
        })
    }
}

impl SessionKeeper for List {
    fn has_ended(&self, id: SessionId) -> BoxFuture<'_, Result<bool, SessionSourceError>> {
        let has = self.ended.lock().unwrap().iter().any(|session| session.id == id);
        Box::pin(async move { Ok(has) })
    }
}

fn ended(id: &str, until: DateTime<Utc>) -> EndedSession {
    EndedSession { id: id.into(), until }
}

async fn is_refused(sessions: &Sessions, id: &str) -> bool {
    match sessions.check(&id.into(), || "agentbuilder").await {
        Ok(()) => false,
        Err(error) => error.code() == Code::RevokedToken,
    }
}

/// How long the slowest thing here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns once the session is refused.
async fn eventually(sessions: &Sessions, id: &str) {
    let began = Instant::now();
    while !is_refused(sessions, id).await {
        assert!(began.elapsed() < PATIENCE, "still good");
        tokio::task::yield_now().await;
    }
}

/// Follows `list` in the background, in a hurry. A first check waits so long for it.
fn following(list: &Arc<List>, first_wait: Duration) -> (Arc<Sessions>, CancellationToken) {
    let mut sessions = Sessions::new(Some(list.clone()));
    let pause = Duration::from_millis(1);
    sessions.rhythm = Rhythm { pause, first_pause: pause, first_wait };
    let sessions = Arc::new(sessions);
    let stop = CancellationToken::new();
    let (followed, until) = (Arc::clone(&sessions), stop.clone());
    tokio::spawn(async move { followed.follow(until).await });
    (sessions, stop)
}

#[tokio::test]
async fn the_first_check_waits_for_the_list_and_reads_all_of_it() {
    let list = Arc::new(List::default());
    for id in ["a", "b", "c", "d", "e"] {
        list.add(id);
    }
    let (sessions, _stop) = following(&list, PATIENCE);
    assert!(is_refused(&sessions, "e").await);
    assert!(!is_refused(&sessions, "f").await);
    assert!(list.asked.load(Ordering::SeqCst) >= 3);
}

#[tokio::test]
async fn what_ends_is_refused_within_seconds_and_only_news_are_read() {
    let list = Arc::new(List::default());
    let (sessions, _stop) = following(&list, PATIENCE);
    assert!(!is_refused(&sessions, "a").await);
    list.add("a");
    eventually(&sessions, "a").await;
    assert_eq!(sessions.ended.read().unwrap().cursor, 1);
    // With two seconds for the way.
    assert!(RHYTHM.pause + Duration::from_secs(2) < Duration::from_secs(5));
}

#[tokio::test]
async fn what_is_known_survives_an_outage_and_a_start_during_one_does_not_stop_anybody() {
    let list = Arc::new(List::default());
    list.add("a");
    let (sessions, _stop) = following(&list, PATIENCE);
    assert!(is_refused(&sessions, "a").await);
    list.away.store(true, Ordering::SeqCst);
    let asked = list.asked.load(Ordering::SeqCst);
    while list.asked.load(Ordering::SeqCst) < asked + 5 {
        tokio::task::yield_now().await;
    }
    assert!(is_refused(&sessions, "a").await && !is_refused(&sessions, "b").await);

    let (late, _stop) = following(&list, Duration::from_millis(10));
    assert!(!is_refused(&late, "a").await);
    list.away.store(false, Ordering::SeqCst);
    eventually(&late, "a").await;
}

#[tokio::test]
async fn the_service_that_keeps_sessions_asks_its_own_tables() {
    let list = Arc::new(List::default());
    let sessions = Sessions::new(None);
    sessions.kept_by("controlplane", list.clone());
    let check = async |service| sessions.check(&"a".into(), || service).await.map_err(|error| error.code());
    assert_eq!(check("controlplane").await, Ok(()));
    list.add("a");
    assert_eq!(check("controlplane").await, Err(Code::RevokedToken));
    // The others know what they were told.
    assert_eq!(check("agentbuilder").await, Ok(()));
    sessions.end(&[ended("a", Utc::now() + TimeDelta::minutes(1))]);
    assert_eq!(check("agentbuilder").await, Err(Code::RevokedToken));
}

#[test]
fn a_session_is_forgotten_when_its_tokens_have_expired_and_when_there_are_too_many() {
    let now = Utc::now();
    let mut memory = Ended::default();
    for minutes in 0..10 {
        memory.until.insert(format!("{minutes}").into(), now + TimeDelta::minutes(minutes));
    }
    memory.forget(now, 100);
    assert_eq!(memory.until.len(), 9);
    memory.forget(now, 4);
    let mut left: Vec<_> = memory.until.keys().map(|id| id.as_str().to_owned()).collect();
    left.sort_unstable();
    assert_eq!(left, ["6", "7", "8", "9"]);
}
