//! Items of records.

use std::collections::HashMap;

use api_types::knowledge::{Entity, ItemId, KnowledgeId, KnowledgeItem, resolve, shown_type};
use chrono::{DateTime, Utc};
use diesel::{
    ExecuteCopyFromDsl as _, ExpressionMethods as _, Insertable, PgConnection, QueryDsl as _, QueryResult, Queryable,
    RunQueryDsl as _, Selectable, SelectableHelper as _, copy_from,
    dsl::{exists, max},
    result::Error,
    select, sql_query,
    sql_types::{Array, Bool, Double, Integer, Text},
};
use pgvector::Vector;
use serde_json::Value;

use super::{Vectors, from_json, json, records, schema::knowledge_items};
use crate::domain::items::{About, rescore as rescore_item};

#[derive(Queryable, Selectable)]
#[diesel(table_name = knowledge_items, check_for_backend(diesel::pg::Pg))]
struct Row {
    knowledge_id: String,
    item_id: String,
    entity_name: Option<String>,
    entity_type: Option<String>,
    text: String,
    quality_score: f64,
    trust_score: f64,
    completeness_score: f64,
    source: String,
    confidence: f64,
    found_at: DateTime<Utc>,
    attributes: Value,
    metadata: Value,
}

#[derive(Insertable)]
#[diesel(table_name = knowledge_items, treat_none_as_default_value = false)]
struct NewRow<'a> {
    knowledge_id: &'a str,
    given: bool,
    position: i32,
    item_id: &'a str,
    entity_name: Option<&'a str>,
    entity_type: Option<&'a str>,
    text: &'a str,
    quality_score: f64,
    trust_score: f64,
    completeness_score: f64,
    source: &'a str,
    confidence: f64,
    found_at: DateTime<Utc>,
    attributes: Value,
    metadata: Value,
    embedding: Vector,
    embedding_model: &'a str,
}

