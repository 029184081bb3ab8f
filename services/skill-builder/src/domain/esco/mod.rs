//! Reads an ESCO classification as the European Commission publishes it: CSV files in a folder or a ZIP.
//!
//! Nothing is trusted: sizes are limited by what is really read, not by what an archive claims, and every fault is
//! reported with its file and line.

mod checked;
mod concepts;
mod files;
mod relations;
mod table;

use std::path::Path;
use std::sync::Arc;

use super::taxonomy::Taxonomy;
use files::{Files, Limits};

pub(crate) const NAME: &str = "ESCO";
const UNKNOWN_VERSION: &str = "unknown";
const VERSION_CHARS_MAX: usize = 100;

/// Why a download cannot be imported. Each says which file, and which line where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{place} cannot be read")]
    Unreadable { place: String, source: std::io::Error },
    #[error("{place} is not a usable ZIP archive")]
    Archive { place: String, source: zip::result::ZipError },
    #[error("{place}: {problem}")]
    Unusable { place: String, problem: String },
    #[error("{place} has no file {file}")]
    MissingFile { place: String, file: String },
    #[error("{file} has no column '{column}'")]
    MissingColumn { file: String, column: &'static str },
    #[error("{file}, line {line}: {problem}")]
    Row { file: String, line: u64, problem: String },
    /// Such a file was cut off; importing it would wipe out the taxonomy in use.
    #[error("{file} has no rows; is the file cut off?")]
    NoRows { file: String },
    #[error("the version must have 1 to {VERSION_CHARS_MAX} characters")]
    Version,
}

/// A classification as read, with what was not taken over.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) taxonomy: Taxonomy,
    /// Concepts left out because they are not released.
    pub(crate) unreleased: usize,
    /// Relations that name an occupation or a skill which no file describes. They are kept: the published
    /// classification has them, and they lead nowhere.
    pub(crate) dangling: usize,
}

/// Reads the folder or ZIP at `path`. `version` is used as given; without it, it is the `1.2.3`-like part of the
/// folder's or file's name, else `unknown`.
///
/// # Errors
/// When a file or a column is missing, a required file has no rows, a row is faulty, or a limit is exceeded.
pub(crate) fn read(path: &Path, version: Option<&str>) -> Result<Import, Error> {
    read_within(path, version, Limits::default())
}

fn read_within(path: &Path, version: Option<&str>, limits: Limits) -> Result<Import, Error> {
    let version = match version.map(str::trim) {
        Some(version) if (1..=VERSION_CHARS_MAX).contains(&version.chars().count()) => version.to_owned(),
        Some(_) => return Err(Error::Version),
        None => files::own_name(path).and_then(|name| version_in(&name)).unwrap_or_else(|| UNKNOWN_VERSION.to_owned()),
    };
    let mut files = Files::open(path, limits)?;
    let names = files.select()?;

    let mut shared = concepts::Interner::default();
    let codes = concepts::isco_codes(&mut files, &names, &mut shared)?;
    let occupations = concepts::occupations(&mut files, &names, &mut shared, &codes)?;
    let skills = concepts::skills(&mut files, &names, &mut shared)?;
    let groups = concepts::groups(&mut files, &names, &mut shared)?;
    let known = relations::Known::new(&occupations, &skills);
    let (occupation_skills, dangling) = relations::occupation_skills(&mut files, &names, &mut shared, &known)?;
    let related = relations::related(&mut files, &names, &mut shared, &known)?;
    let broader = relations::broader(&mut files, &names, &mut shared, &known)?;

    let unreleased = occupations.left_out.len() + skills.left_out.len() + groups.left_out.len();
    let taxonomy = Taxonomy {
        name: NAME,
        version,
        language: names.language.clone(),
        builtin: false,
        occupations: occupations.kept,
        skills: skills.kept,
        skill_groups: groups.kept,
        occupation_skills,
        related,
        broader,
    };
    Ok(Import { taxonomy: taxonomy.sorted(), unreleased, dangling })
}

/// The first part of a name that looks like `1.2.3`.
fn version_in(name: &str) -> Option<String> {
    name.split(|c: char| !c.is_ascii_digit() && c != '.')
        .map(|part| part.split('.').filter(|digits| !digits.is_empty()).collect::<Vec<_>>())
        .find(|numbers| numbers.len() >= 3)
        .map(|numbers| numbers[..3].join("."))
}

/// Concepts of one kind.
struct Concepts<T> {
    kept: Vec<T>,
    /// URIs of those that are not released.
    left_out: Vec<Arc<str>>,
}

impl<T> Concepts<T> {
    /// # Errors
    /// When the file they come from has none.
    fn of_required(self, file: &str) -> Result<Self, Error> {
        if self.kept.is_empty() && self.left_out.is_empty() {
            return Err(Error::NoRows { file: file.to_owned() });
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
