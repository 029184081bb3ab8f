//! New tasks.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::atomic::Ordering,
};

use api_core::outbox;
use api_types::{
    ains::{id_of, uuid_of},
    tasks::{NewTask, SubmittedTask, TASK},
};
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use serde_json::Value;
use uuid::Uuid;

use super::{Actor, App, estimate};
use crate::{
    domain::{
        batch::{Beginning, Dependency, Links, beginning},
        state::{Event, State, dependency_error},
    },
    engine::{After, transact},
    error::Error,
    store::{
        Conn, dependencies,
        events::TaskData,
        tasks::{self, NewRow},
    },
};

/// Where a task comes from, other than from its client.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin {
    pub(crate) chain_id: Option<Uuid>,
    pub(crate) template_id: Option<Uuid>,
    pub(crate) schedule_id: Option<Uuid>,
}

/// The time that an id was made at.
pub(crate) fn time_of(id: Uuid) -> DateTime<Utc> {
    let (seconds, nanos) = id.get_timestamp().map_or((0, 0), |at| at.to_unix());
    i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, nanos)).unwrap_or_else(super::now)
}

/// A task that has no dependencies yet.
pub(crate) fn row(new: &NewTask, origin: Origin) -> NewRow {
    let small = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    let json = |map: &serde_json::Map<String, Value>| serde_json::to_string(map).unwrap_or_else(|_| "{}".to_owned());
    let task_id = Uuid::now_v7();
    NewRow {
        task_id,
        created_at: time_of(task_id),
        client_id: new.client_id.clone(),
        task_type: new.task_type.clone(),
        capability_required: new.capability_required.clone(),
        input_data: json(&new.input_data),
        metadata: json(&new.metadata),
        priority: small(new.priority),
        timeout_seconds: small(new.timeout_seconds),
        max_retries: small(new.max_retries),
        routing_strategy: new.routing_strategy.clone(),
        retry_policy: new.retry_policy.clone(),
        depends_on: Vec::new(),
        blocked_by: 0,
        failed: None,
        client_ref: new.client_ref.clone(),
        chain_id: origin.chain_id,
        template_id: origin.template_id,
        schedule_id: origin.schedule_id,
    }
}

/// Stores tasks and tells of them.
///
/// # Errors
/// Those of the database.
pub(crate) fn store(conn: &mut Conn, rows: &[NewRow], actor: Option<&str>) -> QueryResult<After> {
    tasks::insert(conn, rows)?;
    let mut events = Vec::with_capacity(rows.len());
    let mut after = After::default();
    for row in rows {
        let data = TaskData {
            task_id: row.task_id,
            client_id: &row.client_id,
            task_type: &row.task_type,
            agent_id: None,
            status: row.state(),
            priority: row.priority,
            attempt: 0,
            retry_count: 0,
            chain_id: row.chain_id,
            execution_time_seconds: None,
            result_data: None,
            error_message: row.failed.as_deref(),
        };
        events.push(data.event("task.created"));
        if row.failed.is_some() {
            events.push(data.event(Event::Failed.as_str()));
            after.failed_early += 1;
        } else if row.blocked_by == 0 {
            *after.news.entry(row.capability_required.clone()).or_default() += 1;
        }
        after.created += 1;
    }
    outbox::push_all(conn, actor, &events)?;
    Ok(after)
}

/// Whether there is room for so many tasks more.
fn check_room(app: &App, more: usize) -> Result<(), Error> {
    let more = i64::try_from(more).unwrap_or(i64::MAX);
    let waiting = app.pending.fetch_add(more, Ordering::Relaxed);
    if waiting.saturating_add(more) > app.config.max_pending {
        app.pending.fetch_sub(more, Ordering::Relaxed);
        return Err(Error::Full);
    }
    Ok(())
}

