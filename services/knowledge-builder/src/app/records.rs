//! Records of entities: gathering, reading, writing.

use std::{
    collections::{BTreeSet, HashSet},
    sync::LazyLock,
};

use api_core::{list::ListQuery, metrics::Counters, outbox};
use api_types::{
    envelope::Pagination,
    knowledge::{
        Concept, ItemMetadata, KnowledgeId, KnowledgeItem, KnowledgeRecord, KnowledgeRound, SourceName, SourceReport,
        Subject, item_entries, knowledge_id, parse_items,
    },
};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    App, Error, Handed,
    gather::{Gathered, Plan},
    now, turns,
};
use crate::{
    domain::{
        deepen::Outcome,
        entities,
        items::{self, FoundIn, FoundText},
    },
    store::{
        Vectors, items as item_store,
        records::{self as store, Changes, Naming, RunFacts},
    },
};

static CREATED: LazyLock<Counters> =
    LazyLock::new(|| Counters::new("knowledgebuilder_records_created_total", "Records made", &[]));

/// What a client asks to be gathered.
#[derive(Debug, Clone)]
pub(crate) struct NewRecord {
    pub(crate) identifier: String,
    pub(crate) entity_type: Option<String>,
    pub(crate) cycles: u32,
    /// Whether what was found before is found anew. A text alone is only added.
    pub(crate) is_run: bool,
    pub(crate) sources: BTreeSet<SourceName>,
    /// Whether stored documents are looked through, too, and not only those that came along.
    pub(crate) searches_documents: bool,
    pub(crate) documents: Vec<Handed>,
    pub(crate) role_model_texts: Vec<String>,
    pub(crate) concept: Option<Concept>,
    pub(crate) given: Option<Given>,
}

/// A text that a client gives with it.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) text: String,
    pub(crate) source: String,
    pub(crate) confidence: f64,
}

/// A change; `None` leaves what is there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Update {
    pub(crate) identifier: Option<String>,
    pub(crate) entity_type: Option<String>,
    /// Items as a client writes them, known to be readable.
    pub(crate) items: Option<Vec<Value>>,
    pub(crate) cycles: Option<u32>,
}

/// A record as a client writes it.
#[derive(Debug, Clone)]
pub(crate) struct Replacement {
    pub(crate) identifier: String,
    pub(crate) entity_type: Option<String>,
    pub(crate) items: Vec<Value>,
    pub(crate) cycles: u32,
}

/// Who asks, and what the answer is to hold.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) principal: String,
    /// Restricts documents to those of this principal.
    pub(crate) owner: Option<String>,
    pub(crate) vectors: Vectors,
}

/// What is stored of a run in one transaction.
struct Finished {
    id: KnowledgeId,
    naming: Naming,
    facts: RunFacts,
    given: Option<KnowledgeItem>,
    /// `None` leaves what earlier runs found and say of themselves: this is none.
    found: Option<Vec<KnowledgeItem>>,
    turn: Option<Uuid>,
    started: DateTime<Utc>,
}

impl App {
    /// Gathers knowledge and stores it. What clients gave earlier stays, what was found earlier is replaced by a run.
    pub(crate) async fn create_record(&self, new: NewRecord, asker: Asker) -> Result<KnowledgeRecord, Error> {
        let started = now();
        let naming = Naming { identifier: new.identifier.clone(), entity_type: new.entity_type.clone() };
        let id = knowledge_id(new.entity_type.as_deref(), &new.identifier);
        let mut documents = self.handed_over(new.documents.clone(), asker.owner.as_deref()).await?;
        documents.extend(new.role_model_texts.iter().map(|text| role_model(text)));
        let turn = if new.is_run { Some(self.turn(&id).await?) } else { None };
        let mut gathered = if new.is_run {
            let plan = Plan {
                subject: subject(&id, &naming),
                cycles: new.cycles,
                sources: new.sources.clone(),
                searches_documents: new.searches_documents,
                documents,
                concept: new.concept.clone(),
                owner: asker.owner.as_deref(),
                given: self.given_texts(&id, new.given.as_ref()).await?,
            };
            self.gather(plan, started).await?
        } else {
            nothing(&new)
        };
        self.embed(&mut gathered.items).await?;
        let mut given: Vec<KnowledgeItem> = new
            .given
            .iter()
            .map(|given| items::given(&subject(&id, &naming), &given.text, &given.source, given.confidence, started))
            .collect();
        self.embed(&mut given).await?;
        let finished = Finished {
            facts: facts(&new, &gathered),
            found: new.is_run.then_some(gathered.items),
            given: given.pop(),
            turn: turn.as_ref().map(turns::Turn::holder),
            id,
            naming,
            started,
        };
        let (record, is_new) = self.db.transaction(move |conn| finish(conn, &finished, &asker)).await?;
        if let Some(turn) = turn {
            turn.end();
        }
        if is_new {
            CREATED.inc(&[]);
        }
        Ok(record)
    }

