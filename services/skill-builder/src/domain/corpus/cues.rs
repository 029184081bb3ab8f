//! Skills announced by a phrase: "expert in …", "known for …", "creator of …".

use super::words::Text;

/// Words that announce a skill, each with the words one of which must follow; none for those that stand alone.
const CUES: &[(&[&str], &[&str])] = &[
    (&["expert", "skilled"], &["in", "at"]),
    (&["proficient"], &["in", "at", "with"]),
    (&["experienced"], &["in", "with"]),
    (&["expertise", "trained", "background"], &["in"]),
    (&["specialise", "specialises", "specialised", "specialize", "specializes", "specialized"], &["in"]),
    (&["known"], &["for"]),
    (&["knowledge", "mastery"], &["of"]),
    (&["pioneer"], &["of", "in"]),
    (&["creator", "inventor", "author", "developer"], &["of"]),
    (&["mastered", "pioneered"], &[]),
];

/// Words at which what a cue announces ends.
const END_WORDS: &[&str] = &[
    "that", "which", "who", "where", "when", "while", "because", "during", "by", "with", "from", "since", "until",
    "for", "as", "but",
];
const CUT_WORDS: &[&str] = &["and", "or"];
/// Articles and possessives, dropped from the front.
const LEADING_WORDS: &[&str] = &["a", "an", "the", "my", "your", "his", "her", "its", "our", "their", "ones", "whose"];

const WORDS_MAX: usize = 6;
const CHARS_MIN: usize = 3;
const CHARS_MAX: usize = 60;
const LETTERS_PERCENT_MIN: usize = 70;

/// A run of words that names a skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) first: usize,
    pub(super) last: usize,
}

/// Everything that cues announce, in the order of the text. Each word is looked at once: what one cue announces ends
/// where the next cue begins, and a piece that is cut short by a cue gives way to what that cue announces.
pub(super) fn find(text: &Text<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut place = 0;
    while place < text.words().len() {
        match cue_length(text, place) {
            Some(length) => place = announced(text, place + length, &mut pieces),
            None => place += 1,
        }
    }
    pieces.retain_mut(|piece| trim(text, piece) && fits(text, *piece));
    pieces
}

/// How many words the cue at this place has.
fn cue_length(text: &Text<'_>, place: usize) -> Option<usize> {
    let word = text.folded(place);
    let (_, followers) = CUES.iter().find(|(words, _)| words.contains(&word))?;
    if followers.is_empty() {
        return Some(1);
    }
    let next = place + 1;
    let follows = next < text.words().len()
        && followers.contains(&text.folded(next))
        && text.gap(next).chars().all(char::is_whitespace);
    follows.then_some(2)
}

/// Collects the pieces from `start` on and returns where to go on reading.
fn announced(text: &Text<'_>, start: usize, pieces: &mut Vec<Piece>) -> usize {
    let mut open: Option<Piece> = None;
    let mut place = start;
    while place < text.words().len() {
        let gap = text.gap(place);
        let word = text.folded(place);
        if gap.contains(is_end) || END_WORDS.contains(&word) {
            break;
        }
        let cut = CUT_WORDS.contains(&word);
        if cut || gap.contains(',') {
            pieces.extend(open.take());
        }
        if cue_length(text, place).is_some() {
            return place;
        }
        if !cut {
            let first = open.map_or(place, |piece| piece.first);
            open = Some(Piece { first, last: place });
        }
        place += 1;
    }
    pieces.extend(open);
    place
}

const fn is_end(c: char) -> bool {
    matches!(c, '.' | ';' | ':' | '(' | ')' | '!' | '?' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Drops what leads the piece; false when nothing is left.
fn trim(text: &Text<'_>, piece: &mut Piece) -> bool {
    while LEADING_WORDS.contains(&text.folded(piece.first)) {
        if piece.first == piece.last {
            return false;
        }
        piece.first += 1;
    }
    true
}

fn fits(text: &Text<'_>, piece: Piece) -> bool {
    // A letter takes at most four bytes; whatever is longer need not be copied to be counted. Runs of space count as
    // one, so they are given some room.
    if text.span_bytes(piece.first, piece.last) > 16 * CHARS_MAX {
        return false;
    }
    let span = text.span(piece.first, piece.last);
    let chars = span.chars().count();
    let letters = span.chars().filter(|c| c.is_alphabetic()).count();
    span.split(' ').count() <= WORDS_MAX
        && (CHARS_MIN..=CHARS_MAX).contains(&chars)
        && letters * 100 >= chars * LETTERS_PERCENT_MIN
}
