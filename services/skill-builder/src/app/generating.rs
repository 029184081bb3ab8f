//! Deriving skills: what each round asks for is fetched here and handed to the rules.

use std::{collections::HashMap, sync::Arc, time::Duration};

use api_types::skills::{ModeConfiguration, OccupationMatch, SourceName};
use llm::Request;

use super::{App, Error, Taxonomy, matching};
use crate::{
    domain::{
        corpus::{self, Findings, PHRASES_A_ROUND},
        generate::{Generated, Generation, MODEL_FIRST_MAX, MODEL_NEXT_MAX, Progress, Relation},
        matching::hundredths,
        suggestions,
        taxonomy::{Need, SkillConcept},
    },
    store,
};

/// For one answer of a hosted model.
const MODEL_TIMEOUT: Duration = Duration::from_secs(60);
const MODEL_TOKENS_MAX: u32 = 2_000;

/// What skills are to be derived from.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) occupation: String,
    pub(crate) occupation_uri: Option<String>,
    /// A match that was found before; not looked for again while the taxonomy is the same.
    pub(crate) matched: Option<OccupationMatch>,
    pub(crate) cycles: u32,
    pub(crate) configuration: ModeConfiguration,
    pub(crate) corpus: Option<String>,
}

/// What was derived.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) generated: Generated,
    pub(crate) occupation_match: Option<OccupationMatch>,
}

/// A run under way, with what it draws on.
struct Run {
    taxonomy: Arc<Taxonomy>,
    /// The occupation whose skills are taken; `None` when the taxonomy takes no part.
    occupation: Option<String>,
    findings: Option<Findings>,
    /// The concepts that findings are labels of.
    mentioned: HashMap<Arc<str>, SkillConcept>,
    asks_model: bool,
    generation: Generation,
}

impl App {
    /// Derives skills round by round.
    pub(crate) async fn generate(&self, order: Order) -> Result<Outcome, Error> {
        let taxonomy = self.taxonomy().await?;
        let (occupation_match, nearest) = self.resolve(&taxonomy, &order).await?;
        let mut run = self.begin(taxonomy, &order, occupation_match.as_ref()).await?;
        for _ in 0..=order.cycles {
            run = self.round(run, &order).await?;
            if run.generation.end_round() == Progress::Nothing {
                break;
            }
        }
        let generated = run.generation.finish();
        if occupation_match.is_none() && generated.skills.is_empty() {
            return Err(Error::NoMatch { occupation: order.occupation, nearest });
        }
        Ok(Outcome { generated, occupation_match })
    }

    async fn resolve(
        &self,
        taxonomy: &Taxonomy,
        order: &Order,
    ) -> Result<(Option<OccupationMatch>, Vec<String>), Error> {
        if let Some(matched) = order.matched.clone().filter(|matched| matched.taxonomy == taxonomy.row.title()) {
            return Ok((Some(matched), Vec::new()));
        }
        let matched = self.match_occupation(taxonomy, &order.occupation, order.occupation_uri.as_deref()).await?;
        Ok((matched.choice.map(|choice| matching::shown(choice, taxonomy)), matched.nearest))
    }

    async fn begin(
        &self,
        taxonomy: Arc<Taxonomy>,
        order: &Order,
        matched: Option<&OccupationMatch>,
    ) -> Result<Run, Error> {
        let score = matched.map_or(0, |matched| hundredths(matched.score));
        let mut generation = Generation::new(taxonomy.row.source(), score);
        let configuration = order.configuration;
        let occupation = matched.filter(|_| configuration.taxonomy).map(|matched| matched.uri.clone());
        if occupation.is_none() {
            let reason = if configuration.taxonomy { "no_match" } else { "not_requested" };
            generation.skip(SourceName::Taxonomy, reason);
        }
        let text = order.corpus.clone().filter(|_| configuration.corpus);
        let findings = match text {
            Some(text) => Some(self.read_corpus(&taxonomy, text).await?),
            None => {
                let reason = if configuration.corpus { "no_text" } else { "not_requested" };
                generation.skip(SourceName::Corpus, reason);
                None
            }
        };
        let asks_model = configuration.model && self.model.has_knowledge();
        if !asks_model {
            let reason = if configuration.model { "not_configured" } else { "not_requested" };
            generation.skip(SourceName::Model, reason);
        }
        let mentioned = self.concepts_of(&taxonomy, findings.as_ref()).await?;
        Ok(Run { taxonomy, occupation, findings, mentioned, asks_model, generation })
    }

