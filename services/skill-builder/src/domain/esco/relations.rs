//! How the concepts of a classification hang together.

use std::collections::HashSet;
use std::sync::Arc;

use super::concepts::Interner;
use super::files::{Files, Names};
use super::table::{Columns, rows};
use super::{Concepts, Error};
use crate::domain::taxonomy::{Link, Need, Occupation, OccupationSkill, SkillConcept};

/// Which concepts there are, to tell those that were left out from those that no file describes.
pub(super) struct Known {
    occupations: HashSet<Arc<str>>,
    skills: HashSet<Arc<str>>,
    left_out: HashSet<Arc<str>>,
}

impl Known {
    pub(super) fn new(occupations: &Concepts<Occupation>, skills: &Concepts<SkillConcept>) -> Self {
        Self {
            occupations: occupations.kept.iter().map(|one| one.uri.clone()).collect(),
            skills: skills.kept.iter().map(|one| one.uri.clone()).collect(),
            left_out: occupations.left_out.iter().chain(&skills.left_out).cloned().collect(),
        }
    }
}

/// Which occupation needs which skill, without those of concepts left out. Second: how many lead to a concept that no
/// file describes.
pub(super) fn occupation_skills(
    files: &mut Files,
    names: &Names,
    shared: &mut Interner,
    known: &Known,
) -> Result<(Vec<OccupationSkill>, usize), Error> {
    let mut needs = Vec::new();
    let mut dangling = 0;
    let columns = Columns { required: &["occupationUri", "relationType", "skillUri"], optional: &[] };
    let count = rows(files, &names.occupation_skills, &columns, |row| {
        let occupation = shared.uri("occupationUri", row.get("occupationUri"))?;
        let skill = shared.uri("skillUri", row.get("skillUri"))?;
        let need = match row.get("relationType") {
            "essential" => Need::Essential,
            "optional" => Need::Optional,
            _ => return Err("'relationType' is neither 'essential' nor 'optional'".to_owned()),
        };
        if known.left_out.contains(&occupation) || known.left_out.contains(&skill) {
            return Ok(());
        }
        if !known.occupations.contains(&occupation) || !known.skills.contains(&skill) {
            dangling += 1;
        }
        needs.push(OccupationSkill { occupation, skill, need });
        Ok(())
    })?;
    if count == 0 {
        return Err(Error::NoRows { file: names.occupation_skills.clone() });
    }
    Ok((needs, dangling))
}

/// Which skills are related; the file says it once for both.
pub(super) fn related(
    files: &mut Files,
    names: &Names,
    shared: &mut Interner,
    known: &Known,
) -> Result<Vec<Link>, Error> {
    let file = names.skill_skills.as_deref();
    links(files, file, shared, known, &["originalSkillUri", "relatedSkillUri"])
}

/// Which skill is broader than which. The file also leads to groups of skills, which are no skills.
pub(super) fn broader(
    files: &mut Files,
    names: &Names,
    shared: &mut Interner,
    known: &Known,
) -> Result<Vec<Link>, Error> {
    links(files, names.broader_skills.as_deref(), shared, known, &["conceptUri", "broaderUri"])
}

/// The links of one file between skills that there are.
fn links(
    files: &mut Files,
    file: Option<&str>,
    shared: &mut Interner,
    known: &Known,
    columns: &'static [&'static str; 2],
) -> Result<Vec<Link>, Error> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let mut links = Vec::new();
    let [from, to] = *columns;
    rows(files, file, &Columns { required: columns, optional: &[] }, |row| {
        let link = Link { from: shared.uri(from, row.get(from))?, to: shared.uri(to, row.get(to))? };
        if known.skills.contains(&link.from) && known.skills.contains(&link.to) {
            links.push(link);
        }
        Ok(())
    })?;
    Ok(links)
}
