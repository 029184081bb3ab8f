//! Text to vectors of 384 numbers, for search by meaning.
//!
//! Three ways, one face: the sentence model all-MiniLM-L6-v2 in this process, a service with the
//! `OpenAI` embeddings API, or hashed words when there is neither. The crate knows no database and
//! no API of ours, and opens no connection but through the client it is given.

// Named only for its feature: see the workspace manifest.
use gemm as _;

mod cache;
mod config;
mod error;
mod lexical;
mod minilm;
mod remote;
mod vectors;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use config::Config;
pub use error::{Error, RemoteProblem, Source};
pub use remote::RemoteConfig;
pub use vectors::cosine;

use cache::{Cache, Key};

/// The length of every vector.
pub const DIMENSIONS: usize = 384;

/// Unit length, [`DIMENSIONS`] numbers.
pub type Vector = Vec<f32>;

/// Texts remembered with their vectors: some 14 MB when full.
const CACHE_ENTRIES: usize = 8192;
/// What follows in a longer text is ignored; the model reads far less of it anyway.
const TEXT_CHARS_MAX: usize = 100_000;
/// Above this many bytes of text, hashing words takes long enough to leave the async threads.
const LEXICAL_INLINE_BYTES: usize = 16 * 1024;

/// The way an [`Embedder`] makes vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The sentence model in this process.
    MiniLm,
    /// A service.
    Remote,
    /// Hashed words: finds shared words, not shared meaning.
    Lexical,
}

impl Kind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MiniLm => "minilm",
            Self::Remote => "remote",
            Self::Lexical => "lexical",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose texts go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for the answer. Overtakes background texts.
    Interactive,
    /// Bulk work, such as a document being taken in.
    Background,
}

/// What an [`Embedder`] has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// Texts asked for and answered.
    pub texts: u64,
    /// Those of them that were remembered, or stood twice in one call.
    pub cache_hits: u64,
    /// Computing time, all workers together; for a service the time spent waiting for it.
    pub seconds: f64,
}

/// Makes vectors. Clones share the model, the memory of texts and the figures.
#[derive(Clone)]
pub struct Embedder {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Backend,
    cache: Mutex<Cache>,
    texts: AtomicU64,
    cache_hits: AtomicU64,
    /// Time spent outside the `MiniLm` workers, which keep their own count.
    micros: AtomicU64,
}

enum Backend {
    MiniLm(minilm::Engine),
    Remote(remote::Remote),
    Lexical,
}

impl Embedder {
    /// The sentence model, from a folder with `model.safetensors`, `tokenizer.json` and
    /// `config.json`. Returns at once: the model is loaded when the first text comes.
    ///
    /// # Errors
    ///
    /// [`Error::Load`] if one of the files is missing.
    pub fn minilm(dir: &Path) -> Result<Self, Error> {
        Ok(Self::new(Backend::MiniLm(minilm::Engine::start(dir)?)))
    }

    /// A service with the `OpenAI` embeddings API, called through `client`.
    #[must_use]
    pub fn remote(config: RemoteConfig, client: reqwest::Client) -> Self {
        Self::new(Backend::Remote(remote::Remote::new(config, client)))
    }

    /// Hashed words and pieces of words: no model, no meaning, always available.
    #[must_use]
    pub fn lexical() -> Self {
        Self::new(Backend::Lexical)
    }

    fn new(backend: Backend) -> Self {
        Self {
            inner: Arc::new(Inner {
                backend,
                cache: Mutex::new(Cache::new(CACHE_ENTRIES)),
                texts: AtomicU64::new(0),
                cache_hits: AtomicU64::new(0),
                micros: AtomicU64::new(0),
            }),
        }
    }

