//! Makes a cluster on first use, and checks one that is there.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    DATABASE, SUPERUSER,
    account::Account,
    cluster::Programs,
    error::{Context, Error},
    files::{Files, make_private},
};

/// Text is compared byte by byte, which is fast and the same everywhere; these decide what is a letter and its upper
/// case. The first one that the system knows is taken.
const CHARACTER_TYPES: [&str; 3] = ["C.UTF-8", "en_US.UTF-8", "C"];

/// Who may connect: with a password, from this machine.
const HBA: &str = "# Written by Imago.\nhost all all 127.0.0.1/32 scram-sha-256\n";

/// Makes sure that there is a cluster of our major version with a superuser whose password we know, and returns it.
pub(crate) fn ensure(files: &Files, programs: &Programs, account: &Account, durable: bool) -> Result<String, Error> {
    let cluster = files.cluster();
    if cluster.join("PG_VERSION").exists() {
        check_version(&cluster, programs)?;
        if let Some(password) = files.password() {
            return Ok(password);
        }
        // Somebody removed the file. The data directory is ours, so we may set a new one.
        let password = new_password();
        single_user(&cluster, programs, account, &set_password(&password))?;
        files.keep_password(&password)?;
        return Ok(password);
    }
    let password = new_password();
    files.keep_password(&password)?;
    make(files, programs, account, durable, &password)?;
    Ok(password)
}

/// Refuses data that this PostgreSQL could not read.
fn check_version(cluster: &Path, programs: &Programs) -> Result<(), Error> {
    let path = cluster.join("PG_VERSION");
    let found = fs::read_to_string(&path).context(|| format!("read {}", path.display()))?;
    let (found, ours) = (found.trim(), programs.major_version()?);
    if found == ours {
        return Ok(());
    }
    Err(Error::OtherVersion { dir: cluster.to_owned(), found: found.to_owned(), ours })
}

/// Makes a cluster beside the place where it belongs, and moves it there when nothing is missing any more.
fn make(files: &Files, programs: &Programs, account: &Account, durable: bool, password: &str) -> Result<(), Error> {
    let unfinished = files.unfinished();
    tracing::info!("making a PostgreSQL data directory in {}", files.dir().display());
    for (tries_left, character_type) in
        CHARACTER_TYPES.iter().enumerate().map(|(i, name)| (CHARACTER_TYPES.len() - 1 - i, name))
    {
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).context(|| format!("remove {}", unfinished.display()))?;
        }
        make_private(&unfinished)?;
        account.own(&unfinished)?;
        match run_initdb(&unfinished, programs, account, durable, character_type) {
            Ok(()) => break,
            Err(Error::Init(text)) if tries_left > 0 && text.contains("invalid locale") => {}
            Err(error) => return Err(error),
        }
    }
    let statements = format!("{}CREATE DATABASE {DATABASE};\n", set_password(password));
    single_user(&unfinished, programs, account, &statements)?;
    let hba = unfinished.join("pg_hba.conf");
    fs::write(&hba, HBA).context(|| format!("write {}", hba.display()))?;
    fs::rename(&unfinished, files.cluster()).context(|| format!("rename {}", unfinished.display()))
}

fn run_initdb(
    dir: &Path,
    programs: &Programs,
    account: &Account,
    durable: bool,
    character_type: &str,
) -> Result<(), Error> {
    let mut command = programs.command("initdb");
    // No password yet, and nobody can connect yet: the server is started after both are put right.
    command.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--text-search-config=english"]);
    command.arg(format!("--lc-ctype={character_type}")).arg(format!("--username={SUPERUSER}"));
    if !durable {
        command.arg("--no-sync");
    }
    command.arg("--pgdata").arg(dir);
    let output = account.output(&mut command).context(|| "run initdb".into())?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Init(last_words(&output.stderr)))
}

/// Runs statements, one per line, on a cluster that no server is running on.
fn single_user(cluster: &Path, programs: &Programs, account: &Account, statements: &str) -> Result<(), Error> {
    let mut command = programs.command("postgres");
    // The password is random, so that hashing it many times would only make connecting slow.
    command.args([
        "--single",
        "-c",
        "exit_on_error=true",
        "-c",
        "scram_iterations=1",
        "-c",
        "log_checkpoints=off",
        "-D",
    ]);
    command.arg(cluster).arg("postgres");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = account.spawn(&mut command).context(|| "run postgres --single".into())?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it has ended already, its own words say more than "broken pipe".
        let _written = stdin.write_all(statements.as_bytes());
    }
    let output = child.wait_with_output().context(|| "run postgres --single".into())?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Init(last_words(&output.stderr)))
}

fn set_password(password: &str) -> String {
    format!("ALTER ROLE {SUPERUSER} PASSWORD '{password}';\n")
}

/// 32 random bytes in hexadecimal: safe in a URL, in SQL and in a shell.
fn new_password() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// The last lines of what a program said.
fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

impl Programs {
    /// The major version of the programs, such as "16".
    fn major_version(&self) -> Result<String, Error> {
        let output = Command::new(self.path("postgres"))
            .arg("--version")
            .output()
            .context(|| "run postgres --version".into())?;
        let text = String::from_utf8_lossy(&output.stdout);
        // "postgres (PostgreSQL) 16.14"
        let version = text.split_whitespace().last().unwrap_or_default();
        Ok(version.split('.').next().unwrap_or_default().to_owned())
    }
}
