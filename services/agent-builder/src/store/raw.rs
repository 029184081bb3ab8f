//! JSON that is passed on without being read.

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    pg::{Pg, PgValue},
    sql_types::{Jsonb, Text},
};
use serde_json::value::RawValue;

/// The one version of the format that there is.
const JSONB_VERSION: u8 = 1;

#[derive(Debug, FromSqlRow)]
pub(super) struct RawJson(pub(super) Box<RawValue>);

impl FromSql<Text, Pg> for RawJson {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        parse(value.as_bytes())
    }
}

impl FromSql<Jsonb, Pg> for RawJson {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes().split_first() {
            Some((&JSONB_VERSION, text)) => parse(text),
            _ => Err("jsonb of an unknown version".into()),
        }
    }
}

fn parse(text: &[u8]) -> deserialize::Result<RawJson> {
    Ok(RawJson(RawValue::from_string(std::str::from_utf8(text)?.to_owned())?))
}
