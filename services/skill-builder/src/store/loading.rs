//! Storing a whole taxonomy and putting it to use, in one transaction.

use std::collections::HashMap;

use api_types::skills::{embedding_text, normalise};
use chrono::{DateTime, Utc};
use diesel::{
    ExecuteCopyFromDsl as _, ExpressionMethods as _, Insertable, PgConnection, QueryDsl as _, QueryResult,
    RunQueryDsl as _, copy_from, sql_query,
};
use sha2::{Digest as _, Sha256};

use super::schema::{occupation_labels, occupation_skills, occupations, skill_groups, skill_links, skills, taxonomies};
use super::taxonomies::{Row, active};
use crate::domain::taxonomy::{Need, Taxonomy};

/// What storing came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) taxonomy: Row,
    /// False when it was in use already.
    pub(crate) changed: bool,
}

#[derive(Insertable)]
#[diesel(table_name = occupations, treat_none_as_default_value = false)]
struct OccupationRow<'a> {
    taxonomy_id: i64,
    uri: &'a str,
    label: &'a str,
    code: &'a str,
    description: &'a str,
}

#[derive(Insertable)]
#[diesel(table_name = occupation_labels, treat_none_as_default_value = false)]
struct LabelRow<'a> {
    taxonomy_id: i64,
    normalised: String,
    occupation_uri: &'a str,
    preferred: bool,
}

#[derive(Insertable)]
#[diesel(table_name = skills, treat_none_as_default_value = false)]
struct SkillRow<'a> {
    taxonomy_id: i64,
    uri: &'a str,
    label: &'a str,
    alternative: &'a [String],
    description: &'a str,
    category: &'static str,
    text_sha256: Vec<u8>,
}

#[derive(Insertable)]
#[diesel(table_name = skill_groups, treat_none_as_default_value = false)]
struct GroupRow<'a> {
    taxonomy_id: i64,
    uri: &'a str,
    label: &'a str,
    code: &'a str,
}

#[derive(Insertable)]
#[diesel(table_name = occupation_skills, treat_none_as_default_value = false)]
struct NeedRow<'a> {
    taxonomy_id: i64,
    occupation_uri: &'a str,
    skill_uri: &'a str,
    essential: bool,
}

#[derive(Insertable)]
#[diesel(table_name = skill_links, treat_none_as_default_value = false)]
struct LinkRow<'a> {
    taxonomy_id: i64,
    from_uri: &'a str,
    broader: bool,
    to_uri: &'a str,
}

/// Puts a taxonomy in the place of the one in use, which stays stored for the runs that have begun with it; those
/// before it go. To be called in a transaction: until it commits, readers see the old one.
///
/// The built-in taxonomy never replaces an imported one.
pub(crate) fn replace(conn: &mut PgConnection, taxonomy: &Taxonomy, now: DateTime<Utc>) -> QueryResult<Stored> {
    // Whoever comes second sees what the first has done.
    sql_query("SELECT pg_advisory_xact_lock(hashtextextended('imago taxonomy', 0))").execute(conn)?;
    if let Some(current) = active(conn)? {
        let same = current.digest == taxonomy.digest();
        if same || (taxonomy.builtin && !current.builtin) {
            return Ok(Stored { taxonomy: current, changed: false });
        }
    }
    diesel::delete(taxonomies::table.filter(taxonomies::active.eq(false))).execute(conn)?;
    let id = insert(conn, taxonomy, now)?;
    insert_occupations(conn, id, taxonomy)?;
    insert_skills(conn, id, taxonomy)?;
    insert_relations(conn, id, taxonomy)?;
    count(conn, id)?;
    diesel::update(taxonomies::table.filter(taxonomies::active)).set(taxonomies::active.eq(false)).execute(conn)?;
    diesel::update(taxonomies::table.find(id)).set(taxonomies::active.eq(true)).execute(conn)?;
    // The planner must not take the new rows for none.
    for table in ["occupations", "occupation_labels", "skills", "occupation_skills", "skill_links"] {
        sql_query(format!("ANALYZE {table}")).execute(conn)?;
    }
    let stored = active(conn)?.ok_or(diesel::result::Error::NotFound)?;
    Ok(Stored { taxonomy: stored, changed: true })
}

