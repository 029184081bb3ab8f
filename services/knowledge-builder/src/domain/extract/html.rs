//! HTML as text: without scripts, styles and tags, paragraphs kept apart.
//!
//! Only the tokenizer of the HTML standard is used and no tree is built: what a tree of hostile HTML costs grows with
//! the square of its size and worse, and text needs none.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use encoding_rs::Encoding;
use html5ever::{
    LocalName,
    tendril::StrTendril,
    tokenizer::{
        BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts, states::RawKind,
    },
};

use super::{Error, Extract};

/// Bytes between two looks at the clock. A tag's attributes are compared with each other, so the time that a piece
/// takes is not proportional to it.
const PIECE_BYTES: usize = 16 * 1024;

/// Bytes at the start of a page where its encoding may be declared.
const DECLARATION_BYTES: usize = 1024;

/// Reads a page.
///
/// # Errors
/// [`Error::TooSlow`] when the deadline passes.
pub(crate) fn read(page: &str, deadline: Instant) -> Result<Extract, Error> {
    read_into(Writer::default(), page, deadline)
}

fn read_into(writer: Writer, page: &str, deadline: Instant) -> Result<Extract, Error> {
    let tokenizer = Tokenizer::new(Sink(RefCell::new(writer)), TokenizerOpts::default());
    let input = BufferQueue::default();
    let mut rest = page;
    while !rest.is_empty() {
        if Instant::now() > deadline {
            return Err(Error::TooSlow);
        }
        let (piece, further) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
        rest = further;
        input.push_back(StrTendril::from_slice(piece));
        // It would pause only if the sink asked for it.
        drop(tokenizer.feed(&input));
    }
    tokenizer.end();
    Ok(tokenizer.sink.0.into_inner().finish())
}

/// The text of a piece of HTML from a source, its line ends kept, or nothing when it takes too long to read.
#[must_use]
pub(crate) fn fragment(piece: &str) -> String {
    let writer = Writer { preformatted: 1, ..Writer::default() };
    let extract = read_into(writer, piece, Instant::now() + Duration::from_secs(2));
    extract.map(|extract| extract.text).unwrap_or_default()
}

/// The encoding that a page declares in its first bytes.
#[must_use]
pub(crate) fn declared_encoding(page: &[u8]) -> Option<&'static Encoding> {
    let start = page.get(..DECLARATION_BYTES).unwrap_or(page).to_ascii_lowercase();
    let start = String::from_utf8_lossy(&start);
    let (_, after) = start.split_once("charset=")?;
    let label = after.trim_start_matches(['"', '\'', ' ']);
    let end = label.find(|c: char| matches!(c, '"' | '\'' | '>' | ';' | '/') || c.is_whitespace());
    Encoding::for_label(&label.as_bytes()[..end.unwrap_or(label.len())])
}

/// The tokenizer hands out shared references, hence the cell.
struct Sink(RefCell<Writer>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut writer = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) => writer.tag(&tag),
            Token::CharacterTokens(text) => {
                writer.text(&text);
                TokenSinkResult::Continue
            }
            Token::DoctypeToken(_)
            | Token::CommentToken(_)
            | Token::NullCharacterToken
            | Token::EOFToken
            | Token::ParseError(_) => TokenSinkResult::Continue,
        }
    }
}

/// What separates the next word from the text so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Space,
    Line,
    Paragraph,
}

#[derive(Default)]
struct Writer {
    text: String,
    title: Option<String>,
    gap: Gap,
    /// The element whose text is not shown, until it ends.
    hidden: Option<LocalName>,
    in_title: bool,
    /// Depth of elements whose line ends count.
    preformatted: u32,
}

impl Writer {
    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        if let Some(hidden) = &self.hidden {
            if tag.kind == TagKind::EndTag && *hidden == tag.name {
                self.hidden = None;
            }
            return TokenSinkResult::Continue;
        }
        if name == "title" {
            self.in_title = tag.kind == TagKind::StartTag && self.title.is_none();
            // Only the first is the page's; drawings have titles, too.
            if tag.kind == TagKind::StartTag && !self.in_title {
                self.hidden = Some(tag.name.clone());
            }
        }
        self.gap = self.gap.max(gap_of(name));
        if name == "pre" {
            self.preformatted = match tag.kind {
                TagKind::StartTag => self.preformatted.saturating_add(1),
                TagKind::EndTag => self.preformatted.saturating_sub(1),
            };
        }
        if tag.kind == TagKind::EndTag {
            return TokenSinkResult::Continue;
        }
        match name {
            "script" => {
                self.hidden = Some(tag.name.clone());
                TokenSinkResult::RawData(RawKind::ScriptData)
            }
            "style" | "iframe" | "noembed" | "noframes" => {
                self.hidden = Some(tag.name.clone());
                TokenSinkResult::RawData(RawKind::Rawtext)
            }
            "xmp" => TokenSinkResult::RawData(RawKind::Rawtext),
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            "plaintext" => TokenSinkResult::Plaintext,
            _ => TokenSinkResult::Continue,
        }
    }

    fn text(&mut self, text: &str) {
        if self.hidden.is_some() {
            return;
        }
        if self.in_title {
            self.title.get_or_insert_default().push_str(text);
            return;
        }
        for c in text.chars() {
            self.character(c);
        }
    }

    fn character(&mut self, c: char) {
        if c == '\n' && self.preformatted > 0 {
            self.gap = if self.gap < Gap::Line { Gap::Line } else { Gap::Paragraph };
        } else if c.is_whitespace() {
            self.gap = self.gap.max(Gap::Space);
        } else {
            let gap = std::mem::take(&mut self.gap);
            if !self.text.is_empty() {
                self.text.push_str(match gap {
                    Gap::None => "",
                    Gap::Space => " ",
                    Gap::Line => "\n",
                    Gap::Paragraph => "\n\n",
                });
            }
            self.text.push(c);
        }
    }

    fn finish(self) -> Extract {
        Extract { title: self.title, text: self.text }
    }
}

/// What an element puts between the texts before and after its tag.
fn gap_of(element: &str) -> Gap {
    match element {
        "address" | "article" | "aside" | "blockquote" | "body" | "details" | "dialog" | "div" | "dl" | "fieldset"
        | "figcaption" | "figure" | "footer" | "form" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "header" | "hr"
        | "main" | "nav" | "ol" | "p" | "pre" | "section" | "summary" | "table" | "ul" => Gap::Paragraph,
        "br" | "caption" | "dd" | "dt" | "legend" | "li" | "option" | "tr" => Gap::Line,
        "td" | "th" | "button" | "img" | "input" | "label" | "select" | "textarea" => Gap::Space,
        _ => Gap::None,
    }
}
