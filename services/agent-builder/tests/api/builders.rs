//! Both builders in one server that does what a test says, and remembers what it was asked.

use std::{
    collections::HashMap,
    net::TcpListener,
    sync::{Arc, Mutex},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use api_types::{
    knowledge::{
        ItemDraft, ItemMetadata, KnowledgeItem, Origin, SourceName, SourceReport, Subject, build_item, knowledge_id,
    },
    skills::{MatchMethod, OccupationMatch, Skill, SkillSet, SkillSource, written},
};
use chrono::Utc;
use serde_json::{Map, Value, json};
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

pub(crate) const MATCH: &str = "/internal/v1/occupations/match";
pub(crate) const GENERATE: &str = "/internal/v1/skills/generate";
pub(crate) const EMBED: &str = "/internal/v1/embeddings";
pub(crate) const KNOWLEDGE: &str = "/api/v1/knowledge";

/// What a route does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// This status without a body that anybody could read.
    Status(u16),
    /// The first so many calls answer this status, the rest are good.
    StatusFor(u16, usize),
    /// This text with 200.
    Text(&'static str),
    /// An error of the native door.
    Refuse { status: u16, error: Value },
    /// Waits until the test lets it go on, and is good then.
    Hold,
    /// The same, and then answers this status.
    HoldThenStatus(u16),
    /// Good, but for vectors that are too short.
    ShortVectors,
}

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
    pub(crate) request_id: String,
    pub(crate) has_token: bool,
}

#[derive(Debug)]
struct State {
    acts: Mutex<HashMap<&'static str, Act>>,
    asked: Mutex<Vec<Asked>>,
    released: watch::Sender<bool>,
}

/// The server. Held calls go on when it is dropped.
#[derive(Debug)]
pub(crate) struct Builders {
    state: Arc<State>,
    pub(crate) url: String,
    task: JoinHandle<std::io::Result<()>>,
}

impl Builders {
    pub(crate) fn start() -> Self {
        let state =
            Arc::new(State { acts: Mutex::default(), asked: Mutex::default(), released: watch::Sender::new(false) });
        let data = web::Data::from(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = move || {
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(8 << 20))
                .default_service(web::to(answer))
        };
        let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
        Self { state, url, task: tokio::spawn(server) }
    }

    /// What the route does from now on.
    pub(crate) fn set(&self, route: &'static str, act: Act) {
        self.state.acts.lock().unwrap().insert(route, act);
    }

    pub(crate) fn good(&self, route: &'static str) {
        self.state.acts.lock().unwrap().remove(route);
    }

    /// Lets held calls go on.
    pub(crate) fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// What a route was asked, in order.
    pub(crate) fn asked(&self, route: &str) -> Vec<Asked> {
        let asked = self.state.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.path == route).cloned().collect()
    }

    pub(crate) fn asked_anything(&self) -> bool {
        self.state.asked.lock().unwrap().iter().any(|asked| asked.path != "/health")
    }
}

impl Drop for Builders {
    fn drop(&mut self) {
        self.release();
        self.task.abort();
    }
}

async fn answer(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let asked = Asked {
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        request_id: header(&request, "x-request-id"),
        has_token: header(&request, "authorization").starts_with("Bearer "),
    };
    state.asked.lock().unwrap().push(asked.clone());
    let times = state.asked.lock().unwrap().iter().filter(|other| other.path == asked.path).count();
    let act = state.acts.lock().unwrap().get(asked.path.as_str()).cloned();
    match act {
        None => {}
        Some(Act::Status(status)) => return status_of(status).body("<html>sorry</html>"),
        Some(Act::StatusFor(status, first)) if times <= first => return status_of(status).finish(),
        Some(Act::StatusFor(..)) => {}
        Some(Act::Text(text)) => return HttpResponse::Ok().body(text),
        Some(Act::Refuse { status, error }) => {
            return status_of(status).json(json!({"success": false, "error": error, "meta": meta()}));
        }
        Some(Act::Hold) => released(&state).await,
        Some(Act::HoldThenStatus(status)) => {
            released(&state).await;
            return status_of(status).finish();
        }
        Some(Act::ShortVectors) => return good(&asked, 3),
    }
    good(&asked, 384)
}

async fn released(state: &State) {
    state.released.subscribe().wait_for(|released| *released).await.unwrap();
}

fn header(request: &HttpRequest, name: &str) -> String {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn status_of(status: u16) -> actix_web::HttpResponseBuilder {
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap())
}

/// An error of the native door.
pub(crate) fn error(code: &str, message: &str, suggestions: &[&str]) -> Value {
    json!({
        "code": code, "category": code.split('.').next(), "message": message, "details": [],
        "request_id": Uuid::nil(), "timestamp": "2026-01-01T00:00:00.000Z", "documentation_url": "/docs",
        "retry_after": null, "suggestions": suggestions,
    })
}

fn meta() -> Value {
    json!({"request_id": Uuid::nil(), "timestamp": "2026-01-01T00:00:00.000Z", "version": "v1"})
}

