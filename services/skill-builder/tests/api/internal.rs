//! What other services ask, through the client that they use.

use api_client::{CallContext, ClientError, ServiceClient, http_client, skill_builder::SkillBuilder, token::TokenKey};
use api_core::settings::DEVELOPMENT_JWT_SECRET;
use api_types::skills::{GenerateRequest, MatchMethod, MatchRequest};
use serde_json::json;

use crate::rig::Rig;

fn client(rig: &Rig) -> SkillBuilder {
    let key = TokenKey::derive(DEVELOPMENT_JWT_SECRET);
    let url = rig.service.base_url();
    SkillBuilder(ServiceClient::new(http_client().unwrap(), url, "skill-builder", "agent-builder", key))
}

fn asked(occupation: &str) -> MatchRequest {
    MatchRequest { occupation: occupation.to_owned(), occupation_uri: None }
}

fn wanted(occupation: &str) -> GenerateRequest {
    GenerateRequest {
        occupation: occupation.to_owned(),
        occupation_uri: None,
        occupation_match: None,
        deepening_cycles: 0,
        mode: "balanced".to_owned(),
        corpus_text: None,
    }
}

#[actix_web::test]
async fn a_match_comes_with_its_description() {
    let rig = Rig::with_vectors().await;
    let matched = client(&rig).match_occupation(&CallContext::background(), &asked("Author")).await.unwrap();
    let one = matched.occupation_match.unwrap();
    assert_eq!((one.label.as_str(), one.method), ("writer", MatchMethod::AlternativeLabel));
    assert!(matched.description.is_some_and(|text| !text.is_empty()));
    assert_eq!(matched.suggestions[0], "writer");
}

#[actix_web::test]
async fn no_match_is_an_answer_with_suggestions() {
    let rig = Rig::with_vectors().await;
    let matched = client(&rig).match_occupation(&CallContext::background(), &asked("xqzzv wvvqk")).await.unwrap();
    assert_eq!((matched.occupation_match, matched.description), (None, None));
    assert_eq!(matched.suggestions.len(), 5);
}

#[actix_web::test]
async fn skills_are_generated_with_vectors_and_not_stored() {
    let rig = Rig::start().await;
    let set = client(&rig).generate(&CallContext::background(), &wanted("Mathematician")).await.unwrap();
    assert!(!set.memory_persisted && set.skills.len() >= 8);
    assert!(set.skills.iter().all(|skill| skill.embedding.as_ref().is_some_and(|vector| vector.len() == 384)));
    assert_eq!(rig.client().get("/api/v1/skills").await.meta()["pagination"]["total"], 0);
    assert!(rig.events().is_empty());
}

#[actix_web::test]
async fn a_match_found_before_is_kept() {
    let rig = Rig::start().await;
    let client = client(&rig);
    let matched = client.match_occupation(&CallContext::background(), &asked("Author")).await.unwrap();
    let request = GenerateRequest { occupation_match: matched.occupation_match.clone(), ..wanted("Somebody else") };
    let set = client.generate(&CallContext::background(), &request).await.unwrap();
    assert_eq!(set.occupation_match, matched.occupation_match);
    let stale = matched.occupation_match.map(|mut one| {
        one.taxonomy = "ESCO 0".to_owned();
        one
    });
    let request = GenerateRequest { occupation_match: stale, ..wanted("Mathematician") };
    let set = client.generate(&CallContext::background(), &request).await.unwrap();
    assert_eq!(set.occupation_match.unwrap().label, "mathematician", "the taxonomy has changed since");
}

#[actix_web::test]
async fn refusals_are_those_of_the_public_endpoint() {
    let rig = Rig::start().await;
    let client = client(&rig);
    let refused = client.generate(&CallContext::background(), &wanted("xqzzv wvvqk")).await.unwrap_err();
    let ClientError::Api { status, error, .. } = refused else { panic!("{refused}") };
    assert_eq!((status, error.code.as_str()), (422, "VALIDATION_ERROR.NO_OCCUPATION_MATCH"));
    assert_eq!(error.details[0].field, "occupation");
    let request = GenerateRequest { mode: "none".to_owned(), ..wanted("Mathematician") };
    let ClientError::Api { status, .. } = client.generate(&CallContext::background(), &request).await.unwrap_err()
    else {
        panic!("an answer")
    };
    assert_eq!(status, 422);
}

#[actix_web::test]
async fn texts_become_vectors() {
    let rig = Rig::start().await;
    let texts = vec!["one".to_owned(), "two".to_owned(), "one".to_owned()];
    let made = client(&rig).embed(&CallContext::background(), texts).await.unwrap();
    assert_eq!((made.model.as_str(), made.vectors.len()), ("lexical-384", 3));
    assert!(made.vectors[0] == made.vectors[2] && made.vectors[0] != made.vectors[1]);
    let many = vec![String::from("x"); 513];
    assert!(client(&rig).embed(&CallContext::background(), many).await.is_err());
}

#[actix_web::test]
async fn nobody_else_finds_these_routes() {
    let rig = Rig::start().await;
    for path in ["/internal/v1/occupations/match", "/internal/v1/skills/generate", "/internal/v1/embeddings"] {
        let answer = rig.client().post(path, &json!({"occupation": "Author", "texts": []})).await;
        answer.error(404, "NOT_FOUND_ERROR.ENDPOINT_NOT_FOUND");
    }
}
