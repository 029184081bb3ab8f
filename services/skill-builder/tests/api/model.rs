//! A hosted model, played by a server that answers as it is told.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
};

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use crate::rig::{Rig, names, skill};

/// The answers to give, and the requests that came.
type Script = (Vec<String>, Arc<Mutex<Vec<Value>>>);

/// Speaks the OpenAI protocol; gives the answers in turn, then errors.
struct Model {
    url: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Model {
    fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let state = web::Data::new((answers, Arc::clone(&asked)));
        let server = HttpServer::new(move || {
            App::new().app_data(state.clone()).route("/v1/chat/completions", web::post().to(complete))
        });
        actix_web::rt::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
        Self { url, asked }
    }

    fn settings(&self) -> [(&str, &str); 3] {
        [("DEFAULT_MODEL", "scripted"), ("MODEL_BASE_URL", &self.url), ("MODEL_API_KEY", "k")]
    }
}

async fn complete(state: web::Data<Script>, body: web::Json<Value>) -> HttpResponse {
    let (answers, asked) = &**state;
    let mut asked = asked.lock().unwrap();
    asked.push(body.into_inner());
    match answers.get(asked.len() - 1) {
        Some(answer) => HttpResponse::Ok().json(json!({
            "id": "1", "object": "chat.completion", "created": 1, "model": "scripted",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        })),
        None => HttpResponse::InternalServerError().finish(),
    }
}

#[actix_web::test]
async fn a_hosted_model_adds_skills_each_round() {
    let model = Model::answering(&[
        r#"[{"name": "proof writing by candlelight", "description": "Proofs at night."}, {"name": "Mathematics"}]"#,
        r#"["chalk handling"]"#,
    ]);
    let rig = Rig::with_settings(&model.settings()).await;
    let body = json!({"occupation": "Mathematician", "deepening_cycles": 1, "corpus_text": "A <b>quiet</b> text."});
    let set = rig.client().post("/api/v1/skills", &body).await.data(201);
    let one = skill(&set, "proof writing by candlelight");
    assert_eq!((&one["source"], &one["confidence"], &one["round"]), (&json!("model"), &json!(0.7), &json!(0)));
    assert_eq!(one["description"], "Proofs at night.");
    assert_eq!(skill(&set, "chalk handling")["round"], 1);
    let report = &set["sources"][2];
    assert_eq!((&report["source"], &report["status"], &report["items"]), (&json!("model"), &json!("ok"), &json!(2)));
    let asked = model.asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].to_string().contains("proof writing by candlelight"), "known skills are told");
    assert!(asked[0].to_string().contains("quiet"), "the text is shown");
}

#[actix_web::test]
async fn a_model_that_fails_is_reported_and_the_rest_stands() {
    let model = Model::answering(&["I had rather not."]);
    let rig = Rig::with_settings(&model.settings()).await;
    let body = json!({"occupation": "Mathematician", "deepening_cycles": 2});
    let set = rig.client().post("/api/v1/skills", &body).await.data(201);
    let report = &set["sources"][2];
    assert_eq!((&report["status"], &report["error"]["code"]), (&json!("failed"), &json!("INVALID_RESPONSE")));
    assert_eq!(set["cycles_run"], 2);
    assert_eq!(model.asked.lock().unwrap().len(), 1, "not asked again");
}

#[actix_web::test]
async fn a_model_alone_is_enough_to_derive_from() {
    let model = Model::answering(&[r#"["unheard-of art"]"#]);
    let rig = Rig::with_settings(&model.settings()).await;
    let set = rig.client().post("/api/v1/skills", &json!({"occupation": "xqzzv wvvqk"})).await.data(201);
    assert_eq!(names(&set), ["unheard-of art"]);
}

#[actix_web::test]
async fn modes_without_the_model_do_not_ask_it() {
    let model = Model::answering(&[]);
    let rig = Rig::with_settings(&model.settings()).await;
    let body = json!({"occupation": "Mathematician", "mode": "taxonomy"});
    let set = rig.client().post("/api/v1/skills", &body).await.data(201);
    assert_eq!(
        (&set["sources"][2]["status"], &set["sources"][2]["reason"]),
        (&json!("skipped"), &json!("not_requested"))
    );
    assert!(model.asked.lock().unwrap().is_empty());
}
