//! The tables, as the migrations make them.

diesel::table! {
    keys (id) {
        id -> Text,
        name -> Text,
        secret_sha256 -> Text,
        roles -> Array<Text>,
        permissions -> Array<Text>,
        client_id -> Text,
        expires_at -> Nullable<Timestamptz>,
        rate_limit_per_minute -> Nullable<BigInt>,
        rate_limit_per_hour -> Nullable<BigInt>,
        created_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        form -> Text,
        previous_sha256 -> Nullable<Text>,
        previous_until -> Nullable<Timestamptz>,
        maker_client -> Nullable<Text>,
    }
}

diesel::table! {
    bootstrap (only_row) {
        only_row -> Bool,
        token_sha256 -> Nullable<Text>,
    }
}
