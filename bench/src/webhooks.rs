//! Deliveries to webhooks, through a running stack and to a receiver in this process.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use api_client::http_client;
use diesel::{
    Connection as _, PgConnection, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Text},
};
use migrations::Service;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{
    Target,
    load::{self, Figures, Request},
};

/// Deliveries a second to one receiver that are wanted.
const WANTED_PER_SECOND: f64 = 500.0;
const BACKLOG: usize = 5000;
/// Webhooks that share the second backlog.
const MANY: usize = 20;
/// Events a second of the steady load, and how soon 99 of 100 must have been delivered.
const STEADY_PER_SECOND: u32 = 200;
const SOON_MS: f64 = 250.0;
const PATIENCE: Duration = Duration::from_secs(120);
const WEBHOOK: &str = "/api/v1/integration/webhook";

/// Takes everything and notes when, and how old it was.
struct Receiver {
    address: SocketAddr,
    count: AtomicUsize,
    ages: Mutex<Vec<Duration>>,
    begun: Instant,
}

impl Receiver {
    async fn start() -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let receiver = Arc::new(Self {
            address: listener.local_addr()?,
            count: AtomicUsize::new(0),
            ages: Mutex::default(),
            begun: Instant::now(),
        });
        let serving = Arc::clone(&receiver);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = Arc::clone(&serving);
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        Ok(receiver)
    }

    async fn serve(&self, stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let mut stream = BufReader::new(stream);
        loop {
            let (mut length, mut line) = (0, String::new());
            loop {
                line.clear();
                stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
                if line.trim().is_empty() {
                    break;
                }
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().ok()?;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.ok()?;
            self.note(&body);
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()?;
        }
    }

    fn note(&self, body: &[u8]) {
        let sent: Option<u64> = serde_json::from_slice::<Value>(body).ok().and_then(|body| body["data"]["us"].as_u64());
        if let Some(sent) = sent {
            let age = self.begun.elapsed().saturating_sub(Duration::from_micros(sent));
            self.ages.lock().unwrap_or_else(PoisonError::into_inner).push(age);
        }
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    fn got(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until there are so many in all.
    async fn wait(&self, wanted: usize) -> anyhow::Result<Instant> {
        let begun = Instant::now();
        while self.got() < wanted {
            if begun.elapsed() > PATIENCE {
                bail!("{} of {wanted} deliveries came within {PATIENCE:?}; is EGRESS_ALLOW_PRIVATE set?", self.got());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Instant::now())
    }
}

/// What a round needs.
struct Bench<'a> {
    target: &'a Target,
    http: reqwest::Client,
    sender: PgConnection,
}

impl Bench<'_> {
    async fn send(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("http://{}{path}", self.target.public);
        let mut request = self.http.request(method.parse()?, url).timeout(Duration::from_secs(30)).json(body);
        for line in self.target.headers.lines() {
            let (name, value) = line.split_once(": ").context("no header")?;
            request = request.header(name, value);
        }
        let answer = request.send().await?;
        let (status, body) = (answer.status(), answer.json::<Value>().await?);
        ensure!(status.is_success(), "{method} {path}: {status} {body}");
        Ok(body)
    }

    /// Makes webhooks for everything; returns their ids.
    async fn subscribe(&self, receiver: &Receiver, count: usize) -> anyhow::Result<Vec<String>> {
        let mut ids = Vec::with_capacity(count);
        for number in 0..count {
            // A family that nothing else of the stack writes while this runs.
            let body = json!({"url": format!("http://{}/{number}", receiver.address), "events": ["chat.*"], "secret": "bench-secret"});
            let made = self.send("POST", WEBHOOK, &body).await?;
            ids.push(made["data"]["id"].as_str().context("no id")?.to_owned());
        }
        Ok(ids)
    }

    async fn unsubscribe(&self, ids: Vec<String>) -> anyhow::Result<()> {
        for id in ids {
            self.send("DELETE", &format!("{WEBHOOK}s/{id}"), &json!({})).await?;
        }
        Ok(())
    }

    /// Puts events into a service's outbox, as one transaction.
    fn push(&mut self, count: usize, us: u128) -> anyhow::Result<()> {
        let push = sql_query(
            "INSERT INTO outbox (id, kind, aggregate, at, payload) \
             SELECT gen_random_uuid(), $1, 'bench:' || number, date_trunc('milliseconds', clock_timestamp()), \
                    jsonb_build_object('thread_id', number, 'status', 'done', 'us', $3) \
             FROM generate_series(1, $2) AS number",
        );
        push.bind::<Text, _>("chat.turn.completed")
            .bind::<BigInt, _>(i64::try_from(count)?)
            .bind::<BigInt, _>(i64::try_from(us)?)
            .execute(&mut self.sender)?;
        Ok(())
    }

    /// How many deliveries a second `webhooks` of them get out of a backlog.
    async fn backlog(&mut self, webhooks: usize) -> anyhow::Result<f64> {
        let receiver = Receiver::start().await?;
        let ids = self.subscribe(&receiver, webhooks).await?;
        self.push(BACKLOG / webhooks, 0)?;
        let begun = receiver.wait(1).await?;
        let first = receiver.got();
        let done = receiver.wait(BACKLOG).await?;
        self.unsubscribe(ids).await?;
        Ok(per_second(BACKLOG - first, done - begun))
    }

    /// How old events are when they are delivered, at a steady rate.
    async fn steady(&mut self) -> anyhow::Result<Figures> {
        let receiver = Receiver::start().await?;
        let ids = self.subscribe(&receiver, 1).await?;
        let count = self.target.time.as_secs().max(1) * u64::from(STEADY_PER_SECOND);
        let begun = Instant::now();
        for number in 1..=count {
            self.push(1, receiver.begun.elapsed().as_micros())?;
            let due = Duration::from_secs_f64(f64::from(u32::try_from(number)?) / f64::from(STEADY_PER_SECOND));
            tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
        }
        receiver.wait(usize::try_from(count)?).await?;
        self.unsubscribe(ids).await?;
        let mut latencies = std::mem::take(&mut *receiver.ages.lock().unwrap_or_else(PoisonError::into_inner));
        latencies.sort_unstable();
        Ok(Figures { latencies, errors: 0, elapsed: begun.elapsed() })
    }
}

/// Deliveries a second to one receiver, through one webhook and through many; then how soon they come at a steady rate.
pub(crate) async fn run(target: &Target) -> anyhow::Result<()> {
    let url = migrations::service_url(&target.database_url, Service::SkillBuilder)?;
    let mut bench = Bench { target, http: http_client()?, sender: PgConnection::establish(&url)? };
    println!("webhook deliveries to a local receiver, {BACKLOG} at once");
    let floor = floor(target.time).await?;
    let (one, many) = (bench.backlog(1).await?, bench.backlog(MANY).await?);
    println!("  floor        {floor:>8.0} /s   (the same requests on one connection, one after another)");
    println!("  1 webhook    {one:>8.0} /s   {:.2} of the floor (at least {WANTED_PER_SECOND} /s wanted)", one / floor);
    println!("  {MANY} webhooks  {many:>8.0} /s");
    let steady = bench.steady().await?;
    println!("steady load, {STEADY_PER_SECOND} events/s, from the service's transaction to the receiver");
    println!(
        "  p50 {:>6.1} ms   p99 {:>6.1} ms   (p99 under {SOON_MS} ms wanted)",
        steady.percentile_ms(50),
        steady.percentile_ms(99)
    );
    Ok(())
}

/// What the receiver takes from one connection.
async fn floor(time: Duration) -> anyhow::Result<f64> {
    let receiver = Receiver::start().await?;
    let body = json!({"event": "chat.turn.completed", "data": {"status": "done"}, "signature": "0".repeat(64)});
    let request = Request {
        method: "POST",
        path: "/".to_owned(),
        headers: format!("x-webhook-signature: {}\r\n", "0".repeat(64)),
        body: body.to_string(),
    };
    let figures = load::run(receiver.address, 1, time, move |_, _| request.clone()).await?;
    Ok(figures.per_second())
}

fn per_second(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}
