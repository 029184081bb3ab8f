//! Bodies as what the service understands.

use std::collections::BTreeSet;

use api_core::{
    error::ApiError,
    input::{Fields, Integer, JsonObject, List, Number, Object, Problem, Rule, Text, Values, any},
};
use api_types::{
    error::Code,
    knowledge::{Concept, ITEMS_MAX, ItemFault, KnowledgeId, SourceName, Subject, item_entries, parse_items},
};
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};

use crate::{
    app::{Given, Handed, NewFile, NewRecord, Question, Replacement, Update},
    domain::{
        documents::REQUEST_DOCUMENTS_MAX,
        entities::{is_entity_type, is_record_id},
        extract::MediaType,
    },
    store::Vectors,
};

/// A document's own object, as JSON.
const METADATA_BYTES_MAX: usize = 16 * 1024;
const URL_CHARACTERS_MAX: usize = 2_000;
/// Texts of a role model: as many as its 64 KiB can hold and no request needs.
const ROLE_MODEL_TEXTS_MAX: usize = 1_000;

fn identifier() -> Text {
    Text::chars(1..=200).trimmed()
}

fn entity_type() -> Text {
    Text::chars(1..=50).trimmed().of_form(is_entity_type, "consist of letters, digits, spaces, _ and -")
}

fn cycles(fields: &mut Fields<'_>) -> Option<u32> {
    fields.optional("deepening_cycles", &Integer(0..=11)).and_then(|cycles| u32::try_from(cycles).ok())
}

/// Reads a request for knowledge. What only services may send is an unknown field to others.
pub(super) fn new_record(body: &Object, is_service: bool, is_legacy: bool) -> Result<NewRecord, ApiError> {
    let mut fields = Fields::of(body);
    let identifier = fields.required("identifier", &identifier());
    let entity_type = fields.optional("entity_type", &entity_type());
    let cycles = cycles(&mut fields).unwrap_or(0);
    let sources = fields.optional("sources", &List { each: Source, max: 100 });
    let documents = fields.optional("documents", &List { each: any(handed), max: REQUEST_DOCUMENTS_MAX });
    let text = fields.optional("text", &Text::chars(1..=100_000));
    let source = fields.optional("source", &Text::chars(1..=200).trimmed());
    let confidence = fields.optional("confidence", &Number(0.0..=1.0));
    let (mut role_model_texts, mut concept) = (Vec::new(), None);
    if is_service {
        let texts = List { each: Text::chars(1..=100_000), max: ROLE_MODEL_TEXTS_MAX };
        role_model_texts = fields.optional("role_model_texts", &texts).unwrap_or_default();
        concept = fields.optional("concept", &any(self::concept)).flatten();
    }
    if is_legacy {
        fields.ignored("apiKeys");
    }
    fields.finish()?;
    let brings_documents = documents.is_some();
    let asks_nobody = text.is_some() && sources.is_none() && !brings_documents;
    let mut sources: BTreeSet<SourceName> = match sources {
        Some(named) => named.into_iter().collect(),
        None if asks_nobody => BTreeSet::new(),
        None => SourceName::ALL.into(),
    };
    let searches_documents = brings_documents || sources.contains(&SourceName::Documents);
    if searches_documents || !role_model_texts.is_empty() {
        sources.insert(SourceName::Documents);
    }
    let documents = documents.unwrap_or_default().into_iter().zip(0..);
    Ok(NewRecord {
        identifier,
        entity_type,
        cycles,
        is_run: !asks_nobody || !sources.is_empty(),
        sources,
        searches_documents,
        documents: documents.filter_map(|(handed, index)| Some(placed(handed?, index))).collect(),
        role_model_texts,
        concept,
        given: text.map(|text| Given {
            text,
            source: source.unwrap_or_else(|| "User".to_owned()),
            confidence: confidence.unwrap_or(1.0),
        }),
    })
}

/// The name of a source.
#[derive(Debug, Clone, Copy)]
struct Source;

impl Rule for Source {
    type Out = SourceName;

