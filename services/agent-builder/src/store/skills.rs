//! The skills of agents, one row each.

use api_types::skills::{Skill, SkillSource};
use diesel::{
    ExpressionMethods as _, Insertable, PgConnection, QueryDsl as _, QueryResult, Queryable, RunQueryDsl as _,
    Selectable, SelectableHelper as _,
};
use pgvector::Vector;

use super::{QueryError, ROWS_MAX, from_name, number, schema::agent_skills};

#[derive(Queryable, Selectable)]
#[diesel(table_name = agent_skills, check_for_backend(diesel::pg::Pg))]
struct Row {
    agent_id: String,
    skill_id: String,
    name: String,
    description: String,
    category: String,
    triggers: Vec<String>,
    artifacts: Vec<String>,
    constraints: Vec<String>,
    evidence: Vec<String>,
    confidence: f64,
    source: String,
    esco_uri: Option<String>,
    round: i32,
    skill: String,
    embedding: Option<Vector>,
    embedding_model: Option<String>,
}

impl Row {
    fn skill(self) -> QueryResult<(String, Skill)> {
        let skill = Skill {
            skill_id: self.skill_id,
            name: self.name,
            description: self.description,
            category: from_name(self.category)?,
            triggers: self.triggers,
            artifacts: self.artifacts,
            constraints: self.constraints,
            evidence: self.evidence,
            confidence: self.confidence,
            source: from_name(self.source)?,
            esco_uri: self.esco_uri,
            round: u32::try_from(self.round).unwrap_or_default(),
            skill: self.skill,
            embedding: self.embedding.map(Vector::into),
            embedding_model: self.embedding_model,
        };
        Ok((self.agent_id, skill))
    }
}

#[derive(Insertable)]
#[diesel(table_name = agent_skills)]
struct New<'a> {
    agent_id: &'a str,
    position: i32,
    skill_id: &'a str,
    name: &'a str,
    description: &'a str,
    category: &'a str,
    triggers: &'a [String],
    artifacts: &'a [String],
    constraints: &'a [String],
    evidence: &'a [String],
    confidence: f64,
    source: &'a str,
    esco_uri: Option<&'a str>,
    round: i32,
    skill: &'a str,
    embedding: Option<Vector>,
    embedding_model: Option<&'a str>,
}

impl<'a> New<'a> {
    fn of(agent_id: &'a str, position: usize, skill: &'a Skill, embedding: Option<Vec<f32>>) -> Self {
        Self {
            agent_id,
            position: number(position),
            skill_id: &skill.skill_id,
            name: &skill.name,
            description: &skill.description,
            category: skill.category.as_str(),
            triggers: &skill.triggers,
            artifacts: &skill.artifacts,
            constraints: &skill.constraints,
            evidence: &skill.evidence,
            confidence: skill.confidence,
            source: skill.source.as_str(),
            esco_uri: skill.esco_uri.as_deref(),
            round: i32::try_from(skill.round).unwrap_or(i32::MAX),
            skill: &skill.skill,
            embedding: embedding.map(Vector::from),
            embedding_model: skill.embedding_model.as_deref(),
        }
    }
}

/// Puts `skills` in the place of the agent's skills. Returns them as JSON, without their vectors.
pub(crate) fn replace(conn: &mut PgConnection, agent_id: &str, mut skills: Vec<Skill>) -> QueryResult<String> {
    diesel::delete(agent_skills::table.filter(agent_skills::agent_id.eq(agent_id))).execute(conn)?;
    let mut vectors: Vec<_> = skills.iter_mut().map(|skill| skill.embedding.take()).collect();
    for (index, chunk) in skills.chunks(ROWS_MAX).enumerate() {
        let first = index * ROWS_MAX;
        let rows = chunk.iter().enumerate().map(|(offset, skill)| {
            let position = first + offset;
            New::of(agent_id, position, skill, vectors.get_mut(position).and_then(Option::take))
        });
        diesel::insert_into(agent_skills::table).values(rows.collect::<Vec<_>>()).execute(conn)?;
    }
    for skill in &mut skills {
        skill.embedding_model = None;
    }
    serde_json::to_string(&skills).map_err(|error| QueryError::SerializationError(error.into()))
}

/// The skills of several agents, each agent's in order.
pub(crate) fn load(conn: &mut PgConnection, agent_ids: &[&str]) -> QueryResult<Vec<(String, Skill)>> {
    let rows: Vec<Row> = agent_skills::table
        .filter(agent_skills::agent_id.eq_any(agent_ids))
        .order((agent_skills::agent_id, agent_skills::position))
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::skill).collect()
}

/// The skills that clients wrote.
pub(crate) fn written(conn: &mut PgConnection, agent_id: &str) -> QueryResult<Vec<Skill>> {
    let rows: Vec<Row> = agent_skills::table
        .filter(agent_skills::agent_id.eq(agent_id))
        .filter(agent_skills::source.eq(SkillSource::User.as_str()))
        .order(agent_skills::position)
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(|row| Ok(row.skill()?.1)).collect()
}

/// The names of the skills that are certain enough, in order.
pub(crate) fn names(conn: &mut PgConnection, agent_id: &str, confidence_min: f64) -> QueryResult<Vec<String>> {
    agent_skills::table
        .filter(agent_skills::agent_id.eq(agent_id))
        .filter(agent_skills::confidence.ge(confidence_min))
        .order(agent_skills::position)
        .select(agent_skills::name)
        .load(conn)
}
