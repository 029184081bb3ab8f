//! Carrying builds out, stage by stage.
//!
//! Each stage is noted when it is reached, with the results of those before it, under the job's lease: a process that takes the
//! job over goes on from there, and one that lost it can store nothing.

use std::{sync::Arc, time::Duration};

use api_core::{
    context::{self, Context},
    db::{Db, Unavailable, is_connection_loss},
};
use api_types::{
    agents::{AgentStatus, BuildStage},
    knowledge::{Concept, KnowledgeItem, NewKnowledge},
    skills::{GenerateRequest, Matched, Skill},
};
use chrono::{TimeDelta, Utc};
use futures_util::future::BoxFuture;
use serde_json::Value;
use tracing::Instrument as _;
use uuid::Uuid;
use work_queue::{Handler, Job, Lease, LostJob, Outcome};

use super::{
    Failure,
    builds::{JOB, Partial, Request},
    events::{self, Counts},
    merge,
    ports::{Builders, Fault, Gathered},
    role_model::RoleModel,
    tags::{CONFIDENCE_MIN, tags},
    waiting::Waiters,
};
use crate::{
    metrics,
    store::{self, Conn, QueryError, agents::Built},
};

/// The text that skills are derived from ends here.
const CORPUS_CHARS_MAX: usize = 1_000_000;
/// The kind of entity that a role model is.
pub(super) const ENTITY_TYPE: &str = "Person";
/// Pause before a build goes back to the queue because the database is away.
const DATABASE_AWAY: Duration = Duration::from_secs(1);

/// Builds agents.
pub(crate) struct Building {
    pub(crate) db: Db,
    pub(crate) builders: Arc<dyn Builders>,
    pub(crate) waiters: Waiters,
    /// For one build in one process.
    pub(crate) limit: Duration,
}

/// Why a build does not go on.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("{}", .0.message)]
    Failed(Failure),
    /// Somebody else has the job, or it was cancelled.
    #[error("the lease is lost")]
    LeaseLost,
    #[error("a statement failed")]
    Query(#[from] QueryError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("a result cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}

impl From<work_queue::Error> for Stop {
    fn from(error: work_queue::Error) -> Self {
        match error {
            work_queue::Error::LeaseLost => Self::LeaseLost,
            work_queue::Error::Query(error) => Self::Query(error),
            work_queue::Error::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

/// A build in progress.
struct Run {
    lease: Lease,
    build_id: Uuid,
    agent_id: String,
    request: Request,
    role_model: RoleModel,
    /// Whether the agent has been built before.
    is_rebuild: bool,
}

/// The results of all stages.
struct Results {
    matched: Matched,
    gathered: Gathered,
    skills: Vec<Skill>,
}

/// Where the results went.
enum Stored {
    First {
        took: TimeDelta,
    },
    Again,
    /// The agent was deleted meanwhile.
    Nowhere,
}

impl Handler for Building {
    fn kind(&self) -> &'static str {
        JOB
    }

    fn run(&self, job: Job) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let Some(build_id) = build_id(&job.payload) else { return Outcome::Failed("no build id".to_owned()) };
            let begun = self.begin(job.lease, build_id).await;
            let outcome = match begun {
                Ok(Some((run, partial))) => self.carry_out(run, partial).await,
                Ok(None) => Ok("cancelled"),
                Err(stop) => self.stopped(job.lease, build_id, stop).await,
            };
            match outcome {
                Ok(outcome) => {
                    metrics::build_ended(outcome);
                    self.waiters.ended(build_id);
                    Outcome::Settled
                }
                Err(Stop::LeaseLost) => Outcome::Settled,
                Err(error) => {
                    tracing::warn!(%build_id, error = %error, "the build goes back to the queue");
                    tokio::time::sleep(DATABASE_AWAY).await;
                    Outcome::Again
                }
            }
        })
    }

    fn lost(&self, conn: &mut Conn, job: &LostJob) -> Result<(), QueryError> {
        let Some(build_id) = build_id(&job.payload) else { return Ok(()) };
        metrics::build_ended("lost");
        settle_failure(conn, build_id, &Failure::internal())?;
        self.waiters.ended(build_id);
        Ok(())
    }
}

fn build_id(payload: &Value) -> Option<Uuid> {
    payload.get("build_id")?.as_str()?.parse().ok()
}

