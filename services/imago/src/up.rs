//! `imago up`: the database, the services, and what a person needs to go on.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    time::Duration,
};

use anyhow::Context as _;
use api_core::{
    platform::Platform,
    server,
    settings::{Core, Settings},
    telemetry,
};
use embedding::Embedder;
use private_postgres::Cluster;

use crate::{
    Failure, example, output,
    ports::Ports,
    run_file::{self, RunFile},
    stack::{self, Listeners},
};

/// The administrator's key on a developer's machine.
const DEVELOPMENT_ADMIN_KEY: &str = "admin-key-001.secret123";
/// How often the private Postgres is looked after.
const LOOK_AFTER: Duration = Duration::from_millis(500);
/// How long the services may take to become ready.
const READY: Duration = Duration::from_secs(60);

pub(crate) fn run(settings: &Settings, with_example: bool) -> Result<(), Failure> {
    let ports = Ports::from_settings(settings)?;
    let settings = with_defaults(settings, &ports)?;
    let core: Core = settings.section()?;
    core.check()?;
    let listeners = Listeners::bind(&core.imago_bind, &ports, core.enable_metrics)?;
    let data_dir = run_file::data_dir(&settings);
    fs::create_dir_all(&data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
    let telemetry = telemetry::init(&settings, "imago")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let asked_to_stop = runtime.block_on(async { server::asked_to_stop() }).context("cannot listen to signals")?;
    let mut cluster = None;
    let admin_url = match settings.text("database_url") {
        Some(url) => url,
        None => cluster.insert(start_postgres(&settings, &data_dir)?).url(),
    };
    stack::migrate(&admin_url)?;
    let variables = variables(&settings, &ports, &core.imago_bind, &admin_url);
    let served = runtime.block_on(async {
        let platform = Platform::new(settings.clone())?;
        let embedder = embedder(&settings, &platform)?;
        let server = stack::start(&platform, &admin_url, &embedder, listeners)?;
        let public = variables.get("IMAGO_PUBLIC_URL").cloned().unwrap_or_default();
        // Before anybody can see that the stack is ready, it can be found.
        let _run_file = RunFile::write(&data_dir, &variables)?;
        let private = cluster.is_some();
        let begin = async {
            wait_until_ready(&platform, &public).await?;
            greet(&variables, &settings, &data_dir, private);
            if with_example { example::run(&public, &admin_key(&settings)).await } else { Ok(()) }
        };
        let mut asked_to_stop = pin!(asked_to_stop);
        tokio::select! {
            () = &mut asked_to_stop => {}
            begun = begin => {
                begun?;
                serve(cluster.as_mut(), asked_to_stop).await;
            }
        }
        output::line("Stopping.");
        server.stop().await;
        anyhow::Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    if let Some(mut cluster) = cluster {
        cluster.stop().map_err(anyhow::Error::from)?;
    }
    drop(telemetry);
    Ok(served?)
}

/// What `imago up` sets where nothing else is given. The conveniences of a developer's machine hold on loopback only,
/// and never in production.
fn with_defaults(settings: &Settings, ports: &Ports) -> Result<Settings, Failure> {
    let core: Core = settings.section()?;
    let log_file = run_file::data_dir(settings).join("imago.log").display().to_string();
    let own = |port: u16| format!("http://127.0.0.1:{port}");
    let mut defaults = vec![
        ("log_file", log_file),
        ("agent_builder_url", own(ports.agent_builder)),
        ("skill_builder_url", own(ports.skill_builder)),
        ("knowledge_builder_url", own(ports.knowledge_builder)),
        ("task_router_url", own(ports.task_router)),
        ("control_plane_url", own(ports.control_plane)),
    ];
    let loopback = ["127.0.0.1", "localhost", "::1"].contains(&core.imago_bind.as_str());
    if loopback && !core.is_production() {
        defaults.push(("bootstrap_admin_key", DEVELOPMENT_ADMIN_KEY.to_owned()));
        defaults.push(("auth_open_doors", "canvas,caxton".to_owned()));
        defaults.push(("egress_allow_private", "true".to_owned()));
    }
    let missing = defaults.iter().filter(|(name, _)| settings.text(name).is_none());
    Ok(settings.with(missing.map(|(name, value)| (*name, value.as_str())))?)
}

fn start_postgres(settings: &Settings, data_dir: &Path) -> anyhow::Result<Cluster> {
    let install_dir = settings.text("imago_install_dir").map_or_else(|| PathBuf::from(".imago"), PathBuf::from);
    let options = private_postgres::Options::new(install_dir.join("postgres"), data_dir.join("postgres"));
    Cluster::start(&options).context("cannot start the private Postgres (run `make setup` first, or set DATABASE_URL)")
}

fn embedder(settings: &Settings, platform: &Platform) -> anyhow::Result<Embedder> {
    let config: embedding::Config = settings.section()?;
    Ok(Embedder::from_config(&config, platform.http().clone()))
}

/// The addresses of the stack, under the names that its clients read.
fn variables(settings: &Settings, ports: &Ports, bind: &str, admin_url: &str) -> BTreeMap<&'static str, String> {
    let host = match bind {
        "0.0.0.0" | "::" => "127.0.0.1",
        "::1" => "[::1]",
        host => host,
    };
    let url = |port: u16| format!("http://{host}:{port}");
    let mut variables = BTreeMap::from([
        ("DATABASE_URL", admin_url.to_owned()),
        ("IMAGO_PUBLIC_URL", url(ports.public)),
        ("AGENT_BUILDER_URL", url(ports.agent_builder)),
        ("SKILL_BUILDER_URL", url(ports.skill_builder)),
        ("KNOWLEDGE_BUILDER_URL", url(ports.knowledge_builder)),
        ("TASK_ROUTER_URL", url(ports.task_router)),
        ("CONTROL_PLANE_URL", url(ports.control_plane)),
        ("METRICS_URL", url(ports.metrics)),
    ]);
    if let Some(key) = settings.text("bootstrap_admin_key") {
        variables.insert("IMAGO_ADMIN_KEY", key);
    }
    variables
}

async fn wait_until_ready(platform: &Platform, public: &str) -> anyhow::Result<()> {
    let url = format!("{public}/ready");
    let ready = async {
        loop {
            let answer = platform.http().get(&url).timeout(Duration::from_secs(2)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(READY, ready).await.context("the services did not become ready; the log says why")
}

fn admin_key(settings: &Settings) -> String {
    settings.text("bootstrap_admin_key").unwrap_or_default()
}

fn greet(variables: &BTreeMap<&str, String>, settings: &Settings, data_dir: &Path, private: bool) {
    let variable = |name: &str| variables.get(name).map_or("", String::as_str);
    let public = variable("IMAGO_PUBLIC_URL");
    output::line("Imago is up.");
    output::line(&format!("  API       {public}   (described at {public}/docs)"));
    if admin_key(settings) == DEVELOPMENT_ADMIN_KEY {
        output::line(&format!("  key       {DEVELOPMENT_ADMIN_KEY}   (administrator, this machine only)"));
    }
    let database = if private { "private Postgres in" } else { "DATABASE_URL; other data in" };
    output::line(&format!("  data      {database} {}", data_dir.display()));
    output::line(&format!("  log       {}", settings.text("log_file").unwrap_or_default()));
    output::line(&format!("  metrics   {}/metrics", variable("METRICS_URL")));
    let program = std::env::args().next().unwrap_or_else(|| "imago".to_owned());
    output::line(&format!("  more      eval \"$({program} env)\" in another terminal names all addresses"));
}

/// Until somebody asks to stop; a private Postgres that ends meanwhile is started again.
async fn serve(mut cluster: Option<&mut Cluster>, mut asked_to_stop: Pin<&mut impl Future<Output = ()>>) {
    let mut look_after = tokio::time::interval(LOOK_AFTER);
    loop {
        tokio::select! {
            () = &mut asked_to_stop => return,
            _ = look_after.tick() => {
                let Some(cluster) = cluster.as_deref_mut() else { continue };
                if let Some(status) = cluster.ended() {
                    tracing::error!(%status, "the private Postgres ended; starting it again");
                    if let Err(error) = tokio::task::block_in_place(|| cluster.restart()) {
                        tracing::error!(exception = %error, "the private Postgres cannot be started again yet");
                    }
                }
            }
        }
    }
}