    fn read(&self, field: &str, value: &Value) -> Result<SourceName, Vec<Problem>> {
        let Value::String(name) = value else {
            return Err(vec![Problem::new(Code::InvalidType, format!("{field} must be a text"))]);
        };
        SourceName::parse(name).ok_or_else(|| {
            let names = SourceName::ALL.map(SourceName::as_str).join(", ");
            vec![Problem::new(Code::InvalidFormat, format!("{field} must be one of {names}"))]
        })
    }
}

fn concept(fields: &mut Fields<'_>) -> Option<Concept> {
    let text = Text::chars(0..=100_000);
    let concept = Concept {
        uri: fields.required("uri", &text),
        label: fields.required("label", &text),
        description: fields.required("description", &text),
    };
    // Without a description there is nothing to say.
    Some(concept).filter(|concept| !concept.description.trim().is_empty())
}

/// A document that comes with a request: one stored earlier, or one of its own.
fn handed(fields: &mut Fields<'_>) -> Option<Handed> {
    let stored = fields.optional("document_id", &Text::chars(1..=100));
    if let Some(id) = stored {
        return Some(Handed::Stored(id.into(), String::new()));
    }
    file(fields).map(Handed::File)
}

/// Names the field of a document once its place is known.
fn placed(handed: Handed, index: usize) -> Handed {
    match handed {
        Handed::Stored(id, _) => Handed::Stored(id, format!("documents[{index}].document_id")),
        Handed::File(file) => {
            let field = format!("documents[{index}].{}", file.field);
            Handed::File(NewFile { field, ..file })
        }
    }
}

/// Reads a document that is to be stored.
pub(super) fn new_document(body: &Object, bytes_max: usize) -> Result<NewFile, ApiError> {
    let mut fields = Fields::of(body);
    let file = file(&mut fields);
    if file.as_ref().is_some_and(|file| file.bytes.len() > bytes_max) {
        return Err(too_large(bytes_max));
    }
    fields.finish()?;
    file.ok_or_else(|| ApiError::internal(anyhow::anyhow!("a document without a problem and without a file")))
}

pub(super) fn too_large(bytes_max: usize) -> ApiError {
    ApiError::new(Code::PayloadTooLarge, format!("The document is larger than {bytes_max} bytes"))
}

/// The fields that documents have in common with those that are uploaded as a form.
pub(super) fn describe(fields: &mut Fields<'_>) -> (Option<String>, Option<String>, Map<String, Value>) {
    let title = fields.optional("title", &Text::chars(1..=300).trimmed());
    let url = fields.optional("url", &Text::chars(1..=URL_CHARACTERS_MAX).trimmed());
    let metadata = fields.optional("metadata", &JsonObject { bytes_max: METADATA_BYTES_MAX });
    (title, url, metadata.unwrap_or_default())
}

/// The content is either `text`, or `content_base64` and `media_type`.
fn file(fields: &mut Fields<'_>) -> Option<NewFile> {
    let (title, url, metadata) = describe(fields);
    let text = fields.optional("text", &Text::chars(0..=usize::MAX / 8));
    let encoded = fields.optional("content_base64", &Text::chars(0..=usize::MAX / 8));
    let media_type = fields.optional("media_type", &Media);
    let (field, media_type, bytes) = match (text, encoded) {
        (Some(_), Some(_)) => {
            let message = "text and content_base64 exclude each other";
            fields.problem("content_base64", Problem::new(Code::InvalidFormat, message));
            return None;
        }
        (None, None) => {
            // What has the wrong type was there, and has been complained about.
            if fields.is_good() {
                let message = "Field 'text' or 'content_base64' is required";
                fields.problem("text", Problem::new(Code::RequiredField, message));
            }
            return None;
        }
        (Some(_), None) if media_type == Some(MediaType::Pdf) => {
            let message = "a PDF is sent as content_base64";
            fields.problem("text", Problem::new(Code::InvalidFormat, message));
            return None;
        }
        (Some(text), None) => ("text", media_type.unwrap_or(MediaType::Plain), text.into_bytes()),
        (None, Some(encoded)) => {
            if media_type.is_none() && fields.is_good() {
                let message = "Field 'media_type' is required";
                fields.problem("media_type", Problem::new(Code::RequiredField, message));
            }
            let Some(bytes) = decoded(&encoded) else {
                let message = "content_base64 must be base64";
                fields.problem("content_base64", Problem::new(Code::InvalidFormat, message));
                return None;
            };
            ("content_base64", media_type?, bytes)
        }
    };
    Some(NewFile { title, file_name: None, url, media_type, bytes, metadata, field: field.to_owned() })
}

