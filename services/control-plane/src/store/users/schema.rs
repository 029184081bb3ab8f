//! The tables of users and sessions, as the migrations make them.

diesel::table! {
    users (id) {
        id -> Text,
        username -> Text,
        email -> Text,
        full_name -> Text,
        role -> Text,
        is_active -> Bool,
        avatar_url -> Nullable<Text>,
        preferences -> Jsonb,
        password_hash -> Text,
        created_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        revision -> BigInt,
        last_login -> Nullable<Timestamptz>,
        login_count -> BigInt,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        user_id -> Text,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    refresh_tokens (token_sha256) {
        token_sha256 -> Text,
        session_id -> Text,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    ended_sessions (seq) {
        seq -> BigInt,
        session_id -> Text,
        until -> Timestamptz,
    }
}

diesel::table! {
    last_ended_session (only_row) {
        only_row -> Bool,
        seq -> BigInt,
    }
}

diesel::table! {
    login_failures (name_digest, address) {
        name_digest -> Text,
        address -> Text,
        failures -> Integer,
        first_at -> Timestamptz,
    }
}

diesel::joinable!(refresh_tokens -> sessions (session_id));
diesel::allow_tables_to_appear_in_same_query!(refresh_tokens, sessions);
