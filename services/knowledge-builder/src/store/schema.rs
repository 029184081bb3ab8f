//! The tables as diesel knows them.

diesel::table! {
    documents (document_id) {
        document_id -> Text,
        title -> Text,
        url -> Nullable<Text>,
        media_type -> Text,
        bytes -> BigInt,
        sha256 -> Text,
        characters -> BigInt,
        passages -> BigInt,
        text -> Text,
        metadata -> Jsonb,
        created_by -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    knowledge_records (knowledge_id) {
        knowledge_id -> Text,
        identifier -> Text,
        lookup -> Text,
        entity_type -> Nullable<Text>,
        type_key -> Text,
        deepening_cycles -> Integer,
        cycles_run -> Integer,
        stopped_early -> Bool,
        rounds -> Jsonb,
        sources -> Jsonb,
        run_id -> Uuid,
        total_items -> BigInt,
        text -> Text,
        source -> Nullable<Text>,
        confidence -> Nullable<Double>,
        found_at -> Nullable<Timestamptz>,
        created_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz};
    use pgvector::sql_types::Vector;

    knowledge_items (knowledge_id, given, position) {
        knowledge_id -> Text,
        given -> Bool,
        position -> Integer,
        item_id -> Text,
        entity_name -> Nullable<Text>,
        entity_type -> Nullable<Text>,
        text -> Text,
        quality_score -> Double,
        trust_score -> Double,
        completeness_score -> Double,
        source -> Text,
        confidence -> Double,
        found_at -> Timestamptz,
        attributes -> Jsonb,
        metadata -> Jsonb,
        embedding -> Vector,
        embedding_model -> Text,
    }
}

diesel::table! {
    runs (knowledge_id) {
        knowledge_id -> Text,
        holder -> Uuid,
        until -> Timestamptz,
    }
}
