//! The files of a download, in a folder or a ZIP, and which of them are used.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::Error;

/// How much is read, counted in what really comes out of a file or an archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) file_bytes: u64,
    pub(super) total_bytes: u64,
    pub(super) archive_bytes: u64,
    pub(super) entries: usize,
}

impl Default for Limits {
    /// Far above any published classification: the largest file of ESCO has 21 MB.
    fn default() -> Self {
        const MEBIBYTE: u64 = 1024 * 1024;
        Self { file_bytes: 256 * MEBIBYTE, total_bytes: 1024 * MEBIBYTE, archive_bytes: 256 * MEBIBYTE, entries: 1_000 }
    }
}

/// A folder or an archive, and its files by their bare names.
pub(super) struct Files {
    container: Container,
    /// As the caller wrote it, for messages.
    place: String,
    /// Bare names in alphabetical order, with the path in the folder or the number in the archive.
    entries: Vec<(String, Entry)>,
    file_bytes_max: u64,
    total_left: u64,
}

enum Container {
    Folder,
    Archive(Box<ZipArchive<File>>),
}

#[derive(Clone)]
enum Entry {
    Path(PathBuf),
    Number(usize),
}

/// The files that make up one classification.
pub(super) struct Names {
    pub(super) language: String,
    pub(super) occupations: String,
    pub(super) skills: String,
    pub(super) occupation_skills: String,
    pub(super) skill_skills: Option<String>,
    pub(super) broader_skills: Option<String>,
    pub(super) broader_occupations: Option<String>,
    pub(super) skill_groups: Option<String>,
    pub(super) isco_groups: Option<String>,
}

/// The last part of a path, of the real folder where the path is relative.
pub(super) fn own_name(path: &Path) -> Option<String> {
    let real = path.canonicalize().ok();
    let name = real.as_deref().unwrap_or(path).file_name()?;
    Some(name.to_string_lossy().into_owned())
}

impl Files {
    pub(super) fn open(path: &Path, limits: Limits) -> Result<Self, Error> {
        let place = path.display().to_string();
        let unreadable = |source| Error::Unreadable { place: place.clone(), source };
        let about = fs::metadata(path).map_err(unreadable)?;
        let (container, mut entries) = if about.is_dir() {
            (Container::Folder, folder(path).map_err(unreadable)?)
        } else {
            if about.len() > limits.archive_bytes {
                return Err(Error::Unusable { place, problem: "the archive is too large".to_owned() });
            }
            let file = File::open(path).map_err(unreadable)?;
            let archive = ZipArchive::new(file).map_err(|source| Error::Archive { place: place.clone(), source })?;
            let entries = listing(&archive, &place, limits.entries)?;
            (Container::Archive(Box::new(archive)), entries)
        };
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (file_bytes_max, total_left) = (limits.file_bytes, limits.total_bytes);
        Ok(Self { container, place, entries, file_bytes_max, total_left })
    }

    /// Chooses the files of the one language that has both occupations and skills.
    pub(super) fn select(&self) -> Result<Names, Error> {
        let occupations = self.languages("occupations_");
        let skills = self.languages("skills_");
        let (Some(_), Some(_)) = (occupations.first(), skills.first()) else {
            let file = if occupations.is_empty() { "occupations_*.csv" } else { "skills_*.csv" };
            return Err(self.missing(file));
        };
        let both: Vec<_> = occupations.iter().filter(|language| skills.contains(language)).collect();
        let language = match both[..] {
            [one] => one.clone(),
            [] => return Err(self.missing(&format!("skills_{}.csv", occupations[0]))),
            _ => return Err(self.unusable("more than one language; leave the files of one")),
        };
        let of_language = |stem: &str| format!("{stem}_{language}.csv");
        let names = Names {
            occupations: self.exactly(&of_language("occupations"))?,
            skills: self.exactly(&of_language("skills"))?,
            occupation_skills: self
                .either("occupationSkillRelations", &language)?
                .ok_or_else(|| self.missing("occupationSkillRelations*.csv"))?,
            skill_skills: self.either("skillSkillRelations", &language)?,
            broader_skills: self.either("broaderRelationsSkillPillar", &language)?,
            broader_occupations: self.either("broaderRelationsOccPillar", &language)?,
            skill_groups: self.either("skillGroups", &language)?,
            isco_groups: self.either("ISCOGroups", &language)?,
            language,
        };
        Ok(names)
    }

