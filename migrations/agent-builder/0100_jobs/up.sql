-- The table of the `work-queue` crate.

CREATE TABLE jobs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text        NOT NULL,
    -- What the job is about; jobs are cancelled by it.
    key         text        NOT NULL,
    payload     jsonb       NOT NULL,
    state       text        NOT NULL DEFAULT 'ready'
                CHECK (state IN ('ready', 'running', 'done', 'failed', 'cancelled', 'lost')),
    -- How often it was claimed, and how often its runner was never heard of again.
    attempts    integer     NOT NULL DEFAULT 0,
    losses      integer     NOT NULL DEFAULT 0,
    lease_id    uuid,
    lease_until timestamptz,
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,
    CHECK ((state = 'running') = (lease_id IS NOT NULL AND lease_until IS NOT NULL)),
    CHECK ((state IN ('ready', 'running')) = (ended_at IS NULL))
);

CREATE INDEX jobs_ready ON jobs (kind, id) WHERE state = 'ready';
CREATE INDEX jobs_leased ON jobs (kind, lease_until) WHERE state = 'running';
CREATE INDEX jobs_open ON jobs (kind, key) WHERE state IN ('ready', 'running');
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;
