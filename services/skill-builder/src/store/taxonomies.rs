//! Which taxonomy is in use.

use api_types::skills::{SkillSource, TaxonomyInfo};
use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension as _, PgConnection, QueryDsl as _, QueryResult, Queryable, RunQueryDsl as _, Selectable,
    SelectableHelper as _,
};

use super::schema::taxonomies;

/// A stored taxonomy, without its content. Its rows never change.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = taxonomies, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) language: String,
    pub(crate) builtin: bool,
    pub(crate) digest: String,
    pub(crate) occupations: i64,
    pub(crate) skills: i64,
    pub(crate) skill_groups: i64,
    pub(crate) relations: i64,
    pub(crate) imported_at: Option<DateTime<Utc>>,
}

const ATTRIBUTION: &str = "This service uses the ESCO classification of the European Commission.";

impl Row {
    /// Name and version.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// What skills of this taxonomy give as their source.
    pub(crate) fn source(&self) -> SkillSource {
        if self.builtin { SkillSource::Starter } else { SkillSource::Esco }
    }

    pub(crate) fn info(&self) -> TaxonomyInfo {
        TaxonomyInfo {
            name: self.name.clone(),
            version: self.version.clone(),
            language: self.language.clone(),
            builtin: self.builtin,
            occupations: self.occupations,
            skills: self.skills,
            skill_groups: self.skill_groups,
            relations: self.relations,
            imported_at: self.imported_at,
            attribution: (!self.builtin).then(|| ATTRIBUTION.to_owned()),
        }
    }
}

/// The taxonomy in use; `None` before the first one was stored.
pub(crate) fn active(conn: &mut PgConnection) -> QueryResult<Option<Row>> {
    use diesel::ExpressionMethods as _;
    taxonomies::table.filter(taxonomies::active.eq(true)).select(Row::as_select()).first(conn).optional()
}
