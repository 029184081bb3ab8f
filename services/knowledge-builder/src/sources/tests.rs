//! The hosted sources against a server of the test that answers like they do, or does not.

mod server;

use std::time::Duration;

use api_core::settings::Settings as AllSettings;
use api_types::knowledge::{SkipReason, SourceErrorCode, SourceName, SourceReport, SourceStatus};
use serde_json::{Value, json};

use self::server::{Reply, Server};
use super::{Answer, Settings, Timing, concerns};
use crate::domain::items::{FoundIn, FoundText};

const KEY: &str = "key-that-must-not-show";

/// All sources at one server, with short times.
fn settings(server: &Server, more: &[(&str, &str)]) -> Settings {
    let base = server.base();
    let mut pairs = vec![("egress_allow_private", "true")];
    for name in ["wikipedia_url", "wikidata_url", "tavily_url", "brave_url", "exa_url", "firecrawl_url"] {
        pairs.push((name, &base));
    }
    pairs.extend_from_slice(more);
    AllSettings::from_pairs(pairs).unwrap().section().unwrap()
}

fn timing() -> Timing {
    Timing { attempt: Duration::from_secs(4), pause: Duration::from_millis(10), ..Timing::default() }
}

async fn ask(settings: &Settings, source: SourceName) -> (Vec<Answer>, SourceReport) {
    ask_in(settings, source, timing()).await
}

async fn ask_in(settings: &Settings, source: SourceName, timing: Timing) -> (Vec<Answer>, SourceReport) {
    let runner = settings.runner(timing).unwrap();
    let mut run = runner.begin(&[source].into());
    let answers = run.round(&["Ada Lovelace".to_owned()]).await;
    let items = answers.iter().map(|answer| answer.found.texts.len()).sum::<usize>();
    let reports = run.report(|_| i64::try_from(items).unwrap());
    let report = reports.into_iter().find(|report| report.source == source).unwrap();
    (answers, report)
}

fn only(answers: &[Answer]) -> &FoundText {
    assert_eq!((answers.len(), answers[0].found.texts.len()), (1, 1));
    &answers[0].found.texts[0]
}

fn wikipedia(path: &str) -> Value {
    if path.starts_with("/w/api.php") {
        return json!({"batchcomplete": "", "query": {"searchinfo": {"totalhits": 3}, "search": [
            {"ns": 0, "title": "Ada (disambiguation)", "pageid": 1, "snippet": "<span class=\"searchmatch\">Ada</span>"},
            {"ns": 0, "title": "Ada Lovelace", "pageid": 974},
        ]}});
    }
    json!({
        "type": "standard", "title": "Ada Lovelace", "pageid": 974, "wikibase_item": "Q7259", "lang": "en",
        "description": "English mathematician (1815–1852)",
        "extract": "Augusta Ada King, Countess of Lovelace, was an English <b>mathematician</b>.\u{202e}",
        "content_urls": {"desktop": {"page": "https://en.wikipedia.org/wiki/Ada_Lovelace"}},
    })
}

#[tokio::test]
async fn wikipedia_is_searched_and_its_summary_read() {
    let server = Server::start(|request| Reply::json(&wikipedia(&request.path))).await;
    let (answers, report) = ask(&settings(&server, &[]), SourceName::Wikipedia).await;
    let text = only(&answers);
    assert_eq!(text.text, "Augusta Ada King, Countess of Lovelace, was an English mathematician.");
    assert_eq!((text.label.as_str(), &text.found_in), ("Wikipedia", &FoundIn::Wikipedia));
    assert_eq!(text.summary.as_deref(), Some("English mathematician (1815–1852)"));
    assert_eq!(text.metadata.url.as_deref(), Some("https://en.wikipedia.org/wiki/Ada_Lovelace"));
    assert_eq!(text.metadata.source_id.as_deref(), Some("974"));
    assert_eq!(text.metadata.language.as_deref(), Some("en"));
    assert_eq!((report.status, report.items, report.attempts), (SourceStatus::Ok, 1, 1));
    let paths = server.paths();
    assert!(paths[0].contains("srsearch=Ada+Lovelace"), "{paths:?}");
    assert_eq!(paths[1], "/api/rest_v1/page/summary/Ada_Lovelace");
}

