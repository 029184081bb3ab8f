//! Memory and start-up of each service in a process of its own, on an existing database.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

const SERVICES: &[&str] = &["agent-builder", "skill-builder", "knowledge-builder", "task-router", "control-plane"];
const READY: Duration = Duration::from_secs(30);

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts each service's own binary (beside this one) and prints what it takes.
pub(crate) async fn run() -> anyhow::Result<()> {
    println!("each service by itself, idle");
    let bin = std::env::current_exe()?;
    let bin = bin.parent().context("no directory")?;
    for name in SERVICES {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let started = Instant::now();
        let child = Command::new(bin.join(name))
            .env("PORT", port.to_string())
            .env("BOOTSTRAP_ADMIN_KEY", "admin-key-001.secret123")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let child = Running(child);
        let ready = wait(port, started).await.with_context(|| format!("{name} did not become ready"))?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        println!(
            "  {name:<18} ready in {:>5.0} ms   resident {:>6.1} MB",
            ready.as_secs_f64() * 1000.0,
            resident_mb(child.0.id())?
        );
    }
    Ok(())
}

async fn wait(port: u16, started: Instant) -> anyhow::Result<Duration> {
    let url = format!("http://127.0.0.1:{port}/ready");
    let http = api_client::http_client()?;
    while started.elapsed() < READY {
        if http.get(&url).timeout(Duration::from_secs(2)).send().await.is_ok_and(|answer| answer.status().is_success())
        {
            return Ok(started.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("not within {READY:?}")
}

fn resident_mb(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024.0)
}
