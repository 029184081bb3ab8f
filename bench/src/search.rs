//! Search over many passages: how fast over HTTP, and how much of the exact answer the index finds.

use std::{collections::HashSet, time::Instant};

use anyhow::{Context as _, bail};
use api_core::settings::Settings;
use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{Array, BigInt, Text},
};
use embedding::{Embedder, Priority};
use migrations::Service;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;

use crate::{
    Target,
    load::{self, Request},
};

const BATCH: usize = 1000;
/// About as many as an agent with a few cycles has.
const PASSAGES_PER_RECORD: i64 = 100;
const QUERIES: usize = 200;
const NEAREST: i64 = 10;
/// As the knowledge builder searches.
const SEARCH_SETTINGS: &str = "SET LOCAL hnsw.ef_search = 200; SET LOCAL hnsw.iterative_scan = strict_order";

const WHO: &[&str] = &[
    "A beekeeper",
    "The harbour pilot",
    "An old printer",
    "The night nurse",
    "A young surveyor",
    "The glass blower",
    "A court clerk",
    "The bridge engineer",
    "An amateur astronomer",
    "The village baker",
    "A tram driver",
    "The bookbinder",
    "A marine biologist",
    "The piano tuner",
    "An insurance actuary",
    "The stone mason",
];
const DID: &[&str] = &[
    "repaired",
    "measured",
    "described",
    "catalogued",
    "sold",
    "painted",
    "inherited",
    "photographed",
    "designed",
    "lost",
    "restored",
    "tested",
    "translated",
    "weighed",
    "borrowed",
    "invented",
];
const WHAT: &[&str] = &[
    "a tide clock",
    "the copper roof",
    "a map of the northern coast",
    "three crates of oranges",
    "the church organ",
    "a steam engine",
    "a letter from Lisbon",
    "the reading room",
    "a wooden leg",
    "the oldest vine",
    "a box of lenses",
    "the weather station",
    "a silk parachute",
    "two hundred recipes",
    "the fire brigade's pump",
    "a set of prime numbers",
];
const WHERE: &[&str] = &[
    "in the hills above Trento",
    "on the ferry to Gotland",
    "behind the railway station",
    "during the long strike",
    "at the spring fair",
    "near the salt works",
    "for the city museum",
    "after the flood",
    "in a cellar in Porto",
    "before the first frost",
    "with hardly any money",
    "under a false name",
    "in the year of the comet",
    "for a wager",
    "by candle light",
    "in the shadow of the dam",
];

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Hit {
    #[diesel(sql_type = Text)]
    item_id: String,
}

fn pick<'a>(words: &[&'a str], random: &mut StdRng) -> &'a str {
    words[random.random_range(0..words.len())]
}

fn sentence(random: &mut StdRng) -> String {
    let year = random.random_range(1700..2020);
    let (who, did, what, place) = (pick(WHO, random), pick(DID, random), pick(WHAT, random), pick(WHERE, random));
    format!("{who} {did} {what} {place}, {year}.")
}

fn vector_text(vector: &[f32]) -> String {
    let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
    format!("[{}]", numbers.join(","))
}

/// Fills the stack's knowledge with passages where they are missing, then measures.
pub(crate) async fn run(target: &Target, passages: i64) -> anyhow::Result<()> {
    let url = migrations::service_url(&target.database_url, Service::KnowledgeBuilder)?;
    let mut conn = PgConnection::establish(&url)?;
    let config: embedding::Config = Settings::load()?.section()?;
    let embedder = Embedder::from_config(&config, api_client::http_client()?);
    fill(&mut conn, &embedder, passages).await?;
    println!("search over {} passages", count(&mut conn)?);
    recall(&mut conn, &embedder).await?;
    latency(target).await
}

fn count(conn: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sql_query("SELECT count(*) AS count FROM knowledge_items").get_result::<Count>(conn)?.count)
}

