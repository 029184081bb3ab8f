//! Vectors for texts that clients wrote.

use api_client::CallContext;
use api_types::{
    knowledge::KnowledgeItem,
    skills::{EMBED_TEXTS_MAX, Skill},
};

use super::ports::{Builder, Builders, Fault};

/// Gives every skill its vector.
pub(crate) async fn embed_skills(
    builders: &dyn Builders,
    context: &CallContext,
    skills: &mut [Skill],
) -> Result<(), Fault> {
    let texts = skills.iter().map(Skill::embedding_text).collect();
    let vectors = embed(builders, context, Builder::Skills, texts).await?;
    for (skill, (model, vector)) in skills.iter_mut().zip(vectors) {
        (skill.embedding, skill.embedding_model) = (Some(vector), Some(model));
    }
    Ok(())
}

/// Gives every item its vector.
pub(crate) async fn embed_items(
    builders: &dyn Builders,
    context: &CallContext,
    items: &mut [KnowledgeItem],
) -> Result<(), Fault> {
    let texts = items.iter().map(|item| item.text.clone()).collect();
    let vectors = embed(builders, context, Builder::Knowledge, texts).await?;
    for (item, (model, vector)) in items.iter_mut().zip(vectors) {
        (item.embedding, item.embedding_model) = (Some(vector), Some(model));
    }
    Ok(())
}

/// One vector for each text, with the name of its model.
async fn embed(
    builders: &dyn Builders,
    context: &CallContext,
    builder: Builder,
    texts: Vec<String>,
) -> Result<Vec<(String, Vec<f32>)>, Fault> {
    let mut out = Vec::with_capacity(texts.len());
    for texts in texts.chunks(EMBED_TEXTS_MAX) {
        let embedded = builders.embed(context, builder, texts.to_vec()).await?;
        let model = embedded.model;
        out.extend(embedded.vectors.into_iter().map(|vector| (model.clone(), vector)));
    }
    Ok(out)
}
