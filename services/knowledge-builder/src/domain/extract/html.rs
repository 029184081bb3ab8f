//! HTML as text: without scripts, styles and tags, paragraphs kept apart.
//!
//! Only the tokenizer of the HTML standard is used and no tree is built: what a tree of hostile HTML costs grows with
//! the square of its size and worse, and text needs none.

mod attributes;

use std::{
    cell::{Cell, RefCell},
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

use self::attributes::Attributes;
use super::{Error, Extract};

/// The most bytes between two looks at the clock.
const PIECE_BYTES: usize = 16 * 1024;

/// A character that means nothing in HTML. Put before a `<`, it comes out as text unless it stands within a tag or a
/// comment, and is itself never what ends one or changes how the `<` is read.
const PROBE: char = '\u{fdd0}';

/// Bytes at the start of a page where its encoding may be declared.
const DECLARATION_BYTES: usize = 1024;

/// Reads a page.
///
/// # Errors
/// [`Error::TooSlow`] when the deadline passes, [`Error::Unreadable`] when a tag has more attributes than can be read.
pub(crate) fn read(page: &str, deadline: Instant) -> Result<Extract, Error> {
    read_into(Writer::default(), page, deadline)
}

fn read_into(writer: Writer, page: &str, deadline: Instant) -> Result<Extract, Error> {
    let tokenizer = Tokenizer::new(Sink::new(writer), TokenizerOpts::default());
    let input = BufferQueue::default();
    let feed = |piece: &str| {
        input.push_back(StrTendril::from_slice(piece));
        // It would pause only if the sink asked for it.
        drop(tokenizer.feed(&input));
    };
    let mut attributes = Attributes::default();
    let mut rest = page;
    while !rest.is_empty() {
        if Instant::now() > deadline {
            return Err(Error::TooSlow);
        }
        let (piece, further) = rest.split_at(piece_end(rest));
        rest = further;
        if piece.starts_with('<') {
            tokenizer.sink.probe.set(Probe::Sent);
            feed(PROBE.encode_utf8(&mut [0; 4]));
            if tokenizer.sink.probe.replace(Probe::None) == Probe::Seen {
                attributes.start(piece, tokenizer.sink.is_raw.get());
            }
        }
        if !attributes.read(piece) {
            return Err(Error::Unreadable);
        }
        feed(piece);
    }
    tokenizer.end();
    Ok(tokenizer.sink.writer.into_inner().finish())
}

/// Where a piece ends: before the next `<`.
fn piece_end(rest: &str) -> usize {
    let next = match rest.strip_prefix('<') {
        Some(after) => after.find('<').map(|at| at + 1),
        None => rest.find('<'),
    };
    next.unwrap_or(rest.len()).min(rest.floor_char_boundary(PIECE_BYTES))
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

/// The tokenizer hands out shared references, hence the cells.
struct Sink {
    writer: RefCell<Writer>,
    probe: Cell<Probe>,
    /// Whether all is text until an end tag, as in scripts.
    is_raw: Cell<bool>,
}

/// What became of a [`PROBE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    None,
    Sent,
    Seen,
}

impl Sink {
    fn new(writer: Writer) -> Self {
        Self { writer: RefCell::new(writer), probe: Cell::new(Probe::None), is_raw: Cell::new(false) }
    }
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut writer = self.writer.borrow_mut();
        match token {
            Token::TagToken(tag) => {
                let result = writer.tag(&tag);
                self.is_raw.set(!matches!(result, TokenSinkResult::Continue));
                result
            }
            Token::CharacterTokens(text) if self.probe.get() != Probe::None && text.contains(PROBE) => {
                self.probe.set(Probe::Seen);
                let text = text.replace(PROBE, "");
                // An empty title would be one, too.
                if !text.is_empty() {
                    writer.text(&text);
                }
                TokenSinkResult::Continue
            }
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
