//! What runs behind the requests: the built-in taxonomy is put in place, and the vectors of a taxonomy are made before
//! anybody asks for them.

use std::{sync::Arc, time::Duration};

use api_core::db;
use api_types::skills::embedding_text;
use embedding::Priority;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    app::{App, Error, Taxonomy},
    domain::starter,
    store::{
        leases, loading, taxonomies,
        vectors::{self, SkillText},
    },
};

/// How often the work is looked for when there is none, which is how soon a new taxonomy is noticed.
const IDLE: Duration = Duration::from_secs(2);
/// How long a failure is waited out.
const AWAY: Duration = Duration::from_secs(5);
/// Texts embedded in one go: seconds of work, so that stopping does not take long.
const BATCH: usize = 128;
/// Missing texts looked up in one go.
const FETCH: i64 = 2_048;
/// Far longer than a batch takes.
const LEASE: Duration = Duration::from_secs(60);
const LEASE_NAME: &str = "vectors";
/// Texts between two lines in the log.
const LOG_EVERY: usize = 5_000;

/// Puts the built-in taxonomy in place where there is none, or an older one of its kind.
pub(crate) async fn install_starter(app: Arc<App>, stop: CancellationToken) {
    let taxonomy = match starter::taxonomy() {
        Ok(taxonomy) => taxonomy,
        Err(error) => {
            tracing::error!(exception = %error, "the built-in taxonomy is faulty");
            return;
        }
    };
    let taxonomy = Arc::new(taxonomy);
    loop {
        let taxonomy = Arc::clone(&taxonomy);
        let work = move |conn: &mut _| -> Result<_, db::Error> {
            // Most starts find it in place and need not lock anybody out to see that.
            if let Some(current) = taxonomies::active(conn)?
                && (!current.builtin || current.digest == taxonomy.digest())
            {
                return Ok(None);
            }
            Ok(Some(loading::replace(conn, &taxonomy, chrono::Utc::now())?))
        };
        match app.db.transaction(work).await {
            Ok(stored) => {
                if let Some(stored) = stored.filter(|stored| stored.changed) {
                    tracing::info!(taxonomy = stored.taxonomy.title(), "the built-in taxonomy is in place");
                }
                return;
            }
            Err(error) => tracing::warn!(exception = %error, "the built-in taxonomy waits for the database"),
        }
        if !pause(AWAY, &stop).await {
            return;
        }
    }
}

/// Makes the vectors that are missing for the taxonomy in use: labels of occupations first, since matching needs them.
pub(crate) async fn make_vectors(app: Arc<App>, stop: CancellationToken) {
    let mut worker = Worker::new(app);
    loop {
        let rest = match worker.step().await {
            Ok(Step::More) => Duration::ZERO,
            Ok(Step::Done) => IDLE,
            Err(error) => {
                tracing::warn!(exception = %error, "vectors of the taxonomy wait");
                AWAY
            }
        };
        if !pause(rest, &stop).await {
            break;
        }
    }
    let holder = worker.holder;
    let released = worker.app.db.run::<_, db::Error>(move |conn| Ok(leases::release(conn, LEASE_NAME, holder)?)).await;
    if released.is_err() {
        tracing::debug!("the lease runs out by itself");
    }
}

/// False when it is time to stop.
async fn pause(time: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(time) => true,
    }
}

enum Step {
    More,
    Done,
}

struct Worker {
    app: Arc<App>,
    holder: Uuid,
    /// Of which taxonomy the texts below are.
    taxonomy: Option<i64>,
    /// What is known to be missing, fetched many at a time.
    labels: Vec<String>,
    skills: Vec<SkillText>,
    /// Texts since the last line in the log.
    since_log: usize,
    /// The taxonomy whose vectors are all there.
    complete_for: Option<i64>,
}

impl Worker {
    fn new(app: Arc<App>) -> Self {
        Self {
            app,
            holder: Uuid::new_v4(),
            taxonomy: None,
            labels: Vec::new(),
            skills: Vec::new(),
            since_log: 0,
            complete_for: None,
        }
    }

