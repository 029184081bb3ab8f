//! Importing a published classification in the place of the taxonomy in use.

use std::{fmt, path::Path};

use chrono::Utc;
use diesel::{Connection as _, PgConnection};

use crate::{domain::esco, store::loading};

/// Why nothing was imported. The old taxonomy stays.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The download cannot be used; says which file and line.
    #[error(transparent)]
    Download(#[from] esco::Error),
    #[error("the database cannot be reached")]
    Connection(#[from] diesel::ConnectionError),
    #[error("the database refused the taxonomy")]
    Database(#[from] diesel::result::Error),
}

/// What an import came to, to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub version: String,
    pub language: String,
    pub occupations: i64,
    pub skills: i64,
    pub skill_groups: i64,
    pub relations: i64,
    /// Concepts left out because they are not released.
    pub unreleased: usize,
    /// Relations of concepts that no file describes.
    pub dangling: usize,
    /// False when the same taxonomy was in use already.
    pub changed: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.changed { "imported" } else { "unchanged" };
        write!(
            f,
            "ESCO {} ({}) {verb}: {} occupations, {} skills, {} skill groups, {} relations",
            self.version, self.language, self.occupations, self.skills, self.skill_groups, self.relations,
        )?;
        if self.unreleased > 0 {
            write!(f, "\nleft out: {} concepts that are not released", self.unreleased)?;
        }
        if self.dangling > 0 {
            write!(f, "\nnote: {} relations name a concept that no file describes", self.dangling)?;
        }
        Ok(())
    }
}

/// Imports the ESCO download at `source` (a folder or a ZIP) into the database of the skill builder at `url`.
///
/// Running services see the old taxonomy until the new one is complete, and follow within seconds.
///
/// # Errors
/// When the download or the database cannot be used.
pub fn esco(url: &str, source: &Path, version: Option<&str>) -> Result<Report, Error> {
    let esco::Import { taxonomy, unreleased, dangling } = esco::read(source, version)?;
    let mut conn = PgConnection::establish(url)?;
    let stored = conn.transaction(|conn| loading::replace(conn, &taxonomy, Utc::now()))?;
    Ok(Report {
        version: stored.taxonomy.version,
        language: stored.taxonomy.language,
        occupations: stored.taxonomy.occupations,
        skills: stored.taxonomy.skills,
        skill_groups: stored.taxonomy.skill_groups,
        relations: stored.taxonomy.relations,
        unreleased,
        dangling,
        changed: stored.changed,
    })
}
