//! Cutting a text into passages: at paragraphs, else at sentences, else between words.

/// The longest passage, in characters.
pub(crate) const CHARACTERS_MAX: usize = 1_000;

/// A line longer than this, in bytes, is no heading.
const HEADING_BYTES_MAX: usize = 120;

/// The passages of a text in order. A text that fits is one passage; none is blank, and each is a piece of the text
/// without the whitespace around it.
#[must_use]
pub(crate) fn cut(text: &str) -> Vec<&str> {
    let mut passages = Vec::new();
    let mut rest = text.trim();
    while let Some((limit, _)) = rest.char_indices().nth(CHARACTERS_MAX) {
        let at = cut_position(rest, limit);
        passages.push(rest[..at].trim_end());
        rest = rest[at..].trim_start();
    }
    if !rest.is_empty() {
        passages.push(rest);
    }
    passages
}

/// Where to cut a text whose first `limit` bytes may be taken: never 0.
fn cut_position(text: &str, limit: usize) -> usize {
    let window = &text[..limit];
    paragraph_end(text, limit)
        .or_else(|| sentence_end(text, limit))
        .or_else(|| window.rfind('\n').filter(|at| *at > 0))
        .or_else(|| window.rfind(char::is_whitespace).filter(|at| *at > 0))
        .unwrap_or(limit)
}

/// The last end of a paragraph within the limit, headings kept with what they head.
fn paragraph_end(text: &str, limit: usize) -> Option<usize> {
    let mut ends = Vec::new();
    let mut line_start = 0;
    let mut paragraph_start = 0;
    let mut previous_end = None;
    // A paragraph ends before a blank line, which itself may lie just beyond the limit.
    let scope = &text[..text.floor_char_boundary(limit + 64)];
    for line in scope.split_inclusive('\n') {
        let line_end = line_start + line.trim_end().len();
        if line.trim().is_empty() {
            if let Some(end) = previous_end.take() {
                ends.push((paragraph_start, end));
            }
        } else {
            if line_end > limit {
                break;
            }
            if previous_end.is_none() {
                paragraph_start = line_start;
            }
            previous_end = Some(line_end);
        }
        line_start += line.len();
        if line_start > limit && previous_end.is_none() {
            break;
        }
    }
    let kept = ends.iter().rposition(|(start, end)| !is_heading(&text[*start..*end]));
    // Nothing but headings: cutting after the last is better than cutting through a paragraph.
    kept.map(|index| ends[index].1).or_else(|| ends.last().map(|(_, end)| *end))
}

/// A single short line that does not end like a sentence.
fn is_heading(paragraph: &str) -> bool {
    let line = paragraph.trim();
    line.len() <= HEADING_BYTES_MAX
        && !line.contains('\n')
        && !line.ends_with(['.', '!', '?', '…', ';', ',', '。', '！', '？'])
}

/// The last end of a sentence within the limit.
fn sentence_end(text: &str, limit: usize) -> Option<usize> {
    let mut best = None;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if at >= limit {
            break;
        }
        let spaced = matches!(c, '.' | '!' | '?' | '…');
        if !spaced && !matches!(c, '。' | '！' | '？') {
            continue;
        }
        if c == '.' && is_abbreviation(&text[..at]) {
            continue;
        }
        // Closing quotes and brackets belong to the sentence.
        let mut end = at + c.len_utf8();
        while let Some((next_at, next)) = characters.next_if(|(_, next)| is_closing(*next)) {
            end = next_at + next.len_utf8();
        }
        let followed = characters.peek().is_none_or(|(_, next)| next.is_whitespace());
        if end <= limit && (followed || !spaced) {
            best = Some(end);
        }
    }
    best
}

fn is_closing(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '"' | '\'' | ')' | ']' | '»' | '”' | '’' | '」')
}

