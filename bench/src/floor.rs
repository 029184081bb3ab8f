//! The least that a read over HTTP can cost here: a bare handler, the same pool, one primary-key SELECT of the same bytes.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use api_core::{
    db::{Db, Unavailable},
    error::ApiError,
};
use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types::Text};
use migrations::Service;

/// As the services have by default.
const POOL: u32 = 30;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    body: String,
}

#[derive(Debug)]
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

async fn agent(db: web::Data<Db>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let id = id.into_inner();
    let select = "SELECT rendered_skills || rendered_knowledge AS body FROM agents WHERE agent_id = $1";
    let row = db.run::<Row, Failed>(move |conn| Ok(sql_query(select).bind::<Text, _>(id).get_result(conn)?)).await;
    let row = row.map_err(|Failed| ApiError::internal(anyhow::anyhow!("floor")))?;
    Ok(HttpResponse::Ok().content_type("application/json").body(row.body))
}

/// Serves the floor on a free port, which it prints.
pub(crate) async fn serve(database_url: &str) -> anyhow::Result<()> {
    let url = migrations::service_url(database_url, Service::AgentBuilder)?;
    let db = web::Data::new(Db::lazy(&url, POOL));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let server = HttpServer::new(move || App::new().app_data(db.clone()).route("/{id}", web::get().to(agent)));
    server.workers(2).listen(listener)?.run().await?;
    Ok(())
}

/// The floor in a process of its own, as the stack is; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Floor {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Floor {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?).arg("floor").stdout(Stdio::piped()).spawn()?;
        let stdout = process.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self { process, address: line.trim().parse()? })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
