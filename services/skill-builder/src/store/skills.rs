//! Skills of a taxonomy and how they hang together.

use std::{collections::HashMap, sync::Arc};

use api_types::skills::Category;
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, PgConnection, QueryDsl as _, QueryResult,
    Queryable, RunQueryDsl as _, Selectable, SelectableHelper as _,
};

use super::schema::{occupation_skills, skill_links, skills};
use crate::domain::corpus::{LabelIndex, LabelKind};
use crate::domain::generate::{Edge, EdgeKind};
use crate::domain::taxonomy::{Need, SkillConcept};

#[derive(Queryable, Selectable)]
#[diesel(table_name = skills, check_for_backend(diesel::pg::Pg))]
struct Row {
    uri: String,
    label: String,
    alternative: Vec<String>,
    description: String,
    category: String,
}

impl From<Row> for SkillConcept {
    fn from(row: Row) -> Self {
        Self {
            uri: row.uri.into(),
            label: row.label,
            alternative: row.alternative,
            description: row.description,
            // Only names of categories are stored.
            category: Category::named(&row.category).unwrap_or(Category::Competence),
        }
    }
}

/// The skills that an occupation needs, in this way.
pub(crate) fn of_occupation(
    conn: &mut PgConnection,
    taxonomy: i64,
    occupation: &str,
    need: Need,
) -> QueryResult<Vec<SkillConcept>> {
    let same = skills::taxonomy_id.eq(occupation_skills::taxonomy_id).and(skills::uri.eq(occupation_skills::skill_uri));
    let rows = occupation_skills::table
        .inner_join(skills::table.on(same))
        .filter(occupation_skills::taxonomy_id.eq(taxonomy))
        .filter(occupation_skills::occupation_uri.eq(occupation))
        .filter(occupation_skills::essential.eq(need == Need::Essential))
        .order((skills::label, skills::uri))
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(SkillConcept::from).collect())
}

/// Where the skills of the frontier lead to.
pub(crate) fn neighbours(conn: &mut PgConnection, taxonomy: i64, frontier: &[Arc<str>]) -> QueryResult<Vec<Edge>> {
    let frontier: Vec<&str> = frontier.iter().map(AsRef::as_ref).collect();
    let same = skills::taxonomy_id.eq(skill_links::taxonomy_id).and(skills::uri.eq(skill_links::to_uri));
    let rows = skill_links::table
        .inner_join(skills::table.on(same))
        .filter(skill_links::taxonomy_id.eq(taxonomy))
        .filter(skill_links::from_uri.eq_any(frontier))
        .select((skill_links::from_uri, skill_links::to_uri, skills::label, skill_links::broader))
        .load::<(String, String, String, bool)>(conn)?;
    let edge = |(from, to, label, broader): (String, String, String, bool)| Edge {
        from: from.into(),
        to: to.into(),
        label,
        kind: if broader { EdgeKind::Broader } else { EdgeKind::Related },
    };
    Ok(rows.into_iter().map(edge).collect())
}

/// The skills with these URIs; those that there are not are left out.
pub(crate) fn find(
    conn: &mut PgConnection,
    taxonomy: i64,
    uris: &[Arc<str>],
) -> QueryResult<HashMap<Arc<str>, SkillConcept>> {
    let uris: Vec<&str> = uris.iter().map(AsRef::as_ref).collect();
    let rows = skills::table
        .filter(skills::taxonomy_id.eq(taxonomy))
        .filter(skills::uri.eq_any(uris))
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(SkillConcept::from).map(|skill| (skill.uri.clone(), skill)).collect())
}

/// All labels of all skills, to find them in texts.
pub(crate) fn label_index(conn: &mut PgConnection, taxonomy: i64) -> QueryResult<LabelIndex> {
    let rows = skills::table
        .filter(skills::taxonomy_id.eq(taxonomy))
        .select((skills::uri, skills::label, skills::alternative))
        .load::<(String, String, Vec<String>)>(conn)?;
    let mut index = LabelIndex::default();
    for (uri, preferred, alternative) in rows {
        let uri: Arc<str> = uri.into();
        index.add(&uri, &preferred, &preferred, LabelKind::Preferred);
        for label in &alternative {
            index.add(&uri, &preferred, label, LabelKind::Alternative);
        }
    }
    Ok(index)
}
