//! The tables, as the migrations make them.

diesel::table! {
    bootstrap (only_row) {
        only_row -> Bool,
        token_sha256 -> Nullable<Text>,
    }
}

diesel::table! {
    events (id) {
        seq -> BigInt,
        id -> Uuid,
        kind -> Text,
        aggregate -> Text,
        service -> Text,
        actor -> Nullable<Text>,
        request_id -> Nullable<Text>,
        at -> Timestamptz,
        payload -> Jsonb,
    }
}