#[tokio::test]
async fn pages_that_are_about_something_else_are_not_taken() {
    let server = Server::start(|request| {
        let mut answer = wikipedia(&request.path);
        if request.path.starts_with("/api") {
            answer["title"] = json!("Grace Hopper");
            answer["extract"] = json!("Grace Hopper was an admiral.");
        }
        Reply::json(&answer)
    })
    .await;
    let settings = settings(&server, &[]);
    let runner = settings.runner(timing()).unwrap();
    let mut run = runner.begin(&[SourceName::Wikipedia].into());
    let answers = run.round(&["Quentin Nobody".to_owned()]).await;
    assert!(answers[0].found.texts.is_empty());
}

fn wikidata(path: &str) -> Value {
    let item = |id: &str| json!({"mainsnak": {"snaktype": "value", "datavalue": {"type": "wikibase-entityid", "value": {"entity-type": "item", "id": id}}}, "rank": "normal"});
    let time = |time: &str, precision: u8, rank: &str| json!({"mainsnak": {"snaktype": "value", "datavalue": {"type": "time", "value": {"time": time, "precision": precision}}}, "rank": rank});
    if path.contains("wbsearchentities") {
        return json!({"search": [{"id": "Q7259", "label": "Ada Lovelace", "description": "English mathematician", "match": {"type": "label", "text": "Ada Lovelace"}}], "success": 1});
    }
    if path.contains("claims") {
        return json!({"entities": {"Q7259": {
            "labels": {"en": {"language": "en", "value": "Ada Lovelace"}},
            "descriptions": {"en": {"language": "en", "value": "English mathematician (1815–1852)"}},
            "claims": {
                "P31": [item("Q5")],
                "P106": [item("Q170790"), item("Q36180")],
                "P569": [time("+1815-12-10T00:00:00Z", 11, "normal"), time("+1816-00-00T00:00:00Z", 9, "deprecated")],
                "P570": [time("+1852-00-00T00:00:00Z", 9, "normal")],
                "P26": [item("Q2")],
                "P1066": [item("Q3")],
                "P856": [{"mainsnak": {"snaktype": "value", "datavalue": {"type": "string", "value": "https://example.org/ada"}}, "rank": "normal"}],
                "P21": [item("Q6581072")],
                "P19": [{"mainsnak": {"snaktype": "somevalue"}, "rank": "normal"}],
            },
        }}, "success": 1});
    }
    let label = |text: &str| json!({"labels": {"en": {"language": "en", "value": text}}});
    json!({"entities": {
        "Q5": label("human"), "Q170790": label("mathematician"), "Q36180": label("writer"),
        "Q2": label("William King"), "Q3": {"labels": {"mul": {"language": "mul", "value": "Mary Somerville"}}},
    }})
}

#[tokio::test]
async fn wikidata_gives_attributes_and_linked_entities() {
    let server = Server::start(|request| Reply::json(&wikidata(&request.path))).await;
    let (answers, report) = ask(&settings(&server, &[]), SourceName::Wikidata).await;
    let text = only(&answers);
    assert_eq!(
        text.text,
        "Ada Lovelace: English mathematician (1815–1852). Instance of: human. Occupation: mathematician, writer. \
         Birth date: 1815-12-10. Death date: 1852. Spouse: William King. Student of: Mary Somerville."
    );
    assert_eq!(text.attributes["birthDate"], "1815-12-10");
    assert_eq!(text.attributes["deathDate"], "1852");
    assert_eq!(text.attributes["occupation"], json!(["mathematician", "writer"]));
    assert_eq!(text.attributes["url"], "https://example.org/ada");
    assert!(!text.attributes.contains_key("birthPlace") && !text.attributes.contains_key("gender"));
    assert_eq!(text.summary.as_deref(), Some("English mathematician (1815–1852)"));
    assert_eq!(text.metadata.source_id.as_deref(), Some("Q7259"));
    assert_eq!(text.metadata.url.as_deref(), Some("https://www.wikidata.org/wiki/Q7259"));
    assert_eq!(answers[0].found.linked, ["William King", "Mary Somerville"]);
    assert_eq!((report.status, report.attempts), (SourceStatus::Ok, 1));
}

fn found_page(text: &FoundText) -> (&str, Option<&str>, Option<&str>) {
    (&text.text, text.metadata.title.as_deref(), text.metadata.url.as_deref())
}

