//! `imago audit verify` and `imago audit export`

use std::{
    fs::{self, File},
    io::BufWriter,
    path::Path,
};

use anyhow::Context as _;
use api_core::settings::{Core, Settings};
use control_plane::audit::{self, Head, VerifyError};
use migrations::Service;

use crate::{Failure, output, run_file};

fn url(settings: &Settings) -> Result<String, Failure> {
    let admin_url = run_file::database_url(settings)?;
    Ok(migrations::service_url(&admin_url, Service::ControlPlane).map_err(anyhow::Error::from)?)
}

/// Says whether the log is intact, and how far it goes. A broken log is exit code 1; not being able to say, 2.
pub(crate) fn verify(settings: &Settings, expected: Option<&Head>) -> Result<(), Failure> {
    let unable = |failure: Failure| Failure { code: 2, ..failure };
    let secret = settings.section::<Core>()?.checked_jwt_secret()?;
    let intact = audit::verify(&url(settings).map_err(unable)?, &secret, expected).map_err(|error| match error {
        VerifyError::Broken(_) => Failure { message: error.to_string(), code: 1 },
        VerifyError::TooOld(_) => Failure::input(error),
        VerifyError::Connect(_) | VerifyError::Query(_) => unable(anyhow::Error::from(error).into()),
    })?;
    let since = intact.checkpoint.map(|row| format!(" since the checkpoint at row {row}")).unwrap_or_default();
    output::line(&format!("The audit log is intact: {} rows{since}", intact.rows));
    output::line(&format!("head {}", intact.head));
    Ok(())
}

/// Writes the log to a file. What was written halfway is removed again.
pub(crate) fn export(settings: &Settings, file: &Path) -> Result<(), Failure> {
    let url = url(settings)?;
    let unfinished = file.with_extension("ndjson.part");
    let written = write(&url, &unfinished).and_then(|count| {
        fs::rename(&unfinished, file)?;
        Ok(count)
    });
    match written {
        Ok(count) => {
            output::line(&format!("Exported {count} rows"));
            Ok(())
        }
        Err(error) => {
            drop(fs::remove_file(&unfinished));
            Err(error.context(format!("cannot write {}", file.display())).into())
        }
    }
}

fn write(url: &str, file: &Path) -> anyhow::Result<u64> {
    let mut writer = BufWriter::new(File::create(file)?);
    let count = audit::export(url, &mut writer)?;
    writer.into_inner().context("the last bytes")?.sync_all()?;
    Ok(count)
}