/// A media type that can be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Media;

impl Rule for Media {
    type Out = MediaType;

    fn read(&self, field: &str, value: &Value) -> Result<MediaType, Vec<Problem>> {
        let Value::String(text) = value else {
            return Err(vec![Problem::new(Code::InvalidType, format!("{field} must be a text"))]);
        };
        MediaType::parse(text).ok_or_else(|| {
            let message = "media_type must be text/plain, text/markdown, text/html or application/pdf";
            vec![Problem::new(Code::UnsupportedMediaType, message)]
        })
    }
}

/// Padding may be left out.
fn decoded(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&STANDARD, LENIENT).decode(text.trim()).ok()
}

/// Reads a change of a record.
pub(super) fn update(body: &Object) -> Result<Update, ApiError> {
    let mut fields = Fields::of(body);
    let update = Update {
        identifier: fields.optional("identifier", &identifier()),
        entity_type: fields.optional("entity_type", &entity_type()),
        items: written_items(&mut fields),
        cycles: cycles(&mut fields),
    };
    fields.finish()?;
    let Update { identifier: None, entity_type: None, items: None, cycles: None } = update else { return Ok(update) };
    let message = "One of identifier, entity_type, knowledge_items, deepening_cycles is required";
    Err(ApiError::field(Code::RequiredField, "body", message))
}

/// Reads a record as a client writes it.
pub(super) fn replacement(id: &str, body: &Object) -> Result<Replacement, ApiError> {
    let mut fields = Fields::of(body);
    if !is_record_id(id) {
        let message = "knowledge_id must be type:name in lower case, without white space and / ? # %";
        fields.problem("knowledge_id", Problem::new(Code::InvalidFormat, message));
    }
    let replacement = Replacement {
        identifier: fields.required("identifier", &identifier()),
        entity_type: fields.optional("entity_type", &entity_type()),
        items: written_items(&mut fields).unwrap_or_default(),
        cycles: cycles(&mut fields).unwrap_or(0),
    };
    fields.finish()?;
    Ok(replacement)
}

/// Items as a client writes them; whose they are does not matter yet.
fn written_items(fields: &mut Fields<'_>) -> Option<Vec<Value>> {
    const NAME: &str = "knowledge_items";
    let values = fields.optional(NAME, &Values { max: ITEMS_MAX })?;
    let nobody = Subject { record: KnowledgeId::new(""), name: "", entity_type: None, keeps_entity_ids: false };
    if let Err(problems) = parse_items(&item_entries(&values), &nobody, chrono::Utc::now()) {
        for problem in problems {
            let code = match problem.fault {
                ItemFault::Type => Code::InvalidType,
                ItemFault::Range => Code::InvalidRange,
                ItemFault::Format => Code::InvalidFormat,
            };
            let message = format!("{NAME}{} {}", problem.field, problem.message);
            fields.problem(&format!("{NAME}{}", problem.field), Problem::new(code, message));
        }
    }
    Some(values)
}

/// Reads a search.
pub(super) fn question(body: &Object, vectors: Vectors) -> Result<Question, ApiError> {
    let mut fields = Fields::of(body);
    let query = fields.required("query", &Text::chars(1..=1_000));
    let entity_type = fields.optional("entity_type", &Text::chars(1..=50).trimmed());
    let limit = fields.optional("limit", &Integer(1..=100)).unwrap_or(10);
    fields.finish()?;
    Ok(Question { query, entity_type, limit: usize::try_from(limit).unwrap_or(10), vectors })
}
