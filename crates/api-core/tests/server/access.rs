//! Who used what, as the control plane is told of it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{post, web};
use api_core::{
    auth::{Call, permission::ServiceOnly},
    error::ApiError,
    health::{Check, Dependency, Health},
    platform::Platform,
    reply::Reply,
    service::{Routes, Running, Service, openapi_of},
    settings::Settings,
};
use api_types::{
    access::{AccessBatch, AccessReceipt, BadCredential, Refusal, RefusedAccess},
    error::Code,
};
use chrono::{TimeDelta, Utc};
use futures_util::{future::BoxFuture, future::join_all};
use serde_json::json;
use test_support::{FakeKeys, TestService, jwt};

use crate::tiny::{READER, SECRETS, THINGS, Tiny};

const THING: &str = "/api/v1/things/a";

/// Takes batches as the control plane does.
#[derive(Debug, Default)]
struct Told {
    batches: Mutex<Vec<AccessBatch>>,
    /// Batches to be answered with 503, although they were taken.
    failures: AtomicU32,
}

impl Health for Told {
    fn dependencies(&self) -> BoxFuture<'_, Vec<Dependency>> {
        Box::pin(async { Vec::new() })
    }

    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async { Vec::new() })
    }
}

#[utoipa::path]
#[post("/internal/v1/access")]
async fn take(mut call: Call<ServiceOnly>, told: web::Data<Told>) -> Result<Reply, ApiError> {
    let batch: AccessBatch = call.read().await?;
    told.batches.lock().unwrap().push(batch);
    let failing = told.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    match failing {
        Ok(_) => Err(ApiError::new(Code::ServiceUnavailable, "away")),
        Err(_) => Reply::ok(&AccessReceipt { counted: true }),
    }
}

struct Receiver {
    service: TestService,
    told: Arc<Told>,
}

impl Receiver {
    async fn start() -> Self {
        let told = Arc::new(Told::default());
        let data = web::Data::from(Arc::clone(&told));
        let internal: Routes = Arc::new(move |config| {
            config.app_data(data.clone());
            config.service(take);
        });
        let settings = Settings::from_pairs([("CONTROL_PLANE_URL", "http://127.0.0.1:9")]).unwrap();
        let platform = Platform::with_key_source(settings, FakeKeys::new()).unwrap();
        let none: Routes = Arc::new(|_| {});
        let service = Service {
            name: "control-plane",
            label: "controlplane",
            openapi: openapi_of("Control plane", &none),
            routes: none,
            internal,
            health: Arc::clone(&told) as Arc<dyn Health>,
            is_slow: |_, _| false,
        };
        let running = Running { service, workers: Vec::new() };
        Self { service: TestService::start(&platform, || Ok::<_, String>(running)).await, told }
    }

    async fn tiny(&self) -> Tiny {
        Tiny::start(&[("CONTROL_PLANE_URL", self.service.base_url())]).await
    }

    fn batches(&self) -> Vec<AccessBatch> {
        self.told.batches.lock().unwrap().clone()
    }

    /// Batches that differ in their ids.
    fn counted(&self) -> Vec<AccessBatch> {
        let mut batches = self.batches();
        batches.sort_by_key(|batch| batch.id);
        batches.dedup_by_key(|batch| batch.id);
        batches
    }

    fn requests(&self, key: &str, route: &str) -> (u32, u32) {
        let batches = self.counted();
        let counts = batches.iter().flat_map(|batch| &batch.counts);
        let of = counts.filter(|count| &*count.key_id == key && count.route == route);
        of.fold((0, 0), |sum, count| (sum.0 + count.succeeded, sum.1 + count.failed))
    }

    fn refused(&self) -> Vec<RefusedAccess> {
        self.counted().into_iter().flat_map(|batch| batch.refused).collect()
    }
}

