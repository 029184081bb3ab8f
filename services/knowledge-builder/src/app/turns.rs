//! Runs for one entity go one after the other: in this process by a queue, across processes by a lease.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use api_core::db::{self, Db};
use api_types::knowledge::KnowledgeId;
use diesel::PgConnection;
use tokio::{sync::OwnedMutexGuard, task::JoinHandle};
use uuid::Uuid;

use super::{App, Error};
use crate::store::runs;

/// How long a process that died keeps others waiting.
const LEASE_S: i32 = 30;
const RENEWAL: Duration = Duration::from_secs(10);
/// How often to look whether another process has finished.
const LOOK: Duration = Duration::from_millis(200);

type Queue = tokio::sync::Mutex<()>;

/// The queues of this process, one for each entity that somebody gathers for.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<KnowledgeId, Weak<Queue>>>);

impl Turns {
    fn queue(&self, id: &KnowledgeId) -> Arc<Queue> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(id).and_then(Weak::upgrade) {
            return queue;
        }
        queues.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::new(Queue::default());
        queues.insert(id.clone(), Arc::downgrade(&queue));
        queue
    }
}

/// The right to gather for an entity. Given back when dropped.
pub(super) struct Turn {
    db: Option<Db>,
    id: KnowledgeId,
    holder: Uuid,
    renewal: JoinHandle<()>,
    _place: OwnedMutexGuard<()>,
}

impl App {
    /// Waits until nobody else gathers for the entity.
    pub(super) async fn turn(&self, id: &KnowledgeId) -> Result<Turn, Error> {
        let place = self.turns.queue(id).lock_owned().await;
        let holder = Uuid::new_v4();
        while !hold(&self.db, id, holder).await? {
            tokio::time::sleep(LOOK).await;
        }
        let renewal = tokio::spawn(renew(self.db.clone(), id.clone(), holder));
        Ok(Turn { db: Some(self.db.clone()), id: id.clone(), holder, renewal, _place: place })
    }
}

impl Turn {
    /// The holder, for [`release`] in the transaction that ends the run.
    pub(super) fn holder(&self) -> Uuid {
        self.holder
    }

    /// The run has ended with its transaction: nothing is left to give back but the place in the queue.
    pub(super) fn end(mut self) {
        self.db = None;
    }
}

/// Ends a turn in the transaction of what it was for.
pub(super) fn release(conn: &mut PgConnection, id: &KnowledgeId, holder: Uuid) -> Result<(), Error> {
    if runs::release(conn, id, holder)? { Ok(()) } else { Err(Error::TurnLost) }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.renewal.abort();
        let (Some(db), Ok(runtime)) = (self.db.take(), tokio::runtime::Handle::try_current()) else { return };
        let (id, holder) = (self.id.clone(), self.holder);
        runtime.spawn(async move {
            let released = db.run::<_, db::Error>(move |conn| Ok(runs::release(conn, &id, holder)?)).await;
            if let Err(error) = released {
                tracing::warn!(error = %error, "a turn is given back only when its time runs out");
            }
        });
    }
}

async fn hold(db: &Db, id: &KnowledgeId, holder: Uuid) -> Result<bool, Error> {
    let id = id.clone();
    db.run(move |conn| Ok(runs::hold(conn, &id, holder, LEASE_S)?)).await
}

async fn renew(db: Db, id: KnowledgeId, holder: Uuid) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        match hold(&db, &id, holder).await {
            Ok(true) => {}
            // Whoever has it now may go on; the end of this run will find out.
            Ok(false) => return,
            Err(error) => tracing::warn!(error = %error, "a turn could not be renewed"),
        }
    }
}