async fn fill(conn: &mut PgConnection, embedder: &Embedder, passages: i64) -> anyhow::Result<()> {
    sql_query(
        "INSERT INTO knowledge_records (knowledge_id, identifier, lookup, entity_type, type_key, deepening_cycles, cycles_run, \
         stopped_early, rounds, sources, run_id, created_by, created_at, updated_at) \
         SELECT 'bench:' || n, 'passages ' || n, 'passages ' || n, 'bench', 'bench', 0, 0, false, '[]', '[]', gen_random_uuid(), 'bench', \
         now(), now() FROM generate_series(0, $1 / $2) n ON CONFLICT DO NOTHING",
    )
    .bind::<BigInt, _>(passages)
    .bind::<BigInt, _>(PASSAGES_PER_RECORD)
    .execute(conn)?;
    let have = count(conn)?;
    let (mut random, mut position, started) = (StdRng::seed_from_u64(u64::try_from(have)?), have, Instant::now());
    while position < passages {
        let texts: Vec<String> = (0..BATCH).map(|_| sentence(&mut random)).collect();
        let vectors = embedder.embed(texts.clone(), Priority::Background).await?;
        let vectors: Vec<String> = vectors.iter().map(|vector| vector_text(vector)).collect();
        sql_query(
            "INSERT INTO knowledge_items (knowledge_id, given, position, item_id, text, quality_score, trust_score, \
             completeness_score, source, confidence, found_at, attributes, metadata, embedding, embedding_model) \
             SELECT 'bench:' || ($2 + n - 1) / $1, true, $2 + n, 'kn_' || substr(md5($2::text || n::text), 1, 20), text, 1, 1, 1, 'User', 1, now(), '{}', '{}', \
             vector::vector(384), $5 FROM unnest($3, $4) WITH ORDINALITY AS rows (text, vector, n)",
        )
        .bind::<BigInt, _>(PASSAGES_PER_RECORD)
        .bind::<BigInt, _>(position)
        .bind::<Array<Text>, _>(&texts)
        .bind::<Array<Text>, _>(&vectors)
        .bind::<Text, _>(embedder.model())
        .execute(conn)?;
        position += i64::try_from(BATCH)?;
        if position % 10_000 < i64::try_from(BATCH)? {
            println!("  {position} passages after {:?}", started.elapsed());
        }
    }
    conn.batch_execute("ANALYZE knowledge_items")?;
    Ok(())
}

fn nearest(conn: &mut PgConnection, vector: &str, distance: &str) -> anyhow::Result<HashSet<String>> {
    let sql = format!("SELECT item_id FROM knowledge_items ORDER BY {distance} LIMIT {NEAREST}");
    let hits = conn.transaction(|conn| {
        conn.batch_execute(SEARCH_SETTINGS)?;
        sql_query(sql).bind::<Text, _>(vector).load::<Hit>(conn)
    })?;
    Ok(hits.into_iter().map(|hit| hit.item_id).collect())
}

async fn recall(conn: &mut PgConnection, embedder: &Embedder) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(u64::MAX);
    let queries = (0..QUERIES).map(|_| sentence(&mut random)).collect();
    let vectors = embedder.embed(queries, Priority::Interactive).await?;
    let mut found = 0usize;
    for vector in &vectors {
        let vector = vector_text(vector);
        // Adding zero keeps the index out of it.
        let exact = nearest(conn, &vector, "(embedding <=> $1::vector(384)) + 0")?;
        found += nearest(conn, &vector, "embedding <=> $1::vector(384)")?.intersection(&exact).count();
    }
    let wanted = QUERIES * usize::try_from(NEAREST)?;
    if vectors.len() != QUERIES {
        bail!("not every query was embedded");
    }
    let (found, wanted) = (u32::try_from(found)?, u32::try_from(wanted)?);
    println!("  recall@10  {:.3} of the exact answer (at least 0.95 wanted)", f64::from(found) / f64::from(wanted));
    Ok(())
}

async fn latency(target: &Target) -> anyhow::Result<()> {
    let search = |query: String, headers: String| Request {
        method: "POST",
        path: "/api/v1/knowledge/search".to_owned(),
        headers,
        body: json!({"query": query, "limit": 10}).to_string(),
    };
    for (name, repeated) in [("new queries", false), ("a known query", true)] {
        let headers = target.headers.clone();
        let next = move |_: usize, number: usize| {
            let mut random = StdRng::seed_from_u64(if repeated { 7 } else { 1_000_000 + number as u64 });
            search(sentence(&mut random), headers.clone())
        };
        let figures = load::run(target.knowledge_builder, 1, target.time, next).await.context("searching")?;
        println!(
            "  {name:<14} p50 {:>6.2} ms   p99 {:>6.2} ms   errors {}   (p50 under 10 ms wanted)",
            figures.percentile_ms(50),
            figures.percentile_ms(99),
            figures.errors,
        );
    }
    Ok(())
}
