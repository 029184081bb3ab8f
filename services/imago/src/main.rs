//! All of Imago in one process, and its command line.

mod audit;
mod backup;
mod example;
mod import;
mod output;
mod ports;
mod run_file;
mod stack;
mod up;

use std::{path::PathBuf, process::ExitCode};

use api_core::settings::Settings;
use clap::{Parser, Subcommand};
use control_plane::audit::Head;

/// Builds AI agents and puts them to work.
#[derive(Debug, Parser)]
#[command(name = "imago", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything and serve until Ctrl-C.
    Up {
        /// Build an example agent through the public API and show it.
        #[arg(long)]
        example: bool,
    },
    /// Print the running stack's addresses as shell assignments: eval "$(imago env)".
    Env,
    /// Replace the occupation taxonomy.
    Import {
        #[command(subcommand)]
        what: Import,
    },
    /// Write all agents to a file.
    Backup {
        /// Where to; by default `agents_backup_<time>.json` in this directory.
        file: Option<PathBuf>,
    },
    /// Read agents back from a file.
    Restore { file: PathBuf },
    /// Verify or export the audit log.
    Audit {
        #[command(subcommand)]
        what: Audit,
    },
    /// Make roles and schemas and run pending migrations on `DATABASE_URL`, then end.
    Migrate,
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Find any row that was edited, deleted, inserted or reordered, and print the head.
    /// Exit code 1: the log is broken; 2: nobody can say.
    Verify {
        /// A head that was printed before: finds newest rows that were deleted, too.
        #[arg(long, value_name = "SEQ:HASH")]
        expect_head: Option<Head>,
    },
    /// Write all rows to a file, as one JSON object a line.
    Export { file: PathBuf },
}

#[derive(Debug, Subcommand)]
enum Import {
    /// From the CSV download of the ESCO classification.
    Esco {
        /// A directory or a ZIP file.
        source: PathBuf,
        /// The version, when the name of the source does not say it.
        #[arg(long)]
        version: Option<String>,
    },
}

/// What went wrong, and the exit code that says so.
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// The user's input is at fault: exit code 2.
    fn input(error: impl std::fmt::Display) -> Self {
        Self { message: error.to_string(), code: 2 }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { message: format!("{error:#}"), code: 1 }
    }
}

impl From<api_core::settings::Error> for Failure {
    fn from(error: api_core::settings::Error) -> Self {
        Self { message: error.to_string(), code: 2 }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::error(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let settings = Settings::load()?;
    match command {
        Command::Up { example } => up::run(&settings, example),
        Command::Env => run_file::print(&settings),
        Command::Import { what: Import::Esco { source, version } } => {
            import::esco(&settings, &source, version.as_deref())
        }
        Command::Backup { file } => backup::backup(&settings, file),
        Command::Restore { file } => backup::restore(&settings, &file),
        Command::Audit { what: Audit::Verify { expect_head } } => audit::verify(&settings, expect_head.as_ref()),
        Command::Audit { what: Audit::Export { file } } => audit::export(&settings, &file),
        Command::Migrate => Ok(stack::migrate(&run_file::database_url(&settings)?)?),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
