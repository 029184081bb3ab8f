//! JSON that is passed on without being read.

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    pg::{Pg, PgValue},
    sql_types::Text,
};
use serde_json::value::RawValue;

#[derive(Debug, Clone, FromSqlRow)]
pub(crate) struct RawJson(pub(crate) Box<RawValue>);

impl FromSql<Text, Pg> for RawJson {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let text = std::str::from_utf8(value.as_bytes())?.to_owned();
        Ok(Self(RawValue::from_string(text)?))
    }
}