#[tokio::test]
async fn tavily_is_searched_with_its_key() {
    let server = Server::start(|request| {
        assert_eq!(request.path, "/search");
        assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}")));
        assert_eq!(request.json()["query"], "Ada Lovelace");
        assert_eq!(request.json()["max_results"], 10);
        Reply::json(&json!({"query": "Ada Lovelace", "results": [
            {"title": "Notes &amp; more", "url": "https://www.loc.gov/ada", "content": "She <em>wrote</em> notes.", "score": 0.9},
            {"title": "Empty", "url": "https://a.org/", "content": " "},
            {"title": "Bad address", "url": "javascript:alert(1)", "content": "x"},
        ]}))
    })
    .await;
    let settings = settings(&server, &[("tavily_api_key", KEY)]);
    let (answers, report) = ask(&settings, SourceName::Tavily).await;
    let text = only(&answers);
    assert_eq!(found_page(text), ("She wrote notes.", Some("Notes & more"), Some("https://www.loc.gov/ada")));
    assert_eq!(text.found_in, FoundIn::Web { by: SourceName::Tavily, host: "www.loc.gov".to_owned() });
    assert_eq!(report.status, SourceStatus::Ok);
    assert!(!format!("{settings:?}").contains(KEY));
}

#[tokio::test]
async fn brave_is_searched_with_its_key() {
    let server = Server::start(|request| {
        assert!(request.path.starts_with("/res/v1/web/search?") && request.path.contains("count=5"));
        assert_eq!(request.header("x-subscription-token").as_deref(), Some(KEY));
        Reply::json(&json!({"type": "search", "web": {"type": "search", "results": [
            {"title": "Ada", "url": "https://a.org/ada", "description": "About <strong>Ada</strong>.", "language": "en",
             "extra_snippets": ["More of her."]},
        ]}}))
    })
    .await;
    let (answers, _) = ask(&settings(&server, &[("brave_api_key", KEY)]), SourceName::Brave).await;
    let text = only(&answers);
    assert_eq!(found_page(text), ("About Ada.\n\nMore of her.", Some("Ada"), Some("https://a.org/ada")));
    assert_eq!(text.metadata.language.as_deref(), Some("en"));
}

#[tokio::test]
async fn exa_is_searched_with_its_key() {
    let server = Server::start(|request| {
        assert_eq!(request.header("x-api-key").as_deref(), Some(KEY));
        assert!(request.json()["contents"]["text"].is_object());
        Reply::json(&json!({"requestId": "r", "results": [
            {"id": "https://a.org/ada", "url": "https://a.org/ada", "title": "Ada", "text": "Her life.\n\nHer work."},
        ]}))
    })
    .await;
    let (answers, _) = ask(&settings(&server, &[("exa_api_key", KEY)]), SourceName::Exa).await;
    assert_eq!(found_page(only(&answers)).0, "Her life.\n\nHer work.");
}

#[tokio::test]
async fn firecrawl_reads_the_page_that_another_source_found() {
    let server = Server::start(|request| {
        if request.path == "/v1/scrape" {
            assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}")));
            assert_eq!(request.json()["url"], "https://en.wikipedia.org/wiki/Ada_Lovelace");
            return Reply::json(&json!({"success": true, "data": {
                "markdown": "# Ada\n\nShe wrote **notes**.", "metadata": {"title": "Ada", "language": "en"},
            }}));
        }
        Reply::json(&wikipedia(&request.path))
    })
    .await;
    let settings = settings(&server, &[("firecrawl_api_key", KEY)]);
    let runner = settings.runner(timing()).unwrap();
    let mut run = runner.begin(&[SourceName::Wikipedia, SourceName::Firecrawl].into());
    let answers = run.round(&["Ada Lovelace".to_owned()]).await;
    let mut texts = answers.iter().flat_map(|answer| &answer.found.texts);
    let text = texts.find(|text| text.found_in.source() == SourceName::Firecrawl).unwrap();
    assert_eq!(text.text, "Ada\n\nShe wrote notes.");
    assert_eq!(text.metadata.url.as_deref(), Some("https://en.wikipedia.org/wiki/Ada_Lovelace"));
}

