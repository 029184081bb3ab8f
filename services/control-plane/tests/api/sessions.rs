//! Sessions that end, at the control plane and everywhere else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::get;
use api_core::{
    auth::{Call, permission::Anybody},
    error::ApiError,
    health::{Check, Dependency, Health},
    platform::Platform,
    reply::Reply,
    service::{Routes, Running, Service, openapi_of},
    settings::{DEVELOPMENT_JWT_SECRET, Settings},
};
use futures_util::future::BoxFuture;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use test_support::{Client, TestService};

use crate::{
    people::{AUTH, INVALID, REVOKED, events, person},
    rig::Rig,
};

const ENDED: &str = "/internal/v1/sessions/ended";
/// An ended session is refused everywhere within so long.
const EVERYWHERE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Well;

impl Health for Well {
    fn dependencies(&self) -> BoxFuture<'_, Vec<Dependency>> {
        Box::pin(async { Vec::new() })
    }

    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async { Vec::new() })
    }
}

/// Who calls.
#[utoipa::path]
#[get("/api/v1/caller")]
async fn caller(call: Call<Anybody>) -> Result<Reply, ApiError> {
    Reply::ok(&call.caller.id())
}

/// Some other service, which knows of sessions what the control plane tells it.
async fn other_service(control_plane: &str) -> TestService {
    let settings = Settings::from_pairs([("CONTROL_PLANE_URL", control_plane)]).unwrap();
    let routes: Routes = Arc::new(|config| {
        config.service(caller);
    });
    let service = Service {
        name: "other",
        label: "other",
        openapi: openapi_of("Other", &routes),
        routes,
        internal: Arc::new(|_| {}),
        health: Arc::new(Well),
        is_slow: |_, _| false,
    };
    let running = || Ok::<_, String>(Running { service, workers: Vec::new() });
    TestService::start(&Platform::new(settings).unwrap(), running).await
}

fn bearer(service: &TestService, tokens: &Value) -> Client {
    service.client().bearer(tokens["access_token"].as_str().unwrap())
}

async fn is_good(client: &Client) -> bool {
    let answer = client.get("/api/v1/caller").await;
    if answer.status != 200 {
        answer.error(401, REVOKED);
    }
    answer.status == 200
}

async fn ends_in_time(client: &Client) {
    let began = Instant::now();
    while is_good(client).await {
        assert!(began.elapsed() < EVERYWHERE, "still good");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_logout_ends_the_session_at_once_here_and_in_seconds_elsewhere() {
    let rig = Rig::start(&[]).await;
    let (other, replica) = (other_service(rig.service.base_url()).await, rig.replica(&[]).await);
    let ada = person(&rig, "ada", "user").await;
    let bob = person(&rig, "bob", "user").await;
    let (there, bob_there) = (bearer(&other, &ada.tokens), bearer(&other, &bob.tokens));
    assert!(is_good(&there).await && is_good(&bob_there).await);
    assert_eq!(
        ada.client.send("POST", &format!("{AUTH}/logout"), None).await.data(200),
        json!({"revoked_sessions": 1})
    );
    ada.client.get(&format!("{AUTH}/me")).await.error(401, REVOKED);
    bearer(&replica, &ada.tokens).get(&format!("{AUTH}/me")).await.error(401, REVOKED);
    ada.client.send("POST", &format!("{AUTH}/logout"), None).await.error(401, REVOKED);
    let body = json!({"refresh_token": ada.refresh_token()});
    rig.service.client().post(&format!("{AUTH}/refresh"), &body).await.error(401, REVOKED);
    ends_in_time(&there).await;
    assert!(is_good(&bob_there).await);
    assert_eq!(events(&rig, "user.logout")[0]["payload"]["revoked_sessions"], 1);
}

#[tokio::test]
async fn a_service_that_starts_later_knows_what_ended_before_and_keeps_it_while_nobody_answers() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let bob = person(&rig, "bob", "user").await;
    ada.client.send("POST", &format!("{AUTH}/logout"), None).await.data(200);
    let late = other_service(rig.service.base_url()).await;
    assert!(!is_good(&bearer(&late, &ada.tokens)).await);
    let (ada, bob) = (bearer(&late, &ada.tokens), bearer(&late, &bob.tokens));
    drop(rig);
    assert!(!is_good(&ada).await && is_good(&bob).await);
}

#[tokio::test]
async fn all_sessions_of_a_user_end_together() {
    let rig = Rig::start(&[]).await;
    let mut ada = person(&rig, "ada", "user").await;
    let bob = person(&rig, "bob", "user").await;
    let first = ada.client.clone();
    ada.sign_in().await;
    // One that nobody can go on with is none to end.
    rig.execute("INSERT INTO sessions SELECT 'ses_old', user_id, created_at, now(), NULL FROM sessions LIMIT 1");
    let all = json!({"all_sessions": true});
    assert_eq!(ada.client.post(&format!("{AUTH}/logout"), &all).await.data(200)["revoked_sessions"], 2);
    for client in [&first, &ada.client] {
        client.get(&format!("{AUTH}/me")).await.error(401, REVOKED);
    }
    bob.client.get(&format!("{AUTH}/me")).await.data(200);
    let wrong = bob.client.post(&format!("{AUTH}/logout"), &json!({"all_sessions": "yes"})).await;
    wrong.error(422, "VALIDATION_ERROR.INVALID_TYPE");
}

#[tokio::test]
async fn who_has_no_session_ends_none() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let path = format!("{AUTH}/logout");
    rig.service.client().send("POST", &path, None).await.error(401, "AUTHENTICATION_ERROR.MISSING_AUTHORIZATION");
    // Not that of somebody whom a token of another issuer names.
    let token = test_support::jwt(&ada.id, &[], &[]);
    for client in [rig.admin(), rig.service.client().bearer(&token)] {
        let answer = client.post(&path, &json!({"all_sessions": true})).await;
        assert_eq!(answer.data(200), json!({"revoked_sessions": 0}));
    }
    ada.client.get(&format!("{AUTH}/me")).await.data(200);
    assert!(events(&rig, "user.logout").is_empty());
}

