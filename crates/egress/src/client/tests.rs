use std::{
    future::Future,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Client, Connections, Error, Limits, Request};
use crate::{
    lookup::{Found, Lookup},
    policy::{Policy, Refusal},
};

/// Answers every connection with `answer` and returns the address, `127.0.0.1:port`.
async fn server<F, R>(answer: F) -> String
where
    F: Fn(TcpStream, String) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = head_of(&mut stream).await;
            tokio::spawn(answer(stream, head));
        }
    });
    address
}

async fn head_of(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// A server whose answer is one fixed text.
async fn fixed(answer: impl Into<String>) -> String {
    let answer: String = answer.into();
    server(move |mut stream, _| {
        let answer = answer.clone();
        async move {
            stream.write_all(answer.as_bytes()).await.ok();
        }
    })
    .await
}

fn with_body(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn limits() -> Limits {
    Limits { total: Duration::from_secs(5), response_bytes_max: 1000, ..Limits::default() }
}

fn open_client() -> Client {
    Client::new(Policy::new(true, "").unwrap(), limits()).unwrap()
}

fn quick_client() -> Client {
    open_client().with_limits(Limits { total: Duration::from_millis(200), ..limits() })
}

#[tokio::test]
async fn an_answer_comes_back_whole() {
    let address = server(|mut stream, head| async move {
        stream.write_all(with_body(&head).as_bytes()).await.ok();
    })
    .await;
    let request = Request::get(format!("http://{address}/search?a=1"))
        .query("q", "Ada & Lovelace")
        .header("x-token", "t")
        .bearer("secret");
    let answer = open_client().send(request).await.unwrap();
    assert_eq!(answer.status, 200);
    let head = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(head.starts_with("GET /search?a=1&q=Ada+%26+Lovelace HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-token: t\r\n") && head.contains("authorization: Bearer secret\r\n"));
    assert!(head.contains("user-agent: imago/"));
}

#[tokio::test]
async fn a_json_body_is_sent() {
    let address = server(|mut stream, head| async move {
        let mut body = [0; 7];
        stream.read_exact(&mut body).await.unwrap();
        let seen = head + std::str::from_utf8(&body).unwrap();
        stream.write_all(with_body(&seen).as_bytes()).await.ok();
    })
    .await;
    let request = Request::post(format!("http://{address}/")).json(&serde_json::json!({"a": 1}));
    let answer = open_client().send(request).await.unwrap();
    let seen = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(seen.starts_with("POST / ") && seen.ends_with(r#"{"a":1}"#), "{seen}");
    assert!(seen.contains("content-type: application/json\r\n"));
}

#[tokio::test]
async fn a_name_is_refused_by_what_it_resolves_to() {
    let address = fixed(with_body("inside")).await;
    let url = format!("http://localhost:{}/", address.rsplit_once(':').unwrap().1);
    let strict = Client::new(Policy::strict(), limits()).unwrap();
    let error = strict.send(Request::get(&url)).await.unwrap_err();
    assert!(matches!(error, Error::Refused(Refusal::Address)), "{error:?}");
    let listed = Client::new(Policy::new(false, "127.0.0.1,::1").unwrap(), limits()).unwrap();
    assert_eq!(listed.send(Request::get(&url)).await.unwrap().body, "inside");
}

#[tokio::test]
async fn a_literal_address_is_refused_before_anything_is_sent() {
    let strict = Client::new(Policy::strict(), limits()).unwrap();
    let address = fixed(with_body("inside")).await;
    let error = strict.send(Request::get(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, Error::Refused(Refusal::Address)), "{error:?}");
}

#[tokio::test]
async fn redirects_are_answers_and_not_followed() {
    let target = fixed(with_body("must not be fetched")).await;
    let address = fixed(format!("HTTP/1.1 302 Found\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n")).await;
    let answer = open_client().send(Request::get(format!("http://{address}/"))).await.unwrap();
    assert_eq!(answer.status, 302);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn an_announced_size_over_the_limit_is_cut_off() {
    let address = fixed("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n").await;
    let error = open_client().send(Request::get(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 1000 }), "{error:?}");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let address = server(|mut stream, _| async move {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.ok();
        let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
        while stream.write_all(chunk.as_bytes()).await.is_ok() {}
    })
    .await;
    let error = open_client().send(Request::get(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 1000 }), "{error:?}");
}

#[tokio::test]
async fn an_answer_of_exactly_the_limit_passes() {
    let address = fixed(with_body(&"x".repeat(1000))).await;
    let answer = open_client().send(Request::get(format!("http://{address}/"))).await.unwrap();
    assert_eq!(answer.body.len(), 1000);
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let address = server(|stream, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let started = Instant::now();
    let error = quick_client().send(Request::get(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, Error::Timeout), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_dripping_body_is_a_timeout() {
    let address = server(|mut stream, _| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n";
        stream.write_all(head.as_bytes()).await.ok();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let error = quick_client().send(Request::get(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, Error::Timeout), "{error:?}");
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = open_client().send(Request::get(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable), "{error:?}");
    assert_eq!(error.to_string(), "the host cannot be reached");
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_unreachable() {
    let address = fixed("").await;
    let error = open_client().send(Request::get(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable), "{error:?}");
}

#[tokio::test]
async fn a_peer_that_speaks_no_http_is_invalid() {
    let address = fixed("SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
    let error = open_client().send(Request::get(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, Error::InvalidResponse), "{error:?}");
}

#[tokio::test]
async fn a_header_that_would_split_is_not_sent() {
    let request = Request::get("http://127.0.0.1:9/").header("x-a", "b\r\nx-c: d");
    let error = open_client().send(request).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest), "{error:?}");
}

#[tokio::test]
async fn retry_after_and_media_type_are_read() {
    let address = fixed(
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-type: Application/JSON; charset=utf-8\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let answer = open_client().send(Request::get(format!("http://{address}/"))).await.unwrap();
    assert_eq!(answer.retry_after_s(), Some(3));
    assert_eq!(answer.media_type().as_deref(), Some("application/json"));
}

#[tokio::test]
async fn a_peer_without_tls_is_unreachable_over_https() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    });
    let error = open_client().send(Request::get(format!("https://{address}/"))).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable), "{error:?}");
}

/// Gives out one address after the other, as whoever owns a domain may.
#[derive(Debug)]
struct Changing(Mutex<Vec<IpAddr>>);

impl Changing {
    fn new(addresses: &[&str]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(addresses.iter().rev().map(|address| address.parse().unwrap()).collect())))
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Lookup for Changing {
    fn lookup(&self, _: String) -> Found {
        let address = self.0.lock().unwrap().pop().unwrap();
        Box::pin(async move { Ok(vec![address]) })
    }
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_judged_at_each_connection_and_looked_up_once_for_it() {
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            head_of(&mut stream).await;
            stream.write_all(with_body("outside").as_bytes()).await.ok();
        }
    });
    // 127.0.0.2 plays the public address; what the name says next is inside.
    let names = Changing::new(&["127.0.0.2", "127.0.0.1", "169.254.169.254", "10.0.0.1"]);
    let connections = Connections { lookup: Arc::clone(&names) as Arc<dyn Lookup>, ..Connections::default() };
    let client = Client::connecting(Policy::new(false, "127.0.0.2").unwrap(), limits(), &connections).unwrap();
    let url = format!("http://rebinding.example:{port}/");
    assert_eq!(client.send(Request::get(&url)).await.unwrap().body, "outside");
    assert_eq!(names.left(), 3);
    for _ in 0..3 {
        let error = client.deliver(Request::post(&url), Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(error, Error::Refused(Refusal::Address)), "{error:?}");
    }
}

#[tokio::test]
async fn a_delivery_is_its_status_however_long_the_answer_goes_on() {
    let address = server(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n").await.ok();
        let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
        while stream.write_all(chunk.as_bytes()).await.is_ok() {}
    })
    .await;
    let request = Request::post(format!("http://{address}/"));
    assert_eq!(open_client().deliver(request, Duration::from_secs(5)).await.unwrap(), 202);
}

#[tokio::test]
async fn a_delivery_does_not_wait_for_a_body_that_never_comes() {
    let address = server(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await.ok();
        std::future::pending::<()>().await;
    })
    .await;
    let started = Instant::now();
    let request = Request::post(format!("http://{address}/"));
    assert_eq!(open_client().deliver(request, Duration::from_secs(20)).await.unwrap(), 200);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_status_after_the_time_has_not_come() {
    let address = server(|mut stream, _| async move {
        tokio::time::sleep(Duration::from_millis(400)).await;
        stream.write_all(with_body("late").as_bytes()).await.ok();
    })
    .await;
    let request = Request::post(format!("http://{address}/"));
    let error = open_client().deliver(request, Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout), "{error:?}");
}

#[tokio::test]
async fn a_delivery_with_a_short_answer_keeps_its_connection() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let address = server(move |mut stream, _| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            loop {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.ok();
                if head_of(&mut stream).await.is_empty() {
                    return;
                }
            }
        }
    })
    .await;
    let client = open_client();
    for _ in 0..5 {
        let request = Request::post(format!("http://{address}/"));
        assert_eq!(client.deliver(request, Duration::from_secs(5)).await.unwrap(), 200);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
