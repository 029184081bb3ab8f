//! Occupations of a taxonomy, and what comes near a text.

use std::{collections::HashMap, sync::Arc};

use api_types::skills::normalise;
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, OptionalExtension as _, PgConnection,
    QueryDsl as _, QueryResult, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{Array, BigInt, Double, Text},
};
use pgvector::{Vector, sql_types::Vector as SqlVector};

use super::schema::{occupation_labels, occupations};
use crate::domain::matching::{Candidate, EmbeddingHit, LabelHit, TIE, UNKNOWN_SIMILARITY};

/// Labels looked at around a text. An occupation has ten or so, hence far more than answers.
const LABELS_NEAR: i64 = 400;
/// How wide the index looks for them; what it misses beyond that is far from the best.
const SEARCH_WIDTH: i64 = 400;

/// What is told of an occupation besides how well it matches.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub(crate) struct Details {
    #[diesel(sql_type = Text)]
    pub(crate) uri: String,
    #[diesel(sql_type = Text)]
    pub(crate) description: String,
    #[diesel(sql_type = BigInt)]
    pub(crate) essential_skills: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) optional_skills: i64,
}

#[derive(QueryableByName)]
struct NearRow {
    #[diesel(sql_type = Text)]
    uri: String,
    #[diesel(sql_type = Text)]
    label: String,
    #[diesel(sql_type = Text)]
    code: String,
    #[diesel(sql_type = Double)]
    similarity: f64,
}

#[derive(QueryableByName)]
struct LabelRow {
    #[diesel(sql_type = Text)]
    normalised: String,
    #[diesel(sql_type = Double)]
    similarity: f64,
}

type CandidateRow = (String, String, String);

fn candidate((uri, label, code): CandidateRow) -> Candidate {
    Candidate { uri: uri.into(), label, code }
}

pub(crate) fn find(conn: &mut PgConnection, taxonomy: i64, uri: &str) -> QueryResult<Option<Candidate>> {
    let row = occupations::table
        .find((taxonomy, uri))
        .select((occupations::uri, occupations::label, occupations::code))
        .first::<CandidateRow>(conn)
        .optional()?;
    Ok(row.map(candidate))
}

/// The occupations that have the label.
pub(crate) fn labelled(conn: &mut PgConnection, taxonomy: i64, normalised: &str) -> QueryResult<Vec<LabelHit>> {
    let same = occupations::taxonomy_id
        .eq(occupation_labels::taxonomy_id)
        .and(occupations::uri.eq(occupation_labels::occupation_uri));
    let rows = occupation_labels::table
        .inner_join(occupations::table.on(same))
        .filter(occupation_labels::taxonomy_id.eq(taxonomy))
        .filter(occupation_labels::normalised.eq(normalised))
        .select(((occupations::uri, occupations::label, occupations::code), occupation_labels::preferred))
        .load::<(CandidateRow, bool)>(conn)?;
    Ok(rows.into_iter().map(|(row, preferred)| LabelHit { occupation: candidate(row), preferred }).collect())
}

/// Labels near a vector by the index, which knows nothing of taxonomies.
const NEAR_BY_INDEX: &str = "SELECT normalised, 1 - (embedding <=> $1) AS similarity FROM label_vectors \
     WHERE model = $2 ORDER BY embedding <=> $1 LIMIT $3";
/// The same among the labels of the taxonomy, one by one.
const NEAR_BY_ONE: &str = "SELECT v.normalised, 1 - (v.embedding <=> $1) AS similarity \
     FROM (SELECT DISTINCT normalised FROM occupation_labels WHERE taxonomy_id = $4) AS own \
     JOIN label_vectors v ON v.model = $2 AND v.normalised = own.normalised \
     ORDER BY similarity DESC LIMIT $3";

/// The `count` occupations one of whose labels is nearest to the vector, and those that tie with the last of them. To be
/// called in a transaction.
pub(crate) fn nearest(
    conn: &mut PgConnection,
    taxonomy: i64,
    model: &str,
    vector: Vec<f32>,
    count: usize,
) -> QueryResult<Vec<EmbeddingHit>> {
    conn.batch_execute(&format!("SET LOCAL hnsw.ef_search = {SEARCH_WIDTH}"))?;
    let vector = Vector::from(vector);
    let mut look = |near: &str| {
        sql_query(format!(
            "SELECT o.uri, o.label, o.code, max(near.similarity) AS similarity FROM ({near}) AS near \
             JOIN occupation_labels l ON l.taxonomy_id = $4 AND l.normalised = near.normalised \
             JOIN occupations o ON o.taxonomy_id = $4 AND o.uri = l.occupation_uri \
             GROUP BY o.uri, o.label, o.code ORDER BY similarity DESC",
        ))
        .bind::<SqlVector, _>(&vector)
        .bind::<Text, _>(model)
        .bind::<BigInt, _>(LABELS_NEAR)
        .bind::<BigInt, _>(taxonomy)
        .load::<NearRow>(conn)
    };
    let mut rows = look(NEAR_BY_INDEX)?;
    // Other taxonomies' labels have crowded out its own, or it has few; then looking at each costs little.
    if rows.len() < count {
        rows = look(NEAR_BY_ONE)?;
    }
    if let Some(last) = count.checked_sub(1).and_then(|place| rows.get(place)) {
        let lowest = last.similarity - TIE;
        rows.retain(|row| row.similarity >= lowest);
    }
    let labels: Vec<String> = rows.iter().map(|row| normalise(&row.label)).collect();
    let of_labels = similarities(conn, model, &vector, &labels)?;
    let hit = |(row, label): (NearRow, String)| EmbeddingHit {
        occupation: candidate((row.uri, row.label, row.code)),
        similarity: row.similarity,
        preferred: of_labels.get(&label).copied().unwrap_or(UNKNOWN_SIMILARITY),
    };
    Ok(rows.into_iter().zip(labels).map(hit).collect())
}

/// How similar each of the labels is to the vector, where it has one of its own.
fn similarities(
    conn: &mut PgConnection,
    model: &str,
    vector: &Vector,
    labels: &[String],
) -> QueryResult<HashMap<String, f64>> {
    let rows = sql_query(
        "SELECT normalised, 1 - (embedding <=> $1) AS similarity FROM label_vectors \
         WHERE model = $2 AND normalised = ANY($3)",
    )
    .bind::<SqlVector, _>(vector)
    .bind::<Text, _>(model)
    .bind::<Array<Text>, _>(labels)
    .load::<LabelRow>(conn)?;
    Ok(rows.into_iter().map(|row| (row.normalised, row.similarity)).collect())
}

/// Descriptions and counts of skills.
pub(crate) fn details(conn: &mut PgConnection, taxonomy: i64, uris: &[Arc<str>]) -> QueryResult<Vec<Details>> {
    let uris: Vec<&str> = uris.iter().map(AsRef::as_ref).collect();
    sql_query(
        "SELECT o.uri, o.description, \
                (SELECT count(*) FROM occupation_skills s WHERE s.taxonomy_id = $1 AND s.occupation_uri = o.uri \
                   AND s.essential) AS essential_skills, \
                (SELECT count(*) FROM occupation_skills s WHERE s.taxonomy_id = $1 AND s.occupation_uri = o.uri \
                   AND NOT s.essential) AS optional_skills \
         FROM occupations o WHERE o.taxonomy_id = $1 AND o.uri = ANY($2)",
    )
    .bind::<BigInt, _>(taxonomy)
    .bind::<Array<Text>, _>(uris)
    .load(conn)
}
