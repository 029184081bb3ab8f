//! Items by what they say and by what they mean.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{BigInt, Nullable, Text},
};
use pgvector::{Vector, sql_types::Vector as SqlVector};

use crate::domain::search::Ranked;

/// Items in a ranking.
const RANKS: i64 = 200;

/// Up to this many items are compared one by one: an index walks by nearness and may meet none of the type for long.
const EXACT_ITEMS_MAX: i64 = 5_000;

#[derive(QueryableByName)]
struct Hit {
    #[diesel(sql_type = Text)]
    knowledge_id: String,
    #[diesel(sql_type = Text)]
    item_id: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn ranked(hits: Vec<Hit>) -> Vec<Ranked> {
    hits.into_iter().map(|hit| Ranked { record: hit.knowledge_id, item: hit.item_id }).collect()
}

/// Items that hold words of the query, those first that hold most of them.
pub(crate) fn by_words(conn: &mut PgConnection, query: &str, type_key: Option<&str>) -> QueryResult<Vec<Ranked>> {
    // Any of the words will do: whoever asks a question does not know the words of its answer.
    let hits = sql_query(format!(
        "SELECT i.knowledge_id, i.item_id \
         FROM knowledge_items i JOIN knowledge_records r ON r.knowledge_id = i.knowledge_id, \
              (SELECT replace(plainto_tsquery('english', $1)::text, '&', '|')::tsquery AS any_word) q \
         WHERE i.words @@ q.any_word AND ($2 IS NULL OR r.type_key = $2) \
         ORDER BY ts_rank(i.words, q.any_word, 1) DESC, i.item_id LIMIT {RANKS}"
    ))
    .bind::<Text, _>(query)
    .bind::<Nullable<Text>, _>(type_key)
    .load(conn)?;
    Ok(ranked(hits))
}

/// Items nearest to a vector, of the same model. To be called in a transaction.
pub(crate) fn by_vector(
    conn: &mut PgConnection,
    (vector, model): (Vec<f32>, &str),
    type_key: Option<&str>,
) -> QueryResult<Vec<Ranked>> {
    conn.batch_execute(&format!("SET LOCAL hnsw.ef_search = {RANKS}; SET LOCAL hnsw.iterative_scan = strict_order"))?;
    // Adding zero keeps the index out of it.
    let distance = if is_exact(conn, type_key)? { "(i.embedding <=> $1) + 0" } else { "i.embedding <=> $1" };
    let hits = sql_query(format!(
        "SELECT i.knowledge_id, i.item_id \
         FROM knowledge_items i JOIN knowledge_records r ON r.knowledge_id = i.knowledge_id \
         WHERE i.embedding_model = $2 AND ($3 IS NULL OR r.type_key = $3) \
         ORDER BY {distance} LIMIT {RANKS}"
    ))
    .bind::<SqlVector, _>(Vector::from(vector))
    .bind::<Text, _>(model)
    .bind::<Nullable<Text>, _>(type_key)
    .load(conn)?;
    Ok(ranked(hits))
}

fn is_exact(conn: &mut PgConnection, type_key: Option<&str>) -> QueryResult<bool> {
    let Some(type_key) = type_key else { return Ok(false) };
    let counted = sql_query(
        "SELECT count(*) AS count FROM (\
           SELECT FROM knowledge_items i JOIN knowledge_records r ON r.knowledge_id = i.knowledge_id \
           WHERE r.type_key = $1 LIMIT $2) AS of_type",
    )
    .bind::<Text, _>(type_key)
    .bind::<BigInt, _>(EXACT_ITEMS_MAX + 1)
    .get_result::<Count>(conn)?;
    Ok(counted.count <= EXACT_ITEMS_MAX)
}
