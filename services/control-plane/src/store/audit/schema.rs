//! The tables of the audit log, as the migrations make them.

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
