-- Who does tasks. Times have the precision in which they are shown.

CREATE TABLE workers (
    agent_id             text COLLATE "C" PRIMARY KEY,
    -- The order of registration.
    seq                  bigint         GENERATED ALWAYS AS IDENTITY,
    client_id            text           NOT NULL,
    display_name         text           NOT NULL,
    endpoint             text           NOT NULL,
    public_key           text           NOT NULL,
    signature_verified   boolean        NOT NULL,
    -- Sealed: pushes are signed with it.
    delivery_secret      text           NOT NULL,
    -- As given; found by through worker_tags.
    tags                 text[]         NOT NULL,
    -- JSON.
    metadata             text           NOT NULL,
    delivery             text           NOT NULL CHECK (delivery IN ('auto', 'push', 'pull')),
    source               text           NOT NULL CHECK (source IN ('external', 'imago')),
    -- Null: active.
    inactive_reason      text           CHECK (inactive_reason IN ('operator', 'offline', 'stale')),
    deactivated_at       timestamptz(3),
    is_degraded          boolean        NOT NULL DEFAULT false,
    -- Pushes without an answer, in a row; from the third on it counts as unreachable for a while.
    push_failures        int            NOT NULL DEFAULT 0,
    unreachable_until    timestamptz(3),
    max_concurrent_tasks int            NOT NULL CHECK (max_concurrent_tasks > 0),
    -- Its tasks that are assigned or running; changes in the transaction that changes them.
    current_load         int            NOT NULL DEFAULT 0 CHECK (current_load >= 0),
    -- When it was last given a task, as a number that only grows; 0 for never.
    last_turn            bigint         NOT NULL DEFAULT 0,
    -- Ten-thousandths.
    trust                int            NOT NULL DEFAULT 5000 CHECK (trust BETWEEN 0 AND 10000),
    total_completed      bigint         NOT NULL DEFAULT 0,
    total_failed         bigint         NOT NULL DEFAULT 0,
    avg_seconds          double precision,
    last_completed_at    timestamptz(3),
    last_seen_at         timestamptz(3),
    -- When it last claimed, polled or sent a heartbeat: somebody is there who comes for tasks.
    last_polled_at       timestamptz(3),
    last_heartbeat_at    timestamptz(3),
    created_at           timestamptz(3) NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX workers_created_at ON workers (created_at, agent_id);
CREATE INDEX workers_client_id ON workers (client_id);

CREATE TABLE worker_tags (
    tag      text COLLATE "C" NOT NULL,
    agent_id text COLLATE "C" NOT NULL REFERENCES workers ON DELETE CASCADE,
    PRIMARY KEY (tag, agent_id)
);

CREATE INDEX worker_tags_agent_id ON worker_tags (agent_id);

-- Numbers for last_turn. Each is the first of a thousand, for assignments made together.
CREATE SEQUENCE turns INCREMENT BY 1000 START WITH 1000;

-- Every change of a worker's trust, each from where the one before ended. Amounts in ten-thousandths.
CREATE TABLE trust_records (
    agent_id     text COLLATE "C" NOT NULL,
    seq          bigint           GENERATED ALWAYS AS IDENTITY,
    record_id    uuid             NOT NULL,
    event_type   text             NOT NULL,
    task_id      uuid,
    delta        int              NOT NULL,
    trust_before int              NOT NULL,
    trust_after  int              NOT NULL,
    reason       text             NOT NULL,
    created_at   timestamptz(3)   NOT NULL,
    PRIMARY KEY (agent_id, seq)
);