/// Stores one task.
///
/// # Errors
/// When it depends on a task that is not there for the caller, is another client's, or too many wait.
pub(crate) async fn one(app: &App, actor: Actor, new: NewTask, origin: Origin) -> Result<SubmittedTask, Error> {
    let (app_row, actor_id) = (row(&new, origin), actor.id.clone());
    let ids: Vec<Option<Uuid>> = new.depends_on.iter().map(|id| uuid_of(TASK, id)).collect();
    let (asked, eyes, client_id) = (new.depends_on.clone(), actor.only_client.clone(), new.client_id.clone());
    let acts = actor.acts_for(&client_id);
    let limit = app.config.max_pending.saturating_sub(app.pending.load(Ordering::Relaxed));
    let capability = new.capability_required.clone();
    let stored = transact(&app.db, move |conn| {
        let mut row = app_row.clone();
        if !asked.is_empty() {
            link(conn, &mut row, &asked, &ids, eyes.as_deref())?;
        }
        if !acts {
            return Err(Error::Forbidden("This client_id is not yours"));
        }
        if limit < 1 {
            return Err(Error::Full);
        }
        let after = store(conn, std::slice::from_ref(&row), Some(&actor_id))?;
        Ok((row, after))
    });
    let (row, after) = stored.await?;
    app.pending.fetch_add(1, Ordering::Relaxed);
    app.after(&after);
    let estimated_start_time = estimate::start(app, &row, &capability).await?;
    Ok(SubmittedTask {
        task_id: id_of(TASK, row.task_id),
        status: row.state().to_owned(),
        priority: row.priority,
        depends_on: row.depends_on.iter().map(|id| id_of(TASK, *id)).collect(),
        is_blocked: row.blocked_by > 0,
        client_ref: row.client_ref,
        template_id: row.template_id.map(|id| id_of(super::view::TEMPLATE, id)),
        created_at: row.created_at,
        routing_strategy: row.routing_strategy,
        estimated_start_time,
    })
}

/// Ties a new task to stored ones.
fn link(
    conn: &mut Conn,
    row: &mut NewRow,
    asked: &[String],
    ids: &[Option<Uuid>],
    eyes: Option<&str>,
) -> Result<(), Error> {
    let known: Vec<Uuid> = ids.iter().copied().flatten().collect();
    let visible: HashSet<Uuid> = tasks::visible(conn, &known, eyes)?.into_iter().collect();
    let missing: Vec<String> = asked
        .iter()
        .zip(ids)
        .filter(|(_, id)| id.is_none_or(|id| !visible.contains(&id)))
        .map(|(text, _)| text.clone())
        .collect();
    if !missing.is_empty() {
        return Err(Error::NoDependency(missing));
    }
    let states = held(conn, &known)?;
    let mut seen = HashSet::new();
    row.depends_on = known.into_iter().filter(|id| seen.insert(*id)).collect();
    begin(row, &states);
    Ok(())
}

/// The states of stored tasks, which stay until the transaction ends.
fn held(conn: &mut Conn, ids: &[Uuid]) -> QueryResult<HashMap<Uuid, State>> {
    let parents = dependencies::hold(conn, ids)?;
    Ok(parents.into_iter().filter_map(|parent| Some((parent.task_id, State::parse(&parent.state)?))).collect())
}

/// How a task begins, by what it depends on.
fn begin(row: &mut NewRow, states: &HashMap<Uuid, State>) {
    let named: Vec<(String, State)> =
        row.depends_on.iter().filter_map(|id| Some((id_of(TASK, *id), *states.get(id)?))).collect();
    let unfinished = named.iter().filter(|(_, state)| *state != State::Completed).count();
    row.blocked_by = i32::try_from(unfinished).unwrap_or(i32::MAX);
    if let Beginning::Failed(id) = beginning(named.iter().map(|(id, state)| (id.as_str(), *state))) {
        row.failed = Some(dependency_error(id));
    }
}

/// Why a task of a batch is not stored.
#[derive(Debug)]
pub(crate) enum Bad {
    /// It could not be read; why is known to the caller.
    Unreadable,
    Missing(Vec<String>),
    /// It is another client's.
    Foreign,
}

/// What became of a batch: each task's row, or why there is none.
pub(crate) type Stored = Vec<Result<NewRow, Bad>>;

