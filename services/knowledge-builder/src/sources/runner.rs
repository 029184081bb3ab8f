//! Asking the sources: side by side, with limits, a second attempt, and rest for those that keep failing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
    time::Duration,
};

use api_core::metrics::Counters;
use api_types::knowledge::{SkipReason, SourceErrorCode, SourceName, SourceReport, SourceStatus};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::{Failure, Found, Question, Source, circuit::Circuit, page, settings::Availability};
use crate::domain::items::FoundText;

static REQUESTS: LazyLock<Counters> = LazyLock::new(|| {
    Counters::new("knowledgebuilder_source_requests_total", "Attempts to ask a source", &["source", "outcome"])
});

/// How long things take at most, and the pauses between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// One attempt, whatever number of requests it makes.
    pub(crate) attempt: Duration,
    /// Between the two attempts.
    pub(crate) pause: Duration,
    /// The longest wait that a source may ask for.
    pub(crate) retry_after_max: Duration,
    /// For a source that keeps failing.
    pub(crate) rest: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(8),
            pause: Duration::from_millis(500),
            retry_after_max: Duration::from_secs(5),
            rest: Duration::from_secs(60),
        }
    }
}

/// Attempts of one call.
const ATTEMPTS: i64 = 2;

/// All outside sources; shared by the runs of a process.
#[derive(Debug)]
pub(crate) struct Runner {
    sources: BTreeMap<SourceName, Place>,
    timing: Timing,
    language: String,
    blocked: Vec<String>,
}

/// A source, or why there is none.
#[derive(Debug)]
enum Place {
    Here(Box<dyn Source>, Circuit),
    Missing(SkipReason),
}

/// What one source found for one identifier.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The place of the identifier in the question.
    pub(crate) identifier: usize,
    pub(crate) found: Found,
}

impl Runner {
    pub(super) fn new(sources: Vec<(SourceName, Availability)>, timing: Timing, blocked: &[String]) -> Self {
        let place = |availability| match availability {
            Availability::Enabled(source) => Place::Here(source, Circuit::new(timing.rest)),
            Availability::Disabled => Place::Missing(SkipReason::Disabled),
            Availability::NoKey => Place::Missing(SkipReason::NoKey),
        };
        Self {
            sources: sources.into_iter().map(|(name, availability)| (name, place(availability))).collect(),
            timing,
            language: "en".to_owned(),
            blocked: blocked.to_vec(),
        }
    }

    /// The same runner asking in this language.
    #[must_use]
    pub(super) fn in_language(mut self, language: &str) -> Self {
        language.clone_into(&mut self.language);
        self
    }

    /// Begins a run over the sources that a request names.
    #[must_use]
    pub(crate) fn begin(&self, requested: &BTreeSet<SourceName>) -> Run<'_> {
        Run { runner: self, requested: requested.clone(), tallies: BTreeMap::new() }
    }

    /// Asks the sources for one identifier: those that search side by side, then the one that reads a page they found.
    async fn ask_all(
        &self,
        place: usize,
        identifier: &str,
        searches: &[Ready<'_>],
        reader: Option<Ready<'_>>,
    ) -> Asked {
        let mut question = Question { identifier: identifier.to_owned(), language: self.language.clone(), page: None };
        let calls = searches.iter().map(|ready| self.call(*ready, &question));
        let mut calls = join_all(calls).await;
        let texts = calls.iter().filter_map(|call| call.result.as_ref().ok()).flat_map(|found| &found.texts);
        question.page = page::best(texts);
        if let Some(reader) = reader.filter(|_| question.page.is_some()) {
            calls.push(self.call(reader, &question).await);
        }
        Asked { place, calls }
    }

    /// One call: an attempt, and a second one when that may help.
    async fn call(&self, Ready { source, circuit }: Ready<'_>, question: &Question) -> Call {
        let started = Instant::now();
        let mut attempts = 1;
        let mut result = self.attempt(source, question).await;
        while let Err(failure) = result {
            let asked = failure.retry_after_s.map(Duration::from_secs);
            let patient = asked.is_none_or(|wait| wait <= self.timing.retry_after_max);
            if attempts == ATTEMPTS || !failure.passing || !patient {
                break;
            }
            sleep(self.timing.pause.max(asked.unwrap_or_default())).await;
            attempts += 1;
            result = self.attempt(source, question).await;
        }
        match &mut result {
            Ok(found) => {
                circuit.succeeded();
                found.texts.retain(|text| self.permits(text));
            }
            Err(_) => circuit.failed(),
        }
        Call { source: source.name(), result, attempts, duration: started.elapsed() }
    }

    async fn attempt(&self, source: &dyn Source, question: &Question) -> Result<Found, Failure> {
        let result = match timeout(self.timing.attempt, source.fetch(question)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Failure::of(SourceErrorCode::Timeout)),
        };
        let outcome = match &result {
            Ok(found) if found.texts.is_empty() => "empty",
            Ok(_) => "ok",
            Err(failure) => outcome_of(failure.code),
        };
        REQUESTS.inc(&[source.name().as_str(), outcome]);
        result
    }

    fn permits(&self, text: &FoundText) -> bool {
        text.metadata.url.as_deref().is_none_or(|url| !page::is_within(url, &self.blocked))
    }
}