impl Building {
    /// Does the work as part of the request that asked for it, whichever process that came to.
    async fn carry_out(&self, run: Run, partial: Partial) -> Result<&'static str, Stop> {
        let (lease, build_id) = (run.lease, run.build_id);
        let request_id = run.request.request_id;
        let span = tracing::info_span!("build", %request_id, agent_id = run.agent_id);
        let work = async {
            match self.build(run, partial).await {
                Ok(outcome) => Ok(outcome),
                Err(stop) => self.stopped(lease, build_id, stop).await,
            }
        };
        let context = Arc::new(Context::new(request_id, self.limit, Vec::new()));
        context::scope(context, work).instrument(span).await
    }

    async fn build(&self, run: Run, partial: Partial) -> Result<&'static str, Stop> {
        let results = self.results(&run, partial).await?;
        match self.store(run, results).await? {
            Stored::Nowhere => return Ok("cancelled"),
            Stored::First { took } => metrics::agent_created(took.to_std().unwrap_or_default()),
            Stored::Again => {}
        }
        Ok("completed")
    }

    /// Notes that the build runs. When its agent is gone, or has another build by now, it is cancelled.
    async fn begin(&self, lease: Lease, build_id: Uuid) -> Result<Option<(Run, Partial)>, Stop> {
        self.db
            .transaction(move |conn| {
                work_queue::hold(conn, &lease)?;
                let begun = store::builds::begin(conn, build_id, lease.attempt)?;
                let role_model = match &begun {
                    Some(begun) => store::agents::role_model(conn, &begun.agent_id, build_id)?,
                    None => None,
                };
                let (Some(begun), Some(role_model)) = (begun, role_model) else {
                    cancel(conn, lease, build_id)?;
                    return Ok(None);
                };
                let run = Run {
                    lease,
                    build_id,
                    agent_id: begun.agent_id,
                    request: begun.request,
                    role_model,
                    is_rebuild: !begun.creates,
                };
                Ok(Some((run, begun.partial)))
            })
            .await
    }

    async fn results(&self, run: &Run, mut partial: Partial) -> Result<Results, Stop> {
        let context = run.request.call_context(self.limit);
        let matched = match partial.matched.clone() {
            Some(matched) => matched,
            None => {
                let occupation = run.role_model.occupation().to_owned();
                let matched = self.builders.match_occupation(&context, occupation).await?;
                partial.matched = Some(matched.clone());
                self.reached(run, BuildStage::Knowledge, Some(&partial)).await?;
                matched
            }
        };
        let gathered = match partial.gathered.take() {
            Some(gathered) => gathered,
            None => {
                partial.gathered = Some(self.builders.gather(&context, inquiry(run, &matched)).await?);
                self.reached(run, BuildStage::Skills, Some(&partial)).await?;
                partial.gathered.unwrap_or_default()
            }
        };
        let corpus = corpus(&gathered.knowledge_items, &self.kept_items(run).await?);
        let skills = self.builders.generate(&context, generation(run, &matched, corpus)).await?;
        self.reached(run, BuildStage::Store, None).await?;
        Ok(Results { matched, gathered, skills })
    }

    async fn reached(&self, run: &Run, stage: BuildStage, partial: Option<&Partial>) -> Result<(), Stop> {
        let (lease, build_id) = (run.lease, run.build_id);
        let partial = partial.map(serde_json::to_string).transpose()?;
        self.db
            .transaction(move |conn| {
                work_queue::hold(conn, &lease)?;
                Ok(store::builds::reached(conn, build_id, stage, partial)?)
            })
            .await
    }

    /// The items that clients wrote, which stay what the agent knows.
    async fn kept_items(&self, run: &Run) -> Result<Vec<KnowledgeItem>, Stop> {
        if !run.is_rebuild {
            return Ok(Vec::new());
        }
        let agent_id = run.agent_id.clone();
        self.db.run(move |conn| Ok(store::knowledge::written(conn, &agent_id)?)).await
    }

    /// Stores everything at once, unless the lease or the agent is gone.
    async fn store(&self, run: Run, results: Results) -> Result<Stored, Stop> {
        self.db
            .transaction(move |conn| {
                let Run { lease, build_id, agent_id, .. } = &run;
                // First, since whoever deletes an agent begins with its jobs, too.
                work_queue::finish(conn, lease)?;
                let head = store::agents::lock(conn, agent_id, None)?.filter(|head| head.build_id == *build_id);
                let Some(head) = head else {
                    store::builds::cancel(conn, *build_id)?;
                    return Ok(Stored::Nowhere);
                };
                let counts = store_results(conn, &run, results)?;
                store::builds::complete(conn, *build_id)?;
                let actor = &run.request.principal.id;
                if head.completed_at.is_some() {
                    events::rebuilt(conn, agent_id, actor, counts)?;
                    return Ok(Stored::Again);
                }
                let took = Utc::now() - head.created_at;
                events::ready(conn, agent_id, actor, counts, took)?;
                Ok(Stored::First { took })
            })
            .await
    }

    /// Fails the build, unless it is only that somebody else should go on with it.
    async fn stopped(&self, lease: Lease, build_id: Uuid, stop: Stop) -> Result<&'static str, Stop> {
        let failure = match stop {
            Stop::Failed(failure) => failure,
            Stop::Query(error) if !is_connection_loss(&error) => unforeseen(build_id, &error),
            Stop::Json(error) => unforeseen(build_id, &error),
            Stop::LeaseLost | Stop::Query(_) | Stop::Unavailable(_) => return Err(stop),
        };
        self.fail(lease, build_id, failure).await
    }

    async fn fail(&self, lease: Lease, build_id: Uuid, failure: Failure) -> Result<&'static str, Stop> {
        tracing::info!(%build_id, code = failure.code.as_str(), "the build failed: {}", failure.message);
        self.db
            .transaction(move |conn| {
                work_queue::fail(conn, &lease, failure.code.as_str())?;
                settle_failure(conn, build_id, &failure)?;
                Ok("failed")
            })
            .await
    }
}

