//! Where a running stack is found: a file in its data directory.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use api_core::settings::Settings;

use crate::{Failure, output};

const NAME: &str = "running.json";

/// Everything that a stack keeps.
pub(crate) fn data_dir(settings: &Settings) -> PathBuf {
    settings.text("imago_data_dir").map_or_else(|| PathBuf::from(".imago/data"), PathBuf::from)
}

/// The file of a stack that runs; it is removed when the stack ends.
#[derive(Debug)]
pub(crate) struct RunFile(PathBuf);

impl RunFile {
    /// Writes `variables`. They hold the database's password, so only the owner may read them.
    pub(crate) fn write(data_dir: &Path, variables: &BTreeMap<&str, String>) -> anyhow::Result<Self> {
        let (path, unfinished) = (data_dir.join(NAME), data_dir.join(format!("{NAME}.new")));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(serde_json::to_string_pretty(variables)?.as_bytes())?;
        fs::rename(&unfinished, &path)?;
        Ok(Self(path))
    }
}

impl Drop for RunFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn read(data_dir: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(data_dir.join(NAME))
        .with_context(|| format!("no stack runs on {}; start one with `imago up`", data_dir.display()))?;
    serde_json::from_str(&text).context("the file of the running stack cannot be read")
}

/// `imago env`
pub(crate) fn print(settings: &Settings) -> Result<(), Failure> {
    for (name, value) in read(&data_dir(settings))? {
        output::line(&format!("export {name}={}", quoted(&value)));
    }
    Ok(())
}

/// `DATABASE_URL`, else that of the stack that runs on the data directory.
pub(crate) fn database_url(settings: &Settings) -> Result<String, Failure> {
    if let Some(url) = settings.text("database_url") {
        return Ok(url);
    }
    let mut variables = read(&data_dir(settings)).context("DATABASE_URL is not set")?;
    Ok(variables.remove("DATABASE_URL").context("the running stack names no database")?)
}

/// A shell word that means the text itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_quoted_text_is_one_shell_word() {
        assert_eq!(quoted("a b$(c)"), "'a b$(c)'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
