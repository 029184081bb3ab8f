//! Sets of skills.

use std::collections::HashMap;

use api_core::list::{self, ListQuery};
use api_types::{
    envelope::Pagination,
    skills::{Category, OccupationMatch, Skill, SkillRound, SkillSet, SkillSource, SkillSourceReport},
};
use chrono::{DateTime, Utc};
use diesel::{
    ExecuteCopyFromDsl as _, ExpressionMethods as _, Insertable, OptionalExtension as _, PgConnection, QueryDsl as _,
    QueryResult, Queryable, QueryableByName, RunQueryDsl as _, Selectable, SelectableHelper as _, copy_from,
    result::Error,
};
use pgvector::Vector;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use super::schema::{set_skills, skill_sets};
use crate::domain::matching::hundredths;

/// Whether the vectors of the skills are read, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vectors {
    Read,
    LeaveOut,
}

#[derive(Insertable, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = skill_sets, check_for_backend(diesel::pg::Pg), treat_none_as_default_value = false)]
struct Row {
    skill_id: Uuid,
    occupation: String,
    mode: String,
    deepening_cycles: i32,
    cycles_run: i32,
    stopped_early: bool,
    rounds: Value,
    sources: Value,
    occupation_match: Option<Value>,
    run_id: Uuid,
    total_skills: i64,
    created_by: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

const COLUMNS: &str = "skill_id, occupation, mode, deepening_cycles, cycles_run, stopped_early, rounds, sources, \
                       occupation_match, run_id, total_skills, created_by, created_at, updated_at";

#[derive(Insertable)]
#[diesel(table_name = set_skills, treat_none_as_default_value = false)]
struct NewSkill<'a> {
    set_id: Uuid,
    position: i32,
    skill_id: &'a str,
    name: &'a str,
    description: &'a str,
    category: &'static str,
    triggers: &'a [String],
    artifacts: &'a [String],
    constraints: &'a [String],
    evidence: &'a [String],
    confidence: i16,
    source: &'static str,
    esco_uri: Option<&'a str>,
    round: i32,
    embedding: Vector,
    embedding_model: &'a str,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = set_skills, check_for_backend(diesel::pg::Pg))]
struct SkillRow {
    set_id: Uuid,
    skill_id: String,
    name: String,
    description: String,
    category: String,
    triggers: Vec<String>,
    artifacts: Vec<String>,
    constraints: Vec<String>,
    evidence: Vec<String>,
    confidence: i16,
    source: String,
    esco_uri: Option<String>,
    round: i32,
}

impl From<SkillRow> for Skill {
    fn from(row: SkillRow) -> Self {
        let skill = Self {
            skill_id: row.skill_id,
            name: row.name,
            description: row.description,
            // Only names that there are get stored.
            category: Category::named(&row.category).unwrap_or(Category::Domain),
            triggers: row.triggers,
            artifacts: row.artifacts,
            constraints: row.constraints,
            evidence: row.evidence,
            confidence: f64::from(row.confidence) / 100.0,
            source: SkillSource::named(&row.source).unwrap_or(SkillSource::User),
            esco_uri: row.esco_uri,
            round: u32::try_from(row.round).unwrap_or_default(),
            skill: String::new(),
            embedding: None,
            embedding_model: None,
        };
        skill.rendered()
    }
}

/// What a change replaces; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    pub(crate) occupation: Option<String>,
    pub(crate) deepening_cycles: Option<i32>,
    /// Each with its vector.
    pub(crate) skills: Option<Vec<Skill>>,
}

