-- The event log in partitions of a day each: old days are dropped whole.

ALTER TABLE events RENAME TO events_before;

CREATE SEQUENCE events_numbers;

CREATE TABLE events (
    -- The order of arrival, which for one aggregate is the order in which things happened. Events are taken in one batch at
    -- a time, so that numbers also become visible in their order.
    seq          bigint      NOT NULL DEFAULT nextval('events_numbers'),
    -- Given with the time by whoever made it: an event that arrives twice is one event.
    id           uuid        NOT NULL,
    at           timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT date_trunc('milliseconds', statement_timestamp()),
    kind         text        COLLATE "C" NOT NULL,
    -- debug, info, warning, error or critical
    level        text        NOT NULL,
    message      text,
    aggregate    text        NOT NULL,
    -- One of our services, or `external:` and the principal that sent it.
    service      text        NOT NULL,
    actor        text,
    client_id    text,
    -- Whom and what it concerns.
    user_id      text,
    agent_id     text,
    workflow_id  text,
    tool_id      text,
    execution_id text,
    -- What it came from.
    trace_id     text,
    request_id   text,
    ip_address   text,
    user_agent   text,
    payload      jsonb       NOT NULL,
    CONSTRAINT events_by_id PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);

CREATE INDEX events_by_number ON events (seq);
CREATE INDEX events_by_time ON events (at, seq);
CREATE INDEX events_by_kind ON events (kind, at);
CREATE INDEX events_by_level ON events (level, at) WHERE level IN ('warning', 'error', 'critical');
CREATE INDEX events_by_user ON events (user_id, at);
CREATE INDEX events_by_agent ON events (agent_id, at) WHERE agent_id IS NOT NULL;
CREATE INDEX events_by_workflow ON events (workflow_id, at) WHERE workflow_id IS NOT NULL;
CREATE INDEX events_by_tool ON events (tool_id, at) WHERE tool_id IS NOT NULL;
CREATE INDEX events_by_execution ON events (execution_id, at) WHERE execution_id IS NOT NULL;
CREATE INDEX events_by_trace ON events (trace_id, at) WHERE trace_id IS NOT NULL;

-- Makes the partition of a day (UTC), unless there is one; to be called by whoever holds the lock of the log.
CREATE FUNCTION make_events_partition(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition text := 'events_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass(format('%I.%I', current_schema(), partition)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Made first and attached then: that lets others go on reading and writing.
    EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition);
    EXECUTE format(
        'ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        partition, day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00'
    );
END
$$;

SELECT make_events_partition(day)
FROM (SELECT DISTINCT (at AT TIME ZONE 'UTC')::date AS day FROM events_before) AS days;

INSERT INTO events (seq, id, at, recorded_at, kind, level, message, aggregate, service, actor, client_id, user_id, agent_id,
                    workflow_id, tool_id, execution_id, trace_id, request_id, payload)
SELECT seq, id, date_trunc('milliseconds', at), date_trunc('milliseconds', at), kind,
       CASE WHEN kind LIKE '%failed' THEN 'error' ELSE 'info' END,
       upper(left(kind, 1)) || substr(split_part(kind, '.', 1), 2) || ' ' || substr(aggregate, strpos(aggregate, ':') + 1)
           || ': ' || replace(substr(kind, strpos(kind, '.') + 1), '_', ' '),
       aggregate, service, actor, payload->>'client_id', left(actor, 200), left(payload->>'agent_id', 200),
       left(payload->>'workflow_id', 200), left(payload->>'tool_id', 200), left(payload->>'execution_id', 200),
       left(payload->>'trace_id', 200), request_id, payload
FROM events_before
ORDER BY seq;

SELECT setval('events_numbers', (SELECT coalesce(max(seq), 0) + 1 FROM events_before), false);

DROP TABLE events_before;
