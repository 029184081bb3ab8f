//! The smallest service that shows everything.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::{get, post, web};
use api_core::{
    auth::{
        Call,
        permission::{AgentsRead, AgentsWrite, KeysManage, LegacyAgentsWrite, ServiceOnly},
    },
    context,
    db::Db,
    error::ApiError,
    health::{Check, Dependency, Health},
    input::{Fields, Integer, Text, coded},
    platform::Platform,
    reply::Reply,
    service::{Routes, Running, Service, openapi_of},
    settings::Settings,
};
use api_types::{
    ains::{AinsCode, AinsPagination},
    auth::Role,
    error::Code,
};
use futures_util::future::BoxFuture;
use serde_json::json;
use test_support::{Client, FakeKeys, TestDb, TestService};
use tokio::sync::Semaphore;

/// May do everything.
pub(crate) const ADMIN: &str = "admin.secret";
/// May read.
pub(crate) const READER: &str = "reader.secret";

pub(crate) const THINGS: &str = "/api/v1/things";
pub(crate) const SECRETS: &str = "/api/v1/secrets";
pub(crate) const LEGACY: &str = "/things";
pub(crate) const AINS: &str = "/ains/things";
pub(crate) const INTERNAL: &str = "/internal/v1/things";

/// What handlers share with the test.
#[derive(Debug)]
pub(crate) struct App {
    db: Db,
    /// Times that a thing was made.
    pub(crate) made: AtomicUsize,
    /// Requests that wait.
    pub(crate) waiting: AtomicUsize,
    /// Lets them go on.
    pub(crate) gate: Semaphore,
}

impl App {
    /// Returns when so many requests wait at the gate.
    pub(crate) async fn wait_for(&self, waiting: usize) {
        while self.waiting.load(Ordering::SeqCst) < waiting {
            tokio::task::yield_now().await;
        }
    }
}

/// The service, running, with keys of the test's making.
pub(crate) struct Tiny {
    pub(crate) service: TestService,
    pub(crate) app: Arc<App>,
    pub(crate) keys: Arc<FakeKeys>,
    pub(crate) db: Option<TestDb>,
}

impl Tiny {
    /// Without a database.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::on(settings, None).await
    }

    /// With one.
    pub(crate) async fn with_database(settings: &[(&str, &str)]) -> Self {
        Self::on(settings, Some(TestDb::schema(migrations::Service::ControlPlane))).await
    }

    async fn on(settings: &[(&str, &str)], db: Option<TestDb>) -> Self {
        let keys = FakeKeys::new();
        keys.add(ADMIN, &[Role::Admin], &[]);
        keys.add(READER, &[Role::Service], &["agents:read"]);
        let settings = Settings::from_pairs(settings.iter().copied()).unwrap();
        let platform = Platform::with_key_source(settings, keys.clone()).unwrap();
        let url = db.as_ref().map_or_else(|| "postgres://127.0.0.1:1/none".to_owned(), TestDb::url);
        let (made, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let app = Arc::new(App { db: platform.db(&url), made, waiting, gate: Semaphore::new(0) });
        let service = TestService::start(&platform, || Ok::<_, String>(running(&app))).await;
        Self { service, app, keys, db }
    }

    pub(crate) fn client(&self) -> Client {
        self.service.client()
    }

    pub(crate) fn admin(&self) -> Client {
        self.client().bearer(ADMIN)
    }

    pub(crate) fn reader(&self) -> Client {
        self.client().bearer(READER)
    }

    pub(crate) fn made(&self) -> usize {
        self.app.made.load(Ordering::SeqCst)
    }

    pub(crate) fn execute(&self, sql: &str) {
        use diesel::connection::SimpleConnection as _;
        self.db.as_ref().unwrap().connect().batch_execute(sql).unwrap();
    }
}

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

