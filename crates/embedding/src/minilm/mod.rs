//! all-MiniLM-L6-v2 in this process.
//!
//! Tokenising and forward passes run on threads of their own: they would block a runtime's, and a
//! runtime would hand them more at a time than there are cores. Each worker stays on one core,
//! since a small batch gains less from a second core than another batch does. Workers take
//! whatever texts wait, from any number of callers, up to a batch's worth of tokens; batches are
//! small because an interactive text waits for the batch in front of it.

mod bert;
mod ops;
mod queue;
mod tokens;
mod weights;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use self::bert::Bert;
use self::queue::{Item, Queue};
use self::tokens::Tokens;
use self::weights::LoadError;
use crate::error::Source;
use crate::{Error, Priority, Vector};

/// More would crowd out the rest of the process, which shares the cores.
const WORKERS_MAX: usize = 4;
/// Tokens of a batch: some 20 sentences, or one text of full length; 80 ms on one core. Half of it
/// costs a tenth of the throughput, and twice of it gains less than that.
const BATCH_TOKENS: usize = 256;

/// The queue and its workers. Dropping it ends them.
pub(crate) struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    queue: Queue,
    /// Loaded by the first worker that needs it.
    model: Mutex<Option<Arc<Model>>>,
    busy_micros: AtomicU64,
}

struct Model {
    tokens: Tokens,
    bert: Bert,
}

impl Engine {
    /// Starts the workers; the model is loaded when the first text comes.
    ///
    /// # Errors
    ///
    /// [`Error::Load`] if a file is missing or no thread can be started.
    pub(crate) fn start(dir: &Path) -> Result<Self, Error> {
        for file in [weights::WEIGHTS, tokens::TOKENIZER, bert::CONFIG] {
            std::fs::File::open(dir.join(file)).map_err(|source| load_error(LoadError::Read { file, source }))?;
        }
        let engine = Self {
            shared: Arc::new(Shared {
                dir: dir.to_owned(),
                queue: Queue::new(),
                model: Mutex::new(None),
                busy_micros: AtomicU64::new(0),
            }),
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for index in 0..cores.min(WORKERS_MAX) {
            let shared = Arc::clone(&engine.shared);
            thread::Builder::new()
                .name(format!("embedding-{index}"))
                .spawn(move || shared.work())
                .map_err(load_error)?;
        }
        Ok(engine)
    }

    pub(crate) async fn embed(&self, texts: Vec<String>, priority: Priority) -> Result<Vec<Vector>, Error> {
        let mut vectors = Vec::with_capacity(texts.len());
        for reply in self.shared.queue.submit(texts, priority).await? {
            vectors.push(reply.await.map_err(|_closed| Error::Stopped)??);
        }
        Ok(vectors)
    }

    /// Computing time of all workers together.
    pub(crate) fn busy(&self) -> Duration {
        Duration::from_micros(self.shared.busy_micros.load(Ordering::Relaxed))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Shared {
    /// A worker's life.
    fn work(&self) {
        // candle hands large products to the rayon pool of the calling thread. In a pool of its
        // own this thread computes them alone, and leaves the other cores to other batches.
        if let Err(error) = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build() {
            tracing::warn!(%error, "embedding worker shares the global thread pool");
        }
        while let Some((first, priority)) = self.queue.next() {
            match self.model() {
                Ok(model) => self.run(&model, first, priority),
                Err(error) => self.refuse(first, &error),
            }
        }
    }

    fn run(&self, model: &Model, first: Item, priority: Priority) {
        let started = Instant::now();
        let batch = self.gather(model, first, priority);
        let (texts, items): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        if texts.is_empty() {
            return;
        }
        let outcome = caught(|| model.bert.forward(&texts));
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.busy_micros.fetch_add(micros, Ordering::Relaxed);
        match outcome {
            Ok(vectors) => {
                for (item, vector) in items.into_iter().zip(vectors) {
                    item.answer(Ok(vector));
                }
            }
            Err(error) => {
                for item in items {
                    item.answer(Err(error.clone()));
                }
            }
        }
    }

    /// Waiting texts of one lane, tokenised, up to a batch's worth.
    fn gather(&self, model: &Model, first: Item, priority: Priority) -> Vec<(Vec<u32>, Item)> {
        let mut batch = Vec::new();
        let mut total = 0;
        let mut next = Some(first);
        while let Some(mut item) = next {
            let tokens = match item.tokens.take() {
                Some(tokens) => tokens,
                None => match caught(|| model.tokens.of(&item.text)) {
                    Ok(tokens) => tokens,
                    Err(error) => {
                        item.answer(Err(error));
                        next = self.queue.more(priority);
                        continue;
                    }
                },
            };
            total += tokens.len();
            if total > BATCH_TOKENS && !batch.is_empty() {
                item.tokens = Some(tokens);
                self.queue.put_back(item, priority);
                break;
            }
            batch.push((tokens, item));
            if total >= BATCH_TOKENS {
                break;
            }
            next = self.queue.more(priority);
        }
        batch
    }

    fn model(&self) -> Result<Arc<Model>, Error> {
        let mut slot = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = slot.as_ref() {
            return Ok(Arc::clone(model));
        }
        let started = Instant::now();
        let model = Arc::new(Model {
            tokens: Tokens::load(&self.dir).map_err(load_error)?,
            bert: Bert::load(&self.dir).map_err(load_error)?,
        });
        let millis = started.elapsed().as_millis();
        tracing::info!(millis, "embedding model loaded");
        *slot = Some(Arc::clone(&model));
        Ok(model)
    }

    /// Without a model nobody's text can be embedded; trying again for each would keep the others
    /// waiting for the same answer.
    fn refuse(&self, first: Item, error: &Error) {
        let dir = self.dir.display();
        let error_ref: &dyn std::error::Error = error;
        tracing::error!(error = error_ref, %dir, "embedding model not loaded");
        first.answer(Err(error.clone()));
        for item in self.queue.drain() {
            item.answer(Err(error.clone()));
        }
    }
}

/// A panic in one batch must not end the worker that others rely on.
fn caught<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<T, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let outcome: Result<T, Source> = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => Err(Arc::from(error.into())),
        Err(_) => Err(Arc::new(Panicked)),
    };
    outcome.map_err(Error::Model)
}

#[derive(Debug, thiserror::Error)]
#[error("the forward pass panicked")]
struct Panicked;

fn load_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Load(Arc::new(error))
}
