//! Documents in a request: one stored earlier, a text, or a file.

use api_core::input::{Choice, Fields, Problem, Rule, Text, any};
use api_types::{error::Code, knowledge::DocumentInput};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

const MEDIA_TYPES: &[&str] = &["text/plain", "text/markdown", "text/html", "application/pdf"];
/// More than any body holds.
const TEXT_CHARS_MAX: usize = 20 << 20;
const BASE64_CHARS_MAX: usize = TEXT_CHARS_MAX / 3 * 4;

/// Reads one document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document;

impl Rule for Document {
    type Out = DocumentInput;

    fn read(&self, field: &str, value: &Value) -> Result<DocumentInput, Vec<Problem>> {
        let read = any(|fields| document(field, fields)).read(field, value)?;
        // Without a problem there is a document.
        read.ok_or_else(|| vec![Problem::new(Code::InvalidType, format!("{field} must be a document"))])
    }
}

fn document(name: &str, fields: &mut Fields<'_>) -> Option<DocumentInput> {
    let document_id = fields.optional("document_id", &Text::chars(1..=100));
    let title = fields.optional("title", &Text::chars(1..=300));
    let url = fields.optional("url", &Text::chars(1..=2000));
    let text = fields.optional("text", &Text::chars(1..=TEXT_CHARS_MAX));
    let base64 = Text::chars(1..=BASE64_CHARS_MAX).of_form(is_base64, "be base64");
    let content_base64 = fields.optional("content_base64", &base64);
    let media_type = fields.optional("media_type", &MediaType);
    if !fields.is_good() {
        return None;
    }
    match (document_id, text, content_base64, media_type) {
        (Some(id), None, None, _) => Some(DocumentInput::Stored { document_id: id.into() }),
        (None, Some(text), None, _) => Some(DocumentInput::Text { title, url, text }),
        (None, None, Some(content_base64), Some(media_type)) => {
            Some(DocumentInput::File { title, url, content_base64, media_type })
        }
        (None, None, Some(_), None) => missing(name, fields, "media_type"),
        (None, None, None, _) => missing(name, fields, "text"),
        _ => {
            let message = format!("{name} must have one of document_id, text and content_base64");
            fields.problem("text", Problem::new(Code::InvalidFormat, message));
            None
        }
    }
}

fn missing(name: &str, fields: &mut Fields<'_>, field: &str) -> Option<DocumentInput> {
    fields.problem(field, Problem::new(Code::RequiredField, format!("Field '{name}.{field}' is required")));
    None
}

fn is_base64(text: &str) -> bool {
    BASE64_STANDARD.decode(text).is_ok()
}

/// One of the media types, whatever its case and parameters.
struct MediaType;

impl Rule for MediaType {
    type Out = String;

    fn read(&self, field: &str, value: &Value) -> Result<String, Vec<Problem>> {
        let essence = value.as_str().map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        Choice(MEDIA_TYPES).read(field, &essence.map_or_else(|| value.clone(), Value::from))
    }
}