fn running(app: &Arc<App>) -> Running {
    let data = web::Data::from(Arc::clone(app));
    let routes: Routes = Arc::new(move |config| {
        config.app_data(data.clone());
        config
            .service(make_thing)
            .service(get_thing)
            .service(make_secret)
            .service(make_legacy_thing)
            .service(get_administration);
        config.service(make_ains_thing).service(list_ains_things);
    });
    let internal: Routes = Arc::new(|config| {
        config.service(make_internal_thing);
    });
    let service = Service {
        name: "tiny",
        label: "tiny",
        openapi: openapi_of("Tiny", &routes),
        routes,
        internal,
        health: Arc::new(Well),
        is_slow: |_, path| path == "/api/v1/slow",
    };
    Running { service, workers: Vec::new() }
}

/// Make a thing, or do what its name says.
#[utoipa::path]
#[post("/api/v1/things")]
async fn make_thing(mut call: Call<AgentsWrite>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let mut fields = Fields::of(&body.0);
    let name = fields.required("name", &Text::chars(1..=20));
    fields.finish()?;
    call.once(&app.db, &body, make(&app, &name)).await
}

async fn make(app: &App, name: &str) -> Result<Reply, ApiError> {
    let number = app.made.fetch_add(1, Ordering::SeqCst) + 1;
    match name {
        "panic" => panic!("a handler of a test panics"),
        "conflict" => return Err(ApiError::new(Code::ResourceConflict, "Not now")),
        "internal" => return Err(ApiError::internal(anyhow::anyhow!("SELECT secret FROM internals"))),
        "wait" => {
            app.waiting.fetch_add(1, Ordering::SeqCst);
            app.gate.acquire().await.map_err(ApiError::internal)?.forget();
        }
        _ => {}
    }
    context::warn(format!("number {number}"));
    Ok(Reply::created(&json!({"name": name, "number": number}))?.location(&format!("/api/v1/things/{name}")))
}

/// Get a thing.
#[utoipa::path(params(("name" = String, Path)))]
#[get("/api/v1/things/{name}")]
async fn get_thing(call: Call<AgentsRead>, name: web::Path<String>) -> Result<Reply, ApiError> {
    let context = context::call_context();
    Reply::ok(&json!({
        "name": name.into_inner(),
        "caller": call.caller.id(),
        "query": call.query("q"),
        "via": context.via,
        "is_service": call.caller.is_service(),
    }))
}

/// See what only administrators see.
#[utoipa::path]
#[get("/api/v1/admin")]
async fn get_administration(call: Call<KeysManage>) -> Result<Reply, ApiError> {
    Reply::ok(&json!({"caller": call.caller.id()}))
}

/// Make a secret.
#[utoipa::path]
#[post("/api/v1/secrets")]
async fn make_secret(mut call: Call<AgentsWrite>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    call.once_secret(&app.db, &body, async {
        let number = app.made.fetch_add(1, Ordering::SeqCst) + 1;
        Reply::created(&json!({"secret": format!("geheim-{number}")}))
    })
    .await
}

/// Make a thing as older clients do.
#[utoipa::path]
#[post("/things")]
async fn make_legacy_thing(mut call: Call<LegacyAgentsWrite>) -> Result<Reply, ApiError> {
    call.optional_body().await?;
    Reply::created(&json!({"caller": call.caller.id()}))
}

/// Make a thing through the AINS door.
#[utoipa::path]
#[post("/ains/things")]
async fn make_ains_thing(mut call: Call<AgentsWrite>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let mut fields = Fields::of(&body.0);
    let name = fields.required("name", &Text::chars(1..=20));
    fields.optional("priority", &coded(Integer(1..=10), AinsCode::InvalidPriority));
    fields.finish()?;
    if name == "missing" {
        return Err(ApiError::not_found("Task", &name).ains(AinsCode::TaskNotFound).extra("asked", name));
    }
    Reply::flat_created(&json!({"name": name}))
}

/// List things through the AINS door.
#[utoipa::path]
#[get("/ains/things")]
async fn list_ains_things(call: Call<AgentsRead>) -> Result<Reply, ApiError> {
    let window = call.window()?;
    Reply::flat(&json!({"pagination": AinsPagination::new(window, 0, 0), "active": call.query_boolean("active")?}))
}

/// Make a thing for a service.
#[utoipa::path]
#[post("/internal/v1/things")]
async fn make_internal_thing(mut call: Call<ServiceOnly>) -> Result<Reply, ApiError> {
    call.body().await?;
    Reply::ok(&json!({"service": call.caller.service}))
}
