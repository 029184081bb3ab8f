//! Entity types as types of schema.org, with the attributes that make such a thing well known.

use super::Resolved;

/// A type that entities resolve to.
#[derive(Debug, PartialEq, Eq)]
pub struct SchemaType {
    pub name: &'static str,
    /// Without these little is known.
    pub mandatory: &'static [&'static str],
    /// Good to know, the most telling first.
    pub optional: &'static [&'static str],
    /// What to look for besides the name.
    hints: &'static [&'static str],
}

const THING: SchemaType = SchemaType {
    name: "Thing",
    mandatory: &["name"],
    optional: &["description", "url", "alternateName", "image", "sameAs"],
    hints: &["definition", "overview"],
};

const TYPES: [SchemaType; 8] = [
    SchemaType {
        name: "Person",
        mandatory: &["name", "birthDate", "occupation"],
        optional: &["birthPlace", "nationality", "deathDate", "alumniOf", "award", "affiliation", "knowsAbout", "url"],
        hints: &["biography", "works", "career"],
    },
    SchemaType {
        name: "Organization",
        mandatory: &["name", "foundingDate", "location"],
        optional: &["founder", "industry", "url", "numberOfEmployees", "parentOrganization", "award"],
        hints: &["history", "products", "leadership"],
    },
    SchemaType {
        name: "Place",
        mandatory: &["name", "country"],
        optional: &["geo", "containedInPlace", "population", "area", "url", "timeZone"],
        hints: &["geography", "history", "sights"],
    },
    SchemaType {
        name: "Product",
        mandatory: &["name", "manufacturer"],
        optional: &["category", "releaseDate", "material", "model", "url", "award"],
        hints: &["specification", "review", "manufacturer"],
    },
    SchemaType {
        name: "CreativeWork",
        mandatory: &["name", "creator", "datePublished"],
        optional: &["genre", "inLanguage", "publisher", "about", "url", "award"],
        hints: &["summary", "author", "analysis"],
    },
    SchemaType {
        name: "Event",
        mandatory: &["name", "startDate", "location"],
        optional: &["endDate", "organizer", "participant", "about", "url"],
        hints: &["date", "outcome", "participants"],
    },
    SchemaType {
        name: "Concept",
        mandatory: &["name", "description"],
        optional: &["broader", "partOf", "discoverer", "alternateName", "url"],
        hints: &["definition", "examples", "applications"],
    },
    THING,
];

impl SchemaType {
    /// The known type of that name, whatever its case and word separators.
    #[must_use]
    pub fn find(entity_type: &str) -> Option<&'static Self> {
        let wanted: String = entity_type.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect();
        TYPES.iter().find(|known| known.name.eq_ignore_ascii_case(&wanted))
    }

    /// The type of an entity: the known one, else `Thing`.
    #[must_use]
    pub fn of(entity_type: Option<&str>) -> &'static Self {
        entity_type.and_then(Self::find).unwrap_or(&THING)
    }
}

/// The `type` of an entity as it is shown: a known type in its own spelling, else as given.
#[must_use]
pub fn shown_type(entity_type: Option<&str>) -> String {
    let given = entity_type.map_or(THING.name, str::trim);
    SchemaType::find(given).map_or(given, |known| known.name).to_owned()
}

/// Resolves an entity to its schema.org type: sure when the type is a known one, a guess otherwise.
#[must_use]
pub fn resolve(name: &str, entity_type: Option<&str>) -> Resolved {
    let known = entity_type.and_then(SchemaType::find);
    let schema = known.unwrap_or(&THING);
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Resolved {
        name: name.to_owned(),
        schema_type: format!("schema:{}", schema.name),
        schema_uri: format!("https://schema.org/{}", schema.name),
        confidence: if known.is_some() { 1.0 } else { 0.3 },
        mandatory_attrs: texts(schema.mandatory),
        optional_attrs: texts(schema.optional),
        search_hints: schema.hints.iter().map(|hint| format!("{name} {hint}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{SchemaType, TYPES, resolve, shown_type};

    #[test]
    fn known_types_resolve_in_any_case() {
        for kind in ["Person", "person", "PERSON"] {
            let resolved = resolve("Ada", Some(kind));
            assert_eq!(resolved.schema_type, "schema:Person");
            assert_eq!(resolved.schema_uri, "https://schema.org/Person");
            assert!(resolved.confidence > 0.9);
            assert_eq!(resolved.name, "Ada");
            assert!(resolved.search_hints.iter().all(|hint| hint.starts_with("Ada ")));
        }
        for kind in ["CreativeWork", "creativework", "Creative Work", "creative_work"] {
            assert_eq!(resolve("x", Some(kind)).schema_type, "schema:CreativeWork");
        }
        for kind in ["Organization", "Place", "Product", "Event", "Concept", "Thing"] {
            assert_eq!(resolve("x", Some(kind)).schema_type, format!("schema:{kind}"));
        }
    }

    #[test]
    fn other_types_are_things_with_little_confidence() {
        for kind in [None, Some("Skill"), Some("Personality")] {
            let resolved = resolve("x", kind);
            assert_eq!(resolved.schema_type, "schema:Thing");
            assert!((resolved.confidence - 0.3).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn the_type_is_shown_in_its_own_spelling_or_as_given() {
        assert_eq!(shown_type(Some("person")), "Person");
        assert_eq!(shown_type(Some(" Skill ")), "Skill");
        assert_eq!(shown_type(None), "Thing");
    }

    #[test]
    fn every_type_has_at_least_five_optional_attributes() {
        for SchemaType { name, mandatory, optional, .. } in &TYPES {
            assert!(optional.len() >= 5 && mandatory.contains(&"name"), "{name}");
        }
    }
}
