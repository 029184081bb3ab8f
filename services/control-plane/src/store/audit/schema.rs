//! The tables of the audit log, as the migrations make them.

diesel::table! {
    audit_log (seq) {
        seq -> BigInt,
        created_at -> Timestamptz,
        event_type -> Text,
        action -> Text,
        client_id -> Nullable<Text>,
        actor -> Nullable<Text>,
        target -> Nullable<Text>,
        success -> Bool,
        ip_address -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        request_id -> Nullable<Text>,
        details -> Json,
        corrects -> Nullable<BigInt>,
        prev_hash -> Binary,
        hash -> Binary,
    }
}

diesel::table! {
    audit_head (only_row) {
        only_row -> Bool,
        seq -> BigInt,
        hash -> Binary,
    }
}

diesel::table! {
    audit_checkpoints (seq) {
        seq -> BigInt,
        hash -> Binary,
        removed -> BigInt,
        before -> Timestamptz,
        made_at -> Timestamptz,
        signature -> Binary,
    }
}

diesel::table! {
    access_batches (id) {
        id -> Uuid,
        at -> Timestamptz,
    }
}
