//! Documents: reading them, storing them, and finding who is named in them.

use api_core::{list::ListQuery, outbox};
use api_types::{
    envelope::Pagination,
    knowledge::{Document, DocumentId, ItemMetadata, contains_phrase},
};
use serde_json::{Map, Value, json};

use super::{App, Error, now};
use crate::{
    domain::{
        documents, entities,
        extract::{self, Extract, MediaType},
        items::{FoundIn, FoundText},
        passages,
    },
    store::documents::{self as store, NewPassage, Passage},
};

/// Passages of stored documents taken for one identifier.
const PASSAGES_MAX: usize = 20;

/// A file that a client hands over.
#[derive(Debug, Clone)]
pub(crate) struct NewFile {
    pub(crate) title: Option<String>,
    /// The name under which it was uploaded.
    pub(crate) file_name: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) media_type: MediaType,
    pub(crate) bytes: Vec<u8>,
    pub(crate) metadata: Map<String, Value>,
    /// The field that holds it, for errors.
    pub(crate) field: String,
}

/// A document that comes with a request for knowledge.
#[derive(Debug, Clone)]
pub(crate) enum Handed {
    /// Stored earlier; with the field that names it.
    Stored(DocumentId, String),
    File(NewFile),
}

/// What became of a document that was to be stored.
#[derive(Debug)]
pub(crate) enum Stored {
    New(Document),
    /// The same bytes and title came from the same principal before.
    Known(Document),
}

impl App {
    /// Stores a document.
    pub(crate) async fn store_document(&self, file: NewFile, principal: &str) -> Result<Stored, Error> {
        let (file, read) = read(file).await?;
        let title = documents::title(file.title.as_deref(), read.title.as_deref(), file.file_name.as_deref());
        let sha256 = documents::sha256(&file.bytes);
        let passages: Vec<NewPassage> = passages::cut(&read.text)
            .into_iter()
            .map(|text| NewPassage { text: text.to_owned(), words: entities::words(text) })
            .collect();
        let document = Document {
            document_id: documents::document_id(principal, &title, &sha256),
            title,
            url: file.url,
            media_type: file.media_type.as_str().to_owned(),
            bytes: number(file.bytes.len()),
            characters: number(read.text.chars().count()),
            passages: number(passages.len()),
            sha256,
            metadata: file.metadata,
            created_by: principal.to_owned(),
            created_at: now(),
            text: None,
        };
        let new = store::NewDocument { document, text: read.text, passages };
        self.db
            .transaction(move |conn| {
                if let Some(document) = store::insert(conn, &new)? {
                    let payload = json!({
                        "document_id": document.document_id,
                        "title": document.title,
                        "bytes": document.bytes,
                        "passages": document.passages,
                    });
                    let (id, actor) = (&document.document_id, document.created_by.as_str());
                    outbox::push(conn, "document.created", id, Some(actor), payload)?;
                    return Ok(Stored::New(document));
                }
                let id = &new.document.document_id;
                let known = store::find(conn, id, None)?.ok_or_else(|| Error::NoDocument(id.to_string()))?;
                Ok(Stored::Known(Document { text: None, ..known }))
            })
            .await
    }

    /// A document with its text. `owner` restricts the reader to what it made.
    pub(crate) async fn document(&self, id: String, owner: Option<String>) -> Result<Document, Error> {
        self.db.run(move |conn| store::find(conn, &id, owner.as_deref())?.ok_or(Error::NoDocument(id))).await
    }

    pub(crate) async fn documents(
        &self,
        query: ListQuery,
        owner: Option<String>,
    ) -> Result<(Vec<Document>, Pagination), Error> {
        self.db.run(move |conn| Ok(store::page(conn, &query, owner.as_deref())?)).await
    }

    /// Deletes a document; what was made from it stays.
    pub(crate) async fn delete_document(&self, id: String, owner: Option<String>, actor: String) -> Result<(), Error> {
        self.db
            .transaction(move |conn| {
                if !store::delete(conn, &id, owner.as_deref())? {
                    return Err(Error::NoDocument(id));
                }
                Ok(outbox::push(conn, "document.deleted", &id, Some(&actor), json!({"document_id": id}))?)
            })
            .await
    }

    /// The texts of the documents that come with a request.
    pub(super) async fn handed_over(
        &self,
        documents: Vec<Handed>,
        owner: Option<&str>,
    ) -> Result<Vec<FoundText>, Error> {
        let mut found = Vec::with_capacity(documents.len());
        for handed in documents {
            found.push(match handed {
                Handed::Stored(id, field) => {
                    let (id, owner) = (id.into_inner(), owner.map(str::to_owned));
                    let document = self.document(id, owner).await.map_err(|error| match error {
                        Error::NoDocument(_) => Error::UnknownDocument { field },
                        other => other,
                    })?;
                    let text = document.text.unwrap_or_default();
                    found_text(&document.title, document.url, Some(document.document_id), text)
                }
                Handed::File(file) => {
                    let (file, read) = read(file).await?;
                    let title = documents::title(file.title.as_deref(), read.title.as_deref(), None);
                    found_text(&title, file.url, None, read.text)
                }
            });
        }
        Ok(found)
    }

    /// Passages of stored documents that the reader may see, in which the identifier stands as a whole phrase.
    pub(super) async fn passages_about(&self, identifier: &str, owner: Option<&str>) -> Result<Vec<FoundText>, Error> {
        let words = entities::words(identifier);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let owner = owner.map(str::to_owned);
        // The index knows words only; what it finds beyond the phrase is left out here.
        let limit = i32::try_from(PASSAGES_MAX * 5).unwrap_or(i32::MAX);
        let passages = self
            .db
            .run::<_, Error>(move |conn| Ok(store::passages_with(conn, &words, owner.as_deref(), limit)?))
            .await?;
        let about = passages.into_iter().filter(|passage| contains_phrase(&passage.text, identifier));
        Ok(about.take(PASSAGES_MAX).map(found_passage).collect())
    }
}

/// Reads a file off the async threads.
async fn read(file: NewFile) -> Result<(NewFile, Extract), Error> {
    let field = file.field.clone();
    tokio::task::spawn_blocking(move || {
        let extract = extract::read(file.media_type, file.bytes.clone())?;
        Ok((file, extract))
    })
    .await?
    .map_err(|reason| Error::Unreadable { field, reason })
}

fn found_text(title: &str, url: Option<String>, document_id: Option<DocumentId>, text: String) -> FoundText {
    FoundText {
        found_in: FoundIn::Documents,
        label: title.to_owned(),
        text,
        summary: None,
        attributes: Map::new(),
        metadata: ItemMetadata {
            source_id: document_id.as_ref().map(ToString::to_string),
            url,
            title: Some(title.to_owned()),
            document_id,
            ..ItemMetadata::default()
        },
    }
}

fn found_passage(passage: Passage) -> FoundText {
    let id = DocumentId::new(passage.document_id);
    let mut found = found_text(&passage.title, passage.url, Some(id), passage.text);
    found.metadata.passage = u32::try_from(passage.position).ok();
    found
}

fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