async fn until(mut is_there: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_there() {
        assert!(Instant::now() < deadline, "it was never told");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn each_answer_to_a_key_is_counted_once_and_nothing_else_is() {
    let receiver = Receiver::start().await;
    let tiny = receiver.tiny().await;
    let reader = tiny.reader().header("user-agent", "me/1");
    for path in [THING, "/api/v1/things/b", "/nowhere", "/health", "/metrics"] {
        reader.get(path).await;
    }
    reader.post(THINGS, &json!({"name": "a"})).await;
    // Our own services, users' tokens, and pages that ask for nothing.
    tiny.client().service("chat").get(THING).await.data(200);
    tiny.client().admin().get(THING).await.data(200);
    tiny.client().get("/health").await;
    tiny.admin().get(THING).await.data(200);
    until(|| receiver.requests("admin", "/api/v1/things/{name}") == (1, 0)).await;
    assert_eq!(receiver.requests("reader", "/api/v1/things/{name}"), (2, 0));
    assert_eq!(receiver.requests("reader", THINGS), (0, 1));
    let counts: Vec<_> = receiver.counted().into_iter().flat_map(|batch| batch.counts).collect();
    let total: u64 = counts.iter().map(api_types::access::AccessCount::times).sum();
    assert_eq!(total, 4, "{counts:#?}");
    let first = counts.iter().find(|count| &*count.key_id == "reader").unwrap();
    assert_eq!((first.ip_address.as_deref(), first.user_agent.as_deref()), (Some("127.0.0.1"), Some("me/1")));
    assert_eq!((&*first.service, &*first.client_id), ("tiny", "reader"));
}

#[tokio::test]
async fn the_record_says_why_a_credential_was_refused_and_the_answer_does_not() {
    let receiver = Receiver::start().await;
    let tiny = receiver.tiny().await;
    tiny.keys.add("gone.secret", &[], &["agents:read"]);
    tiny.keys.change("gone", |key| key.revoked_at = Some(Utc::now()));
    tiny.keys.add("late.secret", &[], &["agents:read"]);
    tiny.keys.change("late", |key| key.expires_at = Some(Utc::now() - TimeDelta::seconds(1)));
    let forged = format!("{}x", jwt("u", &[], &[]));
    let (malformed, unknown) = (BadCredential::Malformed, BadCredential::Unknown);
    let cases = [
        (None, BadCredential::Missing, None),
        (Some("nodot"), malformed, None),
        (Some("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.nonsense.x"), malformed, None),
        (Some("nobody.secret"), unknown, None),
        (Some("reader.wrong"), unknown, None),
        (Some(&*forged), unknown, None),
        (Some("gone.secret"), BadCredential::Revoked, Some("gone")),
        (Some("late.secret"), BadCredential::Expired, Some("late")),
        // The secret was not even right.
        (Some("gone.wrong"), unknown, None),
    ];
    let mut answers = Vec::new();
    for (token, _, _) in &cases {
        let client = token.map_or_else(|| tiny.client(), |token| tiny.client().bearer(token));
        answers.push(client.get(THING).await);
    }
    until(|| receiver.refused().len() >= cases.len()).await;
    let refused = receiver.refused();
    for ((_, reason, who), refused) in cases.iter().zip(&refused) {
        assert_eq!(refused.why, Refusal::Credential { reason: *reason });
        assert_eq!((refused.principal_id.as_deref(), &*refused.route), (*who, "/api/v1/things/{name}"));
    }
    assert_eq!(refused.len(), cases.len());
    // Malformed and unknown look the same to whoever sent them.
    let told =
        |answer: &test_support::Answer| (answer.body["error"]["code"].clone(), answer.body["error"]["message"].clone());
    assert_eq!(told(&answers[1]), told(&answers[3]));
    assert!(answers.iter().all(|answer| answer.status == 401));
    // Nobody used these keys.
    assert_eq!(receiver.requests("gone", "/api/v1/things/{name}"), (0, 0));
}

#[tokio::test]
async fn who_may_not_is_told_of_with_the_scope_that_was_missing() {
    let receiver = Receiver::start().await;
    let tiny = receiver.tiny().await;
    tiny.reader().post(SECRETS, &json!({})).await.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
    tiny.reader().post(crate::tiny::INTERNAL, &json!({})).await.error(404, "NOT_FOUND_ERROR.ENDPOINT_NOT_FOUND");
    tiny.client().bearer(&jwt("somebody", &[], &["skills:read"])).get(THING).await;
    until(|| receiver.refused().len() == 3).await;
    let refused = receiver.refused();
    let told: Vec<_> = refused
        .iter()
        .map(|refused| match &refused.why {
            Refusal::Permission { required_scope } => (refused.principal_id.as_deref(), required_scope.as_deref()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some("reader"), Some("agents:write")),
            // Whoever is none of our services is not even asked who it is.
            (None, Some("service")),
            (Some("somebody"), Some("agents:read"))
        ]
    );
}

#[tokio::test]
async fn what_could_not_be_handed_over_is_handed_over_again_under_the_same_id() {
    let receiver = Receiver::start().await;
    receiver.told.failures.store(2, Ordering::SeqCst);
    let tiny = receiver.tiny().await;
    for _ in 0..3 {
        tiny.reader().get(THING).await.data(200);
        let batches = receiver.batches().len();
        until(|| receiver.batches().len() > batches || batches > 2).await;
    }
    until(|| receiver.requests("reader", "/api/v1/things/{name}") == (3, 0)).await;
    let ids: Vec<_> = receiver.batches().iter().map(|batch| batch.id).collect();
    assert!(ids.len() >= 3 && ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");
    assert_eq!(receiver.batches()[0], receiver.batches()[2]);
}

#[tokio::test]
async fn the_last_requests_are_told_before_the_process_ends() {
    let receiver = Receiver::start().await;
    let tiny = receiver.tiny().await;
    let reader = tiny.client().bearer(READER);
    join_all((0..50).map(|_| reader.get(THING))).await;
    drop(tiny);
    assert_eq!(receiver.requests("reader", "/api/v1/things/{name}"), (50, 0));
}

#[tokio::test]
async fn a_control_plane_that_is_away_keeps_no_service_from_ending() {
    let tiny = Tiny::start(&[("CONTROL_PLANE_URL", "http://127.0.0.1:9")]).await;
    tiny.reader().get(THING).await.data(200);
    let begin = Instant::now();
    drop(tiny);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}