#[tokio::test]
async fn no_other_token_will_do() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let other = other_service(rig.service.base_url()).await;
    let good = ada.tokens["access_token"].as_str().unwrap();
    let (head, tail) = good.split_once('.').unwrap();
    let (body, signature) = tail.split_once('.').unwrap();
    let claims = {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
        claims
    };
    let signed = |algorithm: Algorithm, secret: &str, change: Value| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap()
    };
    let iat = claims["iat"].as_i64().unwrap();
    let admin = signed(Algorithm::HS256, "another secret of some length here", json!({"role": "admin"}));
    let tampered = format!("{head}.{}.{signature}", admin.split('.').nth(1).unwrap());
    for bad in [
        admin,
        tampered,
        // {"alg":"none","typ":"JWT"}
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}."),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        signed(Algorithm::HS512, DEVELOPMENT_JWT_SECRET, json!({})),
        signed(Algorithm::HS256, DEVELOPMENT_JWT_SECRET, json!({"type": "refresh"})),
        signed(Algorithm::HS256, DEVELOPMENT_JWT_SECRET, json!({"iat": iat + 120, "exp": iat + 1920})),
        good.to_uppercase(),
    ] {
        for (service, path) in [(&rig.service, format!("{AUTH}/me")), (&other, "/api/v1/caller".to_owned())] {
            service.client().bearer(&bad).get(&path).await.error(401, INVALID);
        }
    }
    let old = signed(Algorithm::HS256, DEVELOPMENT_JWT_SECRET, json!({"iat": iat - 1900, "exp": iat - 100}));
    rig.service.client().bearer(&old).get(&format!("{AUTH}/me")).await.error(401, "AUTHENTICATION_ERROR.EXPIRED_TOKEN");
    // Clocks may differ a little.
    let skewed = signed(Algorithm::HS256, DEVELOPMENT_JWT_SECRET, json!({"iat": iat + 30, "exp": iat + 1830}));
    rig.service.client().bearer(&skewed).get(&format!("{AUTH}/me")).await.data(200);
    assert!(is_good(&other.client().bearer(good)).await);
}

#[tokio::test]
async fn the_list_is_read_in_parts_and_forgets_what_has_expired() {
    let rig = Rig::start(&[]).await;
    let service = rig.service.client().service("chat");
    let after = async |cursor: i64| service.post(ENDED, &json!({"cursor": cursor})).await.data(200);
    assert_eq!(after(0).await, json!({"ended": [], "cursor": 0, "more": false}));
    rig.execute(
        "INSERT INTO ended_sessions SELECT n, 'ses_' || n, now() + interval '1 hour' FROM generate_series(1, 1001) n; \
         UPDATE last_ended_session SET seq = 1001",
    );
    let first = after(0).await;
    assert_eq!(
        (first["ended"].as_array().unwrap().len(), &first["cursor"], &first["more"]),
        (1000, &json!(1000), &json!(true))
    );
    let second = after(1000).await;
    assert_eq!(
        (&second["ended"][0]["id"], &second["cursor"], &second["more"]),
        (&json!("ses_1001"), &json!(1001), &json!(false))
    );
    assert_eq!(after(1001).await, json!({"ended": [], "cursor": 1001, "more": false}));
    // A cursor from another life of the database begins anew.
    assert_eq!(after(5000).await["ended"].as_array().unwrap().len(), 1000);
    rig.execute("UPDATE ended_sessions SET until = now()");
    assert_eq!(after(0).await, json!({"ended": [], "cursor": 1001, "more": false}));
}

#[tokio::test]
async fn what_ends_later_is_not_seen_before_what_ended_earlier() {
    use diesel::connection::SimpleConnection as _;
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let bob = person(&rig, "bob", "user").await;
    let service = rig.service.client().service("chat");
    let after = async |cursor: i64| service.post(ENDED, &json!({"cursor": cursor})).await.data(200);
    // Somebody is ending a session, and takes its time with the commit.
    let mut slow = rig.db.connect();
    let rows = "UPDATE last_ended_session SET seq = seq + 1; \
                INSERT INTO ended_sessions VALUES (1, 'ses_slow', now() + interval '1 hour')";
    slow.batch_execute(&format!("BEGIN; {rows}")).unwrap();
    let path = format!("{AUTH}/logout");
    let meanwhile = async {
        let ended = after(0).await;
        assert_eq!(ended, json!({"ended": [], "cursor": 0, "more": false}));
        slow.batch_execute("COMMIT").unwrap();
    };
    let (answer, ()) = tokio::join!(ada.client.send("POST", &path, None), meanwhile);
    answer.data(200);
    let ended = after(0).await;
    assert_eq!((ended["ended"].as_array().unwrap().len(), &ended["cursor"]), (2, &json!(2)));
    bob.client.send("POST", &path, None).await.data(200);
    assert_eq!(after(2).await["ended"].as_array().unwrap().len(), 1);
}