    async fn step(&mut self) -> Result<Step, Error> {
        let taxonomy = match self.app.taxonomy().await {
            Ok(taxonomy) => taxonomy,
            Err(Error::NoTaxonomy) => return Ok(Step::Done),
            Err(error) => return Err(error),
        };
        let id = taxonomy.row.id;
        if self.complete_for == Some(id) {
            return Ok(Step::Done);
        }
        if self.taxonomy != Some(id) {
            // The first text that a request brings need not wait for it.
            self.app.label_index(&taxonomy).await?;
            self.taxonomy = Some(id);
            self.labels.clear();
            self.skills.clear();
        }
        let holder = self.holder;
        let held = self.app.db.run::<_, Error>(move |conn| Ok(leases::hold(conn, LEASE_NAME, holder, LEASE)?)).await?;
        if !held {
            return Ok(Step::Done);
        }
        self.fetch(id).await?;
        if self.labels.is_empty() && self.skills.is_empty() {
            self.finish(&taxonomy).await?;
            return Ok(Step::Done);
        }
        let made = if self.labels.is_empty() { self.make_skills().await? } else { self.make_labels().await? };
        self.log(made, &taxonomy).await?;
        Ok(Step::More)
    }

    /// Looks for what is missing, once all that was known to be is done.
    async fn fetch(&mut self, taxonomy: i64) -> Result<(), Error> {
        if !self.labels.is_empty() || !self.skills.is_empty() {
            return Ok(());
        }
        let model = self.app.embedder.model().to_owned();
        let missing = move |conn: &mut _| -> Result<_, Error> {
            let labels = vectors::missing_labels(conn, taxonomy, &model, FETCH)?;
            let skills =
                if labels.is_empty() { vectors::missing_skills(conn, taxonomy, &model, FETCH)? } else { Vec::new() };
            Ok((labels, skills))
        };
        (self.labels, self.skills) = self.app.db.run(missing).await?;
        Ok(())
    }

    async fn make_labels(&mut self) -> Result<usize, Error> {
        let labels = take(&mut self.labels);
        let model = self.app.embedder.model().to_owned();
        let made = self.app.embedder.embed(labels.clone(), Priority::Background).await?;
        let count = made.len();
        let keep = move |conn: &mut _| Ok(vectors::keep_labels(conn, &model, labels.into_iter().zip(made))?);
        self.app.db.run::<_, Error>(keep).await?;
        Ok(count)
    }

    async fn make_skills(&mut self) -> Result<usize, Error> {
        let skills = take(&mut self.skills);
        let model = self.app.embedder.model().to_owned();
        let texts = skills.iter().map(|skill| embedding_text(&skill.label, &skill.description)).collect();
        let made = self.app.embedder.embed(texts, Priority::Background).await?;
        let count = made.len();
        let hashes = skills.into_iter().map(|skill| skill.text_sha256);
        let keep = move |conn: &mut _| Ok(vectors::keep_skills(conn, &model, hashes.zip(made))?);
        self.app.db.run::<_, Error>(keep).await?;
        Ok(count)
    }

    async fn finish(&mut self, taxonomy: &Taxonomy) -> Result<(), Error> {
        let (model, holder) = (self.app.embedder.model().to_owned(), self.holder);
        let work = move |conn: &mut _| -> Result<_, Error> {
            let purged = vectors::purge(conn, &model)?;
            leases::release(conn, LEASE_NAME, holder)?;
            Ok(purged)
        };
        let purged = self.app.db.transaction(work).await?;
        tracing::info!(taxonomy = taxonomy.row.title(), purged, "all vectors of the taxonomy are there");
        self.complete_for = Some(taxonomy.row.id);
        Ok(())
    }

    async fn log(&mut self, made: usize, taxonomy: &Taxonomy) -> Result<(), Error> {
        self.since_log += made;
        if self.since_log < LOG_EVERY {
            return Ok(());
        }
        self.since_log = 0;
        let (id, model) = (taxonomy.row.id, self.app.embedder.model().to_owned());
        let progress = self.app.db.run::<_, Error>(move |conn| Ok(vectors::progress(conn, id, &model)?)).await?;
        tracing::info!(
            taxonomy = taxonomy.row.title(),
            "vectors: {} of {} labels, {} of {} skills",
            progress.labels_done,
            progress.labels,
            progress.skills_done,
            progress.skills,
        );
        Ok(())
    }
}

/// The next texts to embed in one go.
fn take<T>(texts: &mut Vec<T>) -> Vec<T> {
    texts.split_off(texts.len().saturating_sub(BATCH))
}
