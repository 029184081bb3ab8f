//! The concepts of a classification: occupations, skills and groups.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use api_types::skills::{Category, normalise};

use super::files::{Files, Names};
use super::table::{Columns, Row, rows};
use super::{Concepts, Error};
use crate::domain::taxonomy::{Occupation, SkillConcept, SkillGroup};

/// What fits into an index of the database, far above the longest labels of ESCO.
const LABEL_CHARS_MAX: usize = 500;
const URI_CHARS_MAX: usize = 500;
const CODE_CHARS_MAX: usize = 50;
const DESCRIPTION_CHARS_MAX: usize = 50_000;
const RELEASED: &str = "released";

/// Keeps each URI once, however many rows name it.
#[derive(Default)]
pub(super) struct Interner(HashSet<Arc<str>>);

impl Interner {
    /// # Errors
    /// When the text is no URI that could be stored.
    pub(super) fn uri(&mut self, column: &str, text: &str) -> Result<Arc<str>, String> {
        if let Some(known) = self.0.get(text) {
            return Ok(known.clone());
        }
        if text.is_empty() {
            return Err(format!("'{column}' is empty"));
        }
        if text.chars().count() > URI_CHARS_MAX || text.contains(char::is_whitespace) {
            return Err(format!("'{column}' is not a URI"));
        }
        let uri: Arc<str> = text.into();
        self.0.insert(uri.clone());
        Ok(uri)
    }
}

/// The occupation's unit group, for classifications whose occupations carry no code: by the occupation's URI.
pub(super) fn isco_codes(
    files: &mut Files,
    names: &Names,
    shared: &mut Interner,
) -> Result<HashMap<Arc<str>, String>, Error> {
    // Codes need both files, but a fault in one is a fault without the other, too.
    let mut codes = HashMap::new();
    if let Some(groups) = &names.isco_groups {
        let columns = Columns { required: &["conceptUri", "code"], optional: &[] };
        rows(files, groups, &columns, |row| {
            codes.insert(shared.uri("conceptUri", row.get("conceptUri"))?, code(row.get("code"))?);
            Ok(())
        })?;
    }
    let mut by_occupation = HashMap::new();
    if let Some(broader) = &names.broader_occupations {
        let columns = Columns { required: &["conceptUri", "broaderUri"], optional: &[] };
        rows(files, broader, &columns, |row| {
            let concept = shared.uri("conceptUri", row.get("conceptUri"))?;
            if let Some(code) = codes.get(row.get("broaderUri")) {
                by_occupation.insert(concept, code.clone());
            }
            Ok(())
        })?;
    }
    Ok(by_occupation)
}

pub(super) fn occupations(
    files: &mut Files,
    names: &Names,
    shared: &mut Interner,
    codes: &HashMap<Arc<str>, String>,
) -> Result<Concepts<Occupation>, Error> {
    let optional = &["altLabels", "description", "status", "code", "iscoGroup"];
    concepts(files, &names.occupations, optional, shared, |row, uri, label| {
        let from_group = || codes.get(&uri).map_or("", String::as_str);
        let given = [row.get("code"), row.get("iscoGroup")].into_iter().find(|code| !code.is_empty());
        Ok(Occupation {
            code: code(given.unwrap_or_else(from_group))?,
            alternative: alternatives(&label, row.get("altLabels"))?,
            description: description(row)?,
            label,
            uri,
        })
    })?
    .of_required(&names.occupations)
}

pub(super) fn skills(files: &mut Files, names: &Names, shared: &mut Interner) -> Result<Concepts<SkillConcept>, Error> {
    let optional = &["altLabels", "description", "status", "skillType", "reuseLevel"];
    concepts(files, &names.skills, optional, shared, |row, uri, label| {
        Ok(SkillConcept {
            alternative: alternatives(&label, row.get("altLabels"))?,
            description: description(row)?,
            category: category(row.get("skillType"), row.get("reuseLevel")),
            label,
            uri,
        })
    })?
    .of_required(&names.skills)
}

pub(super) fn groups(files: &mut Files, names: &Names, shared: &mut Interner) -> Result<Concepts<SkillGroup>, Error> {
    let Some(file) = &names.skill_groups else {
        return Ok(Concepts { kept: Vec::new(), left_out: Vec::new() });
    };
    concepts(files, file, &["status", "code"], shared, |row, uri, label| {
        Ok(SkillGroup { code: code(row.get("code"))?, label, uri })
    })
}

/// Reads one file of concepts. `make` gets each released row with its URI and its preferred label.
fn concepts<T>(
    files: &mut Files,
    file: &str,
    optional: &'static [&'static str],
    shared: &mut Interner,
    make: impl Fn(&Row<'_>, Arc<str>, String) -> Result<T, String>,
) -> Result<Concepts<T>, Error> {
    let mut all = Concepts { kept: Vec::new(), left_out: Vec::new() };
    let mut seen = HashSet::new();
    let columns = Columns { required: &["conceptUri", "preferredLabel"], optional };
    rows(files, file, &columns, |row| {
        let uri = shared.uri("conceptUri", row.get("conceptUri"))?;
        if !seen.insert(uri.clone()) {
            return Err(format!("the concept {uri} stands here for the second time"));
        }
        // A file without the column says nothing against any of its concepts.
        if row.cell("status").is_some_and(|status| !status.eq_ignore_ascii_case(RELEASED)) {
            all.left_out.push(uri);
            return Ok(());
        }
        let label = label("preferredLabel", row.get("preferredLabel"))?;
        all.kept.push(make(row, uri, label)?);
        Ok(())
    })?;
    Ok(all)
}

fn label(column: &str, text: &str) -> Result<String, String> {
    match text.chars().count() {
        0 => Err(format!("'{column}' is empty")),
        1..=LABEL_CHARS_MAX => Ok(text.to_owned()),
        _ => Err(format!("'{column}' has a label of more than {LABEL_CHARS_MAX} characters")),
    }
}

/// The labels of one cell, each once, without those that equal the preferred label.
fn alternatives(preferred: &str, cell: &str) -> Result<Vec<String>, String> {
    let mut seen = HashSet::from([normalise(preferred)]);
    cell.split(['\n', '\r', '|'])
        .map(str::trim)
        .filter(|text| !text.is_empty() && seen.insert(normalise(text)))
        .map(|text| label("altLabels", text))
        .collect()
}

fn description(row: &Row<'_>) -> Result<String, String> {
    let text = row.get("description");
    if text.chars().count() > DESCRIPTION_CHARS_MAX {
        return Err(format!("'description' has more than {DESCRIPTION_CHARS_MAX} characters"));
    }
    Ok(text.to_owned())
}

fn code(text: &str) -> Result<String, String> {
    if text.chars().count() > CODE_CHARS_MAX {
        return Err(format!("'code' has more than {CODE_CHARS_MAX} characters"));
    }
    Ok(text.to_owned())
}

/// Transversal skills are those of any work, whether knowledge or competence; the few without a type are competences.
fn category(skill_type: &str, reuse_level: &str) -> Category {
    if reuse_level.eq_ignore_ascii_case("transversal") {
        Category::Transversal
    } else if skill_type.eq_ignore_ascii_case("knowledge") {
        Category::Knowledge
    } else {
        Category::Competence
    }
}
