//! What can be done with agents.

use std::time::Duration;

use api_core::{auth::Caller, context, list::ListQuery};
use api_types::{
    agents::AgentStatus,
    envelope::Pagination,
    knowledge::{KnowledgeItem, Subject, knowledge_id, parse_items},
    skills::Skill,
};
use chrono::Utc;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use uuid::Uuid;
use work_queue::NewJob;

use super::{
    Error,
    building::ENTITY_TYPE,
    builds::{GivenInputs, Inputs, JOB, NewBuild, Request},
    events, merge,
    record::{Record, Vectors},
    role_model::RoleModel,
    tags::{CONFIDENCE_MIN, tags},
    texts::{embed_items, embed_skills},
    waiting::{Ended, Waiting},
};
use crate::{
    app::App,
    store::{
        self, Conn,
        agents::{Changes, Head},
    },
};

/// What an agent is to be.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) role_model: RoleModel,
    pub(crate) inputs: Inputs,
    pub(crate) metadata: Map<String, Value>,
}

/// What is to become of an agent; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) role_model: Option<Map<String, Value>>,
    pub(crate) deepening_cycles: Option<i32>,
    pub(crate) skills: Option<Vec<Skill>>,
    /// Items as they were sent, each with its place; they have been checked.
    pub(crate) knowledge: Option<Vec<(String, Value)>>,
    pub(crate) metadata: Option<Map<String, Value>>,
}

/// Whether a build that was asked for is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    Completed,
    /// It goes on; the caller asks again later.
    Accepted,
}

/// Makes an agent. With a time to wait until, waits for its build.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    agent_id: String,
    definition: Definition,
    until: Option<Instant>,
) -> Result<Made, Error> {
    let Definition { role_model, inputs, metadata } = definition;
    let request = Request::new(caller.principal.clone(), inputs);
    let id = agent_id.clone();
    let insert = move |conn: &mut Conn, build_id: Uuid| {
        let new = store::agents::New {
            agent_id: &id,
            role_model: &role_model,
            inputs: &request.inputs,
            metadata: &metadata,
            build_id,
            created_by: &request.principal.id,
        };
        if !store::agents::insert(conn, &new)? {
            return Err(Error::Duplicate(id));
        }
        events::created(conn, &id, &request.principal.id, build_id)?;
        Ok(Start { request, creates: true })
    };
    start(app, agent_id, until, insert).await
}

/// Builds an agent again, with its stored inputs where none are given.
pub(crate) async fn rebuild(
    app: &App,
    caller: &Caller,
    agent_id: String,
    given: GivenInputs,
    until: Option<Instant>,
) -> Result<Made, Error> {
    let (principal, own) = (caller.principal.clone(), own(caller));
    let request = move |inputs| Request::new(principal, inputs);
    let id = agent_id.clone();
    let take = move |conn: &mut Conn, build_id: Uuid| {
        lock_free(conn, &id, own.as_deref())?;
        let inputs = given.over(store::agents::inputs(conn, &id)?);
        store::agents::set_build(conn, &id, build_id)?;
        Ok(Start { request: request(inputs), creates: false })
    };
    start(app, agent_id, until, take).await
}

/// What a build needs once its agent is there.
struct Start {
    request: Request,
    creates: bool,
}

/// Queues a build together with what `prepare` does, and waits for it when there is a time to wait until.
async fn start(
    app: &App,
    agent_id: String,
    until: Option<Instant>,
    prepare: impl FnOnce(&mut Conn, Uuid) -> Result<Start, Error> + Send + 'static,
) -> Result<Made, Error> {
    let build_id = Uuid::now_v7();
    // From before there is a build, so that its end cannot be missed.
    let waiting = until.map(|until| (app.waiters.wait_for(&app.db, build_id), until));
    let is_awaited = waiting.is_some();
    let id = agent_id.clone();
    let queued = app.db.transaction(move |conn| {
        let Start { request, creates } = prepare(conn, build_id)?;
        work_queue::enqueue(conn, &NewJob { kind: JOB, key: &id, payload: json!({ "build_id": build_id }) })?;
        let new = NewBuild { build_id, agent_id: id, creates, request, is_awaited };
        Ok(store::builds::insert(conn, &new)?)
    });
    match (queued.await, waiting) {
        (Ok(()), None) => {
            app.wake.wake();
            Ok(Made::Accepted)
        }
        (Ok(()), Some((waiting, until))) => {
            app.wake.wake();
            outcome(app, waiting, until, agent_id).await
        }
        (Err(error), waiting) => {
            if let Some((waiting, _)) = waiting {
                waiting.give_up();
            }
            Err(error)
        }
    }
}

