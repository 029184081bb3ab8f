use super::{Deepening, Outcome, names};

fn names_of(text: &str) -> Vec<String> {
    names(&[text])
}

#[test]
fn names_are_runs_of_two_to_five_capitalised_words() {
    let table: [(&str, &[&str]); 17] = [
        ("In spring Ada Lovelace taught Charles Babbage to sail.", &["Ada Lovelace", "Charles Babbage"]),
        ("nobody here, Ada alone", &[]),
        ("Red Green Blue White Black ran.", &["Red Green Blue White Black"]),
        ("Red Green Blue White Black Grey ran.", &[]),
        ("The Royal Society met.", &["Royal Society"]),
        ("When Ada Lovelace wrote", &["Ada Lovelace"]),
        ("But When Ada Lovelace wrote", &["Ada Lovelace"]),
        ("University of the Arts in town", &["University of the Arts"]),
        ("Ludwig van Beethoven and Wernher von Braun", &["Ludwig van Beethoven", "Wernher von Braun"]),
        ("the Bank of england and Bank of", &[]),
        ("Paris, London. Rome; Turin", &[]),
        ("Ada Lovelace, Charles Babbage", &["Ada Lovelace", "Charles Babbage"]),
        ("(Ada Lovelace) \"Charles Babbage\"", &["Ada Lovelace", "Charles Babbage"]),
        ("Ada Lovelace's Analytical Engine", &["Ada Lovelace", "Analytical Engine"]),
        ("Jean-Luc Picard met Conan O'Brien", &["Jean-Luc Picard", "Conan O'Brien"]),
        ("Early Life\n\nAda Lovelace was\nborn in Marylebone", &["Early Life", "Ada Lovelace"]),
        ("Ada\nLovelace and Émile Zola – Marie Curie", &["Ada Lovelace", "Émile Zola", "Marie Curie"]),
    ];
    for (text, expected) in table {
        assert_eq!(names_of(text), expected, "{text}");
    }
}

#[test]
fn frequent_names_come_first_then_the_order_of_appearance() {
    let names = names(&["Ada Lovelace met Mary Somerville.", "Mary Somerville met Luigi Menabrea."]);
    assert_eq!(names, ["Mary Somerville", "Ada Lovelace", "Luigi Menabrea"]);
}

#[test]
fn each_round_follows_what_the_round_before_found() {
    let mut run = Deepening::new("Ada Lovelace", 2);
    assert_eq!((run.round(), run.identifiers()), (0, ["Ada Lovelace".to_owned()].as_slice()));
    run.found(&["Ada Lovelace taught Charles Babbage."], &[]);
    assert_eq!((run.round(), run.identifiers()), (1, ["Charles Babbage".to_owned()].as_slice()));
    run.found(&["Charles Babbage lent it to Mary Somerville."], &[]);
    assert_eq!((run.round(), run.identifiers()), (2, ["Mary Somerville".to_owned()].as_slice()));
    run.found(&["Mary Somerville mapped it for Luigi Menabrea."], &[]);
    assert!(run.identifiers().is_empty());
    let outcome = run.outcome();
    let rounds: Vec<_> = outcome.rounds.iter().map(|r| (r.round, r.identifiers.len(), r.items)).collect();
    assert_eq!(rounds, [(0, 1, 1), (1, 1, 1), (2, 1, 1)]);
    assert_eq!((outcome.cycles_run, outcome.stopped_early), (2, false));
}

#[test]
fn linked_entities_come_before_names_and_three_are_followed() {
    let mut run = Deepening::new("Ada Lovelace", 1);
    let linked = ["Lord Byron".to_owned(), "mathematics".to_owned(), "Lord  Byron".to_owned()];
    run.found(&["Charles Babbage met Charles Babbage and Mary Somerville."], &linked);
    assert_eq!(run.identifiers(), ["Lord Byron", "mathematics", "Charles Babbage"]);
}

#[test]
fn the_entity_and_names_within_followed_ones_are_left_out() {
    let mut run = Deepening::new("Ada Byron King Lovelace", 3);
    let text = "Ada Byron met ada byron king LOVELACE, Byron King and William King Noel. William King rode.";
    run.found(&[text], &["ADA BYRON KING LOVELACE".to_owned()]);
    assert_eq!(run.identifiers(), ["William King Noel"]);
    run.found(&["William King and Ada Byron met Peter King."], &[]);
    assert_eq!(run.identifiers(), ["Peter King"]);
    run.found(&["Peter King met William King Noel."], &[]);
    assert!(run.identifiers().is_empty());
}

#[test]
fn a_run_without_cycles_is_not_stopped_early() {
    let mut run = Deepening::new("Ada Lovelace", 0);
    run.found(&["Ada Lovelace met Charles Babbage."], &[]);
    assert!(run.identifiers().is_empty());
    let outcome = run.outcome();
    assert_eq!((outcome.rounds.len(), outcome.cycles_run, outcome.stopped_early), (1, 0, false));
}

#[test]
fn a_round_without_new_entities_ends_the_run() {
    let mut run = Deepening::new("Ada Lovelace", 5);
    run.found(&["Nobody knows much about Ada Lovelace today."], &[]);
    assert!(run.identifiers().is_empty());
    let outcome = run.outcome();
    assert_eq!((outcome.rounds.len(), outcome.cycles_run, outcome.stopped_early), (1, 0, true));
}

#[test]
fn a_round_without_new_items_ends_the_run_and_is_not_listed() {
    let mut run = Deepening::new("Ada Lovelace", 5);
    run.found(&["Ada Lovelace met Charles Babbage."], &[]);
    run.found(&[], &["Mary Somerville".to_owned()]);
    assert!(run.identifiers().is_empty());
    let outcome = run.outcome();
    assert_eq!((outcome.rounds.len(), outcome.cycles_run, outcome.stopped_early), (1, 0, true));
}

#[test]
fn round_zero_is_listed_even_when_it_finds_nothing() {
    let mut run = Deepening::new("Nobody", 3);
    run.found(&[], &["Somebody Else".to_owned()]);
    let Outcome { rounds, cycles_run, stopped_early } = run.outcome();
    assert_eq!((rounds[0].round, rounds[0].items), (0, 0));
    assert_eq!((rounds.len(), cycles_run, stopped_early), (1, 0, true));
}

#[test]
fn a_longer_run_begins_like_a_shorter_one() {
    // A chain of entities in which each names the next two.
    let text = |name: &str| {
        let number: u8 = name.bytes().last().unwrap() - b'a';
        let next = |step: u8| char::from(b'a' + number + step);
        format!("{name} met Person X{} and Person X{}.", next(1), next(2))
    };
    let rounds_of = |cycles| {
        let mut run = Deepening::new("Person Xa", cycles);
        while !run.identifiers().is_empty() {
            let texts: Vec<_> = run.identifiers().iter().map(|name| text(name)).collect();
            run.found(&texts.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        }
        run.outcome().rounds
    };
    let longest = rounds_of(5);
    assert_eq!(longest.len(), 6);
    for cycles in 0..5usize {
        assert_eq!(rounds_of(u32::try_from(cycles).unwrap()), longest[..=cycles]);
    }
}
