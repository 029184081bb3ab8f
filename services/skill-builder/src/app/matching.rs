//! Which occupation a text stands for.

use std::{collections::HashMap, sync::Arc};

use api_types::skills::{OccupationAlternative, OccupationMatch, OccupationRow, normalise};

use super::{App, Error, Taxonomy};
use crate::{
    domain::matching::{self, ALTERNATIVES_MAX, Choice, Ranked},
    store,
};

/// Labels that are named to somebody whose text matches nothing.
const SUGGESTIONS: usize = 5;

/// What a text was taken for.
#[derive(Debug)]
pub(crate) struct Matched {
    pub(crate) choice: Option<Choice>,
    /// The labels that come nearest, best first.
    pub(crate) nearest: Vec<String>,
}

impl App {
    /// The candidates for a text, best first; `count` of them, or a few more.
    async fn candidates(&self, taxonomy: &Taxonomy, text: &str, count: usize) -> Result<Vec<Ranked>, Error> {
        let normalised = normalise(text);
        let label = if normalised.is_empty() { text.trim().to_owned() } else { normalised.clone() };
        let vector = self.vector(label).await;
        let id = taxonomy.row.id;
        let model = self.embedder.model().to_owned();
        let wanted = vector.as_ref().ok().cloned();
        let work = move |conn: &mut _| -> Result<_, Error> {
            let labels = store::occupations::labelled(conn, id, &normalised)?;
            let nearest = match wanted {
                Some(vector) => store::occupations::nearest(conn, id, &model, vector, count)?,
                None => Vec::new(),
            };
            Ok((labels, nearest))
        };
        let (labels, nearest) = self.db.transaction(work).await?;
        match vector {
            // An equal label needs no model; without one the model has the last word.
            Err(error) if labels.is_empty() => Err(error.into()),
            Err(error) => {
                tracing::warn!(exception = %error, "occupations are matched by their labels alone");
                Ok(matching::rank(labels, nearest))
            }
            Ok(_) => Ok(matching::rank(labels, nearest)),
        }
    }

    /// The occupation that the text stands for, or the one with the URI.
    pub(crate) async fn match_occupation(
        &self,
        taxonomy: &Taxonomy,
        text: &str,
        uri: Option<&str>,
    ) -> Result<Matched, Error> {
        if let Some(uri) = uri {
            let (id, uri) = (taxonomy.row.id, uri.to_owned());
            let found = self.db.run::<_, Error>(move |conn| Ok(store::occupations::find(conn, id, &uri)?)).await?;
            let choice = matching::named(found.ok_or(Error::NoOccupation)?);
            return Ok(Matched { nearest: vec![choice.best.occupation.label.clone()], choice: Some(choice) });
        }
        let ranked = self.candidates(taxonomy, text, 1 + ALTERNATIVES_MAX).await?;
        let nearest = ranked.iter().take(SUGGESTIONS).map(|one| one.occupation.label.clone()).collect();
        Ok(Matched { choice: matching::choose(ranked, self.match_threshold), nearest })
    }

    /// The taxonomy's description of an occupation.
    pub(crate) async fn description(&self, taxonomy: &Taxonomy, uri: &str) -> Result<Option<String>, Error> {
        let (id, uris) = (taxonomy.row.id, vec![Arc::from(uri)]);
        let details = self.db.run::<_, Error>(move |conn| Ok(store::occupations::details(conn, id, &uris)?)).await?;
        Ok(details.into_iter().next().map(|one| one.description))
    }

    /// The `count` best candidates for a text, with what is known of them.
    pub(crate) async fn occupations(&self, text: &str, count: usize) -> Result<Vec<OccupationRow>, Error> {
        let taxonomy = self.taxonomy().await?;
        let mut ranked = self.candidates(&taxonomy, text, count).await?;
        ranked.truncate(count);
        let id = taxonomy.row.id;
        let uris: Vec<Arc<str>> = ranked.iter().map(|one| one.occupation.uri.clone()).collect();
        let details = self.db.run::<_, Error>(move |conn| Ok(store::occupations::details(conn, id, &uris)?)).await?;
        let mut details: HashMap<String, _> = details.into_iter().map(|one| (one.uri.clone(), one)).collect();
        let row = |one: Ranked| {
            let about = details.remove(&*one.occupation.uri);
            OccupationRow {
                uri: one.occupation.uri.to_string(),
                label: one.occupation.label,
                code: one.occupation.code,
                score: share(one.score),
                method: one.method,
                essential_skills: about.as_ref().map_or(0, |about| about.essential_skills),
                optional_skills: about.as_ref().map_or(0, |about| about.optional_skills),
                description: about.map(|about| about.description).unwrap_or_default(),
            }
        };
        Ok(ranked.into_iter().map(row).collect())
    }
}

/// A choice as it is shown.
pub(crate) fn shown(choice: Choice, taxonomy: &Taxonomy) -> OccupationMatch {
    let alternative = |one: Ranked| OccupationAlternative {
        uri: one.occupation.uri.to_string(),
        label: one.occupation.label,
        score: share(one.score),
    };
    OccupationMatch {
        uri: choice.best.occupation.uri.to_string(),
        label: choice.best.occupation.label,
        code: choice.best.occupation.code,
        score: share(choice.best.score),
        method: choice.best.method,
        taxonomy: taxonomy.row.title(),
        alternatives: choice.alternatives.into_iter().map(alternative).collect(),
    }
}

fn share(hundredths: u32) -> f64 {
    f64::from(hundredths) / 100.0
}