async fn outcome(app: &App, waiting: Waiting, until: Instant, agent_id: String) -> Result<Made, Error> {
    match waiting.outcome(until, || app.platform.is_draining()).await? {
        Ended::Completed => Ok(Made::Completed),
        Ended::StillRunning => Ok(Made::Accepted),
        Ended::Failed(failure) => Err(Error::Failed(failure)),
        Ended::Cancelled => Err(Error::Deleted(agent_id)),
    }
}

/// One agent.
pub(crate) async fn get(app: &App, caller: &Caller, agent_id: String, vectors: Vectors) -> Result<Record, Error> {
    let own = own(caller);
    let found = app.db.run(move |conn| {
        let found = store::records::find(conn, &agent_id, own.as_deref(), vectors)?;
        found.ok_or(Error::NotFound(agent_id))
    });
    found.await
}

/// A page of agents.
pub(crate) async fn list(
    app: &App,
    caller: &Caller,
    query: ListQuery,
    vectors: Vectors,
) -> Result<(Vec<Record>, Pagination), Error> {
    let own = own(caller);
    app.db.run(move |conn| Ok(store::records::page(conn, &query, own, vectors)?)).await
}

/// Deletes an agent; a build of it is cancelled.
pub(crate) async fn delete(app: &App, caller: &Caller, agent_id: String) -> Result<(), Error> {
    let (actor, own) = (caller.id().to_owned(), own(caller));
    let deleting = app.db.transaction(move |conn| {
        // First, since a build that is being stored begins with its job, too.
        work_queue::cancel(conn, JOB, &agent_id)?;
        let build_id = store::agents::delete(conn, &agent_id, own.as_deref())?;
        let build_id = build_id.ok_or_else(|| Error::NotFound(agent_id.clone()))?;
        let is_cancelled = store::builds::cancel(conn, build_id)?;
        events::deleted(conn, &agent_id, &actor)?;
        Ok::<_, Error>(is_cancelled.then_some(build_id))
    });
    if let Some(build_id) = deleting.await? {
        crate::metrics::build_ended("cancelled");
        app.waiters.ended(build_id);
    }
    Ok(())
}

/// Changes parts of an agent; nothing is built.
pub(crate) async fn change(
    app: &App,
    caller: &Caller,
    agent_id: String,
    change: Change,
    vectors: Vectors,
) -> Result<Record, Error> {
    let Change { role_model, deepening_cycles, skills, knowledge, metadata } = change;
    let changed = Changed { role_model, deepening_cycles, metadata };
    let (mut skills, mut items) = (skills, None);
    if skills.is_some() || knowledge.is_some() {
        // Texts become vectors while no row is locked; what was true of the agent is checked again when one is.
        let (id, own) = (agent_id.clone(), own(caller));
        let head = app.db.transaction(move |conn| lock_free(conn, &id, own.as_deref())).await?;
        let name = changed.name().unwrap_or(head.role_model.name()).to_owned();
        items = knowledge.map(|entries| items_of(&entries, &name));
        let context = context::call_context();
        if let Some(skills) = &mut skills {
            embed_skills(&*app.builders, &context, skills).await?;
        }
        if let Some(items) = &mut items {
            embed_items(&*app.builders, &context, items).await?;
        }
    }
    let (actor, own) = (caller.id().to_owned(), own(caller));
    let changing = app.db.transaction(move |conn| {
        let head = lock_free(conn, &agent_id, own.as_deref())?;
        let fields = apply(conn, &agent_id, head, changed, (skills, items))?;
        events::updated(conn, &agent_id, &actor, &fields)?;
        store::records::find(conn, &agent_id, None, vectors)?.ok_or(Error::NotFound(agent_id))
    });
    changing.await
}

/// The parts of a change that are stored as they are.
struct Changed {
    role_model: Option<Map<String, Value>>,
    deepening_cycles: Option<i32>,
    metadata: Option<Map<String, Value>>,
}

impl Changed {
    fn name(&self) -> Option<&str> {
        self.role_model.as_ref()?.get("name")?.as_str()
    }
}

