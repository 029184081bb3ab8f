//! Finding items by what they say and by what they mean.

use std::collections::HashMap;

use api_types::knowledge::{FoundRecord, KnowledgeItem, SearchAnswer};
use diesel::{PgConnection, QueryResult};
use embedding::Priority;

use super::{App, Error};
use crate::{
    domain::{
        entities,
        search::{Found, fuse},
    },
    store::{Vectors, items, records, search},
};

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
        let mut vectors = self.embedder.embed(vec![question.query.clone()], Priority::Interactive).await?;
        let vector = vectors.pop().unwrap_or_default();
        let model = self.embedder.model().to_owned();
        let query = question.query.clone();
        let (results, total) = self
            .db
            .transaction::<_, Error>({
                let model = model.clone();
                move |conn| {
                    let type_key = question.entity_type.as_deref().map(|kind| entities::type_key(Some(kind)));
                    let by_words = search::by_words(conn, &question.query, type_key.as_deref())?;
                    let by_vector = search::by_vector(conn, (vector, &model), type_key.as_deref())?;
                    let mut found = fuse(&by_words, &by_vector);
                    let total = found.len();
                    found.truncate(question.limit);
                    Ok((load(conn, found, question.vectors)?, total))
                }
            })
            .await?;
        Ok(SearchAnswer {
            query,
            results,
            total: i64::try_from(total).unwrap_or(i64::MAX),
            method: "hybrid".to_owned(),
            embedding_model: model,
        })
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
