//! Vectors for skills and texts.

use std::collections::HashMap;

use api_types::skills::Skill;
use embedding::{Priority, Vector};

use super::{App, Error};
use crate::store::{self, loading::text_sha256};

/// Texts handed to the model in one go.
const EMBEDDED_AT_ONCE: usize = 256;

/// Which new vectors are kept beyond the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Those of the taxonomy's skills, which other sets will have, too.
    Concepts,
    /// None: the texts are a client's.
    Nothing,
}

impl App {
    /// Gives every skill its vector.
    pub(super) async fn add_vectors(&self, skills: &mut [Skill], keep: Keep) -> Result<(), Error> {
        let texts: Vec<String> = skills.iter().map(Skill::embedding_text).collect();
        let hashes: Vec<Vec<u8>> = texts.iter().map(|text| text_sha256(text)).collect();
        let model = self.embedder.model().to_owned();
        let (asked, name) = (hashes.clone(), model.clone());
        let mut known =
            self.db.run::<_, Error>(move |conn| Ok(store::vectors::of_skills(conn, &name, &asked)?)).await?;

        let missing: Vec<usize> = (0..skills.len()).filter(|place| !known.contains_key(&hashes[*place])).collect();
        if !missing.is_empty() {
            let mut concepts = HashMap::new();
            // A few at a time: others wait for the model, too.
            for places in missing.chunks(EMBEDDED_AT_ONCE) {
                let new = places.iter().map(|place| texts[*place].clone()).collect();
                let made = self.embedder.embed(new, Priority::Interactive).await?;
                for (place, vector) in places.iter().zip(made) {
                    if keep == Keep::Concepts && skills[*place].esco_uri.is_some() {
                        concepts.insert(hashes[*place].clone(), vector.clone());
                    }
                    known.insert(hashes[*place].clone(), vector);
                }
            }
            let name = model.clone();
            self.db.run::<_, Error>(move |conn| Ok(store::vectors::keep_skills(conn, &name, concepts)?)).await?;
        }
        for (skill, hash) in skills.iter_mut().zip(&hashes) {
            skill.embedding = known.get(hash).cloned();
            skill.embedding_model = Some(model.clone());
        }
        Ok(())
    }

    /// The vector of one text.
    pub(super) async fn vector(&self, text: String) -> Result<Vector, embedding::Error> {
        let vectors = self.embedder.embed(vec![text], Priority::Interactive).await?;
        Ok(vectors.into_iter().next().unwrap_or_default())
    }
}