    /// The name to store beside vectors: those of different models cannot be compared.
    #[must_use]
    pub fn model(&self) -> &str {
        match &self.inner.backend {
            Backend::MiniLm(_) => "all-MiniLM-L6-v2",
            Backend::Remote(remote) => &remote.config.model,
            Backend::Lexical => "lexical-384",
        }
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.inner.backend {
            Backend::MiniLm(_) => Kind::MiniLm,
            Backend::Remote(_) => Kind::Remote,
            Backend::Lexical => Kind::Lexical,
        }
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        let mut busy = Duration::from_micros(inner.micros.load(Ordering::Relaxed));
        if let Backend::MiniLm(engine) = &inner.backend {
            busy += engine.busy();
        }
        Stats {
            texts: inner.texts.load(Ordering::Relaxed),
            cache_hits: inner.cache_hits.load(Ordering::Relaxed),
            seconds: busy.as_secs_f64(),
        }
    }

    /// The vectors of `texts`, in their order. Dropping the future takes back what still waits.
    ///
    /// # Errors
    ///
    /// All or nothing: if one text fails, its error is the answer. [`Error::Overloaded`] if too
    /// many texts wait already, [`Error::Load`] and [`Error::Model`] if the model fails,
    /// [`Error::Remote`] if the service does.
    pub async fn embed(&self, mut texts: Vec<String>, priority: Priority) -> Result<Vec<Vector>, Error> {
        for text in &mut texts {
            cut(text);
        }
        let inner = &self.inner;
        let count = texts.len();
        let (vectors, hits) = inner.remembered(texts, priority).await?;
        inner.texts.fetch_add(to_u64(count), Ordering::Relaxed);
        inner.cache_hits.fetch_add(to_u64(hits), Ordering::Relaxed);
        Ok(vectors)
    }
}

impl fmt::Debug for Embedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedder").field("kind", &self.kind()).field("model", &self.model()).finish_non_exhaustive()
    }
}

impl Inner {
    /// Answers from memory where possible; says how many texts needed no embedding.
    async fn remembered(&self, texts: Vec<String>, priority: Priority) -> Result<(Vec<Vector>, usize), Error> {
        let keys: Vec<Key> = texts.iter().map(|text| cache::key(text)).collect();
        let mut known: HashMap<Key, Vector> = HashMap::new();
        let mut seen = HashSet::new();
        let mut missing = Vec::new();
        let mut asked = Vec::new();
        {
            let mut cache = self.cache();
            for (key, text) in keys.iter().zip(texts) {
                if !seen.insert(*key) {
                    continue;
                }
                if let Some(vector) = cache.get(key) {
                    known.insert(*key, vector);
                } else {
                    missing.push(*key);
                    asked.push(text);
                }
            }
        }
        let hits = keys.len() - asked.len();
        if !asked.is_empty() {
            let made = self.make(asked, priority).await?;
            let mut cache = self.cache();
            for (key, vector) in missing.into_iter().zip(made) {
                cache.insert(key, vector.clone());
                known.insert(key, vector);
            }
        }
        let vectors = keys.iter().filter_map(|key| known.get(key).cloned());
        Ok((vectors.collect(), hits))
    }

    async fn make(&self, texts: Vec<String>, priority: Priority) -> Result<Vec<Vector>, Error> {
        match &self.backend {
            Backend::MiniLm(engine) => engine.embed(texts, priority).await,
            Backend::Remote(remote) => {
                let _timer = self.timer();
                remote.embed(&texts).await
            }
            Backend::Lexical => {
                let _timer = self.timer();
                let bytes: usize = texts.iter().map(String::len).sum();
                let all = move || texts.iter().map(|text| lexical::embed(text)).collect();
                if bytes <= LEXICAL_INLINE_BYTES {
                    return Ok(all());
                }
                let done = tokio::task::spawn_blocking(all).await;
                done.map_err(|error| Error::Model(Arc::new(error)))
            }
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timer(&self) -> Timer<'_> {
        Timer { started: Instant::now(), micros: &self.micros }
    }
}

/// Counts the time until it is dropped, also when a caller gives up.
struct Timer<'a> {
    started: Instant,
    micros: &'a AtomicU64,
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

fn cut(text: &mut String) {
    // Fewer bytes than that cannot be more characters.
    if text.len() > TEXT_CHARS_MAX
        && let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX)
    {
        text.truncate(end);
    }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
