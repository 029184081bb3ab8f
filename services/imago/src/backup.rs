//! `imago backup` and `imago restore`

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use agent_builder::backup::RestoreError;
use anyhow::Context as _;
use api_core::settings::Settings;
use chrono::Utc;
use migrations::Service;

use crate::{Failure, output, run_file};

fn agents_url(settings: &Settings) -> Result<String, Failure> {
    let admin_url = run_file::database_url(settings)?;
    Ok(migrations::service_url(&admin_url, Service::AgentBuilder).map_err(anyhow::Error::from)?)
}

/// Writes all agents, and prints the file's name. What was written halfway is removed again.
pub(crate) fn backup(settings: &Settings, file: Option<PathBuf>) -> Result<(), Failure> {
    let url = agents_url(settings)?;
    let name = || PathBuf::from(Utc::now().format("agents_backup_%Y%m%d_%H%M%S.json").to_string());
    let file = file.unwrap_or_else(name);
    let unfinished = file.with_extension("json.part");
    let written = write(&url, &unfinished).and_then(|()| Ok(fs::rename(&unfinished, &file)?));
    if let Err(error) = written {
        drop(fs::remove_file(&unfinished));
        return Err(error.context(format!("cannot write {}", file.display())).into());
    }
    output::line(&file.display().to_string());
    Ok(())
}

fn write(url: &str, file: &Path) -> anyhow::Result<()> {
    let mut writer = BufWriter::new(File::create(file)?);
    agent_builder::backup::backup(url, &mut writer)?;
    writer.into_inner().context("the last bytes")?.sync_all()?;
    Ok(())
}

/// Reads agents back; a file of another format changes nothing.
pub(crate) fn restore(settings: &Settings, file: &Path) -> Result<(), Failure> {
    let url = agents_url(settings)?;
    let opened = File::open(file).map_err(|error| Failure::input(format!("{}: {error}", file.display())))?;
    let restored = agent_builder::backup::restore(&url, BufReader::new(opened));
    let count = restored.map_err(|error| match error {
        RestoreError::Format(fault) => Failure::input(format!("{}: {fault}", file.display())),
        RestoreError::Connect(_) | RestoreError::Query(_) => {
            anyhow::Error::from(error).context("nothing was restored").into()
        }
    })?;
    output::line(&format!("Restored {count} agents"));
    std::io::stdout().flush().map_err(anyhow::Error::from)?;
    Ok(())
}
