-- Webhooks of the AINS, the native and the Caxton door, and what is to be delivered to them: one engine for all.

CREATE TABLE webhooks (
    -- What deliveries refer to: shorter than the id, and in the order of creation.
    no             bigint         GENERATED ALWAYS AS IDENTITY UNIQUE,
    id             text           PRIMARY KEY,
    door           text           NOT NULL CHECK (door IN ('ains', 'mesh', 'caxton')),
    -- Whose it is. On the AINS door also whose events it gets, unless it is a worker's.
    client_id      text           NOT NULL,
    -- The worker whose events it gets.
    agent_id       text,
    url            text           NOT NULL,
    -- Types; on the native door also families as 'workflow.*', and '*'.
    events         text[]         NOT NULL,
    -- Of which events it hears, by capability; null means all.
    capabilities   text[],
    authentication text           NOT NULL CHECK (authentication IN ('none', 'hmac', 'bearer', 'basic')),
    -- Secret, token, or user and password as JSON; sealed for this id.
    secret_sealed  text,
    description    text,
    active         boolean        NOT NULL,
    -- When the receiver answered 410.
    disabled_at    timestamptz(3),
    -- Whether who made it may see events of users, keys and secrets.
    sees_audited   boolean        NOT NULL,
    created_by     text           NOT NULL,
    created_at     timestamptz(3) NOT NULL,
    updated_at     timestamptz(3) NOT NULL,
    revision       bigint         NOT NULL DEFAULT 1,
    -- Who shares turns: the webhooks of one client.
    owner          integer        NOT NULL GENERATED ALWAYS AS (hashtext(client_id)) STORED
);

CREATE INDEX webhooks_door ON webhooks (door, created_at, no);
CREATE INDEX webhooks_client ON webhooks (client_id, created_at, no) WHERE door = 'ains';
CREATE INDEX webhooks_agent ON webhooks (agent_id) WHERE agent_id IS NOT NULL;

-- Who delivers a webhook's first attempts at the moment: one dispatcher at a time, so that they go in order.
CREATE TABLE webhook_lanes (
    webhook_no  bigint PRIMARY KEY,
    lease_id    uuid,
    lease_until timestamptz
) WITH (fillfactor = 50);

-- What is delivered, once for all the webhooks that get it; the event log may forget sooner.
CREATE TABLE webhook_events (
    id         uuid        PRIMARY KEY,
    kind       text        NOT NULL,
    at         timestamptz NOT NULL,
    payload    jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX webhook_events_created_at ON webhook_events (created_at);

-- No foreign keys: ten thousand of them would be checked for one event. What a deleted webhook leaves behind, time takes away.
CREATE TABLE webhook_deliveries (
    -- In the order of the events.
    id            bigint         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_no    bigint         NOT NULL,
    -- The webhook's; copied, so that a dispatcher finds everybody whose turn it could be along one index.
    owner         integer        NOT NULL DEFAULT 0,
    event_id      uuid           NOT NULL,
    event         text           NOT NULL,
    status        text           NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'success', 'failed')),
    -- Attempts whose end is recorded.
    attempts      smallint       NOT NULL DEFAULT 0,
    -- When the next attempt may begin; while a retry runs, when it counts as lost.
    due_at        timestamptz    NOT NULL DEFAULT now(),
    -- Of the retry that runs.
    lease_id      uuid,
    response_code smallint,
    error         text,
    created_at    timestamptz(3) NOT NULL DEFAULT now(),
    delivered_at  timestamptz(3)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);

CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhook_no, id);
CREATE INDEX webhook_deliveries_first ON webhook_deliveries (owner, webhook_no, id)
    WHERE status = 'pending' AND attempts = 0;
CREATE INDEX webhook_deliveries_again ON webhook_deliveries (webhook_no, due_at)
    WHERE status = 'pending' AND attempts > 0;