/// Stores the good tasks of a batch, in one transaction. `None` where a task could not be read.
///
/// # Errors
/// When too many tasks wait.
pub(crate) async fn many(
    app: &App,
    actor: Actor,
    (batch, Order { links, order }): (Vec<Option<NewTask>>, Order),
    atomic: bool,
) -> Result<Stored, Error> {
    let size = batch.len();
    check_room(app, size)?;
    // Ids are given in the order of the request, so that this is the order of the queue as well.
    let rows: Vec<Result<NewRow, Foreign>> = batch
        .iter()
        .map(|new| match new {
            None => Err(Foreign::Unreadable),
            Some(new) if !actor.acts_for(&new.client_id) => Err(Foreign::Other),
            Some(new) => Ok(row(new, Origin::default())),
        })
        .collect();
    let eyes = actor.only_client.clone();
    let actor_id = actor.id.clone();
    let stored = transact(&app.db, move |conn| {
        let prepared = prepare(conn, &rows, (&links, &order), eyes.as_deref())?;
        let good: Vec<NewRow> = prepared.iter().filter_map(|one| one.as_ref().ok()).cloned().collect();
        let after = if good.is_empty() || (atomic && good.len() < prepared.len()) {
            After::default()
        } else {
            store(conn, &good, Some(&actor_id))?
        };
        Ok::<_, Error>((prepared, after))
    });
    let stored = stored.await;
    let kept = stored.as_ref().map_or(0, |(_, after)| after.created);
    app.pending.fetch_sub(i64::try_from(size).unwrap_or(0) - i64::try_from(kept).unwrap_or(0), Ordering::Relaxed);
    let (prepared, after) = stored?;
    app.after(&after);
    Ok(prepared)
}

/// What the tasks of a batch depend on, and an order in which none comes before what it depends on.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) links: Vec<Vec<Link>>,
    pub(crate) order: Vec<usize>,
}

/// As [`Dependency`], without borrowing.
#[derive(Debug, Clone)]
pub(crate) enum Link {
    Stored(String),
    Here(usize, String),
    Nowhere(String),
}

impl Link {
    pub(crate) fn all(links: &Links<'_>, size: usize) -> Vec<Vec<Self>> {
        let own = |link: &Dependency<'_>| match *link {
            Dependency::Stored(id) => Self::Stored(id.to_owned()),
            Dependency::Here(at, text) => Self::Here(at, text.to_owned()),
            Dependency::Nowhere(text) => Self::Nowhere(text.to_owned()),
        };
        (0..size).map(|index| links.dependencies(index).iter().map(own).collect()).collect()
    }
}

#[derive(Debug, Clone, Copy)]
enum Foreign {
    Unreadable,
    Other,
}

fn prepare(
    conn: &mut Conn,
    rows: &[Result<NewRow, Foreign>],
    (links, order): (&[Vec<Link>], &[usize]),
    eyes: Option<&str>,
) -> QueryResult<Stored> {
    let stored = links.iter().flatten().filter_map(|link| match link {
        Link::Stored(id) => uuid_of(TASK, id),
        Link::Here(..) | Link::Nowhere(_) => None,
    });
    let stored: Vec<Uuid> = stored.collect();
    let mut states = HashMap::new();
    let mut visible = HashSet::new();
    if !stored.is_empty() {
        visible.extend(tasks::visible(conn, &stored, eyes)?);
        states = held(conn, &stored)?;
    }
    let mut made: BTreeMap<usize, Result<NewRow, Bad>> = BTreeMap::new();
    for &index in order {
        let one = match &rows[index] {
            Err(Foreign::Unreadable) => Err(Bad::Unreadable),
            Err(Foreign::Other) => Err(Bad::Foreign),
            Ok(row) => tied(row, &links[index], &made, &visible).map(|mut row| {
                begin(&mut row, &states);
                states.insert(row.task_id, if row.failed.is_some() { State::Failed } else { State::Pending });
                row
            }),
        };
        made.insert(index, one);
    }
    Ok(made.into_values().collect())
}

/// The task with the ids of what it depends on.
fn tied(
    row: &NewRow,
    links: &[Link],
    made: &BTreeMap<usize, Result<NewRow, Bad>>,
    visible: &HashSet<Uuid>,
) -> Result<NewRow, Bad> {
    let mut row = row.clone();
    let mut missing = Vec::new();
    for link in links {
        let id = match link {
            Link::Stored(text) => uuid_of(TASK, text).filter(|id| visible.contains(id)).ok_or(text),
            Link::Here(at, text) => match made.get(at) {
                Some(Ok(other)) => Ok(other.task_id),
                Some(Err(_)) | None => Err(text),
            },
            Link::Nowhere(text) => Err(text),
        };
        match id {
            Ok(id) if !row.depends_on.contains(&id) => row.depends_on.push(id),
            Ok(_) => {}
            Err(text) => missing.push(text.clone()),
        }
    }
    if missing.is_empty() { Ok(row) } else { Err(Bad::Missing(missing)) }
}
