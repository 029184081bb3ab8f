//! Items by what they say and by what they mean.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{Array, BigInt, Double, Nullable, Text},
};
use pgvector::{Vector, sql_types::Vector as SqlVector};

use crate::domain::{
    search::Ranked,
    words::{CANDIDATES_MAX, Frequencies, Looked},
};

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

#[derive(QueryableByName)]
struct Words {
    #[diesel(sql_type = Array<Text>)]
    words: Vec<String>,
}

#[derive(QueryableByName)]
struct Statistics {
    #[diesel(sql_type = Double)]
    items: f64,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    words: Option<Vec<String>>,
    #[diesel(sql_type = Nullable<Array<Double>>)]
    shares: Option<Vec<f64>>,
}

fn ranked(hits: Vec<Hit>) -> Vec<Ranked> {
    hits.into_iter().map(|hit| Ranked { record: hit.knowledge_id, item: hit.item_id }).collect()
}

/// The words of a query as they are searched for: without endings, and without those that say nothing in any text.
pub(crate) fn words_of(conn: &mut PgConnection, query: &str) -> QueryResult<Vec<String>> {
    let words = sql_query("SELECT tsvector_to_array(to_tsvector('english', $1)) AS words");
    words.bind::<Text, _>(query).get_result::<Words>(conn).map(|row| row.words)
}

/// How many items there are, and how common their common words are, as the database estimates both.
pub(crate) fn frequencies(conn: &mut PgConnection) -> QueryResult<Frequencies> {
    let row = sql_query(
        "SELECT greatest(c.reltuples, 0)::float8 AS items, s.most_common_elems::text::text[] AS words, \
                s.most_common_elem_freqs::float8[] AS shares \
         FROM pg_class c LEFT JOIN pg_stats s \
              ON s.schemaname = current_schema() AND s.tablename = c.relname AND s.attname = 'words' \
         WHERE c.oid = 'knowledge_items'::regclass",
    )
    .get_result::<Statistics>(conn)?;
    // Behind the shares of the words stand the least and the greatest of them.
    let shares = row.shares.unwrap_or_default();
    let least = shares.iter().rev().nth(1).copied().unwrap_or_default();
    let common = row.words.unwrap_or_default().into_iter().zip(shares).collect();
    Ok(Frequencies { items: row.items, common, least })
}

/// Items that hold words of the query, those first that hold most of them.
pub(crate) fn by_words(
    conn: &mut PgConnection,
    Looked { any, candidates }: &Looked,
    type_key: Option<&str>,
) -> QueryResult<Vec<Ranked>> {
    let found = |number: usize| {
        format!(
            "(SELECT i.knowledge_id, i.item_id, i.words \
             FROM knowledge_items i JOIN knowledge_records r ON r.knowledge_id = i.knowledge_id \
             WHERE i.words @@ ${number}::tsquery AND ($2 IS NULL OR r.type_key = $2) LIMIT {CANDIDATES_MAX})"
        )
    };
    let all: Vec<String> = (0..candidates.len()).map(|place| found(place + 3)).collect();
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = sql_query(format!(
        "SELECT knowledge_id, item_id FROM ({}) AS candidates \
         ORDER BY ts_rank(words, $1::tsquery, 1) DESC, item_id LIMIT {RANKS}",
        all.join(" UNION ")
    ))
    .into_boxed::<diesel::pg::Pg>()
    .bind::<Text, _>(any)
    .bind::<Nullable<Text>, _>(type_key);
    for candidate in candidates {
        query = query.bind::<Text, _>(candidate);
    }
    Ok(ranked(query.load(conn)?))
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