fn unforeseen(build_id: Uuid, error: &dyn std::error::Error) -> Failure {
    tracing::error!(%build_id, exception = %error, "the build met the unforeseen");
    Failure::internal()
}

fn cancel(conn: &mut Conn, lease: Lease, build_id: Uuid) -> Result<(), Stop> {
    store::builds::cancel(conn, build_id)?;
    Ok(work_queue::fail(conn, &lease, "there is no such agent any more")?)
}

/// What becomes of a build that failed, and of its agent. An agent that was to be made goes, if somebody hears of it, and is
/// `failed` otherwise; one that was there before stays as it was.
fn settle_failure(conn: &mut Conn, build_id: Uuid, failure: &Failure) -> Result<(), QueryError> {
    let Some((agent_id, request)) = store::builds::open(conn, build_id)? else { return Ok(()) };
    let head = store::agents::lock(conn, &agent_id, None)?.filter(|head| head.build_id == build_id);
    let (creates, is_awaited) = store::builds::stakes(conn, build_id)?;
    store::builds::fail(conn, build_id, failure)?;
    if !creates || !head.is_some_and(|head| head.status == AgentStatus::Pending) {
        return Ok(());
    }
    if is_awaited {
        store::agents::delete(conn, &agent_id, None)?;
    } else {
        store::agents::fail(conn, &agent_id)?;
    }
    events::failed(conn, &agent_id, &request.principal.id, failure.code, !is_awaited)
}

fn store_results(conn: &mut Conn, run: &Run, results: Results) -> Result<Counts, QueryError> {
    let (kept_skills, kept_items) = if run.is_rebuild {
        (store::skills::written(conn, &run.agent_id)?, store::knowledge::written(conn, &run.agent_id)?)
    } else {
        (Vec::new(), Vec::new())
    };
    let skills = merge::skills(results.skills, kept_skills);
    let items = merge::items(results.gathered.knowledge_items, kept_items);
    let certain = skills.iter().filter(|skill| skill.confidence >= CONFIDENCE_MIN);
    let capabilities = tags(&run.agent_id, &run.role_model, certain.map(|skill| skill.name.as_str()));
    let counts = Counts { skills: skills.len(), knowledge: items.len(), capabilities: capabilities.len() };
    let built = Built {
        inputs: &run.request.inputs,
        occupation_match: results.matched.occupation_match.as_ref(),
        sources: &results.gathered.sources,
        capabilities,
        rendered_skills: store::skills::replace(conn, &run.agent_id, skills)?,
        rendered_knowledge: store::knowledge::replace(conn, &run.agent_id, items)?,
    };
    store::agents::complete(conn, &run.agent_id, &built)?;
    Ok(counts)
}

fn inquiry(run: &Run, matched: &Matched) -> NewKnowledge {
    let inputs = &run.request.inputs;
    let concept = matched.occupation_match.as_ref().zip(matched.description.as_ref());
    NewKnowledge {
        identifier: run.role_model.name().to_owned(),
        entity_type: Some(ENTITY_TYPE.to_owned()),
        deepening_cycles: inputs.deepening_cycles,
        sources: inputs.sources.clone(),
        documents: inputs.documents.clone(),
        role_model_texts: run.role_model.texts(),
        concept: concept.map(|(found, description)| Concept {
            uri: found.uri.clone(),
            label: found.label.clone(),
            description: description.clone(),
        }),
    }
}

fn generation(run: &Run, matched: &Matched, corpus: String) -> GenerateRequest {
    let inputs = &run.request.inputs;
    GenerateRequest {
        occupation: run.role_model.occupation().to_owned(),
        occupation_uri: None,
        occupation_match: matched.occupation_match.clone(),
        deepening_cycles: u32::try_from(inputs.deepening_cycles).unwrap_or_default(),
        mode: inputs.mode.clone(),
        corpus_text: (!corpus.is_empty()).then_some(corpus),
    }
}

/// The items' texts, joined by empty lines.
fn corpus(found: &[KnowledgeItem], kept: &[KnowledgeItem]) -> String {
    let texts: Vec<&str> = found.iter().chain(kept).map(|item| item.entity.text.as_str()).collect();
    let mut corpus = texts.join("\n\n");
    if let Some((end, _)) = corpus.char_indices().nth(CORPUS_CHARS_MAX) {
        corpus.truncate(end);
    }
    corpus
}
