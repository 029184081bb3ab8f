//! Counting the attributes of a tag before the tokenizer reads it: it compares each with all others of its tag, so
//! what a tag costs grows with the square of their number.

/// More attributes than any tag has that somebody wrote in earnest.
const ATTRIBUTES_MAX: u32 = 256;

/// Reads a tag as the tokenizer will, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    place: Place,
    count: u32,
}

/// Where in a tag the next byte stands.
#[derive(Debug, Default, Clone, Copy)]
enum Place {
    #[default]
    Outside,
    Opening,
    TagName,
    Between,
    Name,
    AfterName,
    BeforeValue,
    Bare,
    Quoted(u8),
}

impl Attributes {
    /// Starts anew with a piece that begins where text may end; `is_raw` when only an end tag could end it.
    pub(super) fn start(&mut self, piece: &str, is_raw: bool) {
        let after = piece.strip_prefix('<').unwrap_or_default();
        let name = after.strip_prefix('/').or((!is_raw).then_some(after)).unwrap_or_default();
        let is_tag = name.starts_with(|c: char| c.is_ascii_alphabetic());
        *self = Self { place: if is_tag { Place::Opening } else { Place::Outside }, count: 0 };
    }

    /// Reads a piece; false when its tag has too many attributes.
    pub(super) fn read(&mut self, piece: &str) -> bool {
        if matches!(self.place, Place::Outside) {
            return true;
        }
        for byte in piece.bytes() {
            self.byte(byte);
            if self.count > ATTRIBUTES_MAX {
                return false;
            }
        }
        true
    }

    fn byte(&mut self, byte: u8) {
        let is_space = matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ');
        self.place = match (self.place, byte) {
            (Place::Outside, _) => Place::Outside,
            (Place::Opening, b'<' | b'/') => Place::Opening,
            (Place::Opening, _) => Place::TagName,
            (Place::Quoted(quote), _) if byte == quote => Place::Between,
            (Place::Quoted(quote), _) => Place::Quoted(quote),
            (_, b'>') => Place::Outside,
            (Place::BeforeValue, b'"' | b'\'') => Place::Quoted(byte),
            (Place::BeforeValue, _) if is_space => Place::BeforeValue,
            (Place::Bare, _) if is_space => Place::Between,
            (Place::BeforeValue | Place::Bare, _) => Place::Bare,
            (Place::Name | Place::AfterName, b'=') => Place::BeforeValue,
            (Place::Name | Place::AfterName, _) if is_space => Place::AfterName,
            (_, b'/') => Place::Between,
            (Place::TagName | Place::Between, _) if is_space => Place::Between,
            (Place::TagName, _) => Place::TagName,
            (Place::Name, _) => Place::Name,
            (Place::Between | Place::AfterName, _) => {
                self.count += 1;
                Place::Name
            }
        };
    }
}
