//! The text of one page.

use std::{collections::BTreeMap, time::Instant};

use lopdf::{Document, Encoding, Object, ObjectId, content::Content, content::Operation};

use super::{Error, PART_BYTES_MAX, guard};

/// What the table of a font's characters may unpack to, in bytes.
const FONT_BYTES_MAX: usize = 1024 * 1024;

/// Fonts of one page.
const FONTS_MAX: usize = 200;

/// Instructions between two looks at the clock.
const INSTRUCTIONS: usize = 1_024;

/// A gap within a line from which on it is a space, in thousandths of the font's size.
const SPACE: f32 = -180.0;

/// The text of a page; a page that is damaged has none.
pub(super) fn read(document: &Document, page: ObjectId, deadline: Instant) -> Result<String, Error> {
    let Ok(fonts) = document.get_page_fonts(page) else { return Ok(String::new()) };
    let mut encodings = BTreeMap::new();
    for (name, font) in fonts.into_iter().take(FONTS_MAX) {
        if Instant::now() > deadline {
            return Err(Error::TooSlow);
        }
        if let Ok(encoding) = font.get_font_encoding_with_limit(document, FONT_BYTES_MAX) {
            encodings.insert(name, encoding);
        }
    }
    let content = match document.get_page_content_with_limit(page, PART_BYTES_MAX) {
        Ok(content) => content,
        Err(error) => match guard::reason(&error) {
            Error::TooLarge => return Err(Error::TooLarge),
            _ => return Ok(String::new()),
        },
    };
    let mut writer = Writer { encodings, font: None, text: String::new(), height: None };
    for (count, instruction) in Content::decode_iter(&content).enumerate() {
        if count % INSTRUCTIONS == 0 && Instant::now() > deadline {
            return Err(Error::TooSlow);
        }
        // What follows damage cannot be told from noise.
        let Ok(instruction) = instruction else { break };
        writer.instruction(&instruction);
    }
    Ok(writer.text)
}

struct Writer<'a> {
    encodings: BTreeMap<Vec<u8>, Encoding<'a>>,
    font: Option<Vec<u8>>,
    text: String,
    /// Where the current line stands on the page.
    height: Option<f32>,
}

impl Writer<'_> {
    fn instruction(&mut self, instruction: &Operation) {
        let operands = &instruction.operands;
        match instruction.operator.as_str() {
            "Tf" => {
                let name = operands.first().and_then(|name| name.as_name().ok());
                self.font = name.map(<[u8]>::to_vec);
            }
            "Tj" => self.show(operands.first()),
            "TJ" => self.show_spaced(operands.first()),
            "'" => {
                self.line();
                self.show(operands.first());
            }
            "\"" => {
                self.line();
                self.show(operands.get(2));
            }
            "T*" | "ET" => self.line(),
            "Td" | "TD" => {
                let down = operands.get(1).and_then(|offset| offset.as_float().ok());
                if down.is_some_and(|down| down != 0.0) { self.line() } else { self.space() }
            }
            "Tm" => {
                let height = operands.get(5).and_then(|height| height.as_float().ok());
                if height == self.height {
                    self.space();
                } else {
                    self.line();
                }
                self.height = height;
            }
            _ => {}
        }
    }

    fn show(&mut self, operand: Option<&Object>) {
        let Some(Object::String(bytes, _)) = operand else { return };
        let encoding = self.font.as_ref().and_then(|font| self.encodings.get(font));
        let before = self.text.len();
        let written = encoding.map(|encoding| encoding.write_to_string(bytes, &mut self.text));
        if !matches!(written, Some(Ok(()))) {
            // A font that says nothing of its characters mostly has those of Latin-1.
            self.text.truncate(before);
            self.text.extend(bytes.iter().copied().map(char::from).filter(|c| !c.is_control()));
        }
    }

    fn show_spaced(&mut self, operand: Option<&Object>) {
        let Some(Object::Array(parts)) = operand else { return };
        for part in parts {
            match part {
                Object::String(..) => self.show(Some(part)),
                gap if gap.as_float().is_ok_and(|gap| gap < SPACE) => self.space(),
                _ => {}
            }
        }
    }

    fn space(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
            self.text.push(' ');
        }
    }

    fn line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }
}