#[tokio::test]
async fn without_keys_and_when_switched_off_sources_are_skipped() {
    let server = Server::start(|_| Reply::status(500)).await;
    let settings = settings(&server, &[("knowledge_sources", "wikipedia, tavily"), ("exa_api_key", KEY)]);
    let reason = async |source| ask(&settings, source).await.1.reason;
    assert_eq!(reason(SourceName::Tavily).await, Some(SkipReason::NoKey));
    assert_eq!(reason(SourceName::Wikidata).await, Some(SkipReason::Disabled));
    assert_eq!(reason(SourceName::Exa).await, Some(SkipReason::Disabled));
    assert!(server.paths().is_empty());
}

#[tokio::test]
async fn every_way_of_failing_has_its_code() {
    let table: Vec<(Reply, SourceErrorCode, i64)> = vec![
        (Reply::status(500), SourceErrorCode::HttpError, 2),
        (Reply::status(503), SourceErrorCode::HttpError, 2),
        (Reply::status(404), SourceErrorCode::HttpError, 1),
        (Reply::status(401), SourceErrorCode::Unauthorized, 1),
        (Reply::status(403), SourceErrorCode::Unauthorized, 1),
        (Reply::status(429), SourceErrorCode::RateLimited, 2),
        (Reply::status(429).with("retry-after", "60"), SourceErrorCode::RateLimited, 1),
        (Reply::status(302).with("location", "http://127.0.0.1:1/"), SourceErrorCode::HttpError, 1),
        (Reply::html("<html><body>Sign in to the network</body></html>"), SourceErrorCode::InvalidResponse, 2),
        (Reply::html("{\"results\": \"none\"}"), SourceErrorCode::InvalidResponse, 2),
        (Reply::html(&"x".repeat(3 << 20)), SourceErrorCode::InvalidResponse, 2),
        (Reply::hang_up(), SourceErrorCode::Unreachable, 2),
    ];
    for (reply, code, attempts) in table {
        let name = format!("{reply:?}").chars().take(80).collect::<String>();
        let server = Server::start(move |_| reply.clone()).await;
        let (_, report) = ask(&settings(&server, &[("tavily_api_key", KEY)]), SourceName::Tavily).await;
        assert_eq!(report.status, SourceStatus::Failed, "{name}");
        let error = report.error.unwrap();
        assert_eq!((error.code, report.attempts), (code, attempts), "{name}");
        assert!(!error.message.contains("127.0.0.1") && !error.message.contains(KEY));
    }
}

#[tokio::test]
async fn a_source_that_hangs_is_a_timeout() {
    let server = Server::start(|_| Reply::hang()).await;
    let settings = settings(&server, &[("tavily_api_key", KEY)]);
    let timing = Timing { attempt: Duration::from_millis(150), ..timing() };
    let (_, report) = ask_in(&settings, SourceName::Tavily, timing).await;
    assert_eq!(report.error.unwrap().code, SourceErrorCode::Timeout);
    assert_eq!(report.attempts, 2);
}

#[tokio::test]
async fn nobody_listening_and_refused_addresses_are_unreachable() {
    let server = Server::start(|_| Reply::status(200)).await;
    let gone = server.stopped_base().await;
    let mut settings = settings(&server, &[("tavily_api_key", KEY), ("tavily_url", &gone)]);
    let (_, report) = ask(&settings, SourceName::Tavily).await;
    assert_eq!(report.error.unwrap().code, SourceErrorCode::Unreachable);
    settings.egress_allow_private = false;
    settings.tavily_url = server.base();
    let (_, report) = ask(&settings, SourceName::Tavily).await;
    assert_eq!(report.error.unwrap().code, SourceErrorCode::Unreachable);
    assert!(server.paths().is_empty());
}

#[tokio::test]
async fn settings_that_cannot_be_read_stop_the_start() {
    let server = Server::start(|_| Reply::status(200)).await;
    for (name, value) in [
        ("knowledge_sources", "wikipedia,rumour"),
        ("knowledge_language", "../x"),
        ("egress_allow_cidrs", "10.0.0.0/99"),
    ] {
        let error = settings(&server, &[(name, value)]).runner(timing()).unwrap_err();
        assert!(error.to_string().contains(&name.to_uppercase()), "{error}");
    }
}

#[test]
fn a_page_concerns_an_identifier_when_it_holds_all_of_its_words() {
    assert!(concerns("Ada Lovelace", &["ADA LOVELACE"]));
    assert!(concerns("Ada Byron", &["Ada Lovelace", "née Byron, was"]));
    assert!(!concerns("Ada Byron", &["Ada Lovelace"]));
    assert!(!concerns("Ada", &["Adam", "Canada"]));
}
