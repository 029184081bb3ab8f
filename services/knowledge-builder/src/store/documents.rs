//! Documents and their passages.

use api_core::list::{self, Field, Kind, ListQuery, ListSpec, Scope};
use api_types::{
    envelope::Pagination,
    knowledge::{Document, DocumentId},
};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, Insertable, OptionalExtension as _, PgConnection, QueryDsl as _, QueryResult, Queryable,
    QueryableByName, RunQueryDsl as _, Selectable, SelectableHelper as _, sql_query,
    sql_types::{Array, Integer, Nullable, Text},
};
use serde_json::Value;

use super::{count, from_json, json, schema::documents};

/// What lists can be filtered and sorted by.
pub(crate) static LIST: ListSpec = ListSpec {
    fields: &[
        Field { name: "document_id", column: "document_id", kind: Kind::Text },
        Field { name: "title", column: "title", kind: Kind::Text },
        Field { name: "media_type", column: "media_type", kind: Kind::Text },
        Field { name: "bytes", column: "bytes", kind: Kind::Number },
        Field { name: "created_by", column: "created_by", kind: Kind::Text },
        Field { name: "created_at", column: "created_at", kind: Kind::Time },
    ],
    id_column: "document_id",
};

const COLUMNS: &str =
    "document_id, title, url, media_type, bytes, sha256, characters, passages, metadata, created_by, created_at";

#[derive(Insertable, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = documents, check_for_backend(diesel::pg::Pg), treat_none_as_default_value = false)]
struct Row {
    document_id: String,
    title: String,
    url: Option<String>,
    media_type: String,
    bytes: i64,
    sha256: String,
    characters: i64,
    passages: i64,
    metadata: Value,
    created_by: String,
    created_at: DateTime<Utc>,
}

/// A document to be stored; its times and counts are those it will have.
#[derive(Debug, Clone)]
pub(crate) struct NewDocument {
    pub(crate) document: Document,
    pub(crate) text: String,
    pub(crate) passages: Vec<NewPassage>,
}

#[derive(Debug, Clone)]
pub(crate) struct NewPassage {
    pub(crate) text: String,
    /// Its words, separated by spaces.
    pub(crate) words: String,
}

/// A passage of a stored document.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Passage {
    #[diesel(sql_type = Text)]
    pub(crate) document_id: String,
    #[diesel(sql_type = Text)]
    pub(crate) title: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) url: Option<String>,
    #[diesel(sql_type = Integer)]
    pub(crate) position: i32,
    #[diesel(sql_type = Text)]
    pub(crate) text: String,
}

impl Row {
    fn document(self, text: Option<String>) -> QueryResult<Document> {
        Ok(Document {
            document_id: DocumentId::new(self.document_id),
            title: self.title,
            url: self.url,
            media_type: self.media_type,
            bytes: self.bytes,
            characters: self.characters,
            passages: self.passages,
            sha256: self.sha256,
            metadata: from_json(self.metadata)?,
            created_by: self.created_by,
            created_at: self.created_at,
            text,
        })
    }
}

/// Stores a document; `None` when there is one with its id already.
pub(crate) fn insert(conn: &mut PgConnection, new: &NewDocument) -> QueryResult<Option<Document>> {
    let NewDocument { document, text, passages } = new;
    let row = Row {
        document_id: document.document_id.to_string(),
        title: document.title.clone(),
        url: document.url.clone(),
        media_type: document.media_type.clone(),
        bytes: document.bytes,
        sha256: document.sha256.clone(),
        characters: document.characters,
        passages: count(passages.len()),
        metadata: json(&document.metadata)?,
        created_by: document.created_by.clone(),
        created_at: document.created_at,
    };
    let stored = diesel::insert_into(documents::table)
        .values((row, documents::text.eq(text)))
        .on_conflict_do_nothing()
        .returning(Row::as_returning())
        .get_result(conn)
        .optional()?;
    let Some(stored) = stored else { return Ok(None) };
    let (texts, words): (Vec<&str>, Vec<&str>) =
        passages.iter().map(|passage| (passage.text.as_str(), passage.words.as_str())).unzip();
    sql_query(
        "INSERT INTO document_passages (document_id, position, text, words) \
         SELECT $1, number - 1, text, to_tsvector('simple', words) \
         FROM unnest($2, $3) WITH ORDINALITY AS passage (text, words, number)",
    )
    .bind::<Text, _>(&stored.document_id)
    .bind::<Array<Text>, _>(texts)
    .bind::<Array<Text>, _>(words)
    .execute(conn)?;
    stored.document(None).map(Some)
}

/// A document with its text, unless the reader may see only what `owner` made and it is another's.
pub(crate) fn find(conn: &mut PgConnection, id: &str, owner: Option<&str>) -> QueryResult<Option<Document>> {
    let found = documents::table
        .find(id)
        .select((Row::as_select(), documents::text))
        .first::<(Row, String)>(conn)
        .optional()?;
    match found {
        Some((row, text)) if owner.is_none_or(|owner| owner == row.created_by) => row.document(Some(text)).map(Some),
        _ => Ok(None),
    }
}

pub(crate) fn page(
    conn: &mut PgConnection,
    query: &ListQuery,
    owner: Option<&str>,
) -> QueryResult<(Vec<Document>, Pagination)> {
    let scope: Vec<Scope> =
        owner.map(|owner| Scope { column: "created_by", value: owner.to_owned() }).into_iter().collect();
    let (rows, pagination) = list::page::<Row>(conn, (COLUMNS, "documents"), &scope, query)?;
    let rows = rows.into_iter().map(|row| row.document(None)).collect::<QueryResult<_>>()?;
    Ok((rows, pagination))
}

/// True when there was one that the caller may see.
pub(crate) fn delete(conn: &mut PgConnection, id: &str, owner: Option<&str>) -> QueryResult<bool> {
    let target = diesel::delete(documents::table.find(id)).into_boxed();
    let target = match owner {
        Some(owner) => target.filter(documents::created_by.eq(owner.to_owned())),
        None => target,
    };
    Ok(target.execute(conn)? > 0)
}

/// Passages whose words hold these in a row, of documents that the reader may see; oldest documents first.
pub(crate) fn passages_with(
    conn: &mut PgConnection,
    words: &str,
    owner: Option<&str>,
    limit: i32,
) -> QueryResult<Vec<Passage>> {
    sql_query(
        "SELECT d.document_id, d.title, d.url, p.position, p.text \
         FROM document_passages p JOIN documents d ON d.document_id = p.document_id \
         WHERE p.words @@ phraseto_tsquery('simple', $1) AND ($2 IS NULL OR d.created_by = $2) \
         ORDER BY d.created_at, d.document_id, p.position LIMIT $3",
    )
    .bind::<Text, _>(words)
    .bind::<Nullable<Text>, _>(owner)
    .bind::<Integer, _>(limit)
    .load(conn)
}
