//! What authentication and limits cost: one service with two handlers that read the same agent, one of which asks who calls.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use actix_web::{get, web};
use anyhow::{Context as _, bail};
use api_core::{
    auth::{Call, permission::AgentsRead},
    db::{Db, Unavailable},
    error::ApiError,
    health::{Check, Dependency, Health},
    platform::Platform,
    reply::Reply,
    server::{self, Mount},
    service::{Routes, Service, openapi_of},
    settings::Settings,
};
use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types::Text};
use futures_util::future::BoxFuture;
use serde_json::{Value, json, value::RawValue};

use crate::{
    Target, agents,
    load::{self, Figures, Request},
};

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 5;
/// As the services have by default.
const POOL: u32 = 30;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    body: String,
}

struct Failed;

impl From<diesel::result::Error> for Failed {
    fn from(_: diesel::result::Error) -> Self {
        Self
    }
}

impl From<Unavailable> for Failed {
    fn from(_: Unavailable) -> Self {
        Self
    }
}

#[utoipa::path]
#[get("/api/v1/agents/{agent_id}")]
async fn guarded(_call: Call<AgentsRead>, db: web::Data<Db>, id: web::Path<String>) -> Result<Reply, ApiError> {
    read(&db, id.into_inner()).await
}

#[utoipa::path]
#[get("/bare/{agent_id}")]
async fn bare(db: web::Data<Db>, id: web::Path<String>) -> Result<Reply, ApiError> {
    read(&db, id.into_inner()).await
}

async fn read(db: &Db, id: String) -> Result<Reply, ApiError> {
    let select = "SELECT '{\"generated_skills\":' || rendered_skills || ',\"generated_knowledge\":' || rendered_knowledge \
                  || '}' AS body FROM agent_records WHERE agent_id = $1";
    let row = db.run::<Row, Failed>(move |conn| Ok(sql_query(select).bind::<Text, _>(id).get_result(conn)?)).await;
    let row = row.map_err(|Failed| ApiError::internal(anyhow::anyhow!("no such agent")))?;
    let data = RawValue::from_string(row.body).map_err(ApiError::internal)?;
    Ok(Reply::raw(actix_web::http::StatusCode::OK, data))
}

#[derive(Debug)]
struct Well;

impl Health for Well {
    fn dependencies(&self) -> BoxFuture<'_, Vec<Dependency>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

/// Serves both handlers on a free port, which it prints.
pub(crate) async fn serve(database_url: &str) -> anyhow::Result<()> {
    let url = migrations::service_url(database_url, migrations::Service::AgentBuilder)?;
    let platform = Platform::new(Settings::load()?)?;
    let db = web::Data::new(Db::lazy(&url, POOL));
    let routes: Routes = Arc::new(move |config| {
        config.app_data(db.clone());
        config.service(guarded).service(bare);
    });
    let service = Service {
        name: "bench",
        label: "bench",
        openapi: openapi_of("Bench", &routes),
        routes,
        internal: Arc::new(|_| {}),
        health: Arc::new(Well),
        is_slow: |_, _| false,
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let mount = Mount { listener, label: "bench", services: vec![service], internal: false, metrics_only: false };
    let _server = server::start(&platform, vec![mount], Vec::new())?;
    // Until it is killed.
    std::future::pending().await
}

/// The two handlers in a process of their own; it ends when this is dropped.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?).arg("guarded").stdout(Stdio::piped()).spawn()?;
        let stdout = process.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self { process, address: line.trim().parse()? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A key of an ordinary caller, with limits that are counted and never reached.
async fn make_key(target: &Target) -> anyhow::Result<String> {
    let body = json!({
        "name": "bench", "roles": ["service"], "rate_limit_per_minute": 1_000_000, "rate_limit_per_hour": 60_000_000,
    });
    let url = format!("http://{}/api/v1/auth/keys", target.public);
    let (_, credential) = target.headers.trim().split_once(": ").context("no credential")?;
    let request = api_client::http_client()?.post(url).header("authorization", credential).json(&body);
    let answer: Value = request.send().await?.json().await?;
    let token = answer.pointer("/data/token").and_then(Value::as_str).context("no key was made")?;
    Ok(token.to_owned())
}

/// Throughput with many connections and latency with one, with and without; in turns.
pub(crate) async fn run(target: &Target) -> anyhow::Result<()> {
    let id = agents::run_id();
    agents::make_agent(target, &id).await?;
    let key = make_key(target).await?;
    let server = Server::start()?;
    let open = Request::get(format!("/bare/{id}"), "");
    let closed = Request::get(format!("/api/v1/agents/{id}"), &format!("authorization: Bearer {key}\r\n"));
    println!("authentication and limits, one handler with and without, {ROUNDS} rounds of {:?}", target.time);
    let (mut ratios, mut added_us) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let [without, with] = pair(&server, CONNECTIONS, target.time, [&open, &closed]).await?;
        agents::print("32 without", &without);
        agents::print("32 with", &with);
        ratios.push(with.per_second() / without.per_second());
        let [without, with] = pair(&server, 1, target.time / 2, [&open, &closed]).await?;
        agents::print("1 without", &without);
        agents::print("1 with", &with);
        added_us.push((with.percentile_ms(50) - without.percentile_ms(50)) * 1000.0);
    }
    ratios.sort_by(f64::total_cmp);
    added_us.sort_by(f64::total_cmp);
    println!("  ratio  {:.3} of the throughput without (median; at least 0.90 wanted)", ratios[ROUNDS / 2]);
    println!("  added  {:.0} us to the p50 of one connection (median; at most 50 wanted)", added_us[ROUNDS / 2]);
    Ok(())
}

async fn pair(
    server: &Server,
    connections: usize,
    time: Duration,
    requests: [&Request; 2],
) -> anyhow::Result<[Figures; 2]> {
    let mut figures = Vec::new();
    for request in requests {
        let request = request.clone();
        let measured = load::run(server.address, connections, time, move |_, _| request.clone()).await?;
        if measured.errors > 0 {
            bail!("not every read was answered");
        }
        figures.push(measured);
    }
    figures.try_into().ok().context("two figures")
}