fn insert(conn: &mut PgConnection, taxonomy: &Taxonomy, now: DateTime<Utc>) -> QueryResult<i64> {
    diesel::insert_into(taxonomies::table)
        .values((
            taxonomies::name.eq(taxonomy.name),
            taxonomies::version.eq(&taxonomy.version),
            taxonomies::language.eq(&taxonomy.language),
            taxonomies::builtin.eq(taxonomy.builtin),
            taxonomies::digest.eq(taxonomy.digest()),
            taxonomies::active.eq(false),
            taxonomies::imported_at.eq((!taxonomy.builtin).then_some(now)),
        ))
        .returning(taxonomies::id)
        .get_result(conn)
}

fn insert_occupations(conn: &mut PgConnection, id: i64, taxonomy: &Taxonomy) -> QueryResult<()> {
    let rows: Vec<_> = taxonomy
        .occupations
        .iter()
        .map(|one| OccupationRow {
            taxonomy_id: id,
            uri: &one.uri,
            label: &one.label,
            code: &one.code,
            description: &one.description,
        })
        .collect();
    copy_from(occupations::table).from_insertable(rows).execute(conn)?;
    copy_from(occupation_labels::table).from_insertable(labels(id, taxonomy)).execute(conn)?;
    Ok(())
}

/// Every label as it is compared, once for each occupation; preferred when it is the preferred one in any spelling.
fn labels(id: i64, taxonomy: &Taxonomy) -> Vec<LabelRow<'_>> {
    let mut rows = Vec::new();
    for one in &taxonomy.occupations {
        let mut own: HashMap<String, bool> = HashMap::new();
        for label in &one.alternative {
            own.insert(normalise(label), false);
        }
        own.insert(normalise(&one.label), true);
        rows.extend(own.into_iter().filter(|(normalised, _)| !normalised.is_empty()).map(|(normalised, preferred)| {
            LabelRow { taxonomy_id: id, normalised, occupation_uri: &one.uri, preferred }
        }));
    }
    rows
}

fn insert_skills(conn: &mut PgConnection, id: i64, taxonomy: &Taxonomy) -> QueryResult<()> {
    let rows: Vec<_> = taxonomy
        .skills
        .iter()
        .map(|one| SkillRow {
            taxonomy_id: id,
            uri: &one.uri,
            label: &one.label,
            alternative: &one.alternative,
            description: &one.description,
            category: one.category.as_str(),
            text_sha256: text_sha256(&embedding_text(&one.label, &one.description)),
        })
        .collect();
    copy_from(skills::table).from_insertable(rows).execute(conn)?;
    let groups: Vec<_> = taxonomy
        .skill_groups
        .iter()
        .map(|one| GroupRow { taxonomy_id: id, uri: &one.uri, label: &one.label, code: &one.code })
        .collect();
    copy_from(skill_groups::table).from_insertable(groups).execute(conn)?;
    Ok(())
}

fn insert_relations(conn: &mut PgConnection, id: i64, taxonomy: &Taxonomy) -> QueryResult<()> {
    let needs: Vec<_> = taxonomy
        .occupation_skills
        .iter()
        .map(|one| NeedRow {
            taxonomy_id: id,
            occupation_uri: &one.occupation,
            skill_uri: &one.skill,
            essential: one.need == Need::Essential,
        })
        .collect();
    copy_from(occupation_skills::table).from_insertable(needs).execute(conn)?;
    let both = taxonomy.related.iter().flat_map(|one| [(&one.from, &one.to, false), (&one.to, &one.from, false)]);
    let broader = taxonomy.broader.iter().map(|one| (&one.from, &one.to, true));
    let mut links: Vec<_> = both.chain(broader).collect();
    // A pair may be named from either side.
    links.sort_unstable();
    links.dedup();
    let links: Vec<_> = links
        .into_iter()
        .map(|(from_uri, to_uri, broader)| LinkRow { taxonomy_id: id, from_uri, broader, to_uri })
        .collect();
    copy_from(skill_links::table).from_insertable(links).execute(conn)?;
    Ok(())
}

/// Counts what is stored, not what was meant to be.
fn count(conn: &mut PgConnection, id: i64) -> QueryResult<()> {
    let count = |table: &str| format!("(SELECT count(*) FROM {table} WHERE taxonomy_id = $1)");
    sql_query(format!(
        "UPDATE taxonomies SET occupations = {}, skills = {}, skill_groups = {}, relations = {} WHERE id = $1",
        count("occupations"),
        count("skills"),
        count("skill_groups"),
        count("occupation_skills"),
    ))
    .bind::<diesel::sql_types::BigInt, _>(id)
    .execute(conn)
    .map(drop)
}

/// What the vector of a text is kept under.
pub(crate) fn text_sha256(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}
