//! A local receiver that answers as told and remembers what it got.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to do with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Status(u16),
    /// With a header and a JSON body.
    Json(u16, Value),
    Redirect(String),
    /// After a while.
    Late(Duration, u16),
    /// Never, while the connection stays open.
    Hang,
    /// A 200 whose body never ends.
    Endless,
    /// Closes the connection.
    Close,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The type of the event that it tells of.
    pub(crate) fn event(&self) -> String {
        self.json()["event"].as_str().unwrap().to_owned()
    }
}

type Script = Box<dyn Fn(&Got) -> Answer + Send + Sync>;

struct Shared {
    script: Mutex<Script>,
    got: Mutex<Vec<Got>>,
    news: Notify,
    running: AtomicUsize,
    running_max: AtomicUsize,
}

/// Gone when dropped.
pub(crate) struct Receiver {
    shared: Arc<Shared>,
    base: String,
    task: JoinHandle<()>,
}

impl Receiver {
    /// One that answers every request with the same.
    pub(crate) async fn always(answer: Answer) -> Self {
        Self::new(move |_| answer.clone()).await
    }

    /// One that answers as `script` says.
    pub(crate) async fn new(script: impl Fn(&Got) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            got: Mutex::default(),
            news: Notify::new(),
            running: AtomicUsize::new(0),
            running_max: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { shared, base, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Answers differently from now on.
    pub(crate) fn answer(&self, script: impl Fn(&Got) -> Answer + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.shared.got.lock().unwrap().clone()
    }

    /// The most requests that were there at once.
    pub(crate) fn at_once(&self) -> usize {
        self.shared.running_max.load(Ordering::SeqCst)
    }

    /// What came, once there are at least so many.
    #[track_caller]
    pub(crate) fn wait(&self, count: usize) -> impl Future<Output = Vec<Got>> {
        let place = std::panic::Location::caller();
        async move {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let news = self.shared.news.notified();
                let got = self.got();
                if got.len() >= count {
                    return got;
                }
                let left = deadline.saturating_duration_since(Instant::now());
                assert!(!left.is_zero(), "{place}: {} of {count} came: {:?}", got.len(), got.last());
                drop(tokio::time::timeout(left.min(Duration::from_millis(200)), news).await);
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    while let Some(got) = read(&mut stream).await {
        let closes = got.header("connection") == "close";
        let now = shared.running.fetch_add(1, Ordering::SeqCst) + 1;
        shared.running_max.fetch_max(now, Ordering::SeqCst);
        let answer = {
            let script = shared.script.lock().unwrap();
            script(&got)
        };
        shared.got.lock().unwrap().push(got);
        shared.news.notify_waiters();
        let goes_on = give(stream.get_mut(), answer).await;
        shared.running.fetch_sub(1, Ordering::SeqCst);
        if closes || !goes_on {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Got> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut parts = line.split(' ').map(str::to_owned);
    let (method, path) = (parts.next()?, parts.next()?);
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Got { method, path, headers, body, at: Instant::now() })
}

async fn give(stream: &mut TcpStream, answer: Answer) -> bool {
    let plain = |status: u16| format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
    let text = match answer {
        Answer::Status(status) => plain(status),
        Answer::Json(status, body) => {
            let body = body.to_string();
            let length = body.len();
            format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        }
        Answer::Redirect(to) => format!("HTTP/1.1 307 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"),
        Answer::Late(pause, status) => {
            tokio::time::sleep(pause).await;
            plain(status)
        }
        Answer::Hang => std::future::pending().await,
        Answer::Endless => {
            let head = "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok();
            let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            return false;
        }
        Answer::Close => return false,
    };
    stream.write_all(text.as_bytes()).await.is_ok()
}