/// Whether a full stop after this text ends an abbreviation (`Dr`, `e.g`, an initial) rather than a sentence.
fn is_abbreviation(before: &str) -> bool {
    const KNOWN: [&str; 17] = [
        "dr", "mr", "mrs", "ms", "prof", "st", "jr", "sr", "vs", "etc", "cf", "no", "vol", "fig", "ca", "approx", "inc",
    ];
    let word =
        before.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '“')).next().unwrap_or_default();
    let initial = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    let dotted = word.split('.').count() > 1 && word.split('.').all(|part| part.chars().count() == 1);
    initial || dotted || KNOWN.iter().any(|known| word.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::{CHARACTERS_MAX, cut};

    fn sentence(number: usize, length: usize) -> String {
        let mut text = format!("Sentence {number} ");
        text.push_str(&"w".repeat(length - text.len() - 1));
        text.push('.');
        text
    }

    /// No passage is too long or blank, and no word is lost.
    fn checked(text: &str) -> Vec<&str> {
        let passages = cut(text);
        for passage in &passages {
            assert!(passage.chars().count() <= CHARACTERS_MAX && !passage.trim().is_empty());
            assert_eq!(passage.trim(), *passage);
        }
        let solid = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(solid(&passages.concat()), solid(text));
        passages
    }

    #[test]
    fn a_text_that_fits_is_one_passage_exactly() {
        for text in ["Short.", "Two\n\nparagraphs,  kept as they are.", &"x".repeat(1000)] {
            assert_eq!(checked(text), [text]);
        }
    }

    #[test]
    fn blank_texts_have_no_passages() {
        assert!(checked("").is_empty());
        assert!(checked(" \n\n\t ").is_empty());
    }

    #[test]
    fn the_limit_counts_characters_not_bytes() {
        assert_eq!(checked(&"é".repeat(1000)).len(), 1);
        assert_eq!(checked(&"é".repeat(1001)).len(), 2);
    }

    #[test]
    fn long_texts_are_cut_at_paragraphs() {
        let paragraphs: Vec<String> = (0..5).map(|number| sentence(number, 400)).collect();
        let text = paragraphs.join("\n\n");
        let expected: Vec<String> =
            vec![paragraphs[..2].join("\n\n"), paragraphs[2..4].join("\n\n"), paragraphs[4].clone()];
        assert_eq!(checked(&text), expected);
        let windows = text.replace('\n', "\r\n");
        assert_eq!(checked(&windows).len(), 3);
    }

    #[test]
    fn paragraphs_that_fill_a_passage_exactly_are_not_torn() {
        let text = format!("{}\n\n{}", sentence(1, 1000), sentence(2, 1000));
        assert_eq!(checked(&text), [sentence(1, 1000), sentence(2, 1000)]);
    }

    #[test]
    fn a_heading_stays_with_its_paragraph() {
        let text = format!("{}\n\nA heading\n\n{}", sentence(1, 600), sentence(2, 600));
        let passages = checked(&text);
        assert_eq!(passages[0], sentence(1, 600));
        assert!(passages[1].starts_with("A heading\n\nSentence 2"));
    }

    #[test]
    fn long_paragraphs_are_cut_at_sentences() {
        let sentences: Vec<String> = (0..4).map(|number| sentence(number, 450)).collect();
        assert_eq!(checked(&sentences.join(" ")), [sentences[..2].join(" "), sentences[2..].join(" ")]);
        let quoted = format!("{} \"Really?\" {}", sentence(1, 900), sentence(2, 500));
        assert!(checked(&quoted)[0].ends_with("\"Really?\""));
    }

    #[test]
    fn abbreviations_and_numbers_do_not_end_sentences() {
        let text = format!("{} It met Dr. {}", sentence(1, 900), "w".repeat(300));
        assert_eq!(checked(&text)[0], sentence(1, 900));
        let text = format!("{} Pi is 3.{}", sentence(1, 900), "1".repeat(300));
        assert_eq!(checked(&text)[0], sentence(1, 900));
        let text = format!("{} John D. {}", sentence(1, 900), "w".repeat(300));
        assert_eq!(checked(&text)[0], sentence(1, 900));
    }

    #[test]
    fn without_sentences_words_stay_whole() {
        let text = "word ".repeat(500);
        assert!(checked(&text).iter().all(|passage| passage.ends_with("word")));
        let lines = format!("{}\n{}", "line ".repeat(100), "line ".repeat(150));
        assert_eq!(checked(&lines).len(), 2);
        assert_eq!(checked(&lines)[0].len(), 499);
    }

    #[test]
    fn a_word_without_end_is_cut_hard() {
        let text = "日".repeat(2500);
        let lengths: Vec<_> = checked(&text).iter().map(|p| p.chars().count()).collect();
        assert_eq!(lengths, [1000, 1000, 500]);
    }

    #[test]
    fn sentences_without_spaces_are_cut_at_their_mark() {
        let text = format!("{}。{}。", "日".repeat(700), "本".repeat(700));
        assert_eq!(checked(&text)[0].chars().count(), 701);
    }

    #[test]
    fn large_texts_are_cut_quickly() {
        let text = format!("{}\n\n", sentence(1, 300)).repeat(6_000);
        let started = std::time::Instant::now();
        assert_eq!(checked(&text).len(), 2_000);
        assert!(started.elapsed().as_secs() < 10);
    }
}
