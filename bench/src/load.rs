//! A load generator that costs little: HTTP/1.1 over raw sockets, one request at a time on each connection.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

/// What a run of load measured.
#[derive(Debug, Default, Clone)]
pub(crate) struct Figures {
    /// Of each request, ascending.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) errors: usize,
    pub(crate) elapsed: Duration,
}

impl Figures {
    pub(crate) fn per_second(&self) -> f64 {
        let count = u32::try_from(self.latencies.len()).unwrap_or(u32::MAX);
        f64::from(count) / self.elapsed.as_secs_f64()
    }

    /// The latency that `percent` of the requests did not exceed, in milliseconds.
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let latency = self.latencies.get(self.latencies.len() * percent / 100).or(self.latencies.get(last));
        latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// One request as it goes over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn get(path: impl Into<String>, headers: &str) -> Self {
        Self { method: "GET", path: path.into(), headers: headers.to_owned(), body: String::new() }
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { method, path, headers, body } = self;
        let length = body.len();
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n{headers}{kind}content-length: {length}\r\n\r\n{body}")
            .into_bytes()
    }
}

/// Sends requests on `connections` connections until the time is over. `next(connection, number)` makes them.
pub(crate) async fn run<F>(address: SocketAddr, connections: usize, time: Duration, next: F) -> anyhow::Result<Figures>
where
    F: Fn(usize, usize) -> Request + Clone + Send + Sync + 'static,
{
    let started = Instant::now();
    let until = started + time;
    let tasks: Vec<_> = (0..connections)
        .map(|connection| {
            let next = next.clone();
            tokio::spawn(async move { one_connection(address, until, |number| next(connection, number)).await })
        })
        .collect();
    let mut figures = Figures::default();
    for task in tasks {
        let (latencies, errors) = task.await??;
        figures.latencies.extend(latencies);
        figures.errors += errors;
    }
    figures.elapsed = started.elapsed();
    figures.latencies.sort_unstable();
    Ok(figures)
}

async fn one_connection(
    address: SocketAddr,
    until: Instant,
    next: impl Fn(usize) -> Request + Send + Sync,
) -> anyhow::Result<(Vec<Duration>, usize)> {
    let stream = TcpStream::connect(address).await.context("cannot connect")?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    let (mut latencies, mut errors) = (Vec::new(), 0);
    let mut number = 0;
    let mut body = Vec::new();
    // At least one, however short the time.
    loop {
        let request = next(number).bytes();
        number += 1;
        let sent = Instant::now();
        stream.get_mut().write_all(&request).await?;
        let status = read_answer(&mut stream, &mut body).await?;
        latencies.push(sent.elapsed());
        if !(200..300).contains(&status) {
            errors += 1;
        }
        if Instant::now() >= until {
            return Ok((latencies, errors));
        }
    }
}

async fn read_answer(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> anyhow::Result<u16> {
    let (mut status, mut length) = (0, None);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            bail!("the connection was closed");
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if status == 0 {
            status = line.split(' ').nth(1).and_then(|text| text.parse().ok()).context("no status")?;
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
    body.resize(length.context("no content-length")?, 0);
    stream.read_exact(body).await?;
    Ok(status)
}
