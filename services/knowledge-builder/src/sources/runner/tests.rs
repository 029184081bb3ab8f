use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use api_types::knowledge::{ItemMetadata, SkipReason, SourceErrorCode, SourceName, SourceReport, SourceStatus};
use futures_util::future::BoxFuture;
use serde_json::Map;
use tokio::time::{Instant, sleep};

use super::{Availability, Failure, Found, Question, Runner, Source, Timing};
use crate::domain::items::{FoundIn, FoundText};

/// What a scripted source does at an attempt.
#[derive(Debug, Clone)]
enum Act {
    Find(&'static str),
    Nothing,
    Fail(Failure),
    Hang,
    Take(Duration),
}

/// A source that follows a script, then goes on with its last act.
#[derive(Debug, Clone)]
struct Scripted {
    name: SourceName,
    script: Vec<Act>,
    asked: Arc<AtomicUsize>,
    questions: Arc<Mutex<Vec<Question>>>,
}

impl Scripted {
    fn new(name: SourceName, script: &[Act]) -> Self {
        Self { name, script: script.to_vec(), asked: Arc::default(), questions: Arc::default() }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Source for Scripted {
    fn name(&self) -> SourceName {
        self.name
    }

    fn fetch<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Found, Failure>> {
        Box::pin(async move {
            let place = self.asked.fetch_add(1, Ordering::SeqCst);
            self.questions.lock().unwrap().push(question.clone());
            let act = self.script.get(place).or(self.script.last()).unwrap();
            match act {
                Act::Find(url) => Ok(Found { texts: vec![text(self.name, url)], linked: Vec::new() }),
                Act::Nothing => Ok(Found::default()),
                Act::Fail(failure) => Err(*failure),
                Act::Hang => std::future::pending().await,
                Act::Take(time) => {
                    sleep(*time).await;
                    Ok(Found { texts: vec![text(self.name, "https://slow.org/")], linked: Vec::new() })
                }
            }
        })
    }
}

fn text(by: SourceName, url: &str) -> FoundText {
    let host = url::Url::parse(url).unwrap().host_str().unwrap().to_owned();
    FoundText {
        found_in: FoundIn::Web { by, host },
        label: by.as_str().to_owned(),
        text: format!("From {url}."),
        summary: None,
        attributes: Map::new(),
        metadata: ItemMetadata { url: Some(url.to_owned()), ..ItemMetadata::default() },
    }
}

fn fail(code: SourceErrorCode) -> Act {
    Act::Fail(Failure::of(code))
}

fn runner(sources: &[&Scripted]) -> Runner {
    runner_without(sources, &[])
}

fn runner_without(sources: &[&Scripted], blocked: &[String]) -> Runner {
    let enabled = |source: &&Scripted| (source.name, Availability::Enabled(Box::new((*source).clone())));
    Runner::new(sources.iter().map(enabled).collect(), Timing::default(), blocked)
}

fn all() -> BTreeSet<SourceName> {
    SourceName::ALL.into()
}

async fn asked(runner: &Runner, identifiers: &[&str]) -> (Vec<SourceName>, Vec<SourceReport>) {
    let identifiers: Vec<String> = identifiers.iter().map(|text| (*text).to_owned()).collect();
    let mut run = runner.begin(&all());
    let answers = run.round(&identifiers).await;
    let found: Vec<_> =
        answers.iter().flat_map(|answer| &answer.found.texts).map(|text| text.found_in.source()).collect();
    let gave = |source| found.iter().filter(|from| **from == source).count();
    let reports = run.report(|source| i64::try_from(gave(source)).unwrap());
    (found, reports)
}

fn of(reports: &[SourceReport], source: SourceName) -> SourceReport {
    reports.iter().find(|report| report.source == source).unwrap().clone()
}

fn code(report: &SourceReport) -> Option<SourceErrorCode> {
    report.error.as_ref().map(|error| error.code)
}

#[tokio::test(start_paused = true)]
async fn all_eight_sources_are_reported_in_order() {
    let runner = Runner::new(
        vec![
            (SourceName::Wikipedia, Availability::Disabled),
            (SourceName::Tavily, Availability::NoKey),
            (SourceName::Exa, Availability::Enabled(Box::new(Scripted::new(SourceName::Exa, &[Act::Nothing])))),
        ],
        Timing::default(),
        &[],
    );
    let requested =
        BTreeSet::from([SourceName::Wikipedia, SourceName::Tavily, SourceName::Taxonomy, SourceName::Documents]);
    let mut run = runner.begin(&requested);
    run.asked_at_home(SourceName::Documents, Duration::from_millis(3));
    assert!(run.round(&["Ada".to_owned()]).await.is_empty());
    let reports = run.report(|source| i64::from(source == SourceName::Documents) * 4);
    assert_eq!(reports.iter().map(|report| report.source).collect::<Vec<_>>(), SourceName::ALL);
    let documents = of(&reports, SourceName::Documents);
    assert_eq!(
        (documents.status, documents.items, documents.attempts, documents.duration_ms),
        (SourceStatus::Ok, 4, 1, 3)
    );
    let reason = |source| of(&reports, source).reason;
    assert_eq!(reason(SourceName::Taxonomy), Some(SkipReason::NotApplicable));
    assert_eq!(reason(SourceName::Wikipedia), Some(SkipReason::Disabled));
    assert_eq!(reason(SourceName::Tavily), Some(SkipReason::NoKey));
    assert_eq!(reason(SourceName::Exa), Some(SkipReason::NotRequested));
}

#[tokio::test(start_paused = true)]
async fn sources_are_asked_side_by_side_and_answer_in_order() {
    let slow = Act::Take(Duration::from_secs(5));
    let first = Scripted::new(SourceName::Wikipedia, std::slice::from_ref(&slow));
    let second = Scripted::new(SourceName::Brave, &[slow]);
    let runner = runner(&[&second, &first]);
    let started = Instant::now();
    let (order, reports) = asked(&runner, &["Ada", "Charles"]).await;
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    assert_eq!(order, [SourceName::Wikipedia, SourceName::Brave, SourceName::Wikipedia, SourceName::Brave]);
    let report = of(&reports, SourceName::Brave);
    assert_eq!((report.status, report.attempts, report.duration_ms), (SourceStatus::Ok, 2, 5000));
}

#[tokio::test(start_paused = true)]
async fn a_silent_source_costs_two_attempts_of_eight_seconds() {
    let source = Scripted::new(SourceName::Wikipedia, &[Act::Hang]);
    let started = Instant::now();
    let (_, reports) = asked(&runner(&[&source]), &["Ada"]).await;
    assert_eq!(started.elapsed(), Duration::from_millis(16_500));
    let report = of(&reports, SourceName::Wikipedia);
    assert_eq!((report.status, report.attempts, report.duration_ms), (SourceStatus::Failed, 2, 16_500));
    assert_eq!(code(&report), Some(SourceErrorCode::Timeout));
    assert_eq!(report.error.unwrap().message, "The source did not answer in time");
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_may_succeed() {
    let source =
        Scripted::new(SourceName::Wikipedia, &[fail(SourceErrorCode::Unreachable), Act::Find("https://a.org/")]);
    let started = Instant::now();
    let (_, reports) = asked(&runner(&[&source]), &["Ada"]).await;
    assert_eq!(started.elapsed(), Duration::from_millis(500));
    let report = of(&reports, SourceName::Wikipedia);
    assert_eq!((report.status, report.items, report.attempts), (SourceStatus::Ok, 1, 2));
    assert_eq!(report.error, None);
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_not_tried_twice() {
    let source = Scripted::new(SourceName::Tavily, &[fail(SourceErrorCode::Unauthorized)]);
    let (_, reports) = asked(&runner(&[&source]), &["Ada"]).await;
    let report = of(&reports, SourceName::Tavily);
    assert_eq!((report.attempts, code(&report)), (1, Some(SourceErrorCode::Unauthorized)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_up_to_five_seconds_is_granted() {
    let limited =
        |seconds| Act::Fail(Failure { retry_after_s: Some(seconds), ..Failure::of(SourceErrorCode::RateLimited) });
    let patient = Scripted::new(SourceName::Tavily, &[limited(5), Act::Nothing]);
    let started = Instant::now();
    let (_, reports) = asked(&runner(&[&patient]), &["Ada"]).await;
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    assert_eq!(of(&reports, SourceName::Tavily).status, SourceStatus::Empty);

    let greedy = Scripted::new(SourceName::Tavily, &[limited(6), Act::Nothing]);
    let started = Instant::now();
    let (_, reports) = asked(&runner(&[&greedy]), &["Ada"]).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    let report = of(&reports, SourceName::Tavily);
    assert_eq!((report.attempts, code(&report)), (1, Some(SourceErrorCode::RateLimited)));
}

#[tokio::test(start_paused = true)]
async fn one_success_among_failures_is_no_failure() {
    let error = fail(SourceErrorCode::Unauthorized);
    let source = Scripted::new(SourceName::Tavily, &[error.clone(), Act::Nothing]);
    let (_, reports) = asked(&runner(&[&source]), &["Ada", "Charles"]).await;
    let report = of(&reports, SourceName::Tavily);
    assert_eq!((report.status, report.error), (SourceStatus::Empty, None));

    let source = Scripted::new(SourceName::Tavily, &[error]);
    let (_, reports) = asked(&runner(&[&source]), &["Ada", "Charles"]).await;
    assert_eq!(of(&reports, SourceName::Tavily).status, SourceStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn after_three_failures_in_a_row_a_source_rests_for_a_minute() {
    let source = Scripted::new(SourceName::Wikipedia, &[fail(SourceErrorCode::Unauthorized)]);
    let runner = runner(&[&source]);
    for _ in 0..3 {
        let (_, reports) = asked(&runner, &["Ada"]).await;
        assert_eq!(of(&reports, SourceName::Wikipedia).status, SourceStatus::Failed);
    }
    tokio::time::advance(Duration::from_secs(59)).await;
    let (_, reports) = asked(&runner, &["Ada"]).await;
    let report = of(&reports, SourceName::Wikipedia);
    assert_eq!((report.status, report.reason), (SourceStatus::Skipped, Some(SkipReason::Resting)));
    assert_eq!(source.asked(), 3);
    tokio::time::advance(Duration::from_secs(2)).await;
    asked(&runner, &["Ada"]).await;
    assert_eq!(source.asked(), 4);
    // The row has not ended, so one failure is enough for the next rest.
    asked(&runner, &["Ada"]).await;
    assert_eq!(source.asked(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_the_row_of_failures() {
    let error = fail(SourceErrorCode::Unauthorized);
    let script = [error.clone(), error.clone(), Act::Nothing, error.clone(), error, Act::Nothing];
    let source = Scripted::new(SourceName::Wikipedia, &script);
    let runner = runner(&[&source]);
    for _ in 0..6 {
        asked(&runner, &["Ada"]).await;
    }
    assert_eq!(source.asked(), 6);
}

#[tokio::test(start_paused = true)]
async fn the_reader_of_pages_gets_the_page_most_to_be_trusted() {
    let first = Scripted::new(SourceName::Tavily, &[Act::Find("https://shop.example.com/a")]);
    let second = Scripted::new(SourceName::Brave, &[Act::Find("https://www.loc.gov/ada")]);
    let reader = Scripted::new(SourceName::Firecrawl, &[Act::Nothing]);
    asked(&runner(&[&first, &second, &reader]), &["Ada"]).await;
    let questions = reader.questions.lock().unwrap();
    assert_eq!(questions[0].page.as_deref(), Some("https://www.loc.gov/ada"));
    assert_eq!((questions[0].identifier.as_str(), questions[0].language.as_str()), ("Ada", "en"));
}

#[tokio::test(start_paused = true)]
async fn without_a_page_the_reader_of_pages_has_nothing_to_do() {
    let search = Scripted::new(SourceName::Tavily, &[Act::Nothing]);
    let reader = Scripted::new(SourceName::Firecrawl, &[Act::Nothing]);
    let (_, reports) = asked(&runner(&[&search, &reader]), &["Ada"]).await;
    assert_eq!(reader.asked(), 0);
    assert_eq!(of(&reports, SourceName::Firecrawl).reason, Some(SkipReason::NotApplicable));
}

#[tokio::test(start_paused = true)]
async fn pages_of_blocked_domains_are_dropped() {
    for (url, dropped) in
        [("https://bad.example/x", true), ("https://www.bad.example/x", true), ("https://notbad.example/x", false)]
    {
        let source = Scripted::new(SourceName::Tavily, &[Act::Find(url)]);
        let reader = Scripted::new(SourceName::Firecrawl, &[Act::Nothing]);
        let runner = runner_without(&[&source, &reader], &["bad.example".to_owned()]);
        let (_, reports) = asked(&runner, &["Ada"]).await;
        assert_eq!(of(&reports, SourceName::Tavily).items, i64::from(!dropped), "{url}");
        assert_eq!(reader.asked(), usize::from(!dropped), "{url}");
    }
}