    /// Opens one of the selected files. Returns it with the limit of its size and the bytes that are left for all.
    pub(super) fn reader(&mut self, name: &str) -> Result<(Box<dyn Read + '_>, u64, &mut u64), Error> {
        let entry = self.entries.iter().find(|(one, _)| one == name).map(|(_, entry)| entry.clone());
        let place = format!("{name} in {}", self.place);
        let reader: Box<dyn Read + '_> = match (entry, &mut self.container) {
            (Some(Entry::Path(path)), _) => match File::open(path) {
                Ok(file) => Box::new(file),
                Err(source) => return Err(Error::Unreadable { place, source }),
            },
            (Some(Entry::Number(number)), Container::Archive(archive)) => match archive.by_index(number) {
                Ok(file) => Box::new(file),
                Err(source) => return Err(Error::Archive { place, source }),
            },
            (None, _) | (_, Container::Folder) => {
                return Err(Error::MissingFile { place: self.place.clone(), file: name.to_owned() });
            }
        };
        Ok((reader, self.file_bytes_max, &mut self.total_left))
    }

    fn missing(&self, file: &str) -> Error {
        Error::MissingFile { place: self.place.clone(), file: file.to_owned() }
    }

    fn unusable(&self, problem: impl Into<String>) -> Error {
        Error::Unusable { place: self.place.clone(), problem: problem.into() }
    }

    /// The language suffixes of the files `<prefix><language>.csv`.
    fn languages(&self, prefix: &str) -> Vec<String> {
        let names = self.entries.iter().filter_map(|(name, _)| suffix(name, prefix));
        let mut languages: Vec<_> = names.filter(|language| is_language(language)).map(str::to_owned).collect();
        languages.dedup();
        languages
    }

    fn exactly(&self, name: &str) -> Result<String, Error> {
        let same = |one: &&str| one.eq_ignore_ascii_case(name);
        let mut found = self.entries.iter().map(|(name, _)| name.as_str()).filter(same);
        match (found.next(), found.next()) {
            (Some(found), None) => Ok(found.to_owned()),
            (None, _) => Err(self.missing(name)),
            (Some(_), Some(_)) => Err(self.unusable(format!("more than one file {name}"))),
        }
    }

    /// `<stem>_<language>.csv` or, for want of it, `<stem>.csv`; other languages do not count.
    fn either(&self, stem: &str, language: &str) -> Result<Option<String>, Error> {
        for name in [format!("{stem}_{language}.csv"), format!("{stem}.csv")] {
            match self.exactly(&name) {
                Err(Error::MissingFile { .. }) => {}
                found => return found.map(Some),
            }
        }
        Ok(None)
    }
}

/// What stands between the prefix and `.csv`, case ignored.
fn suffix<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    let (language, end) = rest.split_at_checked(rest.len().checked_sub(".csv".len())?)?;
    (start.eq_ignore_ascii_case(prefix) && end.eq_ignore_ascii_case(".csv")).then_some(language)
}

fn is_language(text: &str) -> bool {
    (2..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
}

fn folder(path: &Path) -> std::io::Result<Vec<(String, Entry)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if let Some(name) = name.filter(|_| path.is_file()) {
            entries.push((name, Entry::Path(path)));
        }
    }
    Ok(entries)
}

fn listing(archive: &ZipArchive<File>, place: &str, entries_max: usize) -> Result<Vec<(String, Entry)>, Error> {
    let unusable = |problem: &str| Error::Unusable { place: place.to_owned(), problem: problem.to_owned() };
    if archive.len() > entries_max {
        return Err(unusable("the archive has too many entries"));
    }
    let mut entries = Vec::new();
    for number in 0..archive.len() {
        let path = archive.name_for_index(number).transpose();
        let path = path.map_err(|source| Error::Archive { place: place.to_owned(), source })?;
        let path = path.unwrap_or_default();
        // Nothing is unpacked, so such a name could do no harm; but an archive that tries is not what it claims to be.
        if path.starts_with('/') || path.contains('\\') || path.split('/').any(|part| part == "..") {
            return Err(unusable("the archive has an entry whose name leaves it"));
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        // macOS keeps a shadow of each file, with a name that starts with a dot.
        if !name.is_empty() && !name.starts_with('.') {
            entries.push((name.to_owned(), Entry::Number(number)));
        }
    }
    Ok(entries)
}
