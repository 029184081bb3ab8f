//! A small HTTP server for the tests of the sources.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A request as the server saw it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    head: String,
    body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Answer { status: u16, headers: Vec<(String, String)>, body: String },
    HangUp,
    Hang,
}

impl Reply {
    pub(super) fn json(value: &Value) -> Self {
        Self::answer(200, "application/json", value.to_string())
    }

    pub(super) fn html(body: &str) -> Self {
        Self::answer(200, "text/html", body.to_owned())
    }

    pub(super) fn status(status: u16) -> Self {
        Self::answer(status, "application/json", "{}".to_owned())
    }

    fn answer(status: u16, media_type: &str, body: String) -> Self {
        Self::Answer { status, headers: vec![("content-type".to_owned(), media_type.to_owned())], body }
    }

    pub(super) fn hang_up() -> Self {
        Self::HangUp
    }

    pub(super) fn hang() -> Self {
        Self::Hang
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

pub(super) struct Server {
    address: String,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(super) async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let paths: Arc<Mutex<Vec<String>>> = Arc::default();
        let (answer, seen_paths) = (Arc::new(answer), Arc::clone(&paths));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&seen_paths)));
            }
        });
        Self { address, paths }
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of a server that has gone.
    pub(super) async fn stopped_base(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.paths.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<impl Fn(&Seen) -> Reply>, paths: Arc<Mutex<Vec<String>>>) {
    while let Some(seen) = request(&mut stream).await {
        paths.lock().unwrap().push(seen.path.clone());
        match answer(&seen) {
            Reply::HangUp => return,
            Reply::Hang => std::future::pending().await,
            Reply::Answer { status, headers, body } => {
                let mut head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                if stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn request(stream: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let mut seen = Seen { path, head, body: Vec::new() };
    let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    seen.body = vec![0; length];
    stream.read_exact(&mut seen.body).await.ok()?;
    Some(seen)
}
