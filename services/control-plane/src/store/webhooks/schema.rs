//! The tables, as the migration makes them.

diesel::table! {
    webhooks (id) {
        no -> BigInt,
        id -> Text,
        door -> Text,
        client_id -> Text,
        agent_id -> Nullable<Text>,
        url -> Text,
        events -> Array<Text>,
        capabilities -> Nullable<Array<Text>>,
        authentication -> Text,
        secret_sealed -> Nullable<Text>,
        description -> Nullable<Text>,
        active -> Bool,
        disabled_at -> Nullable<Timestamptz>,
        sees_audited -> Bool,
        created_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        revision -> BigInt,
    }
}

diesel::table! {
    webhook_lanes (webhook_no) {
        webhook_no -> BigInt,
    }
}

diesel::table! {
    webhook_events (id) {
        id -> Uuid,
        kind -> Text,
        at -> Timestamptz,
        payload -> Jsonb,
    }
}

diesel::table! {
    webhook_deliveries (id) {
        id -> BigInt,
        webhook_no -> BigInt,
        event_id -> Uuid,
        event -> Text,
        status -> Text,
        attempts -> SmallInt,
        due_at -> Timestamptz,
        lease_id -> Nullable<Uuid>,
        response_code -> Nullable<SmallInt>,
        error -> Nullable<Text>,
        created_at -> Timestamptz,
        delivered_at -> Nullable<Timestamptz>,
    }
}
