//! Records of entities, without and with their items.

use api_core::list::{self, Field, Kind, ListQuery, ListSpec};
use api_types::{
    envelope::Pagination,
    knowledge::{KnowledgeId, KnowledgeItem, KnowledgeRecord, KnowledgeRound, RecordEntity, SourceReport, shown_type},
};
use chrono::{DateTime, Duration, Utc};
use diesel::{
    AsChangeset, ExpressionMethods as _, Insertable, OptionalExtension as _, PgConnection, QueryDsl as _, QueryResult,
    Queryable, QueryableByName, RunQueryDsl as _, Selectable, SelectableHelper as _,
};
use serde_json::Value;
use uuid::Uuid;

use super::{Vectors, count, from_json, items, json, schema::knowledge_records};
use crate::domain::{entities, items::joined_texts};

/// What lists can be filtered and sorted by.
pub(crate) static LIST: ListSpec = ListSpec {
    fields: &[
        Field { name: "knowledge_id", column: "knowledge_id", kind: Kind::Text },
        Field { name: "identifier", column: "identifier", kind: Kind::Text },
        Field { name: "entity_type", column: "entity_type", kind: Kind::Text },
        Field { name: "deepening_cycles", column: "deepening_cycles", kind: Kind::Number },
        Field { name: "total_items", column: "total_items", kind: Kind::Number },
        Field { name: "created_at", column: "created_at", kind: Kind::Time },
        Field { name: "updated_at", column: "updated_at", kind: Kind::Time },
    ],
    id_column: "knowledge_id",
};

const COLUMNS: &str = "knowledge_id, identifier, entity_type, deepening_cycles, cycles_run, stopped_early, rounds, sources, \
                       run_id, total_items, text, source, confidence, found_at, created_by, created_at, updated_at";

#[derive(Debug, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = knowledge_records, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Row {
    pub(crate) knowledge_id: String,
    pub(crate) identifier: String,
    pub(crate) entity_type: Option<String>,
    deepening_cycles: i32,
    cycles_run: i32,
    stopped_early: bool,
    rounds: Value,
    sources: Value,
    run_id: Uuid,
    total_items: i64,
    text: String,
    source: Option<String>,
    confidence: Option<f64>,
    found_at: Option<DateTime<Utc>>,
    created_by: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Who a record is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Naming {
    pub(crate) identifier: String,
    pub(crate) entity_type: Option<String>,
}

/// What a run says of itself.
#[derive(Debug, Clone)]
pub(crate) struct RunFacts {
    pub(crate) run_id: Uuid,
    pub(crate) deepening_cycles: i32,
    pub(crate) cycles_run: i32,
    pub(crate) stopped_early: bool,
    pub(crate) rounds: Vec<KnowledgeRound>,
    pub(crate) sources: Vec<SourceReport>,
}

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = knowledge_records, treat_none_as_null = true, treat_none_as_default_value = false)]
struct NamingColumns<'a> {
    identifier: &'a str,
    lookup: String,
    entity_type: Option<&'a str>,
    type_key: String,
}

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = knowledge_records)]
struct RunColumns {
    run_id: Uuid,
    deepening_cycles: i32,
    cycles_run: i32,
    stopped_early: bool,
    rounds: Value,
    sources: Value,
}

/// What a change of a record touches; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    pub(crate) naming: Option<Naming>,
    pub(crate) deepening_cycles: Option<i32>,
}

impl Naming {
    fn columns(&self) -> NamingColumns<'_> {
        NamingColumns {
            identifier: &self.identifier,
            lookup: entities::lookup(&self.identifier),
            entity_type: self.entity_type.as_deref(),
            type_key: entities::type_key(self.entity_type.as_deref()),
        }
    }
}

