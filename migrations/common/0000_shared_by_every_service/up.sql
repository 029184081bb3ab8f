-- What every service has: events on their way to the control plane, and answers kept for idempotency keys.

CREATE TABLE outbox (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         uuid        NOT NULL,
    kind       text        NOT NULL,
    aggregate  text        NOT NULL,
    actor      text,
    request_id text,
    at         timestamptz NOT NULL,
    payload    jsonb       NOT NULL
);

CREATE TABLE idempotency_keys (
    principal    text        NOT NULL,
    method       text        NOT NULL,
    path         text        NOT NULL,
    key          text        NOT NULL,
    body_sha256  text        NOT NULL,
    -- While the first request runs: until when it may. Null once there is an answer.
    locked_until timestamptz,
    -- Which run holds the lock, so that one that lost it cannot finish another's.
    run          uuid        NOT NULL,
    request_id   text        NOT NULL,
    status       smallint,
    headers      jsonb,
    body         text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, method, path, key)
);

CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
