//! The tables.

diesel::table! {
    agents (agent_id) {
        agent_id -> Text,
        role_model -> Jsonb,
        name -> Nullable<Text>,
        occupation -> Nullable<Text>,
        status -> Text,
        mode -> Text,
        metadata -> Jsonb,
        deepening_cycles -> Integer,
        requested_sources -> Nullable<Array<Text>>,
        documents -> Jsonb,
        occupation_match -> Nullable<Jsonb>,
        sources -> Jsonb,
        capabilities -> Array<Text>,
        rendered_skills -> Text,
        rendered_knowledge -> Text,
        build_id -> Uuid,
        created_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        completed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::{Array, Double, Integer, Nullable, Text};
    use pgvector::sql_types::Vector;

    agent_skills (agent_id, position) {
        agent_id -> Text,
        position -> Integer,
        skill_id -> Text,
        name -> Text,
        description -> Text,
        category -> Text,
        triggers -> Array<Text>,
        artifacts -> Array<Text>,
        constraints -> Array<Text>,
        evidence -> Array<Text>,
        confidence -> Double,
        source -> Text,
        esco_uri -> Nullable<Text>,
        round -> Integer,
        skill -> Text,
        embedding -> Nullable<Vector>,
        embedding_model -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz};
    use pgvector::sql_types::Vector;

    agent_knowledge (agent_id, position) {
        agent_id -> Text,
        position -> Integer,
        knowledge_id -> Text,
        entity_id -> Text,
        entity_name -> Text,
        entity_type -> Text,
        text -> Text,
        quality_score -> Double,
        trust_score -> Double,
        completeness_score -> Double,
        source -> Text,
        confidence -> Double,
        found_at -> Timestamptz,
        attributes -> Jsonb,
        resolved -> Jsonb,
        metadata -> Jsonb,
        is_written -> Bool,
        embedding -> Nullable<Vector>,
        embedding_model -> Nullable<Text>,
    }
}

diesel::table! {
    builds (build_id) {
        build_id -> Uuid,
        agent_id -> Text,
        creates -> Bool,
        status -> Text,
        stage -> Text,
        progress -> SmallInt,
        attempts -> Integer,
        error_code -> Nullable<Text>,
        error_message -> Nullable<Text>,
        error_more -> Nullable<Jsonb>,
        waiting_until -> Nullable<Timestamptz>,
        request -> Nullable<Jsonb>,
        partial -> Nullable<Text>,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// A view: an agent with its last build.
    agent_records (agent_id) {
        agent_id -> Text,
        role_model -> Jsonb,
        rendered_skills -> Text,
        rendered_knowledge -> Text,
        status -> Text,
        deepening_cycles -> Integer,
        occupation_match -> Nullable<Jsonb>,
        sources -> Jsonb,
        mode -> Text,
        metadata -> Jsonb,
        capabilities -> Array<Text>,
        created_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        completed_at -> Nullable<Timestamptz>,
        build_id -> Uuid,
        build_status -> Nullable<Text>,
        build_stage -> Nullable<Text>,
        build_progress -> Nullable<SmallInt>,
        build_attempts -> Nullable<Integer>,
        build_started_at -> Nullable<Timestamptz>,
        build_finished_at -> Nullable<Timestamptz>,
        build_error_code -> Nullable<Text>,
        build_error_message -> Nullable<Text>,
    }
}
