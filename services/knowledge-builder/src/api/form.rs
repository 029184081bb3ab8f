//! Documents uploaded as a form.

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::http::header::CONTENT_TYPE;
use api_core::{
    auth::{Body, Call, permission::Permission},
    error::ApiError,
    input::{Fields, Object},
};
use api_types::error::Code;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::input;
use crate::{
    app::NewFile,
    domain::{documents::sha256, extract::MediaType},
};

/// All fields beside the file together, in bytes.
const FIELDS_BYTES_MAX: usize = 64 * 1024;
const PARTS_MAX: usize = 20;

/// Whether the body is a form.
pub(super) fn is_form<P: Permission>(call: &Call<P>) -> bool {
    let media_type = call.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("multipart/form-data")
}

struct Upload {
    bytes: Vec<u8>,
    name: Option<String>,
    media_type: Option<String>,
}

/// Reads a form as a document; the second part stands for the form when requests are compared.
pub(super) async fn read<P: Permission>(call: &mut Call<P>, bytes_max: usize) -> Result<(NewFile, Body), ApiError> {
    let (request, payload) = call.parts()?;
    let mut form = Multipart::new(request.headers(), payload);
    let mut fields = Object::new();
    let mut upload = None;
    let (mut parts, mut field_bytes) = (0, 0);
    while let Some(part) = form.next().await {
        let mut part = part.map_err(|error| malformed(&error))?;
        parts += 1;
        if parts > PARTS_MAX {
            return Err(ApiError::new(Code::PayloadTooLarge, format!("The form has more than {PARTS_MAX} parts")));
        }
        let name = part.name().unwrap_or_default().to_owned();
        if name == "file" && upload.is_none() {
            upload = Some(Upload {
                name: part.content_disposition().and_then(|is| is.get_filename()).map(str::to_owned),
                media_type: part.content_type().map(ToString::to_string),
                bytes: bytes(&mut part, bytes_max, || input::too_large(bytes_max)).await?,
            });
        } else {
            let room = FIELDS_BYTES_MAX - field_bytes;
            let full = || ApiError::new(Code::PayloadTooLarge, "The form's fields are too large");
            let bytes = bytes(&mut part, room, full).await?;
            field_bytes += bytes.len();
            let repeated = fields.insert(name, value_of(bytes)?).is_some();
            if repeated {
                return Err(ApiError::new(Code::MalformedBody, "The form repeats a field"));
            }
        }
    }
    let Some(upload) = upload else {
        return Err(ApiError::field(Code::RequiredField, "file", "Field 'file' is required"));
    };
    document(fields, upload)
}

fn document(mut fields: Object, upload: Upload) -> Result<(NewFile, Body), ApiError> {
    // A form knows texts only.
    if let Some(Value::String(text)) = fields.get("metadata")
        && let Ok(metadata @ Value::Object(_)) = serde_json::from_str::<Value>(text)
    {
        fields.insert("metadata".to_owned(), metadata);
    }
    let mut reader = Fields::of(&fields);
    let (title, url, metadata) = input::describe(&mut reader);
    let named = reader.optional("media_type", &input::Media);
    reader.finish()?;
    let media_type = match named {
        Some(media_type) => media_type,
        None => media_type_of(&upload).ok_or_else(|| {
            let message = "A document is text/plain, text/markdown, text/html or application/pdf";
            ApiError::field(Code::UnsupportedMediaType, "file", message)
        })?,
    };
    let same =
        json!({"fields": fields, "file": sha256(&upload.bytes), "name": upload.name, "type": media_type.as_str()});
    let body = Body(same.as_object().cloned().unwrap_or_default());
    let Upload { bytes, name, .. } = upload;
    let field = "file".to_owned();
    Ok((NewFile { title, file_name: name, url, media_type, bytes, metadata, field }, body))
}

/// As the part says; when it does not know, by the ending of the file's name.
fn media_type_of(upload: &Upload) -> Option<MediaType> {
    match upload.media_type.as_deref() {
        None | Some("application/octet-stream") => {
            let name = upload.name.as_deref()?.to_lowercase();
            let (_, ending) = name.rsplit_once('.')?;
            match ending {
                "txt" | "text" => Some(MediaType::Plain),
                "md" | "markdown" => Some(MediaType::Markdown),
                "html" | "htm" => Some(MediaType::Html),
                "pdf" => Some(MediaType::Pdf),
                _ => None,
            }
        }
        Some(media_type) => MediaType::parse(media_type),
    }
}

async fn bytes(part: &mut Field, limit: usize, full: impl Fn() -> ApiError) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.next().await {
        let chunk = chunk.map_err(|error| malformed(&error))?;
        if bytes.len() + chunk.len() > limit {
            return Err(full());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn value_of(bytes: Vec<u8>) -> Result<Value, ApiError> {
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(Value::String(text)),
        _ => Err(ApiError::new(Code::MalformedBody, "The form's fields must be texts without the character U+0000")),
    }
}

fn malformed(error: &MultipartError) -> ApiError {
    ApiError::new(Code::MalformedBody, "The form cannot be read").caused_by(anyhow::anyhow!("{error}"))
}
