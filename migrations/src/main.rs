//! `migrate [SERVICE..]`: prepares the database at `DATABASE_URL` and runs the migrations of the services named, or of all.
//!
//! A cluster runs it as a job before a new version is rolled out.

use std::{error::Error, process::ExitCode};

use migrations::Service;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("migrate: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let named: Result<Vec<Service>, _> = names.iter().map(|name| name.parse()).collect();
    let services = if names.is_empty() { Service::ALL.to_vec() } else { named? };
    #[expect(clippy::disallowed_methods, reason = "a job with a single setting")]
    let url = std::env::var("DATABASE_URL").map_err(|error| format!("DATABASE_URL: {error}"))?;
    migrations::provision(&url)?;
    for service in services {
        let run = migrations::migrate(&url, service)?;
        report(&format!("{service}: {} migrations run", run.len()));
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a command line tool")]
fn report(line: &str) {
    eprintln!("{line}");
}
