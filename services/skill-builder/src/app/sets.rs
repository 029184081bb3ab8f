//! Sets of skills: made, read, changed, deleted. Each change and its event are one transaction.

use api_core::{list::ListQuery, outbox};
use api_types::{
    envelope::Pagination,
    skills::{Skill, SkillRound, SkillSet},
};
use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{App, Error, Order, generating::Outcome, vectors::Keep};
use crate::{
    domain::modes,
    metrics,
    store::sets::{self, Changes, Vectors},
};

/// What a change asks for; `None` leaves it.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) occupation: Option<String>,
    pub(crate) skills: Option<Vec<Skill>>,
    pub(crate) deepening_cycles: Option<i32>,
}

/// A set as a client wrote it.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) skill_id: Uuid,
    pub(crate) occupation: String,
    pub(crate) skills: Vec<Skill>,
    pub(crate) deepening_cycles: i32,
}

impl App {
    /// Derives skills and stores them as a new set. Every skill of the answer has its vector.
    pub(crate) async fn create_set(&self, order: Order, mode: String, actor: &str) -> Result<SkillSet, Error> {
        let mut set = self.unsaved_set(order, mode, actor).await?;
        set.memory_persisted = true;
        let set = self.store(set, "skills.generated", actor).await?;
        metrics::SETS_CREATED.inc(&[]);
        Ok(set)
    }

    /// The same without storing it.
    pub(crate) async fn unsaved_set(&self, order: Order, mode: String, actor: &str) -> Result<SkillSet, Error> {
        let (occupation, cycles) = (order.occupation.clone(), order.cycles);
        let Outcome { mut generated, occupation_match } = self.generate(order).await?;
        self.add_vectors(&mut generated.skills, Keep::Concepts).await?;
        let now = now();
        Ok(SkillSet {
            skill_id: Uuid::now_v7(),
            occupation,
            total_skills: i64::try_from(generated.skills.len()).unwrap_or(i64::MAX),
            skills: generated.skills,
            run_id: Uuid::now_v7(),
            memory_persisted: false,
            deepening_cycles: i32::try_from(cycles).unwrap_or(i32::MAX),
            cycles_run: i32::try_from(generated.cycles_run).unwrap_or(i32::MAX),
            stopped_early: generated.stopped_early,
            rounds: generated.rounds,
            occupation_match,
            mode,
            sources: generated.sources,
            created_by: actor.to_owned(),
            created_at: now,
            updated_at: now,
        })
    }

    pub(crate) async fn set(&self, id: Uuid, vectors: Vectors) -> Result<SkillSet, Error> {
        let found = self.db.run::<_, Error>(move |conn| Ok(sets::find(conn, id, vectors)?)).await?;
        found.ok_or_else(|| Error::NoSet(id.to_string()))
    }

    pub(crate) async fn sets(&self, query: ListQuery, vectors: Vectors) -> Result<(Vec<SkillSet>, Pagination), Error> {
        self.db.run(move |conn| Ok(sets::page(conn, &query, vectors)?)).await
    }

    pub(crate) async fn update_set(&self, id: Uuid, update: Update, actor: &str) -> Result<SkillSet, Error> {
        let there = self.db.run::<_, Error>(move |conn| Ok(sets::exists(conn, id)?)).await?;
        if !there {
            return Err(Error::NoSet(id.to_string()));
        }
        let Update { occupation, mut skills, deepening_cycles } = update;
        if let Some(skills) = &mut skills {
            self.add_vectors(skills, Keep::Nothing).await?;
        }
        let changes = Changes { occupation, skills, deepening_cycles };
        let actor = actor.to_owned();
        let changed = self.db.transaction(move |conn| -> Result<_, Error> {
            let changed = sets::change(conn, id, &changes, now())?;
            if let Some(set) = &changed {
                announce(conn, "skills.updated", set, &actor)?;
            }
            Ok(changed)
        });
        changed.await?.ok_or_else(|| Error::NoSet(id.to_string()))
    }

    /// Creates the set, or puts it in the place of the one with its id.
    pub(crate) async fn replace_set(&self, replacement: Replacement, actor: &str) -> Result<SkillSet, Error> {
        let Replacement { skill_id, occupation, mut skills, deepening_cycles } = replacement;
        self.add_vectors(&mut skills, Keep::Nothing).await?;
        let (now, total) = (now(), skills.len());
        let set = SkillSet {
            skill_id,
            occupation,
            skills,
            total_skills: i64::try_from(total).unwrap_or(i64::MAX),
            run_id: Uuid::now_v7(),
            memory_persisted: true,
            deepening_cycles,
            cycles_run: 0,
            stopped_early: false,
            rounds: vec![SkillRound { round: 0, added: u32::try_from(total).unwrap_or(u32::MAX) }],
            occupation_match: None,
            mode: modes::DEFAULT.to_owned(),
            sources: Vec::new(),
            created_by: actor.to_owned(),
            created_at: now,
            updated_at: now,
        };
        self.store(set, "skills.updated", actor).await
    }

    pub(crate) async fn delete_set(&self, id: Uuid, actor: &str) -> Result<(), Error> {
        let actor = actor.to_owned();
        let deleted = self.db.transaction(move |conn| -> Result<_, Error> {
            let deleted = sets::delete(conn, id)?;
            if deleted {
                outbox::push(conn, "skills.deleted", &aggregate(id), Some(&actor), json!({"skill_id": id}))?;
            }
            Ok(deleted)
        });
        if deleted.await? { Ok(()) } else { Err(Error::NoSet(id.to_string())) }
    }

    async fn store(&self, set: SkillSet, event: &'static str, actor: &str) -> Result<SkillSet, Error> {
        let actor = actor.to_owned();
        let stored = self.db.transaction(move |conn| -> Result<_, Error> {
            let stored = sets::put(conn, set)?;
            announce(conn, event, &stored, &actor)?;
            Ok(stored)
        });
        stored.await
    }
}

fn announce(conn: &mut diesel::PgConnection, event: &str, set: &SkillSet, actor: &str) -> diesel::QueryResult<()> {
    let payload = json!({
        "skill_id": set.skill_id,
        "run_id": set.run_id,
        "mode": set.mode,
        "deepening_cycles": set.deepening_cycles,
        "total_skills": set.total_skills,
        "occupation_uri": set.occupation_match.as_ref().map(|matched| &matched.uri),
    });
    outbox::push(conn, event, &aggregate(set.skill_id), Some(actor), payload)
}

fn aggregate(id: Uuid) -> String {
    format!("skills:{id}")
}

/// As exact as it is shown and kept.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}