fn outcome_of(code: SourceErrorCode) -> &'static str {
    match code {
        SourceErrorCode::Timeout => "timeout",
        SourceErrorCode::Unreachable => "unreachable",
        SourceErrorCode::HttpError => "http_error",
        SourceErrorCode::RateLimited => "rate_limited",
        SourceErrorCode::Unauthorized => "unauthorized",
        SourceErrorCode::InvalidResponse => "invalid_response",
    }
}

/// A source that can be asked now.
#[derive(Clone, Copy)]
struct Ready<'r> {
    source: &'r dyn Source,
    circuit: &'r Circuit,
}

/// What the sources said of the identifier at this place of the question.
struct Asked {
    place: usize,
    calls: Vec<Call>,
}

/// How a call went.
struct Call {
    source: SourceName,
    result: Result<Found, Failure>,
    attempts: i64,
    duration: Duration,
}

/// What a run knows of a source.
#[derive(Debug, Default)]
struct Tally {
    attempts: i64,
    duration: Duration,
    succeeded: bool,
    error: Option<SourceErrorCode>,
    rested: bool,
}

/// One run: some rounds of questions, then a report.
#[derive(Debug)]
pub(crate) struct Run<'r> {
    runner: &'r Runner,
    requested: BTreeSet<SourceName>,
    tallies: BTreeMap<SourceName, Tally>,
}

impl<'r> Run<'r> {
    /// Whether the request names the source.
    #[must_use]
    pub(crate) fn wants(&self, source: SourceName) -> bool {
        self.requested.contains(&source)
    }

    /// Notes that a source at home was asked, and how long that took.
    pub(crate) fn asked_at_home(&mut self, source: SourceName, duration: Duration) {
        let tally = self.tallies.entry(source).or_default();
        tally.attempts += 1;
        tally.duration += duration;
        tally.succeeded = true;
    }

    /// Asks all sources for all identifiers at once; answers stand in the order of identifiers, then of sources.
    pub(crate) async fn round(&mut self, identifiers: &[String]) -> Vec<Answer> {
        let names = SourceName::ALL.into_iter().filter(|name| *name != SourceName::Firecrawl);
        let searches: Vec<_> = names.filter_map(|name| self.ready(name)).collect();
        let reader = self.ready(SourceName::Firecrawl);
        let runner = self.runner;
        let questions = identifiers.iter().enumerate();
        let asked = questions.map(|(place, identifier)| runner.ask_all(place, identifier, &searches, reader));
        let outcomes = join_all(asked).await;
        let mut answers = Vec::new();
        let mut durations: BTreeMap<SourceName, Duration> = BTreeMap::new();
        let calls = outcomes.into_iter().flat_map(|asked| asked.calls.into_iter().map(move |call| (asked.place, call)));
        for (identifier, call) in calls {
            let source = call.source;
            let longest = durations.entry(source).or_default();
            *longest = call.duration.max(*longest);
            let tally = self.tallies.entry(source).or_default();
            tally.attempts += call.attempts;
            match call.result {
                Ok(found) => {
                    tally.succeeded = true;
                    answers.push(Answer { identifier, found });
                }
                Err(failure) => tally.error = tally.error.or(Some(failure.code)),
            }
        }
        // The questions of a round run side by side, so the longest is what the round took.
        for (source, duration) in durations {
            self.tallies.entry(source).or_default().duration += duration;
        }
        answers
    }

    /// The source, when the request names it and it is neither missing nor resting.
    fn ready(&mut self, name: SourceName) -> Option<Ready<'r>> {
        if !self.wants(name) {
            return None;
        }
        let Some(Place::Here(source, circuit)) = self.runner.sources.get(&name) else { return None };
        if circuit.is_resting() {
            self.tallies.entry(name).or_default().rested = true;
            return None;
        }
        Some(Ready { source: source.as_ref(), circuit })
    }

    /// What became of each source; `items` says how many items it gave.
    #[must_use]
    pub(crate) fn report(&self, items: impl Fn(SourceName) -> i64) -> Vec<SourceReport> {
        SourceName::ALL.into_iter().map(|source| self.report_one(source, items(source))).collect()
    }

    fn report_one(&self, source: SourceName, items: i64) -> SourceReport {
        if !self.wants(source) {
            return SourceReport::skipped(source, SkipReason::NotRequested);
        }
        if let Some(Place::Missing(reason)) = self.runner.sources.get(&source) {
            return SourceReport::skipped(source, *reason);
        }
        let Some(tally) = self.tallies.get(&source).filter(|tally| tally.attempts > 0) else {
            let rested = self.tallies.get(&source).is_some_and(|tally| tally.rested);
            let reason = if rested { SkipReason::Resting } else { SkipReason::NotApplicable };
            return SourceReport::skipped(source, reason);
        };
        let error = tally.error.filter(|_| !tally.succeeded);
        let status = match error {
            Some(_) => SourceStatus::Failed,
            None if items > 0 => SourceStatus::Ok,
            None => SourceStatus::Empty,
        };
        SourceReport {
            source,
            status,
            items,
            attempts: tally.attempts,
            duration_ms: i64::try_from(tally.duration.as_millis()).unwrap_or(i64::MAX),
            reason: None,
            error: error.map(Into::into),
        }
    }
}

#[cfg(test)]
mod tests;