/// Stores a change of a locked agent. Returns the names of what was changed.
fn apply(
    conn: &mut Conn,
    agent_id: &str,
    head: Head,
    changed: Changed,
    (skills, items): (Option<Vec<Skill>>, Option<Vec<KnowledgeItem>>),
) -> Result<Vec<&'static str>, Error> {
    let mut fields = Vec::new();
    let mut changes = Changes { deepening_cycles: changed.deepening_cycles, ..Changes::default() };
    fields.extend(changed.deepening_cycles.map(|_| "deepening_cycles"));
    let mut role_model = head.role_model;
    if let Some(change) = &changed.role_model {
        role_model = role_model.merged(change);
        if role_model.is_too_large() {
            return Err(Error::RoleModelTooLarge);
        }
        changes.role_model = Some(Value::Object(role_model.0.clone()));
        fields.push("role_model");
    }
    if let Some(metadata) = changed.metadata {
        changes.metadata = Some(Value::Object(metadata));
        fields.push("metadata");
    }
    if let Some(skills) = skills {
        changes.rendered_skills = Some(store::skills::replace(conn, agent_id, skills)?);
        fields.push("generated_skills");
    }
    if let Some(items) = items {
        let items = merge::sent(items, &store::knowledge::found_ids(conn, agent_id)?);
        changes.rendered_knowledge = Some(store::knowledge::replace(conn, agent_id, items)?);
        fields.push("generated_knowledge");
    }
    if head.status == AgentStatus::Completed {
        changes.capabilities = Some(stored_tags(conn, agent_id, &role_model)?);
    }
    store::agents::change(conn, agent_id, &changes)?;
    Ok(fields)
}

/// Puts a definition in the place of an agent's own; skills and knowledge stay. `None` when there is no such agent.
pub(crate) async fn replace(
    app: &App,
    caller: &Caller,
    agent_id: String,
    definition: Definition,
    vectors: Vectors,
) -> Result<Option<Record>, Error> {
    let (actor, own) = (caller.id().to_owned(), own(caller));
    let replacing = app.db.transaction(move |conn| {
        let head = match lock_free(conn, &agent_id, own.as_deref()) {
            Ok(head) => head,
            Err(Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Definition { role_model, inputs, metadata } = definition;
        let mut changes = Changes {
            role_model: Some(Value::Object(role_model.0.clone())),
            metadata: Some(Value::Object(metadata)),
            ..Changes::default()
        };
        if head.status == AgentStatus::Completed {
            changes.capabilities = Some(stored_tags(conn, &agent_id, &role_model)?);
        }
        store::agents::set_inputs(conn, &agent_id, &inputs)?;
        store::agents::change(conn, &agent_id, &changes)?;
        let fields = ["role_model", "deepening_cycles", "mode", "sources", "documents", "metadata"];
        events::updated(conn, &agent_id, &actor, &fields)?;
        Ok(store::records::find(conn, &agent_id, None, vectors)?)
    });
    replacing.await
}

fn stored_tags(conn: &mut Conn, agent_id: &str, role_model: &RoleModel) -> Result<Vec<String>, Error> {
    let names = store::skills::names(conn, agent_id, CONFIDENCE_MIN)?;
    Ok(tags(agent_id, role_model, names.iter().map(String::as_str)))
}

/// The agent, locked, if the caller may see it and it is not being built.
fn lock_free(conn: &mut Conn, agent_id: &str, own: Option<&str>) -> Result<Head, Error> {
    let head = store::agents::lock(conn, agent_id, own)?;
    match head {
        None => Err(Error::NotFound(agent_id.to_owned())),
        Some(head) if head.is_building() => Err(Error::Building(agent_id.to_owned())),
        Some(head) => Ok(head),
    }
}

/// The items of entries that have been checked before.
fn items_of(entries: &[(String, Value)], name: &str) -> Vec<KnowledgeItem> {
    let entries: Vec<(String, &Value)> = entries.iter().map(|(field, value)| (field.clone(), value)).collect();
    parse_items(&entries, &subject(name), Utc::now()).unwrap_or_default()
}

/// Whom items that clients write are about, unless they say otherwise.
pub(crate) fn subject(name: &str) -> Subject<'_> {
    let record = knowledge_id(Some(ENTITY_TYPE), name);
    Subject { record, name, entity_type: Some(ENTITY_TYPE), keeps_entity_ids: true }
}

/// Whose agents the caller sees, when it does not see all.
fn own(caller: &Caller) -> Option<String> {
    caller.only_own().map(str::to_owned)
}

/// The time until which a caller is kept waiting: as configured, but always before its request runs out of time.
pub(crate) fn wait_until(wait: Duration) -> Instant {
    /// Enough to answer in.
    const MARGIN: Duration = Duration::from_secs(2);
    let configured = Instant::now() + wait;
    let deadline = context::current().map(|context| Instant::from_std(context.deadline));
    match deadline.and_then(|deadline| deadline.checked_sub(MARGIN)) {
        Some(deadline) => configured.min(deadline),
        None => configured,
    }
}