impl Row {
    /// The item, of a record with this identifier and type.
    fn item(self, identifier: &str, record_type: Option<&str>) -> QueryResult<KnowledgeItem> {
        let name = self.entity_name.unwrap_or_else(|| identifier.to_owned());
        let entity_type = self.entity_type.as_deref().or(record_type);
        Ok(KnowledgeItem {
            knowledge_id: ItemId::new(self.item_id),
            resolved: resolve(&name, entity_type),
            entity: Entity {
                id: KnowledgeId::new(self.knowledge_id),
                name,
                kind: shown_type(entity_type),
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
            metadata: from_json(self.metadata)?,
            embedding: None,
            embedding_model: None,
        })
    }
}

/// The items of records, by record: those of clients first.
pub(crate) fn of(
    conn: &mut PgConnection,
    records: &[records::Row],
    vectors: Vectors,
) -> QueryResult<HashMap<String, Vec<KnowledgeItem>>> {
    let ids: Vec<&str> = records.iter().map(|record| record.knowledge_id.as_str()).collect();
    let rows = knowledge_items::table
        .filter(knowledge_items::knowledge_id.eq_any(ids))
        .order((knowledge_items::knowledge_id, knowledge_items::given.desc(), knowledge_items::position))
        .select(Row::as_select())
        .load(conn)?;
    let mut by_record = grouped(rows, records)?;
    if vectors == Vectors::Read {
        add_vectors(conn, &mut by_record)?;
    }
    Ok(by_record)
}

/// The items with these ids, by record, in no order.
pub(crate) fn with_ids(
    conn: &mut PgConnection,
    records: &[records::Row],
    ids: &[&str],
    vectors: Vectors,
) -> QueryResult<HashMap<String, Vec<KnowledgeItem>>> {
    let rows =
        knowledge_items::table.filter(knowledge_items::item_id.eq_any(ids)).select(Row::as_select()).load(conn)?;
    let mut by_record = grouped(rows, records)?;
    if vectors == Vectors::Read {
        add_vectors(conn, &mut by_record)?;
    }
    Ok(by_record)
}

fn grouped(rows: Vec<Row>, records: &[records::Row]) -> QueryResult<HashMap<String, Vec<KnowledgeItem>>> {
    let records: HashMap<&str, &records::Row> =
        records.iter().map(|record| (record.knowledge_id.as_str(), record)).collect();
    let mut by_record: HashMap<String, Vec<KnowledgeItem>> = HashMap::new();
    for row in rows {
        if let Some(record) = records.get(row.knowledge_id.as_str()) {
            let items = by_record.entry(row.knowledge_id.clone()).or_default();
            items.push(row.item(&record.identifier, record.entity_type.as_deref())?);
        }
    }
    Ok(by_record)
}

fn add_vectors(conn: &mut PgConnection, by_record: &mut HashMap<String, Vec<KnowledgeItem>>) -> QueryResult<()> {
    let ids: Vec<&str> = by_record.values().flatten().map(|item| item.knowledge_id.as_str()).collect();
    let rows = knowledge_items::table
        .filter(knowledge_items::item_id.eq_any(ids))
        .select((knowledge_items::item_id, knowledge_items::embedding, knowledge_items::embedding_model))
        .load::<(String, Vector, String)>(conn)?;
    let mut vectors: HashMap<String, (Vector, String)> =
        rows.into_iter().map(|(id, vector, model)| (id, (vector, model))).collect();
    for item in by_record.values_mut().flatten() {
        if let Some((vector, model)) = vectors.remove(item.knowledge_id.as_str()) {
            item.embedding = Some(vector.into());
            item.embedding_model = Some(model);
        }
    }
    Ok(())
}

/// The texts that clients gave.
pub(crate) fn given_texts(conn: &mut PgConnection, id: &str) -> QueryResult<Vec<String>> {
    knowledge_items::table
        .filter(knowledge_items::knowledge_id.eq(id))
        .filter(knowledge_items::given)
        .order(knowledge_items::position)
        .select(knowledge_items::text)
        .load(conn)
}

/// Adds a text that a client gives after those given before; in its place when it was there already, whoever it came from.
pub(crate) fn give(conn: &mut PgConnection, record: &records::Naming, item: &KnowledgeItem) -> QueryResult<()> {
    let of_record = || knowledge_items::table.filter(knowledge_items::knowledge_id.eq(item.entity.id.as_str()));
    let same = || of_record().filter(knowledge_items::text.eq(&item.text));
    let given: bool = select(exists(same().filter(knowledge_items::given))).get_result(conn)?;
    if given {
        let target = same().filter(knowledge_items::given);
        diesel::update(target)
            .set((
                knowledge_items::item_id.eq(item.knowledge_id.as_str()),
                knowledge_items::source.eq(&item.source),
                knowledge_items::confidence.eq(item.confidence),
                knowledge_items::found_at.eq(item.timestamp),
            ))
            .execute(conn)?;
        return Ok(());
    }
    diesel::delete(same()).execute(conn)?;
    let last: Option<i32> =
        of_record().filter(knowledge_items::given).select(max(knowledge_items::position)).first(conn)?;
    insert(conn, record, (true, last.map_or(0, |last| last + 1)), std::slice::from_ref(item))
}

/// Stores items, each with its vector, from a position on.
pub(crate) fn insert(
    conn: &mut PgConnection,
    record: &records::Naming,
    (given, start): (bool, i32),
    items: &[KnowledgeItem],
) -> QueryResult<()> {
    let own_type = shown_type(record.entity_type.as_deref());
    let rows = (start..).zip(items).map(|(position, item)| {
        let missing = || Error::SerializationError("an item without its vector".into());
        Ok(NewRow {
            knowledge_id: item.entity.id.as_str(),
            given,
            position,
            item_id: item.knowledge_id.as_str(),
            entity_name: Some(item.entity.name.as_str()).filter(|name| *name != record.identifier),
            entity_type: Some(item.entity.kind.as_str()).filter(|kind| *kind != own_type),
            text: &item.text,
            quality_score: item.entity.quality_score,
            trust_score: item.entity.trust_score,
            completeness_score: item.entity.completeness_score,
            source: &item.source,
            confidence: item.confidence,
            found_at: item.timestamp,
            attributes: json(&item.attributes)?,
            metadata: json(&item.metadata)?,
            embedding: Vector::from(item.embedding.clone().ok_or_else(missing)?),
            embedding_model: item.embedding_model.as_deref().ok_or_else(missing)?,
        })
    });
    let rows = rows.collect::<QueryResult<Vec<_>>>()?;
    if !rows.is_empty() {
        copy_from(knowledge_items::table).from_insertable(rows).execute(conn)?;
    }
    Ok(())
}

/// Writes the scores that follow from another name or type of the record.
pub(crate) fn rescore(
    conn: &mut PgConnection,
    id: &str,
    (old, new): (&records::Naming, &records::Naming),
) -> QueryResult<()> {
    let rows: Vec<(bool, i32, Row)> = knowledge_items::table
        .filter(knowledge_items::knowledge_id.eq(id))
        .select((knowledge_items::given, knowledge_items::position, Row::as_select()))
        .load(conn)?;
    let (mut givens, mut positions) = (Vec::new(), Vec::new());
    let (mut qualities, mut completenesses, mut confidences) = (Vec::new(), Vec::new(), Vec::new());
    for (given, position, row) in rows {
        let (own_name, own_type) = (row.entity_name.clone(), row.entity_type.clone());
        let mut item = row.item(&old.identifier, old.entity_type.as_deref())?;
        let about = [old, new].map(|naming| About {
            name: own_name.as_deref().unwrap_or(&naming.identifier),
            entity_type: own_type.as_deref().or(naming.entity_type.as_deref()),
        });
        rescore_item(&mut item, about, given);
        givens.push(given);
        positions.push(position);
        qualities.push(item.entity.quality_score);
        completenesses.push(item.entity.completeness_score);
        confidences.push(item.confidence);
    }
    sql_query(
        "UPDATE knowledge_items AS item \
         SET quality_score = score.quality, completeness_score = score.completeness, confidence = score.confidence \
         FROM unnest($2, $3, $4, $5, $6) AS score (given, position, quality, completeness, confidence) \
         WHERE item.knowledge_id = $1 AND item.given = score.given AND item.position = score.position \
         AND (item.quality_score, item.completeness_score, item.confidence) \
         IS DISTINCT FROM (score.quality, score.completeness, score.confidence)",
    )
    .bind::<Text, _>(id)
    .bind::<Array<Bool>, _>(givens)
    .bind::<Array<Integer>, _>(positions)
    .bind::<Array<Double>, _>(qualities)
    .bind::<Array<Double>, _>(completenesses)
    .bind::<Array<Double>, _>(confidences)
    .execute(conn)
    .map(drop)
}

/// Removes what runs found.
pub(crate) fn delete_found(conn: &mut PgConnection, id: &str) -> QueryResult<()> {
    diesel::delete(knowledge_items::table.filter(knowledge_items::knowledge_id.eq(id)))
        .filter(diesel::dsl::not(knowledge_items::given))
        .execute(conn)
        .map(drop)
}

/// Removes all items.
pub(crate) fn delete_all(conn: &mut PgConnection, id: &str) -> QueryResult<()> {
    diesel::delete(knowledge_items::table.filter(knowledge_items::knowledge_id.eq(id))).execute(conn).map(drop)
}
