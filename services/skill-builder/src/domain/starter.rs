//! The taxonomy that comes with Imago and serves until another is imported.

use std::collections::HashMap;
use std::sync::Arc;

use api_types::skills::{Category, normalise, slug};
use serde::Deserialize;

use super::taxonomy::{Link, Need, Occupation, OccupationSkill, SkillConcept, Taxonomy};

/// Raised whenever the data changes, so that running installations take the new one.
const VERSION: &str = "starter-1";
pub(crate) const NAME: &str = "Imago starter";

macro_rules! data {
    ($($file:literal),+ $(,)?) => {
        &[$(($file, include_str!(concat!("../../data/starter/", $file)))),+]
    };
}

/// Every file of `data/starter`, compiled in.
const FILES: &[(&str, &str)] = data![
    "occupations-armed-forces.toml",
    "occupations-humanities-and-arts.toml",
    "occupations-land-trades-machines.toml",
    "occupations-managers.toml",
    "occupations-professions.toml",
    "occupations-science-and-computing.toml",
    "occupations-technicians-office-service.toml",
    "skills-arts.toml",
    "skills-building.toml",
    "skills-business.toml",
    "skills-computing.toml",
    "skills-general.toml",
    "skills-health.toml",
    "skills-humanities.toml",
    "skills-mathematics.toml",
    "skills-outdoors.toml",
    "skills-research.toml",
    "skills-sciences.toml",
    "skills-services.toml",
    "skills-transport.toml",
];

/// Why the data is not a taxonomy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{file} cannot be read")]
    Syntax { file: &'static str, source: Box<toml::de::Error> },
    #[error("the label '{0}' stands for more than one concept")]
    Repeated(String),
    #[error("'{by}' names the skill '{skill}', which does not exist")]
    UnknownSkill { by: String, skill: String },
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    #[serde(default)]
    occupation: Vec<OccupationData>,
    #[serde(default)]
    skill: Vec<SkillData>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OccupationData {
    label: String,
    code: String,
    #[serde(default)]
    alternative: Vec<String>,
    description: String,
    essential: Vec<String>,
    optional: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkillData {
    label: String,
    kind: Kind,
    #[serde(default)]
    alternative: Vec<String>,
    description: String,
    #[serde(default)]
    related: Vec<String>,
    #[serde(default)]
    broader: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Knowledge,
    Skill,
    Transversal,
}

impl From<Kind> for Category {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Knowledge => Self::Knowledge,
            Kind::Skill => Self::Competence,
            Kind::Transversal => Self::Transversal,
        }
    }
}

/// The built-in taxonomy.
///
/// # Errors
/// When the data that was compiled in is faulty; the tests see to it that it is not.
pub(crate) fn taxonomy() -> Result<Taxonomy, Error> {
    read(FILES)
}

fn read(files: &[(&'static str, &str)]) -> Result<Taxonomy, Error> {
    let mut all = Data::default();
    for &(file, text) in files {
        let data: Data = toml::from_str(text).map_err(|source| Error::Syntax { file, source: Box::new(source) })?;
        all.occupation.extend(data.occupation);
        all.skill.extend(data.skill);
    }
    let skills = Skills::of(&all.skill)?;
    let mut taxonomy = Taxonomy {
        name: NAME,
        version: VERSION.to_owned(),
        language: "en".to_owned(),
        builtin: true,
        occupations: Vec::with_capacity(all.occupation.len()),
        skills: Vec::with_capacity(all.skill.len()),
        skill_groups: Vec::new(),
        occupation_skills: Vec::new(),
        related: Vec::new(),
        broader: Vec::new(),
    };
    for data in all.skill {
        add_skill(&mut taxonomy, &skills, data)?;
    }
    let mut labels = HashMap::new();
    for data in all.occupation {
        if labels.insert(slug(&data.label), ()).is_some() {
            return Err(Error::Repeated(data.label));
        }
        add_occupation(&mut taxonomy, &skills, data)?;
    }
    Ok(taxonomy.sorted())
}

/// The URIs of all skills by normalised label: the data names skills by their labels.
struct Skills(HashMap<String, Arc<str>>);

impl Skills {
    fn of(data: &[SkillData]) -> Result<Self, Error> {
        let mut uris = HashMap::with_capacity(data.len());
        let mut slugs = HashMap::with_capacity(data.len());
        for one in data {
            let slug = slug(&one.label);
            let uri: Arc<str> = format!("urn:imago:skill:{slug}").into();
            let taken = slugs.insert(slug, ()).is_some();
            if uris.insert(normalise(&one.label), uri).is_some() || taken {
                return Err(Error::Repeated(one.label.clone()));
            }
        }
        Ok(Self(uris))
    }

    fn uri(&self, by: &str, skill: &str) -> Result<Arc<str>, Error> {
        let unknown = || Error::UnknownSkill { by: by.to_owned(), skill: skill.to_owned() };
        self.0.get(&normalise(skill)).cloned().ok_or_else(unknown)
    }

    fn links(&self, by: &str, to: &[String]) -> Result<Vec<Link>, Error> {
        let from = self.uri(by, by)?;
        let link = |to: &String| Ok(Link { from: from.clone(), to: self.uri(by, to)? });
        to.iter().map(link).collect()
    }
}

fn add_skill(taxonomy: &mut Taxonomy, skills: &Skills, data: SkillData) -> Result<(), Error> {
    taxonomy.related.extend(skills.links(&data.label, &data.related)?);
    taxonomy.broader.extend(skills.links(&data.label, &data.broader)?);
    taxonomy.skills.push(SkillConcept {
        uri: skills.uri(&data.label, &data.label)?,
        label: data.label,
        alternative: data.alternative,
        description: data.description,
        category: data.kind.into(),
    });
    Ok(())
}

fn add_occupation(taxonomy: &mut Taxonomy, skills: &Skills, data: OccupationData) -> Result<(), Error> {
    let uri: Arc<str> = format!("https://imago.example/occupation/{}", slug(&data.label)).into();
    for (need, names) in [(Need::Essential, &data.essential), (Need::Optional, &data.optional)] {
        for name in names {
            let skill = skills.uri(&data.label, name)?;
            taxonomy.occupation_skills.push(OccupationSkill { occupation: uri.clone(), skill, need });
        }
    }
    taxonomy.occupations.push(Occupation {
        uri,
        label: data.label,
        code: data.code,
        alternative: data.alternative,
        description: data.description,
    });
    Ok(())
}

#[cfg(test)]
mod tests;