fn good(asked: &Asked, dimensions: usize) -> HttpResponse {
    let data = match asked.path.as_str() {
        "/health" => json!({"status": "healthy"}),
        MATCH => matched(&asked.body),
        KNOWLEDGE => knowledge(&asked.body, dimensions),
        GENERATE => generated(&asked.body, dimensions),
        EMBED => {
            let texts = asked.body["texts"].as_array().unwrap().len();
            json!({"model": "test-model", "vectors": vec![vector(dimensions); texts]})
        }
        _ => return HttpResponse::NotFound().finish(),
    };
    HttpResponse::Ok().json(json!({"success": true, "data": data, "meta": meta()}))
}

fn vector(dimensions: usize) -> Vec<f32> {
    (0_u8..)
        .take(dimensions.min(200))
        .map(|n| f32::from(n) / 1000.0)
        .chain(std::iter::repeat(0.1))
        .take(dimensions)
        .collect()
}

fn occupation_match() -> OccupationMatch {
    OccupationMatch {
        uri: "http://data.example/occupation/mathematician".to_owned(),
        label: "mathematician".to_owned(),
        code: "2120.1".to_owned(),
        score: 1.0,
        method: MatchMethod::PreferredLabel,
        taxonomy: "Test 1".to_owned(),
        alternatives: Vec::new(),
    }
}

/// Everything is a mathematician except what nothing matches.
fn matched(body: &Value) -> Value {
    if body["occupation"].as_str().unwrap().starts_with("Nothing") {
        return json!({"occupation_match": null, "description": null, "suggestions": ["statistician"]});
    }
    let description = "Mathematicians study numbers.";
    json!({"occupation_match": occupation_match(), "description": description, "suggestions": []})
}

fn knowledge(body: &Value, dimensions: usize) -> Value {
    let name = body["identifier"].as_str().unwrap();
    let record = knowledge_id(body["entity_type"].as_str(), name);
    let subject = Subject { record, name, entity_type: Some("Person"), keeps_entity_ids: false };
    let item = |source: &str, text: &str, origin: Origin<'_>| {
        let draft = ItemDraft {
            text: text.to_owned(),
            source: source.to_owned(),
            origin,
            name: None,
            confidence: None,
            timestamp: Utc::now(),
            attributes: Map::new(),
            metadata: ItemMetadata::default(),
        };
        let item = build_item(&subject, draft);
        KnowledgeItem { embedding: Some(vector(dimensions)), embedding_model: Some("test-model".to_owned()), ..item }
    };
    let mut items = Vec::new();
    for document in body["documents"].as_array().into_iter().flatten() {
        let title = document["title"].as_str().unwrap_or("Untitled");
        items.push(item(title, document["text"].as_str().unwrap_or("a file"), Origin::Document));
    }
    for text in body["role_model_texts"].as_array().into_iter().flatten() {
        items.push(item("Role model", text.as_str().unwrap(), Origin::Document));
    }
    if let Some(text) = body["concept"]["description"].as_str() {
        items.push(item("ESCO", text, Origin::Taxonomy));
    }
    let reports = SourceName::ALL.map(|source| SourceReport {
        source,
        status: api_types::knowledge::SourceStatus::Empty,
        items: 0,
        attempts: 1,
        duration_ms: 1,
        reason: None,
        error: None,
    });
    json!({
        "knowledge_id": subject.record, "identifier": name, "entity_type": "Person", "knowledge_items": items,
        "total_items": items.len(), "deepening_cycles": 0, "cycles_run": 0, "stopped_early": false, "rounds": [],
        "sources": reports, "run_id": Uuid::nil(), "memory_persisted": true,
        "entity": {"id": subject.record, "name": name, "type": "Person", "text": ""}, "text": "", "source": null,
        "confidence": null, "timestamp": null, "created_by": "test", "created_at": "2026-01-01T00:00:00.000Z",
        "updated_at": "2026-01-01T00:00:00.000Z", "and": "more",
    })
}

/// One skill for each cycle and one for the corpus.
fn generated(body: &Value, dimensions: usize) -> Value {
    let skill = |name: &str, confidence: f64, source: SkillSource| {
        let skill = Skill { confidence, source, round: 0, ..written(&json!(name)).unwrap() }.rendered();
        Skill { embedding: Some(vector(dimensions)), embedding_model: Some("test-model".to_owned()), ..skill }
    };
    let cycles = body["deepening_cycles"].as_u64().unwrap();
    let mut skills: Vec<Skill> =
        (0..=cycles).map(|cycle| skill(&format!("mathematics {cycle}"), 0.95, SkillSource::Starter)).collect();
    if body["corpus_text"].is_string() {
        skills.push(skill("reading texts", 0.4, SkillSource::Corpus));
    }
    let now = Utc::now();
    let set = SkillSet {
        skill_id: Uuid::new_v4(),
        occupation: body["occupation"].as_str().unwrap().to_owned(),
        total_skills: i64::try_from(skills.len()).unwrap(),
        skills,
        run_id: Uuid::new_v4(),
        memory_persisted: false,
        deepening_cycles: i32::try_from(cycles).unwrap(),
        cycles_run: 0,
        stopped_early: false,
        rounds: Vec::new(),
        occupation_match: Some(occupation_match()),
        mode: body["mode"].as_str().unwrap().to_owned(),
        sources: Vec::new(),
        created_by: "test".to_owned(),
        created_at: now,
        updated_at: now,
    };
    serde_json::to_value(set).unwrap()
}
