//! Phrases that recur: two or three words, none of them a stop word, that stand together at least twice.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::words::Text;
use super::{Finding, add_line};
use api_types::skills::NAME_CHARS_MAX;

const COUNT_MIN: u32 = 2;

/// Words that carry no meaning of their own, in the form in which words are compared.
static STOP_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "a about above across after again against all almost alone along already also although always am among an and \
     another any anybody anyone anything are arent around as at away back be became because become becomes been \
     before behind being below beside besides between beyond both but by came can cannot cant come comes could \
     couldnt did didnt do does doesnt doing done dont down during each either else enough etc even ever every \
     everybody everyone everything except few first for from further gave get gets getting give given gives go goes \
     going gone got had hadnt has hasnt have havent having he her here hers herself hes him himself his how however \
     i if im in indeed into is isnt it its itself ive just keep kept last later least less let like made make makes \
     making many may maybe me meanwhile might mine more moreover most mostly much must my myself near neither never \
     nevertheless next no nobody none nor not nothing now of off often on once one only onto or other others \
     otherwise our ours ourselves out over own per perhaps put quite rather really said same saw say says see seem \
     seemed seems seen several shall she shes should shouldnt since so some somebody someone something sometimes \
     soon still such take taken takes than that thats the their theirs them themselves then there therefore theres \
     these they theyll theyre theyve thing things this those though through throughout thus to together too took \
     toward towards two under until up upon us use used uses using usually very via was wasnt way we well went were \
     werent weve what whatever when where whereas whether which while who whoever whole whom whose why will with \
     within without wont would wouldnt yes yet you youll your youre yours yourself yourselves youve"
        .split_whitespace()
        .collect()
});

/// Two or three words by their numbers; the third is `None` for a pair.
type Key = (u32, u32, Option<u32>);

struct Repeated {
    count: u32,
    first: usize,
}

/// The phrases that occur at least twice: most frequent first, then in the order of the text.
pub(super) fn find(text: &Text<'_>, count_max: usize) -> Vec<Finding> {
    let meaningful: Vec<bool> = (0..text.words().len()).map(|place| is_meaningful(text.folded(place))).collect();
    let mut seen: HashMap<Key, Repeated> = HashMap::new();
    for first in 0..meaningful.len() {
        for key in phrases_at(text, &meaningful, first) {
            seen.entry(key).or_insert(Repeated { count: 0, first }).count += 1;
        }
    }
    let mut best: Vec<(Key, Repeated)> = seen.into_iter().filter(|(_, found)| found.count >= COUNT_MIN).collect();
    best.sort_unstable_by_key(|(key, found)| (std::cmp::Reverse(found.count), found.first, key.2));
    best.truncate(count_max);
    let mut lines = lines(text, &meaningful, &best);
    let findings = best.into_iter().map(|(key, found)| {
        let last = found.first + 1 + usize::from(key.2.is_some());
        Finding {
            name: text.span(found.first, last),
            uri: None,
            count: found.count,
            lines: lines.remove(&key).unwrap_or_default(),
            context: text.sentence(found.first),
        }
    });
    findings.collect()
}

/// The pair and the triple of words that start at a place.
fn phrases_at<'a>(text: &'a Text<'_>, meaningful: &'a [bool], first: usize) -> impl Iterator<Item = Key> {
    let words = text.words();
    let joined = |place: usize| words.get(place).is_some_and(|word| word.joined && meaningful[place]);
    let pair = meaningful[first] && joined(first + 1);
    let triple = pair && joined(first + 2);
    let lengths = [pair.then_some(1), triple.then_some(2)].into_iter().flatten();
    // A name has its limit, and a word may be of any length.
    let lengths = lengths.filter(move |more| text.span_bytes(first, first + *more) <= NAME_CHARS_MAX);
    lengths.map(move |more| {
        let third = (more == 2).then(|| words[first + 2].id);
        (words[first].id, words[first + 1].id, third)
    })
}

/// On which lines the chosen phrases stand.
fn lines(text: &Text<'_>, meaningful: &[bool], chosen: &[(Key, Repeated)]) -> HashMap<Key, Vec<u32>> {
    let mut lines: HashMap<Key, Vec<u32>> = chosen.iter().map(|(key, _)| (*key, Vec::new())).collect();
    if lines.is_empty() {
        return lines;
    }
    for first in 0..meaningful.len() {
        for key in phrases_at(text, meaningful, first) {
            if let Some(lines) = lines.get_mut(&key) {
                add_line(lines, text.words()[first].line);
            }
        }
    }
    lines
}

fn is_meaningful(word: &str) -> bool {
    word.contains(char::is_alphabetic) && !STOP_WORDS.contains(word)
}
