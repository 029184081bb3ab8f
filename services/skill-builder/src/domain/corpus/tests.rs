use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Finding, Findings, LabelIndex, LabelKind, NAMED_MAX, read};

/// An index of concepts, each with its labels, the preferred one first.
fn index(concepts: &[(&str, &[&str])]) -> LabelIndex {
    let mut index = LabelIndex::default();
    for (uri, labels) in concepts {
        let uri: Arc<str> = (*uri).into();
        for (n, label) in labels.iter().enumerate() {
            let kind = if n == 0 { LabelKind::Preferred } else { LabelKind::Alternative };
            index.add(&uri, labels[0], label, kind);
        }
    }
    index
}

fn names(found: &[Finding]) -> Vec<&str> {
    found.iter().map(|one| one.name.as_str()).collect()
}

/// What a text names when the taxonomy is empty.
fn cued(text: &str) -> Vec<String> {
    let found = read(text, &LabelIndex::default()).named;
    found.into_iter().map(|one| one.name).collect()
}

fn mentioned(text: &str, index: &LabelIndex) -> Vec<(String, u32)> {
    let found = read(text, index).named;
    found.into_iter().filter(|one| one.uri.is_some()).map(|one| (one.name, one.count)).collect()
}

fn phrases(text: &str) -> Vec<(String, u32)> {
    let found = read(text, &LabelIndex::default()).phrases;
    found.into_iter().map(|one| (one.name, one.count)).collect()
}

fn pair(name: &str, count: u32) -> (String, u32) {
    (name.to_owned(), count)
}

mod mentions {
    use super::{index, mentioned, pair, read};

    #[test]
    fn labels_stand_as_whole_words_whatever_their_case() {
        let index = index(&[("u:1", &["project management"]), ("u:2", &["statistics"])]);
        let found = mentioned("PROJECT Management and Statistics; biostatistics, statistical", &index);
        assert_eq!(found, [pair("project management", 1), pair("statistics", 1)]);
    }

    #[test]
    fn an_alternative_label_counts_for_its_concept() {
        let index = index(&[("u:1", &["algebra", "algebraic methods", "method of algebra"])]);
        let found = mentioned("Algebraic methods. The method of algebra.", &index);
        assert_eq!(found, [pair("algebra", 2)]);
    }

    #[test]
    fn single_words_need_eight_letters() {
        let index = index(&[("u:1", &["algebra"]), ("u:2", &["geometry"]), ("u:3", &["C++11, Rust"])]);
        assert_eq!(mentioned("algebra geometry", &index), [pair("geometry", 1)]);
    }

    #[test]
    fn two_short_words_are_enough() {
        assert_eq!(mentioned("She can do it.", &index(&[("u:1", &["do it"])])), [pair("do it", 1)]);
    }

    #[test]
    fn a_label_does_not_reach_across_punctuation() {
        let index = index(&[("u:1", &["team leading"]), ("u:2", &["law, ethics"])]);
        assert_eq!(mentioned("the team. Leading others; law ethics", &index), []);
        assert_eq!(mentioned("team\nleading, and law, ethics", &index).len(), 2);
        assert_eq!(mentioned("team\n\nleading", &index), [], "an empty line parts");
    }

    #[test]
    fn hyphens_apostrophes_and_accents_are_read_alike() {
        let index = index(&[("u:1", &["children\u{2019}s e-learning"]), ("u:2", &["café culture"])]);
        let found = mentioned("Children's e learning in cafe\u{301} culture", &index);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn longer_and_shorter_labels_both_stand_there() {
        let index = index(&[("u:1", &["statistics"]), ("u:2", &["applied statistics"])]);
        assert_eq!(mentioned("applied statistics", &index).len(), 2);
    }

    #[test]
    fn a_shared_label_is_that_of_the_preferred_then_shortest_then_lowest() {
        let one = index(&[("u:1", &["short", "shared label"]), ("u:2", &["shared label"])]);
        assert_eq!(mentioned("shared label", &one), [pair("shared label", 1)]);
        let two = index(&[("u:1", &["long preferred", "shared label"]), ("u:2", &["shorter", "shared label"])]);
        assert_eq!(mentioned("shared label", &two), [pair("shorter", 1)]);
        let three = index(&[("u:2", &["same size", "shared label"]), ("u:1", &["size same", "shared label"])]);
        assert_eq!(mentioned("shared label", &three), [pair("size same", 1)]);
    }

    #[test]
    fn mentions_carry_the_concept_and_their_lines() {
        let index = index(&[("u:1", &["statistics"])]);
        let found = read("First.\nStatistics here, statistics there.\r\n\nAnd statistics.", &index).named;
        assert_eq!(found[0].uri.as_deref(), Some("u:1"));
        assert_eq!((found[0].count, found[0].lines.as_slice()), (3, &[2, 4][..]));
        assert_eq!(found[0].context, "Statistics here, statistics there.");
    }
}

mod cues {
    use super::{LabelIndex, cued, index, read};

