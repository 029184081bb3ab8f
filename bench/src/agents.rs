//! Reading and creating agents.

use std::time::Duration;

use anyhow::bail;
use serde_json::json;

use crate::{
    Target,
    floor::Floor,
    load::{self, Figures, Request},
};

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 3;

fn body(id: &str) -> String {
    json!({
        "agent_id": id,
        "role_model": {"name": "Ada Lovelace", "occupation": "Mathematician"},
        "sources": ["documents", "taxonomy"],
    })
    .to_string()
}

fn post(target: &Target, id: &str) -> Request {
    Request { method: "POST", path: "/api/v1/agents".to_owned(), headers: target.headers.clone(), body: body(id) }
}

/// An id that no other run uses.
pub(crate) fn run_id() -> String {
    format!("bench-{:08x}", rand::random::<u32>())
}

pub(crate) async fn make_agent(target: &Target, id: &str) -> anyhow::Result<()> {
    let request = post(target, id);
    let figures = load::run(target.public, 1, Duration::from_nanos(1), move |_, _| request.clone()).await?;
    if figures.errors > 0 {
        bail!("the agent was not built");
    }
    Ok(())
}

/// The share of the floor that a read of an agent reaches; the two run in turns.
pub(crate) async fn read(target: &Target) -> anyhow::Result<()> {
    let id = run_id();
    make_agent(target, &id).await?;
    let floor = Floor::start()?;
    let bare = Request::get(format!("/{id}"), "");
    let full = Request::get(format!("/api/v1/agents/{id}"), &target.headers);
    println!("GET /api/v1/agents/{{id}}, {CONNECTIONS} connections, {ROUNDS} rounds of {:?}", target.time);
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let bare = bare.clone();
        let floor = load::run(floor.address, CONNECTIONS, target.time, move |_, _| bare.clone()).await?;
        let full = full.clone();
        let ours = load::run(target.public, CONNECTIONS, target.time, move |_, _| full.clone()).await?;
        print("floor", &floor);
        print("imago", &ours);
        if floor.errors + ours.errors > 0 {
            bail!("not every read was answered");
        }
        ratios.push(ours.per_second() / floor.per_second());
    }
    ratios.sort_by(f64::total_cmp);
    println!("  ratio  {:.2} of the floor (median; at least 0.60 wanted)", ratios[ROUNDS / 2]);
    Ok(())
}

/// How long a create takes alone, and how many go through at 32 connections.
pub(crate) async fn create(target: &Target) -> anyhow::Result<()> {
    println!("POST /api/v1/agents, 0 cycles, sources documents and taxonomy");
    for connections in [1, CONNECTIONS] {
        let (run, target_) = (run_id(), target.clone());
        make_agent(target, &format!("{run}-warm")).await?;
        let next = move |connection: usize, number: usize| post(&target_, &format!("{run}-{connection}-{number}"));
        let figures = load::run(target.public, connections, target.time, next).await?;
        print(&format!("{connections} connections"), &figures);
    }
    Ok(())
}

pub(crate) fn print(name: &str, figures: &Figures) {
    println!(
        "  {name:<15} {:>8.1} /s   p50 {:>7.2} ms   p99 {:>7.2} ms   errors {}",
        figures.per_second(),
        figures.percentile_ms(50),
        figures.percentile_ms(99),
        figures.errors,
    );
}