    async fn read_corpus(&self, taxonomy: &Taxonomy, text: String) -> Result<Findings, Error> {
        let index = self.label_index(taxonomy).await?;
        // A long text takes long enough to be kept off the async threads.
        Ok(tokio::task::spawn_blocking(move || corpus::read(&text, &index)).await?)
    }

    async fn concepts_of(
        &self,
        taxonomy: &Taxonomy,
        findings: Option<&Findings>,
    ) -> Result<HashMap<Arc<str>, SkillConcept>, Error> {
        let named = findings.map_or(&[][..], |findings| &findings.named);
        let uris: Vec<Arc<str>> = named.iter().filter_map(|finding| finding.uri.clone()).collect();
        if uris.is_empty() {
            return Ok(HashMap::new());
        }
        let id = taxonomy.row.id;
        self.db.run::<_, Error>(move |conn| Ok(store::skills::find(conn, id, &uris)?)).await
    }

    async fn round(&self, mut run: Run, order: &Order) -> Result<Run, Error> {
        if let Some(occupation) = run.occupation.clone() {
            let (id, configuration, mut generation) = (run.taxonomy.row.id, order.configuration, run.generation);
            let work = move |conn: &mut _| -> Result<_, Error> {
                let concepts = concepts(conn, id, &occupation, configuration, &generation)?;
                generation.add_concepts(concepts);
                Ok(generation)
            };
            run.generation = self.db.run(work).await?;
        }
        if let Some(findings) = &run.findings {
            let round = usize::try_from(run.generation.round()).unwrap_or(usize::MAX);
            let found = match round.checked_sub(1) {
                None => &findings.named[..],
                Some(before) => findings.phrases.chunks(PHRASES_A_ROUND).nth(before).unwrap_or_default(),
            };
            run.generation.add_findings(found, &run.mentioned);
        }
        if run.asks_model {
            self.ask_model(&mut run, order).await;
        }
        Ok(run)
    }

    /// A model that fails once is not asked again in this run.
    async fn ask_model(&self, run: &mut Run, order: &Order) {
        let count = if run.generation.round() == 0 { MODEL_FIRST_MAX } else { MODEL_NEXT_MAX };
        let text = order.corpus.as_deref().filter(|_| order.configuration.corpus);
        let question = suggestions::question(&order.occupation, text, run.generation.names(), count);
        let request = Request {
            max_tokens: MODEL_TOKENS_MAX,
            timeout: MODEL_TIMEOUT,
            ..Request::ask(suggestions::SYSTEM, question)
        };
        let (code, message) = match self.model.complete(request).await {
            Ok(completion) => match suggestions::read(&completion.text) {
                Some(suggestions) => return run.generation.add_suggestions(suggestions),
                None => ("INVALID_RESPONSE", "the model's answer holds no list of skills".to_owned()),
            },
            Err(error @ llm::Error::Timeout) => ("TIMEOUT", error.to_string()),
            Err(error @ (llm::Error::Provider(_) | llm::Error::Empty)) => {
                tracing::warn!(exception = format!("{:#}", anyhow::Error::from(error)), "the model failed");
                ("UNREACHABLE", "the model's provider failed".to_owned())
            }
        };
        run.generation.fail(SourceName::Model, code, &message);
        run.asks_model = false;
    }
}

/// What the taxonomy has for the current round.
fn concepts(
    conn: &mut diesel::PgConnection,
    taxonomy: i64,
    occupation: &str,
    configuration: ModeConfiguration,
    generation: &Generation,
) -> diesel::QueryResult<Vec<(Relation, SkillConcept)>> {
    let (need, relation) = match generation.round() {
        0 => (Need::Essential, Relation::Essential),
        1 if configuration.optional => (Need::Optional, Relation::Optional),
        1 => return Ok(Vec::new()),
        _ if configuration.related => return neighbours(conn, taxonomy, generation),
        _ => return Ok(Vec::new()),
    };
    let skills = store::skills::of_occupation(conn, taxonomy, occupation, need)?;
    Ok(skills.into_iter().map(|skill| (relation, skill)).collect())
}

fn neighbours(
    conn: &mut diesel::PgConnection,
    taxonomy: i64,
    generation: &Generation,
) -> diesel::QueryResult<Vec<(Relation, SkillConcept)>> {
    let edges = store::skills::neighbours(conn, taxonomy, &generation.frontier())?;
    let chosen = generation.choose(edges);
    let uris: Vec<Arc<str>> = chosen.iter().map(|one| one.uri.clone()).collect();
    let mut skills = store::skills::find(conn, taxonomy, &uris)?;
    Ok(chosen.into_iter().filter_map(|one| Some((one.relation, skills.remove(&one.uri)?))).collect())
}