    async fn given_texts(&self, id: &KnowledgeId, given: Option<&Given>) -> Result<Vec<String>, Error> {
        let id = id.clone();
        let mut texts = self.db.run::<_, Error>(move |conn| Ok(item_store::given_texts(conn, &id)?)).await?;
        texts.extend(given.map(|given| given.text.clone()));
        Ok(texts)
    }

    pub(crate) async fn record(&self, id: String, vectors: Vectors) -> Result<KnowledgeRecord, Error> {
        self.db.run(move |conn| store::find(conn, &id, vectors)?.ok_or(Error::NoRecord(id))).await
    }

    pub(crate) async fn records(
        &self,
        query: ListQuery,
        vectors: Vectors,
    ) -> Result<(Vec<KnowledgeRecord>, Pagination), Error> {
        self.db.run(move |conn| Ok(store::page(conn, &query, vectors)?)).await
    }

    /// The records about an entity, at least one.
    pub(crate) async fn about(&self, entity: String, vectors: Vectors) -> Result<Vec<KnowledgeRecord>, Error> {
        let found = self
            .db
            .run::<_, Error>({
                let lookup = entities::lookup(&entity);
                move |conn| Ok(store::looked_up(conn, &lookup, vectors)?)
            })
            .await?;
        if found.is_empty() { Err(Error::NoEntity(entity)) } else { Ok(found) }
    }

    /// Changes a record: only stores, nothing is gathered.
    pub(crate) async fn change_record(
        &self,
        id: String,
        update: Update,
        asker: Asker,
    ) -> Result<KnowledgeRecord, Error> {
        let id = KnowledgeId::new(id);
        let naming = self.db.run::<_, Error>({
            let id = id.clone();
            move |conn| store::naming(conn, &id)?.ok_or_else(|| Error::NoRecord(id.into_inner()))
        });
        let old = naming.await?;
        let renamed = update.identifier.is_some() || update.entity_type.is_some();
        let naming = Naming {
            identifier: update.identifier.unwrap_or(old.identifier),
            entity_type: update.entity_type.or(old.entity_type),
        };
        let items = match update.items {
            Some(values) => Some(self.written(&id, &naming, &values).await?),
            None => None,
        };
        let changes = Changes { naming: renamed.then(|| naming.clone()), deepening_cycles: update.cycles.map(column) };
        self.db
            .transaction(move |conn| {
                if !store::change(conn, &id, &changes, now())? {
                    return Err(Error::NoRecord(id.into_inner()));
                }
                if let Some(items) = &items {
                    item_store::delete_all(conn, &id)?;
                    item_store::insert(conn, &naming, (true, 0), items)?;
                }
                updated(conn, &id, &asker)
            })
            .await
    }

    /// Writes a record in the place of whatever has its id.
    pub(crate) async fn put_record(
        &self,
        id: String,
        replacement: Replacement,
        asker: Asker,
    ) -> Result<KnowledgeRecord, Error> {
        let id = KnowledgeId::new(id);
        let naming = Naming { identifier: replacement.identifier, entity_type: replacement.entity_type };
        let items = self.written(&id, &naming, &replacement.items).await?;
        let facts = RunFacts {
            run_id: Uuid::new_v4(),
            deepening_cycles: column(replacement.cycles),
            cycles_run: 0,
            stopped_early: false,
            rounds: vec![first_round(&naming.identifier, items.len())],
            sources: SourceReport::none_requested(),
        };
        let (record, is_new) = self
            .db
            .transaction::<_, Error>(move |conn| {
                let is_new = store::upsert(conn, &id, (&naming, &facts), (&asker.principal, now()))?;
                item_store::delete_all(conn, &id)?;
                item_store::insert(conn, &naming, (true, 0), &items)?;
                Ok((updated(conn, &id, &asker)?, is_new))
            })
            .await?;
        if is_new {
            CREATED.inc(&[]);
        }
        Ok(record)
    }

    pub(crate) async fn delete_record(&self, id: String, actor: String) -> Result<(), Error> {
        self.db
            .transaction(move |conn| {
                if !store::delete(conn, &id)? {
                    return Err(Error::NoRecord(id));
                }
                Ok(outbox::push(conn, "knowledge.deleted", &id, Some(&actor), json!({"knowledge_id": id}))?)
            })
            .await
    }

