//! One run: round after round, all sources are asked for all identifiers.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use api_core::context;
use api_types::knowledge::{Concept, ItemMetadata, KnowledgeItem, SourceName, SourceReport, Subject};
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use serde_json::Map;

use super::{App, Error};
use crate::{
    domain::{
        deepen::{Deepening, Outcome},
        items::{Collection, FoundIn, FoundText},
    },
    sources::{Answer, Run},
};

/// What a round of slow sources takes, with the time to store what it found.
const ROUND_TIME: Duration = Duration::from_secs(25);

/// What a run is to do.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) subject: Subject<'a>,
    pub(super) cycles: u32,
    pub(super) sources: BTreeSet<SourceName>,
    /// Whether stored documents are looked through, too, and not only those that came along.
    pub(super) searches_documents: bool,
    /// Texts of the documents that came with the request.
    pub(super) documents: Vec<FoundText>,
    pub(super) concept: Option<Concept>,
    /// Restricts stored documents to those of one principal.
    pub(super) owner: Option<&'a str>,
    /// Texts that clients gave: what is found again is no news.
    pub(super) given: Vec<String>,
}

/// What a run found.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) items: Vec<KnowledgeItem>,
    pub(super) sources: Vec<SourceReport>,
    pub(super) outcome: Outcome,
}

impl App {
    pub(super) async fn gather(&self, plan: Plan<'_>, now: DateTime<Utc>) -> Result<Gathered, Error> {
        let mut run = self.runner.begin(&plan.sources);
        let mut deepening = Deepening::new(plan.subject.name, plan.cycles);
        let mut collection = Collection::new(plan.subject.clone(), &plan.given, now);
        while !deepening.identifiers().is_empty() {
            let round = deepening.round();
            if round > 0 && time_left().is_some_and(|left| left < ROUND_TIME) {
                tracing::warn!(round, "a run ends early: its request has no time left for another round");
                break;
            }
            let identifiers = deepening.identifiers().to_vec();
            let at_home = self.ask_at_home(&plan, round, &identifiers, &mut run).await?;
            let answers = run.round(&identifiers).await;
            let (added, linked) = merge(&mut collection, round, &identifiers, (at_home, answers));
            let texts: Vec<&str> = added.iter().map(String::as_str).collect();
            deepening.found(&texts, &linked);
        }
        Ok(Gathered {
            sources: run.report(|source| collection.count(source)),
            items: collection.into_items(),
            outcome: deepening.outcome(),
        })
    }

    /// Documents, and in the first round the taxonomy's concept: what is found for each identifier.
    async fn ask_at_home(
        &self,
        plan: &Plan<'_>,
        round: u32,
        identifiers: &[String],
        run: &mut Run<'_>,
    ) -> Result<Vec<Vec<FoundText>>, Error> {
        let mut found = vec![Vec::new(); identifiers.len()];
        if run.wants(SourceName::Documents) {
            let started = Instant::now();
            if plan.searches_documents {
                let stored = identifiers.iter().map(|identifier| self.passages_about(identifier, plan.owner));
                found = try_join_all(stored).await?;
            }
            if round == 0 {
                found[0].splice(0..0, plan.documents.iter().cloned());
            }
            run.asked_at_home(SourceName::Documents, started.elapsed());
        }
        if let Some(concept) = plan.concept.as_ref().filter(|_| round == 0 && run.wants(SourceName::Taxonomy)) {
            run.asked_at_home(SourceName::Taxonomy, Duration::ZERO);
            found[0].push(described(concept));
        }
        Ok(found)
    }
}

/// Adds what a round found, identifier by identifier and source by source; gives the new texts and the linked entities.
fn merge(
    collection: &mut Collection<'_>,
    round: u32,
    identifiers: &[String],
    (at_home, answers): (Vec<Vec<FoundText>>, Vec<Answer>),
) -> (Vec<String>, Vec<String>) {
    let mut added = Vec::new();
    for (place, (identifier, found)) in identifiers.iter().zip(&at_home).enumerate() {
        added.extend(collection.add(round, identifier, found));
        for answer in answers.iter().filter(|answer| answer.identifier == place) {
            added.extend(collection.add(round, identifier, &answer.found.texts));
        }
    }
    let linked = answers.into_iter().flat_map(|answer| answer.found.linked);
    (added, linked.collect())
}

/// Until the request must be answered.
fn time_left() -> Option<Duration> {
    context::current().map(|context| context.deadline.saturating_duration_since(Instant::now()))
}

/// A concept's description, as a source of the taxonomy's own.
fn described(concept: &Concept) -> FoundText {
    FoundText {
        found_in: FoundIn::Taxonomy,
        label: "ESCO".to_owned(),
        text: concept.description.clone(),
        summary: None,
        attributes: Map::new(),
        metadata: ItemMetadata {
            source_id: Some(concept.uri.clone()),
            url: Some(concept.uri.clone()),
            title: Some(concept.label.clone()),
            ..ItemMetadata::default()
        },
    }
}
