//! Finding items by what they say and by what they mean.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use api_types::knowledge::{FoundRecord, KnowledgeItem, SearchAnswer};
use diesel::{PgConnection, QueryResult};
use embedding::Priority;

use super::{App, Error};
use crate::{
    domain::{
        entities,
        search::{Found, Ranked, fuse},
        words::{self, Frequencies},
    },
    store::{Vectors, items, records, search},
};

/// How long the database's estimate of how common words are is used.
const FREQUENCIES_FRESH: Duration = Duration::from_secs(60);

/// What is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) query: String,
    pub(crate) entity_type: Option<String>,
    /// Records in the answer.
    pub(crate) limit: usize,
    pub(crate) vectors: Vectors,
}

impl App {
    pub(crate) async fn search(&self, question: Question) -> Result<SearchAnswer, Error> {
        let model = self.embedder.model().to_owned();
        let type_key = question.entity_type.as_deref().map(|kind| entities::type_key(Some(kind)));
        // Neither half waits for the other.
        let embedding = async {
            let mut vectors = self.embedder.embed(vec![question.query.clone()], Priority::Interactive).await?;
            Ok::<_, Error>(vectors.pop().unwrap_or_default())
        };
        let (vector, by_words) = tokio::try_join!(embedding, self.by_words(question.query.clone(), type_key.clone()))?;
        let (results, total) = self
            .db
            .transaction::<_, Error>({
                let model = model.clone();
                move |conn| {
                    let by_vector = search::by_vector(conn, (vector, &model), type_key.as_deref())?;
                    let mut found = fuse(&by_words, &by_vector);
                    let total = found.len();
                    found.truncate(question.limit);
                    Ok((load(conn, found, question.vectors)?, total))
                }
            })
            .await?;
        Ok(SearchAnswer {
            query: question.query,
            results,
            total: i64::try_from(total).unwrap_or(i64::MAX),
            method: "hybrid".to_owned(),
            embedding_model: model,
        })
    }

    async fn by_words(&self, query: String, type_key: Option<String>) -> Result<Vec<Ranked>, Error> {
        let known = self.frequencies.known();
        let (ranked, frequencies) = self
            .db
            .run::<_, Error>(move |conn| {
                let frequencies = match known {
                    Some(known) => known,
                    None => Arc::new(search::frequencies(conn)?),
                };
                let looked = words::choose(search::words_of(conn, &query)?, &frequencies);
                Ok((search::by_words(conn, &looked, type_key.as_deref())?, frequencies))
            })
            .await?;
        self.frequencies.remember(frequencies);
        Ok(ranked)
    }
}

/// How common words are, remembered for a while: it changes slowly, and reading it takes longer than searching.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<Option<(Instant, Arc<Frequencies>)>>);

impl Remembered {
    fn known(&self) -> Option<Arc<Frequencies>> {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().filter(|(at, _)| at.elapsed() < FREQUENCIES_FRESH).map(|(_, frequencies)| Arc::clone(frequencies))
    }

    fn remember(&self, frequencies: Arc<Frequencies>) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !slot.as_ref().is_some_and(|(_, known)| Arc::ptr_eq(known, &frequencies)) {
            *slot = Some((Instant::now(), frequencies));
        }
    }
}

/// The found records with their found items, in the order of the ranking.
fn load(conn: &mut PgConnection, found: Vec<Found>, vectors: Vectors) -> QueryResult<Vec<FoundRecord>> {
    let ids: Vec<&str> = found.iter().map(|found| found.record.as_str()).collect();
    let rows = records::rows(conn, &ids)?;
    let item_ids: Vec<&str> = found.iter().flat_map(|found| &found.items).map(String::as_str).collect();
    let mut items = items::with_ids(conn, &rows, &item_ids, vectors)?;
    let mut rows: HashMap<String, records::Row> = rows.into_iter().map(|row| (row.knowledge_id.clone(), row)).collect();
    let mut results = Vec::with_capacity(found.len());
    for Found { record, relevance, items: order } in found {
        // What was deleted since the ranking is not found any more.
        let (Some(row), Some(mut own)) = (rows.remove(&record), items.remove(&record)) else { continue };
        let rank = |item: &KnowledgeItem| order.iter().position(|id| *id == *item.knowledge_id);
        own.sort_by_key(rank);
        results.push(FoundRecord { record: records::whole(row, own)?, relevance_score: relevance });
    }
    Ok(results)
}
