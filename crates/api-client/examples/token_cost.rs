//! Measures what a signed call costs both sides: `cargo run --release -p api-client --example token_cost`

#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::{hint::black_box, time::Instant};

use api_client::token::{Received, Request, TokenKey};

const ROUNDS: u32 = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = TokenKey::derive("a secret of some thirty-two characters");
    let target = "/internal/v1/keys/lookup";
    for bytes in [200, 100_000] {
        let body = vec![b'x'; bytes];
        let request = Request { audience: "control-plane", method: "POST", target, body: &body };
        let received = Received { services: &["control-plane"], method: "POST", target };
        let began = Instant::now();
        for _ in 0..ROUNDS {
            black_box(key.sign("agent-builder", None, &request)?);
        }
        let signing = began.elapsed() / ROUNDS;
        let token = key.sign("agent-builder", None, &request)?;
        let began = Instant::now();
        for _ in 0..ROUNDS {
            let call = key.verify(black_box(&token), &received)?;
            black_box(call.has_body(&body));
        }
        println!("{bytes} bytes of body: signing {signing:?}, checking {:?}", began.elapsed() / ROUNDS);
    }
    Ok(())
}
