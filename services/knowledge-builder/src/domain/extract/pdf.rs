//! PDF as text, page by page.
//!
//! A PDF of a few kilobytes can unpack to gigabytes, and its parts may overlap so that reading it takes time without
//! end. What is loaded is therefore weighed object by object, and reading stops when the weight or the time is too much.

mod guard;
mod page;

use std::time::Instant;

use lopdf::{Document, LoadOptions, Object};

use super::{Error, Extract};

/// What a single compressed part may unpack to, in bytes.
const PART_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Pages beyond this number are not read.
const PAGES_MAX: usize = 5_000;

/// The text of a whole document, in bytes.
const TEXT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Reads a PDF.
///
/// # Errors
/// As they are named; a damaged page is left out as long as another one can be read.
pub(crate) fn read(bytes: &[u8], deadline: Instant) -> Result<Extract, Error> {
    guard::check_source(bytes)?;
    let options = LoadOptions {
        max_decompressed_size: Some(PART_BYTES_MAX),
        filter: Some(guard::weigh),
        ..LoadOptions::default()
    };
    let document = guard::guarded(deadline, || Document::load_mem_with_options(bytes, options))?;
    if document.is_encrypted() || document.was_encrypted() || document.trailer.has(b"Encrypt") {
        return Err(Error::Encrypted);
    }
    let mut text = String::new();
    for page in document.page_iter().take(PAGES_MAX) {
        if Instant::now() > deadline {
            return Err(Error::TooSlow);
        }
        let read = page::read(&document, page, deadline)?;
        let read = read.trim();
        if !read.is_empty() {
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str(read);
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::TooLarge);
        }
    }
    Ok(Extract { title: title(&document), text })
}

/// The title that the document gives itself.
fn title(document: &Document) -> Option<String> {
    let (_, info) = document.dereference(document.trailer.get(b"Info").ok()?).ok()?;
    let (_, title) = document.dereference(info.as_dict().ok()?.get(b"Title").ok()?).ok()?;
    match title {
        Object::String(..) => lopdf::decode_text_string(title).ok(),
        _ => None,
    }
}
