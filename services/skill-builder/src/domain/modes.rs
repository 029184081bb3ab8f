//! The built-in ways to generate skills.

use api_types::skills::{Mode, ModeConfiguration};

/// What a request without a mode gets.
pub(crate) const DEFAULT: &str = "balanced";

const ALL: ModeConfiguration =
    ModeConfiguration { taxonomy: true, optional: true, related: true, corpus: true, model: true };

/// Every mode, in the order in which they are listed.
#[must_use]
pub(crate) fn all() -> Vec<Mode> {
    let mode = |id: &str, name: &str, description: &str, configuration| Mode {
        mode_id: id.to_owned(),
        name: name.to_owned(),
        description: description.to_owned(),
        configuration,
    };
    vec![
        mode(
            DEFAULT,
            "Balanced",
            "Every source: the taxonomy with optional and related skills, the text, and the model.",
            ALL,
        ),
        mode(
            "taxonomy",
            "Taxonomy only",
            "What the taxonomy lists for the occupation, and from there its related and broader skills.",
            ModeConfiguration { corpus: false, model: false, ..ALL },
        ),
        mode(
            "essential",
            "Essential skills",
            "The skills that the occupation cannot do without, and what the text and the model add.",
            ModeConfiguration { optional: false, related: false, ..ALL },
        ),
        mode(
            "corpus",
            "From the text",
            "Only what the given text names, and what the model adds to it; needs a text.",
            ModeConfiguration { taxonomy: false, optional: false, related: false, ..ALL },
        ),
    ]
}

/// The mode of that id, letter for letter.
#[must_use]
pub(crate) fn find(id: &str) -> Option<Mode> {
    all().into_iter().find(|mode| mode.mode_id == id)
}

#[cfg(test)]
mod tests {
    use super::{all, find};

    #[test]
    fn the_modes_are_four_in_their_order() {
        let ids: Vec<_> = all().into_iter().map(|mode| mode.mode_id).collect();
        assert_eq!(ids, ["balanced", "taxonomy", "essential", "corpus"]);
    }

    #[test]
    fn each_mode_leaves_out_what_its_name_says() {
        let shown = |id: &str| serde_json::to_value(find(id).unwrap().configuration).unwrap();
        let switches = |on: [bool; 5]| {
            let names = ["taxonomy", "optional", "related", "corpus", "model"];
            names.into_iter().zip(on).map(|(name, on)| (name.to_owned(), on.into())).collect()
        };
        let of = |on| serde_json::Value::Object(switches(on));
        assert_eq!(shown("balanced"), of([true, true, true, true, true]));
        assert_eq!(shown("taxonomy"), of([true, true, true, false, false]));
        assert_eq!(shown("essential"), of([true, false, false, true, true]));
        assert_eq!(shown("corpus"), of([false, false, false, true, true]));
    }

    #[test]
    fn no_other_name_is_a_mode() {
        assert_eq!(find("Balanced"), None);
        assert_eq!(find(""), None);
    }
}