/// Stores a set, in the place of the one with its id if there is one, whose creation stays its own. Answers with what
/// is stored.
pub(crate) fn put(conn: &mut PgConnection, set: SkillSet) -> QueryResult<SkillSet> {
    use diesel::upsert::excluded;
    let stored = diesel::insert_into(skill_sets::table)
        .values(row(&set)?)
        .on_conflict(skill_sets::skill_id)
        .do_update()
        .set((
            skill_sets::occupation.eq(excluded(skill_sets::occupation)),
            skill_sets::mode.eq(excluded(skill_sets::mode)),
            skill_sets::deepening_cycles.eq(excluded(skill_sets::deepening_cycles)),
            skill_sets::cycles_run.eq(excluded(skill_sets::cycles_run)),
            skill_sets::stopped_early.eq(excluded(skill_sets::stopped_early)),
            skill_sets::rounds.eq(excluded(skill_sets::rounds)),
            skill_sets::sources.eq(excluded(skill_sets::sources)),
            skill_sets::occupation_match.eq(excluded(skill_sets::occupation_match)),
            skill_sets::run_id.eq(excluded(skill_sets::run_id)),
            skill_sets::total_skills.eq(excluded(skill_sets::total_skills)),
            skill_sets::updated_at.eq(excluded(skill_sets::updated_at)),
        ))
        .returning(Row::as_returning())
        .get_result(conn)?;
    diesel::delete(set_skills::table.filter(set_skills::set_id.eq(set.skill_id))).execute(conn)?;
    insert_skills(conn, set.skill_id, &set.skills)?;
    let mut stored = whole(stored)?;
    stored.skills = set.skills;
    Ok(stored)
}

/// Changes a set; `None` when there is none.
pub(crate) fn change(
    conn: &mut PgConnection,
    id: Uuid,
    changes: &Changes,
    now: DateTime<Utc>,
) -> QueryResult<Option<SkillSet>> {
    let old = skill_sets::table.find(id).for_update().select(Row::as_select()).first(conn).optional()?;
    let Some(mut row) = old else { return Ok(None) };
    if let Some(occupation) = &changes.occupation {
        row.occupation.clone_from(occupation);
    }
    if let Some(cycles) = changes.deepening_cycles {
        row.deepening_cycles = cycles;
    }
    if let Some(skills) = &changes.skills {
        row.total_skills = count(skills);
        diesel::delete(set_skills::table.filter(set_skills::set_id.eq(id))).execute(conn)?;
        insert_skills(conn, id, skills)?;
    }
    // Later than any time shown before, whatever the clocks of several machines say.
    row.updated_at = now.max(row.updated_at + chrono::Duration::milliseconds(1));
    diesel::update(skill_sets::table.find(id))
        .set((
            skill_sets::occupation.eq(&row.occupation),
            skill_sets::deepening_cycles.eq(row.deepening_cycles),
            skill_sets::total_skills.eq(row.total_skills),
            skill_sets::updated_at.eq(row.updated_at),
        ))
        .execute(conn)?;
    find(conn, id, Vectors::Read)
}

/// True when there was one.
pub(crate) fn delete(conn: &mut PgConnection, id: Uuid) -> QueryResult<bool> {
    Ok(diesel::delete(skill_sets::table.find(id)).execute(conn)? > 0)
}

pub(crate) fn exists(conn: &mut PgConnection, id: Uuid) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(skill_sets::table.find(id))).get_result(conn)
}

pub(crate) fn find(conn: &mut PgConnection, id: Uuid, vectors: Vectors) -> QueryResult<Option<SkillSet>> {
    let row = skill_sets::table.find(id).select(Row::as_select()).first(conn).optional()?;
    let Some(row) = row else { return Ok(None) };
    let mut sets = [whole(row)?];
    add_skills(conn, &mut sets, vectors)?;
    Ok(sets.into_iter().next())
}

pub(crate) fn page(
    conn: &mut PgConnection,
    query: &ListQuery,
    vectors: Vectors,
) -> QueryResult<(Vec<SkillSet>, Pagination)> {
    let (rows, pagination) = list::page::<Row>(conn, (COLUMNS, "skill_sets"), &[], query)?;
    let mut sets = rows.into_iter().map(whole).collect::<QueryResult<Vec<_>>>()?;
    add_skills(conn, &mut sets, vectors)?;
    Ok((sets, pagination))
}

fn row(set: &SkillSet) -> QueryResult<Row> {
    Ok(Row {
        skill_id: set.skill_id,
        occupation: set.occupation.clone(),
        mode: set.mode.clone(),
        deepening_cycles: set.deepening_cycles,
        cycles_run: set.cycles_run,
        stopped_early: set.stopped_early,
        rounds: json(&set.rounds)?,
        sources: json(&set.sources)?,
        occupation_match: set.occupation_match.as_ref().map(json).transpose()?,
        run_id: set.run_id,
        total_skills: count(&set.skills),
        created_by: set.created_by.clone(),
        created_at: set.created_at,
        updated_at: set.updated_at,
    })
}