    #[test]
    fn every_cue_announces_a_skill() {
        for cue in [
            "expert in",
            "expert at",
            "expertise in",
            "skilled in",
            "skilled at",
            "proficient in",
            "proficient at",
            "proficient with",
            "experienced in",
            "experienced with",
            "trained in",
            "background in",
            "specialise in",
            "specialises in",
            "specialised in",
            "specialize in",
            "specializes in",
            "specialized in",
            "known for",
            "knowledge of",
            "mastery of",
            "mastered",
            "pioneer of",
            "pioneer in",
            "pioneered",
            "creator of",
            "inventor of",
            "author of",
            "developer of",
            "EXPERT IN",
            "Known\nfor",
        ] {
            assert_eq!(cued(&format!("She was {cue} kite design.")), ["kite design"], "{cue}");
        }
    }

    #[test]
    fn other_words_announce_nothing() {
        for text in ["experts in kites", "untrained in kites", "expert, in kites", "known to kites", "knowledge kites"]
        {
            assert!(cued(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_skill_ends_at_stops_brackets_and_line_ends() {
        for end in [".", ";", ":", "(", ")", "!", "?", "\n", "\r\n"] {
            assert_eq!(cued(&format!("skilled in kite design{end} wild geese")), ["kite design"], "{end:?}");
        }
    }

    #[test]
    fn a_skill_ends_at_words_that_go_on_about_it() {
        for end in [
            "that", "which", "who", "where", "when", "while", "because", "during", "by", "with", "from", "since",
            "until", "for", "as", "but", "But",
        ] {
            assert_eq!(cued(&format!("skilled in kite design {end} wild geese")), ["kite design"], "{end}");
        }
    }

    #[test]
    fn lists_are_cut_at_commas_and_conjunctions() {
        let found = cued("expert in kites, wild geese and sailing or the rigging, and knots.");
        assert_eq!(found, ["kites", "wild geese", "sailing", "rigging", "knots"]);
    }

    #[test]
    fn leading_articles_and_possessives_are_dropped() {
        assert_eq!(cued("known for her the kites, an opera, their songs"), ["kites", "opera", "songs"]);
        assert!(cued("known for the").is_empty());
    }

    #[test]
    fn six_words_sixty_characters_and_mostly_letters_are_kept() {
        assert_eq!(cued("known for one two three four five six"), ["one two three four five six"]);
        assert!(cued("known for one two three four five six seven").is_empty());
        assert!(cued("known for ab").is_empty());
        assert_eq!(cued("known for abc"), ["abc"]);
        assert_eq!(cued(&format!("known for {}", "x".repeat(60))).len(), 1);
        assert!(cued(&format!("known for {}", "x".repeat(61))).is_empty());
        assert_eq!(cued("known for abcdefg 12"), ["abcdefg 12"], "7 of 10");
        assert!(cued("known for abcdef 123").is_empty(), "6 of 10");
    }

    #[test]
    fn what_holds_a_cue_gives_way_to_what_that_cue_announces() {
        assert_eq!(cued("expert in painting and skilled in drawing"), ["painting", "drawing"]);
        assert_eq!(cued("known for having mastered chess"), ["chess"]);
    }

    #[test]
    fn the_same_skill_is_one_and_counted() {
        let text = "Expert in kite design.\nKnown for Kite-Design and sailing.";
        let found = read(text, &LabelIndex::default()).named;
        assert_eq!((found[0].name.as_str(), found[0].count), ("kite design", 2));
        assert_eq!(found[0].lines, [1, 2]);
        assert_eq!((found[1].name.as_str(), found[1].count), ("sailing", 1));
        assert_eq!(found[0].context, "Expert in kite design.");
    }

    #[test]
    fn a_cued_label_stands_there_once_and_is_the_concept() {
        let index = index(&[("u:1", &["statistics"])]);
        let found = read("She is an expert in Statistics.", &index).named;
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].count), ("statistics", 1));
        assert_eq!(found[0].uri.as_deref(), Some("u:1"));
    }
}

mod repeated {
    use super::{LabelIndex, pair, phrases, read};

