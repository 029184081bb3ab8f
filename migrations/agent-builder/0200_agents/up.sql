-- Agents, what they know and can do, and the builds that made them.

CREATE TABLE builds (
    build_id      uuid        PRIMARY KEY,
    -- No foreign key: whoever waits for a build reads its error after the agent is gone.
    agent_id      text        COLLATE "C" NOT NULL,
    -- Whether the agent stands and falls with this build.
    creates       boolean     NOT NULL,
    status        text        NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
    stage         text        NOT NULL CHECK (stage IN ('match', 'knowledge', 'skills', 'store', 'done')),
    progress      smallint    NOT NULL CHECK (progress BETWEEN 0 AND 100),
    attempts      integer     NOT NULL DEFAULT 0,
    error_code    text,
    error_message text,
    -- What the answer to a waiting caller says beyond code and message.
    error_more    jsonb,
    -- Somebody waits for the outcome until then, unless they say so again.
    waiting_until timestamptz,
    -- Inputs, and for whom; null once the build has ended.
    request       jsonb,
    -- JSON of the results of the finished stages, for whoever takes over; null once the build has ended.
    partial       text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    started_at    timestamptz,
    finished_at   timestamptz
);

CREATE INDEX builds_finished ON builds (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE agents (
    agent_id           text        COLLATE "C" PRIMARY KEY,
    role_model         jsonb       NOT NULL,
    name               text        COLLATE "C" GENERATED ALWAYS AS (role_model ->> 'name') STORED,
    occupation         text        COLLATE "C" GENERATED ALWAYS AS (role_model ->> 'occupation') STORED,
    status             text        COLLATE "C" NOT NULL CHECK (status IN ('pending', 'completed', 'failed')),
    mode               text        NOT NULL,
    metadata           jsonb       NOT NULL,
    deepening_cycles   integer     NOT NULL,
    -- Inputs of the next build: null asks all sources.
    requested_sources  text[],
    documents          jsonb       NOT NULL DEFAULT '[]',
    occupation_match   jsonb,
    sources            jsonb       NOT NULL DEFAULT '[]',
    capabilities       text[]      NOT NULL DEFAULT '{}',
    -- JSON of the rows in agent_skills and agent_knowledge without their vectors, as answers carry it; written with the rows.
    rendered_skills    text        NOT NULL DEFAULT '[]',
    rendered_knowledge text        NOT NULL DEFAULT '[]',
    build_id           uuid        NOT NULL,
    created_by         text        COLLATE "C" NOT NULL,
    -- Milliseconds, as answers carry them: what was read can be filtered by.
    created_at         timestamptz(3) NOT NULL DEFAULT now(),
    updated_at         timestamptz(3) NOT NULL DEFAULT now(),
    completed_at       timestamptz(3)
);

-- Behind every filter and sort; equal rows are ordered by created_at and id.
CREATE INDEX agents_name ON agents (name, created_at, agent_id);
CREATE INDEX agents_occupation ON agents (occupation, created_at, agent_id);
CREATE INDEX agents_status ON agents (status, created_at, agent_id);
CREATE INDEX agents_cycles ON agents (deepening_cycles, created_at, agent_id);
CREATE INDEX agents_created_by ON agents (created_by, created_at, agent_id);
CREATE INDEX agents_created ON agents (created_at, agent_id);
CREATE INDEX agents_updated ON agents (updated_at, created_at, agent_id);
CREATE INDEX agents_build ON agents (build_id);

CREATE TABLE agent_skills (
    agent_id        text             COLLATE "C" NOT NULL REFERENCES agents ON DELETE CASCADE,
    position        integer          NOT NULL,
    skill_id        text             NOT NULL,
    name            text             NOT NULL,
    description     text             NOT NULL,
    category        text             NOT NULL,
    triggers        text[]           NOT NULL,
    artifacts       text[]           NOT NULL,
    constraints     text[]           NOT NULL,
    evidence        text[]           NOT NULL,
    confidence      double precision NOT NULL,
    source          text             NOT NULL,
    esco_uri        text,
    round           integer          NOT NULL,
    skill           text             NOT NULL,
    embedding       vector(384),
    embedding_model text,
    PRIMARY KEY (agent_id, position)
);

CREATE TABLE agent_knowledge (
    agent_id           text             COLLATE "C" NOT NULL REFERENCES agents ON DELETE CASCADE,
    position           integer          NOT NULL,
    knowledge_id       text             NOT NULL,
    entity_id          text             NOT NULL,
    entity_name        text             NOT NULL,
    entity_type        text             NOT NULL,
    text               text             NOT NULL,
    quality_score      double precision NOT NULL,
    trust_score        double precision NOT NULL,
    completeness_score double precision NOT NULL,
    source             text             NOT NULL,
    confidence         double precision NOT NULL,
    found_at           timestamptz      NOT NULL,
    attributes         jsonb            NOT NULL,
    resolved           jsonb            NOT NULL,
    metadata           jsonb            NOT NULL,
    -- Whether a client wrote it here; such items survive a rebuild.
    is_written         boolean          NOT NULL,
    embedding          vector(384),
    embedding_model    text,
    PRIMARY KEY (agent_id, position)
);

-- What an answer needs of an agent and of its last build.
CREATE VIEW agent_records AS
SELECT a.agent_id, a.role_model, a.name, a.occupation, a.rendered_skills, a.rendered_knowledge, a.status,
       a.deepening_cycles, a.occupation_match, a.sources, a.mode, a.metadata, a.capabilities, a.created_by,
       a.created_at, a.updated_at, a.completed_at, a.build_id, b.status AS build_status, b.stage AS build_stage,
       b.progress AS build_progress, b.attempts AS build_attempts, b.started_at AS build_started_at,
       b.finished_at AS build_finished_at, b.error_code AS build_error_code, b.error_message AS build_error_message
FROM agents a LEFT JOIN builds b ON b.build_id = a.build_id;