/// The set of a row, still without its skills.
fn whole(row: Row) -> QueryResult<SkillSet> {
    Ok(SkillSet {
        skill_id: row.skill_id,
        occupation: row.occupation,
        skills: Vec::new(),
        total_skills: row.total_skills,
        run_id: row.run_id,
        // Skills are stored in one transaction with their vectors.
        memory_persisted: true,
        deepening_cycles: row.deepening_cycles,
        cycles_run: row.cycles_run,
        stopped_early: row.stopped_early,
        rounds: from_json::<Vec<SkillRound>>(row.rounds)?,
        occupation_match: row.occupation_match.map(from_json::<OccupationMatch>).transpose()?,
        mode: row.mode,
        sources: from_json::<Vec<SkillSourceReport>>(row.sources)?,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

fn insert_skills(conn: &mut PgConnection, set_id: Uuid, skills: &[Skill]) -> QueryResult<()> {
    let rows = skills.iter().zip(0..).map(|(skill, position)| {
        let missing = || Error::SerializationError("a skill without its vector".into());
        Ok(NewSkill {
            set_id,
            position,
            skill_id: &skill.skill_id,
            name: &skill.name,
            description: &skill.description,
            category: skill.category.as_str(),
            triggers: &skill.triggers,
            artifacts: &skill.artifacts,
            constraints: &skill.constraints,
            evidence: &skill.evidence,
            confidence: i16::try_from(hundredths(skill.confidence)).unwrap_or_default(),
            source: skill.source.as_str(),
            esco_uri: skill.esco_uri.as_deref(),
            round: i32::try_from(skill.round).unwrap_or_default(),
            embedding: Vector::from(skill.embedding.clone().ok_or_else(missing)?),
            embedding_model: skill.embedding_model.as_deref().ok_or_else(missing)?,
        })
    });
    let rows = rows.collect::<QueryResult<Vec<_>>>()?;
    if !rows.is_empty() {
        copy_from(set_skills::table).from_insertable(rows).execute(conn)?;
    }
    Ok(())
}

fn add_skills(conn: &mut PgConnection, sets: &mut [SkillSet], vectors: Vectors) -> QueryResult<()> {
    let ids: Vec<Uuid> = sets.iter().map(|set| set.skill_id).collect();
    let rows = set_skills::table
        .filter(set_skills::set_id.eq_any(&ids))
        .order((set_skills::set_id, set_skills::position))
        .select(SkillRow::as_select())
        .load(conn)?;
    let mut by_set: HashMap<Uuid, Vec<Skill>> = HashMap::new();
    for row in rows {
        by_set.entry(row.set_id).or_default().push(row.into());
    }
    if vectors == Vectors::Read {
        let vectors = set_skills::table
            .filter(set_skills::set_id.eq_any(&ids))
            .order((set_skills::set_id, set_skills::position))
            .select((set_skills::set_id, set_skills::position, set_skills::embedding, set_skills::embedding_model))
            .load::<(Uuid, i32, Vector, String)>(conn)?;
        for (set, position, vector, model) in vectors {
            let skills = by_set.get_mut(&set);
            let place = usize::try_from(position).unwrap_or(usize::MAX);
            if let Some(skill) = skills.and_then(|skills| skills.get_mut(place)) {
                skill.embedding = Some(Vec::from(vector));
                skill.embedding_model = Some(model);
            }
        }
    }
    for set in sets {
        set.skills = by_set.remove(&set.skill_id).unwrap_or_default();
    }
    Ok(())
}

fn count(skills: &[Skill]) -> i64 {
    i64::try_from(skills.len()).unwrap_or(i64::MAX)
}

fn json(value: &impl Serialize) -> QueryResult<Value> {
    serde_json::to_value(value).map_err(|error| Error::SerializationError(error.into()))
}

fn from_json<T: DeserializeOwned>(value: Value) -> QueryResult<T> {
    serde_json::from_value(value).map_err(|error| Error::DeserializationError(error.into()))
}
