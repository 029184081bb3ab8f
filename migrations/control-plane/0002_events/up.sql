-- What happened anywhere, as the outboxes of all services hand it over.

CREATE TABLE events (
    -- The order of arrival, which for one aggregate is the order in which things happened.
    seq        bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- Given by whoever made it: an event that arrives twice is one event.
    id         uuid        PRIMARY KEY,
    kind       text        NOT NULL,
    aggregate  text        NOT NULL,
    service    text        NOT NULL,
    actor      text,
    request_id text,
    at         timestamptz NOT NULL,
    payload    jsonb       NOT NULL
);

CREATE INDEX events_at ON events (at);
CREATE INDEX events_aggregate ON events (aggregate, seq);