    #[test]
    fn pairs_and_triples_that_recur_are_found_most_frequent_first() {
        let text = "Wild geese fly. Paper kite design, wild geese. Paper kite design! Wild Geese?";
        let expected =
            [pair("Wild geese", 3), pair("Paper kite", 2), pair("Paper kite design", 2), pair("kite design", 2)];
        assert_eq!(phrases(text), expected);
    }

    #[test]
    fn once_is_not_enough() {
        assert_eq!(phrases("paper kite design"), []);
    }

    #[test]
    fn stop_words_belong_to_no_phrase() {
        assert_eq!(phrases("the kite of paper. the kite of paper. don't fly don't fly"), []);
    }

    #[test]
    fn phrases_do_not_reach_across_punctuation() {
        assert_eq!(phrases("paper, kite. paper, kite. paper (kite) paper (kite)"), []);
        assert_eq!(phrases("paper-kite paper/kite"), [pair("paper-kite", 2)]);
    }

    #[test]
    fn numbers_alone_are_no_words() {
        assert_eq!(phrases("1984 1985, 1984 1985"), []);
    }

    #[test]
    fn lines_are_kept_as_evidence() {
        let found = read("paper kite\nx\npaper kite, paper kite", &LabelIndex::default()).phrases;
        assert_eq!((found[0].count, found[0].lines.as_slice()), (3, &[1, 3][..]));
    }
}

#[test]
fn at_most_fifty_are_named_the_most_frequent_first() {
    let mut text = String::new();
    for n in 0..80 {
        let letter = |n: usize| char::from(b'a' + u8::try_from(n).unwrap());
        text.push_str(&format!("known for kite x{}{}.\n", letter(n / 26), letter(n % 26)));
    }
    text.push_str("known for kite xca.");
    let found = read(&text, &LabelIndex::default()).named;
    assert_eq!(found.len(), NAMED_MAX);
    assert_eq!((found[0].name.as_str(), found[0].count), ("kite xca", 2));
    assert_eq!(names(&found[1..3]), ["kite xaa", "kite xab"]);
}

#[test]
fn an_empty_text_names_nothing() {
    for text in ["", " \n\t", "...!?", "expert in", "known for ."] {
        assert_eq!(read(text, &LabelIndex::default()), Findings::default(), "{text:?}");
    }
}

#[test]
fn hostile_texts_take_no_longer_than_others() {
    let labels = ["a a a a a a a a a a", "skilled in painting", "a a b"];
    let index = index(&[("u:1", &labels), ("u:2", &["in skilled"])]);
    for unit in [
        "a ",
        "skilled in ",
        "known for a, ",
        "mastered ",
        "expert in a and ",
        "x",
        "''",
        "\n",
        "é\u{301}",
        "the the ",
        "( ",
        "-",
        "a\u{301}\u{301}\u{301} ",
        "expert ",
        "and ,",
    ] {
        let text = unit.repeat(100_000 / unit.chars().count());
        let started = Instant::now();
        let found = read(&text, &index);
        assert!(found.named.len() <= NAMED_MAX && found.phrases.len() <= 110);
        // It takes a tenth of a second unoptimised; quadratic work would take far longer than any machine is slow.
        assert!(started.elapsed() < Duration::from_secs(8), "{unit:?}: {:?}", started.elapsed());
    }
}