impl RunFacts {
    fn columns(&self) -> QueryResult<RunColumns> {
        Ok(RunColumns {
            run_id: self.run_id,
            deepening_cycles: self.deepening_cycles,
            cycles_run: self.cycles_run,
            stopped_early: self.stopped_early,
            rounds: json(&self.rounds)?,
            sources: json(&self.sources)?,
        })
    }
}

/// Makes the record or gives it a new run; the row is locked from then on. True when it is new.
pub(crate) fn upsert(
    conn: &mut PgConnection,
    id: &KnowledgeId,
    (naming, run): (&Naming, &RunFacts),
    (created_by, now): (&str, DateTime<Utc>),
) -> QueryResult<bool> {
    let is_new = create(conn, id, (naming, run), (created_by, now))?;
    if !is_new {
        let updated_at = later(conn, id, now)?;
        rename(conn, id, naming)?;
        diesel::update(knowledge_records::table.find(id.as_str()))
            .set((run.columns()?, knowledge_records::updated_at.eq(updated_at)))
            .execute(conn)?;
    }
    Ok(is_new)
}

/// Makes the record unless there is one; true when it is new.
pub(crate) fn create(
    conn: &mut PgConnection,
    id: &KnowledgeId,
    (naming, run): (&Naming, &RunFacts),
    (created_by, now): (&str, DateTime<Utc>),
) -> QueryResult<bool> {
    let created = diesel::insert_into(knowledge_records::table)
        .values((
            knowledge_records::knowledge_id.eq(id.as_str()),
            naming.columns(),
            run.columns()?,
            knowledge_records::created_by.eq(created_by),
            knowledge_records::created_at.eq(now),
            knowledge_records::updated_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(created > 0)
}

/// Gives a locked record another name and type, and its items the scores that follow.
fn rename(conn: &mut PgConnection, id: &KnowledgeId, new: &Naming) -> QueryResult<()> {
    match naming(conn, id)? {
        Some(old) if old != *new => {
            diesel::update(knowledge_records::table.find(id.as_str())).set(new.columns()).execute(conn)?;
            items::rescore(conn, id, (&old, new))
        }
        _ => Ok(()),
    }
}

/// Changes the record, which is locked from then on; false when there is none.
pub(crate) fn change(
    conn: &mut PgConnection,
    id: &KnowledgeId,
    changes: &Changes,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let Some(updated_at) = later(conn, id, now).optional()? else { return Ok(false) };
    let target = || knowledge_records::table.find(id.as_str());
    diesel::update(target()).set(knowledge_records::updated_at.eq(updated_at)).execute(conn)?;
    if let Some(naming) = &changes.naming {
        rename(conn, id, naming)?;
    }
    if let Some(cycles) = changes.deepening_cycles {
        diesel::update(target()).set(knowledge_records::deepening_cycles.eq(cycles)).execute(conn)?;
    }
    Ok(true)
}

/// Locks the record and gives a time later than any it has shown, whatever the clocks of several machines say.
fn later(conn: &mut PgConnection, id: &KnowledgeId, now: DateTime<Utc>) -> QueryResult<DateTime<Utc>> {
    let shown: DateTime<Utc> =
        knowledge_records::table.find(id.as_str()).select(knowledge_records::updated_at).for_update().first(conn)?;
    Ok(now.max(shown + Duration::milliseconds(1)))
}

/// Writes what follows from the items, and reads the whole record.
pub(crate) fn settle(conn: &mut PgConnection, id: &KnowledgeId, vectors: Vectors) -> QueryResult<KnowledgeRecord> {
    let row: Row = knowledge_records::table.find(id.as_str()).select(Row::as_select()).first(conn)?;
    let items = items::of(conn, std::slice::from_ref(&row), vectors)?.remove(id.as_str()).unwrap_or_default();
    let first = items.first();
    let row = diesel::update(knowledge_records::table.find(id.as_str()))
        .set((
            knowledge_records::total_items.eq(count(items.len())),
            knowledge_records::text.eq(joined_texts(items.iter().map(|item| item.text.as_str()))),
            knowledge_records::source.eq(first.map(|item| item.source.as_str())),
            knowledge_records::confidence.eq(first.map(|item| item.confidence)),
            knowledge_records::found_at.eq(first.map(|item| item.timestamp)),
        ))
        .returning(Row::as_returning())
        .get_result(conn)?;
    whole(row, items)
}

pub(crate) fn find(conn: &mut PgConnection, id: &str, vectors: Vectors) -> QueryResult<Option<KnowledgeRecord>> {
    let row = knowledge_records::table.find(id).select(Row::as_select()).first(conn).optional()?;
    Ok(with_items(conn, row.into_iter().collect(), vectors)?.pop())
}

/// Who the record is about.
pub(crate) fn naming(conn: &mut PgConnection, id: &str) -> QueryResult<Option<Naming>> {
    let found = knowledge_records::table
        .find(id)
        .select((knowledge_records::identifier, knowledge_records::entity_type))
        .first(conn)
        .optional()?;
    Ok(found.map(|(identifier, entity_type)| Naming { identifier, entity_type }))
}

/// Records whose identifier is looked up like this, by id.
pub(crate) fn looked_up(conn: &mut PgConnection, lookup: &str, vectors: Vectors) -> QueryResult<Vec<KnowledgeRecord>> {
    let rows = knowledge_records::table
        .filter(knowledge_records::lookup.eq(lookup))
        .order(knowledge_records::knowledge_id)
        .select(Row::as_select())
        .load(conn)?;
    with_items(conn, rows, vectors)
}

/// Records by their ids, in no order and without their items.
pub(crate) fn rows(conn: &mut PgConnection, ids: &[&str]) -> QueryResult<Vec<Row>> {
    knowledge_records::table.filter(knowledge_records::knowledge_id.eq_any(ids)).select(Row::as_select()).load(conn)
}

pub(crate) fn page(
    conn: &mut PgConnection,
    query: &ListQuery,
    vectors: Vectors,
) -> QueryResult<(Vec<KnowledgeRecord>, Pagination)> {
    let (rows, pagination) = list::page::<Row>(conn, (COLUMNS, "knowledge_records"), &[], query)?;
    Ok((with_items(conn, rows, vectors)?, pagination))
}

/// True when there was one.
pub(crate) fn delete(conn: &mut PgConnection, id: &str) -> QueryResult<bool> {
    Ok(diesel::delete(knowledge_records::table.find(id)).execute(conn)? > 0)
}

fn with_items(conn: &mut PgConnection, rows: Vec<Row>, vectors: Vectors) -> QueryResult<Vec<KnowledgeRecord>> {
    let mut items = items::of(conn, &rows, vectors)?;
    rows.into_iter()
        .map(|row| {
            let items = items.remove(&row.knowledge_id).unwrap_or_default();
            whole(row, items)
        })
        .collect()
}

/// The record with these of its items.
pub(crate) fn whole(row: Row, items: Vec<KnowledgeItem>) -> QueryResult<KnowledgeRecord> {
    let id = KnowledgeId::new(row.knowledge_id);
    Ok(KnowledgeRecord {
        entity: RecordEntity {
            id: id.clone(),
            name: row.identifier.clone(),
            kind: shown_type(row.entity_type.as_deref()),
            text: row.text.clone(),
        },
        knowledge_id: id,
        identifier: row.identifier,
        entity_type: row.entity_type,
        knowledge_items: items,
        total_items: row.total_items,
        deepening_cycles: row.deepening_cycles,
        cycles_run: row.cycles_run,
        stopped_early: row.stopped_early,
        rounds: from_json(row.rounds)?,
        sources: from_json(row.sources)?,
        run_id: row.run_id,
        // Items are stored in one transaction with their vectors.
        memory_persisted: true,
        text: row.text,
        source: row.source,
        confidence: row.confidence,
        timestamp: row.found_at,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}
