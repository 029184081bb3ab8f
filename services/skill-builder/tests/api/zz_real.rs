use api_core::{platform::Platform, settings::Settings};
use embedding::Embedder;
use migrations::Service;
use serde_json::json;
use skill_builder::Deps;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use test_support::{FakeKeys, TestDb, TestService};
#[actix_web::test]
async fn real() {
    let db = TestDb::schema(Service::SkillBuilder);
    let settings = Settings::from_pairs([("IMAGO_ENV", "test"), ("CONTROL_PLANE_URL", "http://127.0.0.1:9")]).unwrap();
    let platform = Platform::with_key_source(settings, FakeKeys::new()).unwrap();
    let embedder = Embedder::minilm(Path::new(&std::env::var("MODEL_DIR").unwrap())).unwrap();
    let t = Instant::now();
    let service = TestService::start(&platform, || {
        skill_builder::start(Deps {
            platform: Arc::clone(&platform),
            database_url: db.url(),
            embedder: embedder.clone(),
        })
    })
    .await;
    println!("ready {:?}", t.elapsed());
    let c = service.client().admin();
    let wait = async |limit: u64, full: bool| {
        let t = Instant::now();
        loop {
            let a = c.get("/health/detailed").await;
            let d = &a.body["data"]["dependencies"]["taxonomy"];
            if d["labels"] == d["labels_embedded"] && (!full || d["skills"] == d["skills_embedded"])
                || t.elapsed() > Duration::from_secs(limit)
            {
                println!("vectors {:?} {d}", t.elapsed());
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    wait(60, true).await;
    let ask = async |q: &str| {
        let t = Instant::now();
        let a = c.get(&format!("/api/v1/skills/occupations?q={q}&limit=4")).await.data(200);
        println!(
            "{q}: {:?} {:?}",
            t.elapsed(),
            a.as_array()
                .unwrap()
                .iter()
                .map(|r| format!("{} {} {}", r["label"], r["method"], r["score"]))
                .collect::<Vec<_>>()
        );
    };
    for q in [
        "Developer",
        "Mathematician",
        "painter of icons",
        "game%20developer",
        "zzxq%20qqwv",
        "Tester",
        "xabcde%20zfghij",
    ] {
        ask(q).await;
    }
    let t = Instant::now();
    let s = c.post("/api/v1/skills", &json!({"occupation":"Mathematician","deepening_cycles":2})).await.data(201);
    println!("create {:?} {}", t.elapsed(), s["total_skills"]);
    let t = Instant::now();
    let url = db.url();
    let r = tokio::task::spawn_blocking(move || {
        skill_builder::import::esco(&url, Path::new("/work/shared/data/esco-1.1.1"), None).unwrap()
    })
    .await
    .unwrap();
    println!("{r} in {:?}", t.elapsed());
    let t = Instant::now();
    let url = db.url();
    let r = tokio::task::spawn_blocking(move || {
        skill_builder::import::esco(&url, Path::new("/work/shared/data/esco-1.1.1"), None).unwrap()
    })
    .await
    .unwrap();
    println!("{r} in {:?}", t.elapsed());
    println!("{}", c.get("/api/v1/skills/taxonomy").await.data(200));
    for n in 0..4 {
        for _ in 0..2 {
            let t = Instant::now();
            let s =
                c.post("/api/v1/skills", &json!({"occupation":"Mathematician","deepening_cycles":n})).await.data(201);
            println!("{n}: {:?} {}", t.elapsed(), s["total_skills"]);
        }
    }
    let corpus: String = "Ada had knowledge of differential equations and project management. ".repeat(10000);
    let t = Instant::now();
    let s = c
        .post("/api/v1/skills", &json!({"occupation":"Mathematician","deepening_cycles":2,"corpus_text":corpus}))
        .await
        .data(201);
    println!("corpus {:?} {}", t.elapsed(), s["total_skills"]);
    let secs: u64 = std::env::var("EMBED_SECS").unwrap().parse().unwrap();
    wait(secs, false).await;
    for q in
        ["Developer", "Mathematician", "Artist", "game%20developer", "zzxq%20qqwv", "Tester", "Professor", "Logician"]
    {
        ask(q).await;
    }
    for _ in 0..3 {
        let t = Instant::now();
        let s = c.post("/api/v1/skills", &json!({"occupation":"Mathematician","deepening_cycles":2})).await.data(201);
        println!("{:?} {}", t.elapsed(), s["total_skills"]);
    }
    let t = Instant::now();
    let s = c.post("/api/v1/skills", &json!({"occupation":"Mathematician","deepening_cycles":11})).await.data(201);
    println!("11: {:?} {}", t.elapsed(), s["total_skills"]);
    let t = Instant::now();
    c.get("/api/v1/skills?per_page=100").await.data(200);
    println!("list {:?}", t.elapsed());
}
