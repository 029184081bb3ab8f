//! The knowledge of agents, one row for each item.

use std::collections::HashSet;

use api_types::knowledge::{Entity, KnowledgeItem};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, Insertable, PgConnection, QueryDsl as _, QueryResult, Queryable, RunQueryDsl as _,
    Selectable, SelectableHelper as _,
};
use pgvector::Vector;
use serde_json::Value;

use super::{QueryError, ROWS_MAX, from_json, number, schema::agent_knowledge, to_json};
use crate::domain::merge::Known;

#[derive(Queryable, Selectable)]
#[diesel(table_name = agent_knowledge, check_for_backend(diesel::pg::Pg))]
struct Row {
    agent_id: String,
    knowledge_id: String,
    entity_id: String,
    entity_name: String,
    entity_type: String,
    text: String,
    quality_score: f64,
    trust_score: f64,
    completeness_score: f64,
    source: String,
    confidence: f64,
    found_at: DateTime<Utc>,
    attributes: Value,
    resolved: Value,
    metadata: Value,
    is_written: bool,
    embedding: Option<Vector>,
    embedding_model: Option<String>,
}

impl Row {
    fn known(self) -> QueryResult<(String, Known)> {
        let item = KnowledgeItem {
            knowledge_id: self.knowledge_id.into(),
            entity: Entity {
                id: self.entity_id.into(),
                name: self.entity_name,
                kind: self.entity_type,
                text: self.text.clone(),
                quality_score: self.quality_score,
                trust_score: self.trust_score,
                completeness_score: self.completeness_score,
            },
            text: self.text,
            source: self.source,
            confidence: self.confidence,
            timestamp: self.found_at,
            attributes: from_json(self.attributes)?,
            resolved: from_json(self.resolved)?,
            metadata: from_json(self.metadata)?,
            embedding: self.embedding.map(Vector::into),
            embedding_model: self.embedding_model,
        };
        Ok((self.agent_id, Known { item, is_written: self.is_written }))
    }
}

#[derive(Insertable)]
#[diesel(table_name = agent_knowledge)]
struct New<'a> {
    agent_id: &'a str,
    position: i32,
    knowledge_id: &'a str,
    entity_id: &'a str,
    entity_name: &'a str,
    entity_type: &'a str,
    text: &'a str,
    quality_score: f64,
    trust_score: f64,
    completeness_score: f64,
    source: &'a str,
    confidence: f64,
    found_at: DateTime<Utc>,
    attributes: Value,
    resolved: Value,
    metadata: Value,
    is_written: bool,
    embedding: Option<Vector>,
    embedding_model: Option<&'a str>,
}

impl<'a> New<'a> {
    fn of(agent_id: &'a str, position: usize, known: &'a Known, embedding: Option<Vec<f32>>) -> QueryResult<Self> {
        let item = &known.item;
        Ok(Self {
            agent_id,
            position: number(position),
            knowledge_id: &item.knowledge_id,
            entity_id: &item.entity.id,
            entity_name: &item.entity.name,
            entity_type: &item.entity.kind,
            text: &item.text,
            quality_score: item.entity.quality_score,
            trust_score: item.entity.trust_score,
            completeness_score: item.entity.completeness_score,
            source: &item.source,
            confidence: item.confidence,
            found_at: item.timestamp,
            attributes: to_json(&item.attributes)?,
            resolved: to_json(&item.resolved)?,
            metadata: to_json(&item.metadata)?,
            is_written: known.is_written,
            embedding: embedding.map(Vector::from),
            embedding_model: item.embedding_model.as_deref(),
        })
    }
}

/// Puts `items` in the place of the agent's items. Returns them as JSON, without their vectors.
pub(crate) fn replace(conn: &mut PgConnection, agent_id: &str, mut items: Vec<Known>) -> QueryResult<String> {
    diesel::delete(agent_knowledge::table.filter(agent_knowledge::agent_id.eq(agent_id))).execute(conn)?;
    let mut vectors: Vec<_> = items.iter_mut().map(|known| known.item.embedding.take()).collect();
    for (index, chunk) in items.chunks(ROWS_MAX).enumerate() {
        let first = index * ROWS_MAX;
        let rows = chunk.iter().enumerate().map(|(offset, known)| {
            let position = first + offset;
            New::of(agent_id, position, known, vectors.get_mut(position).and_then(Option::take))
        });
        let rows = rows.collect::<QueryResult<Vec<_>>>()?;
        diesel::insert_into(agent_knowledge::table).values(rows).execute(conn)?;
    }
    let shown: Vec<KnowledgeItem> =
        items.into_iter().map(|known| KnowledgeItem { embedding_model: None, ..known.item }).collect();
    serde_json::to_string(&shown).map_err(|error| QueryError::SerializationError(error.into()))
}

/// The items of several agents, each agent's in order.
pub(crate) fn load(conn: &mut PgConnection, agent_ids: &[&str]) -> QueryResult<Vec<(String, Known)>> {
    let rows: Vec<Row> = agent_knowledge::table
        .filter(agent_knowledge::agent_id.eq_any(agent_ids))
        .order((agent_knowledge::agent_id, agent_knowledge::position))
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::known).collect()
}

/// The items that clients wrote.
pub(crate) fn written(conn: &mut PgConnection, agent_id: &str) -> QueryResult<Vec<KnowledgeItem>> {
    let rows: Vec<Row> = agent_knowledge::table
        .filter(agent_knowledge::agent_id.eq(agent_id))
        .filter(agent_knowledge::is_written)
        .order(agent_knowledge::position)
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(|row| Ok(row.known()?.1.item)).collect()
}

/// The ids of the items that a build found.
pub(crate) fn found_ids(conn: &mut PgConnection, agent_id: &str) -> QueryResult<HashSet<String>> {
    let ids: Vec<String> = agent_knowledge::table
        .filter(agent_knowledge::agent_id.eq(agent_id))
        .filter(diesel::dsl::not(agent_knowledge::is_written))
        .select(agent_knowledge::knowledge_id)
        .load(conn)?;
    Ok(ids.into_iter().collect())
}
