-- What is to be done. Times have the precision in which they are shown.

CREATE TYPE task_state AS ENUM ('PENDING', 'ASSIGNED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT');

-- How a worker has taken what was assigned to it: not yet, by accepting the push, by claiming it.
CREATE TYPE task_taken AS ENUM ('no', 'pushed', 'claimed');

CREATE TABLE tasks (
    -- A UUID of version 7 whose time is created_at: its order is the order of creation.
    task_id             uuid           PRIMARY KEY,
    created_at          timestamptz(3) NOT NULL,
    updated_at          timestamptz(3) NOT NULL,
    -- What the state machine moves.
    state               task_state     NOT NULL,
    taken               task_taken     NOT NULL DEFAULT 'no',
    attempt             int            NOT NULL DEFAULT 0,
    retry_count         int            NOT NULL DEFAULT 0,
    -- Dependencies that have not completed.
    blocked_by          int            NOT NULL DEFAULT 0 CHECK (blocked_by >= 0),
    -- Waits for next_retry_at, and is in no queue until then.
    is_parked           boolean        NOT NULL DEFAULT false,
    priority            int            NOT NULL CHECK (priority BETWEEN 1 AND 10),
    lease_seconds       int,
    next_retry_at       timestamptz(3),
    lease_expires_at    timestamptz(3),
    assigned_at         timestamptz(3),
    accepted_at         timestamptz(3),
    started_at          timestamptz(3),
    completed_at        timestamptz(3),
    cancelled_at        timestamptz(3),
    progress            double precision,
    assigned_agent_id   text COLLATE "C",
    -- What it was submitted with.
    timeout_seconds     int            NOT NULL,
    max_retries         int            NOT NULL,
    capability_required text COLLATE "C" NOT NULL,
    client_id           text COLLATE "C" NOT NULL,
    task_type           text COLLATE "C" NOT NULL,
    routing_strategy    text           NOT NULL,
    retry_policy        text           NOT NULL,
    depends_on          uuid[]         NOT NULL DEFAULT '{}',
    chain_id            uuid,
    template_id         uuid,
    schedule_id         uuid,
    client_ref          text,
    cancellation_reason text,
    error_message       text,
    -- JSON, passed on as it is written.
    metadata            text           NOT NULL,
    input_data          text           NOT NULL,
    result_data         text
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- The queue of each capability.
CREATE INDEX tasks_waiting ON tasks (capability_required, priority DESC, task_id)
    WHERE state = 'PENDING' AND blocked_by = 0 AND NOT is_parked;
CREATE INDEX tasks_parked ON tasks (next_retry_at) WHERE is_parked;
-- What a worker has.
CREATE INDEX tasks_held ON tasks (assigned_agent_id, task_id) WHERE state IN ('ASSIGNED', 'RUNNING');
CREATE INDEX tasks_leases ON tasks (lease_expires_at) WHERE state IN ('ASSIGNED', 'RUNNING');
-- What is looked for by clients.
CREATE INDEX tasks_client_id ON tasks (client_id, task_id);
CREATE INDEX tasks_done_by ON tasks (assigned_agent_id, task_id)
    WHERE state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT') AND assigned_agent_id IS NOT NULL;
CREATE INDEX tasks_chain_id ON tasks (chain_id, task_id) WHERE chain_id IS NOT NULL;
CREATE INDEX tasks_template_id ON tasks (template_id, task_id) WHERE template_id IS NOT NULL;
CREATE INDEX tasks_schedule_id ON tasks (schedule_id, task_id) WHERE schedule_id IS NOT NULL;
CREATE INDEX tasks_client_ref ON tasks (client_ref, task_id) WHERE client_ref IS NOT NULL;
-- How long tasks of a type take.
CREATE INDEX tasks_durations ON tasks (task_type, completed_at DESC) WHERE state = 'COMPLETED';

-- Which tasks wait for a task, the other way round than tasks.depends_on.
CREATE TABLE task_dependencies (
    depends_on uuid NOT NULL,
    task_id    uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    PRIMARY KEY (depends_on, task_id)
);

CREATE INDEX task_dependencies_task_id ON task_dependencies (task_id);

-- Workers that a task is not given to for a while, since they refused it, or only for want of others, since they failed at it.
CREATE TABLE task_refusals (
    task_id        uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    agent_id       text COLLATE "C" NOT NULL,
    excluded_until timestamptz(3),
    has_failed     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (task_id, agent_id)
);

-- Assignments that are still to be told to their workers.
CREATE TABLE pushes (
    task_id  uuid           PRIMARY KEY,
    attempt  int            NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    -- When it is to be sent; while it is being sent, when it may be sent again.
    due_at   timestamptz(3) NOT NULL
);

CREATE INDEX pushes_due_at ON pushes (due_at);
