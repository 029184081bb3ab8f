//! The tables.

diesel::table! {
    taxonomies (id) {
        id -> BigInt,
        name -> Text,
        version -> Text,
        language -> Text,
        builtin -> Bool,
        digest -> Text,
        active -> Bool,
        occupations -> BigInt,
        skills -> BigInt,
        skill_groups -> BigInt,
        relations -> BigInt,
        imported_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    occupations (taxonomy_id, uri) {
        taxonomy_id -> BigInt,
        uri -> Text,
        label -> Text,
        code -> Text,
        description -> Text,
    }
}

diesel::table! {
    occupation_labels (taxonomy_id, normalised, occupation_uri) {
        taxonomy_id -> BigInt,
        normalised -> Text,
        occupation_uri -> Text,
        preferred -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use pgvector::sql_types::Vector;

    label_vectors (model, normalised) {
        model -> Text,
        normalised -> Text,
        embedding -> Vector,
    }
}

diesel::table! {
    skills (taxonomy_id, uri) {
        taxonomy_id -> BigInt,
        uri -> Text,
        label -> Text,
        alternative -> Array<Text>,
        description -> Text,
        category -> Text,
        text_sha256 -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::{Binary, Text};
    use pgvector::sql_types::Vector;

    skill_vectors (model, text_sha256) {
        model -> Text,
        text_sha256 -> Binary,
        embedding -> Vector,
    }
}

diesel::table! {
    skill_groups (taxonomy_id, uri) {
        taxonomy_id -> BigInt,
        uri -> Text,
        label -> Text,
        code -> Text,
    }
}

diesel::table! {
    occupation_skills (taxonomy_id, occupation_uri, skill_uri) {
        taxonomy_id -> BigInt,
        occupation_uri -> Text,
        skill_uri -> Text,
        essential -> Bool,
    }
}

diesel::table! {
    skill_links (taxonomy_id, from_uri, broader, to_uri) {
        taxonomy_id -> BigInt,
        from_uri -> Text,
        broader -> Bool,
        to_uri -> Text,
    }
}

diesel::table! {
    leases (name) {
        name -> Text,
        holder -> Uuid,
        until -> Timestamptz,
    }
}

diesel::table! {
    skill_sets (skill_id) {
        skill_id -> Uuid,
        occupation -> Text,
        mode -> Text,
        deepening_cycles -> Integer,
        cycles_run -> Integer,
        stopped_early -> Bool,
        rounds -> Jsonb,
        sources -> Jsonb,
        occupation_match -> Nullable<Jsonb>,
        run_id -> Uuid,
        total_skills -> BigInt,
        created_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::{Array, Integer, Nullable, SmallInt, Text, Uuid};
    use pgvector::sql_types::Vector;

    set_skills (set_id, position) {
        set_id -> Uuid,
        position -> Integer,
        skill_id -> Text,
        name -> Text,
        description -> Text,
        category -> Text,
        triggers -> Array<Text>,
        artifacts -> Array<Text>,
        constraints -> Array<Text>,
        evidence -> Array<Text>,
        confidence -> SmallInt,
        source -> Text,
        esco_uri -> Nullable<Text>,
        round -> Integer,
        embedding -> Vector,
        embedding_model -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(occupations, occupation_labels, occupation_skills, skills, skill_links);