    /// Items that a client writes, with their vectors. What cannot be read has been refused before.
    async fn written(&self, id: &KnowledgeId, naming: &Naming, values: &[Value]) -> Result<Vec<KnowledgeItem>, Error> {
        let mut items = parse_items(&item_entries(values), &subject(id, naming), now()).unwrap_or_default();
        self.embed(&mut items).await?;
        Ok(items)
    }
}

fn subject<'a>(id: &KnowledgeId, naming: &'a Naming) -> Subject<'a> {
    Subject {
        record: id.clone(),
        name: &naming.identifier,
        entity_type: naming.entity_type.as_deref(),
        keeps_entity_ids: false,
    }
}

/// The text of a role model about itself.
fn role_model(text: &str) -> FoundText {
    const LABEL: &str = "Role model";
    FoundText {
        found_in: FoundIn::Documents,
        label: LABEL.to_owned(),
        text: text.to_owned(),
        summary: None,
        attributes: Map::new(),
        metadata: ItemMetadata { title: Some(LABEL.to_owned()), ..ItemMetadata::default() },
    }
}

/// The outcome of asking nobody.
fn nothing(new: &NewRecord) -> Gathered {
    Gathered {
        items: Vec::new(),
        sources: SourceReport::none_requested(),
        outcome: Outcome {
            rounds: vec![first_round(&new.identifier, 0)],
            cycles_run: 0,
            stopped_early: new.cycles > 0,
        },
    }
}

fn first_round(identifier: &str, items: usize) -> KnowledgeRound {
    let items = i64::try_from(items).unwrap_or(i64::MAX);
    KnowledgeRound { round: 0, identifiers: vec![identifier.to_owned()], items }
}

fn facts(new: &NewRecord, gathered: &Gathered) -> RunFacts {
    RunFacts {
        run_id: Uuid::new_v4(),
        deepening_cycles: column(new.cycles),
        cycles_run: column(gathered.outcome.cycles_run),
        stopped_early: gathered.outcome.stopped_early,
        rounds: gathered.outcome.rounds.clone(),
        sources: gathered.sources.clone(),
    }
}

/// Stores what a run found or a client gave; the record, and whether it is new.
fn finish(conn: &mut PgConnection, run: &Finished, asker: &Asker) -> Result<(KnowledgeRecord, bool), Error> {
    let Finished { id, naming, .. } = run;
    if let Some(holder) = run.turn {
        turns::release(conn, id, holder)?;
    }
    let (content, origin) = ((naming, &run.facts), (asker.principal.as_str(), run.started));
    let is_new = if run.found.is_some() {
        let is_new = store::upsert(conn, id, content, origin)?;
        item_store::delete_found(conn, id)?;
        is_new
    } else {
        let is_new = store::create(conn, id, content, origin)?;
        let changes = Changes { naming: Some(naming.clone()), deepening_cycles: None };
        if !is_new && !store::change(conn, id, &changes, run.started)? {
            return Err(Error::NoRecord(id.clone().into_inner()));
        }
        is_new
    };
    if let Some(given) = &run.given {
        item_store::give(conn, naming, given)?;
    }
    if let Some(found) = &run.found {
        // Clients may have written items while the run went on.
        let given: HashSet<String> = item_store::given_texts(conn, id)?.into_iter().collect();
        let news: Vec<KnowledgeItem> = found.iter().filter(|item| !given.contains(&item.text)).cloned().collect();
        item_store::insert(conn, naming, (false, 0), &news)?;
    }
    let record = store::settle(conn, id, asker.vectors)?;
    let payload = json!({
        "knowledge_id": record.knowledge_id,
        "identifier": record.identifier,
        "items": record.total_items,
        "cycles_run": record.cycles_run,
        "duration_ms": (now() - run.started).num_milliseconds(),
    });
    outbox::push(conn, "knowledge.generated", id, Some(&asker.principal), payload)?;
    Ok((record, is_new))
}

/// The record after a client wrote it.
fn updated(conn: &mut PgConnection, id: &KnowledgeId, asker: &Asker) -> Result<KnowledgeRecord, Error> {
    let record = store::settle(conn, id, asker.vectors)?;
    let payload = json!({
        "knowledge_id": record.knowledge_id,
        "identifier": record.identifier,
        "items": record.total_items,
    });
    outbox::push(conn, "knowledge.updated", id, Some(&asker.principal), payload)?;
    Ok(record)
}

/// As the tables hold small numbers.
fn column(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
