//! Vectors for skills and texts.

use std::collections::HashMap;

use api_types::skills::Skill;
use embedding::{Priority, Vector};

use super::{App, Error};
use crate::store::{self, loading::text_sha256};

impl App {
    /// Gives every skill its vector. Those of a taxonomy's skills are made once and kept.
    pub(crate) async fn add_vectors(&self, skills: &mut [Skill]) -> Result<(), Error> {
        let texts: Vec<String> = skills.iter().map(Skill::embedding_text).collect();
        let hashes: Vec<Vec<u8>> = texts.iter().map(|text| text_sha256(text)).collect();
        let model = self.embedder.model().to_owned();
        let (asked, name) = (hashes.clone(), model.clone());
        let mut known =
            self.db.run::<_, Error>(move |conn| Ok(store::vectors::of_skills(conn, &name, &asked)?)).await?;

        let missing: Vec<usize> = (0..skills.len()).filter(|place| !known.contains_key(&hashes[*place])).collect();
        if !missing.is_empty() {
            let new = missing.iter().map(|place| texts[*place].clone()).collect();
            let made = self.embedder.embed(new, Priority::Interactive).await?;
            let mut concepts = HashMap::new();
            for (place, vector) in missing.into_iter().zip(made) {
                if skills[place].esco_uri.is_some() {
                    concepts.insert(hashes[place].clone(), vector.clone());
                }
                known.insert(hashes[place].clone(), vector);
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
