//! Vectors of labels and skills, made once for a model and a text.

use std::collections::HashMap;

use diesel::{
    ExpressionMethods as _, Insertable, PgConnection, QueryDsl as _, QueryResult, QueryableByName, RunQueryDsl as _,
    sql_query,
    sql_types::{BigInt, Binary, Text},
};
use pgvector::Vector;

use super::schema::{label_vectors, skill_vectors};

/// How far the making of vectors has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub(crate) struct Progress {
    /// Labels of occupations, equal ones counted once.
    #[diesel(sql_type = BigInt)]
    pub(crate) labels: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) labels_done: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) skills: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) skills_done: i64,
}

#[derive(QueryableByName)]
struct Label {
    #[diesel(sql_type = Text)]
    normalised: String,
}

/// A skill whose vector is missing.
#[derive(Debug, QueryableByName)]
pub(crate) struct SkillText {
    #[diesel(sql_type = Binary)]
    pub(crate) text_sha256: Vec<u8>,
    #[diesel(sql_type = Text)]
    pub(crate) label: String,
    #[diesel(sql_type = Text)]
    pub(crate) description: String,
}

#[derive(Insertable)]
#[diesel(table_name = label_vectors)]
struct LabelVector<'a> {
    model: &'a str,
    normalised: String,
    embedding: Vector,
}

#[derive(Insertable)]
#[diesel(table_name = skill_vectors)]
struct SkillVector<'a> {
    model: &'a str,
    text_sha256: Vec<u8>,
    embedding: Vector,
}

pub(crate) fn progress(conn: &mut PgConnection, taxonomy: i64, model: &str) -> QueryResult<Progress> {
    sql_query(
        "SELECT l.labels, l.labels_done, s.skills, s.skills_done FROM \
         (SELECT count(*) AS labels, count(v.normalised) AS labels_done FROM \
            (SELECT DISTINCT normalised FROM occupation_labels WHERE taxonomy_id = $1) AS own \
            LEFT JOIN label_vectors v ON v.model = $2 AND v.normalised = own.normalised) AS l, \
         (SELECT count(*) AS skills, count(v.text_sha256) AS skills_done FROM \
            (SELECT DISTINCT text_sha256 FROM skills WHERE taxonomy_id = $1) AS own \
            LEFT JOIN skill_vectors v ON v.model = $2 AND v.text_sha256 = own.text_sha256) AS s",
    )
    .bind::<BigInt, _>(taxonomy)
    .bind::<Text, _>(model)
    .get_result(conn)
}

/// The next labels of occupations that have no vector.
pub(crate) fn missing_labels(
    conn: &mut PgConnection,
    taxonomy: i64,
    model: &str,
    count: i64,
) -> QueryResult<Vec<String>> {
    let rows = sql_query(
        "SELECT DISTINCT l.normalised FROM occupation_labels l \
         WHERE l.taxonomy_id = $1 AND NOT EXISTS \
           (SELECT FROM label_vectors v WHERE v.model = $2 AND v.normalised = l.normalised) \
         LIMIT $3",
    )
    .bind::<BigInt, _>(taxonomy)
    .bind::<Text, _>(model)
    .bind::<BigInt, _>(count)
    .load::<Label>(conn)?;
    Ok(rows.into_iter().map(|row| row.normalised).collect())
}

/// The next skills that have no vector.
pub(crate) fn missing_skills(
    conn: &mut PgConnection,
    taxonomy: i64,
    model: &str,
    count: i64,
) -> QueryResult<Vec<SkillText>> {
    sql_query(
        "SELECT DISTINCT ON (s.text_sha256) s.text_sha256, s.label, s.description FROM skills s \
         WHERE s.taxonomy_id = $1 AND NOT EXISTS \
           (SELECT FROM skill_vectors v WHERE v.model = $2 AND v.text_sha256 = s.text_sha256) \
         LIMIT $3",
    )
    .bind::<BigInt, _>(taxonomy)
    .bind::<Text, _>(model)
    .bind::<BigInt, _>(count)
    .load(conn)
}

pub(crate) fn keep_labels(
    conn: &mut PgConnection,
    model: &str,
    vectors: impl IntoIterator<Item = (String, Vec<f32>)>,
) -> QueryResult<()> {
    let rows: Vec<_> = vectors
        .into_iter()
        .map(|(normalised, vector)| LabelVector { model, normalised, embedding: Vector::from(vector) })
        .collect();
    diesel::insert_into(label_vectors::table).values(rows).on_conflict_do_nothing().execute(conn).map(drop)
}

pub(crate) fn keep_skills(
    conn: &mut PgConnection,
    model: &str,
    vectors: impl IntoIterator<Item = (Vec<u8>, Vec<f32>)>,
) -> QueryResult<()> {
    let rows: Vec<_> = vectors
        .into_iter()
        .map(|(text_sha256, vector)| SkillVector { model, text_sha256, embedding: Vector::from(vector) })
        .collect();
    diesel::insert_into(skill_vectors::table).values(rows).on_conflict_do_nothing().execute(conn).map(drop)
}

/// The vectors that are there, by the hashes of their texts.
pub(crate) fn of_skills(
    conn: &mut PgConnection,
    model: &str,
    hashes: &[Vec<u8>],
) -> QueryResult<HashMap<Vec<u8>, Vec<f32>>> {
    let rows = skill_vectors::table
        .filter(skill_vectors::model.eq(model))
        .filter(skill_vectors::text_sha256.eq_any(hashes))
        .select((skill_vectors::text_sha256, skill_vectors::embedding))
        .load::<(Vec<u8>, Vector)>(conn)?;
    Ok(rows.into_iter().map(|(hash, vector)| (hash, Vec::from(vector))).collect())
}

/// Clears away vectors of texts that no stored taxonomy has, and those of other models, once all of this one are there.
pub(crate) fn purge(conn: &mut PgConnection, model: &str) -> QueryResult<usize> {
    let labels = sql_query(
        "DELETE FROM label_vectors v WHERE v.model <> $1 OR NOT EXISTS \
           (SELECT FROM occupation_labels l WHERE l.normalised = v.normalised)",
    )
    .bind::<Text, _>(model)
    .execute(conn)?;
    let skills = sql_query(
        "DELETE FROM skill_vectors v WHERE v.model <> $1 OR NOT EXISTS \
           (SELECT FROM skills s WHERE s.text_sha256 = v.text_sha256)",
    )
    .bind::<Text, _>(model)
    .execute(conn)?;
    Ok(labels + skills)
}
