-- Sets of skills, as they were generated or written.

CREATE TABLE skill_sets (
    skill_id         uuid        PRIMARY KEY,
    occupation       text        NOT NULL,
    mode             text        NOT NULL,
    deepening_cycles integer     NOT NULL,
    cycles_run       integer     NOT NULL,
    stopped_early    boolean     NOT NULL,
    rounds           jsonb       NOT NULL,
    sources          jsonb       NOT NULL,
    occupation_match jsonb,
    run_id           uuid        NOT NULL,
    total_skills     bigint      NOT NULL,
    created_by       text        NOT NULL,
    created_at       timestamptz(3) NOT NULL,
    updated_at       timestamptz(3) NOT NULL
);

-- One behind every sort, each ending as every order does.
CREATE INDEX skill_sets_created_at ON skill_sets (created_at, (skill_id::text) COLLATE "C");
CREATE INDEX skill_sets_updated_at ON skill_sets (updated_at, created_at, (skill_id::text) COLLATE "C");
CREATE INDEX skill_sets_skill_id ON skill_sets ((skill_id::text) COLLATE "C");
CREATE INDEX skill_sets_occupation ON skill_sets (occupation COLLATE "C", created_at, (skill_id::text) COLLATE "C");
CREATE INDEX skill_sets_mode ON skill_sets (mode COLLATE "C", created_at, (skill_id::text) COLLATE "C");
CREATE INDEX skill_sets_cycles ON skill_sets (deepening_cycles, created_at, (skill_id::text) COLLATE "C");
CREATE INDEX skill_sets_total ON skill_sets (total_skills, created_at, (skill_id::text) COLLATE "C");

CREATE TABLE set_skills (
    set_id          uuid     NOT NULL REFERENCES skill_sets ON DELETE CASCADE,
    position        integer  NOT NULL,
    skill_id        text     NOT NULL,
    name            text     NOT NULL,
    description     text     NOT NULL,
    category        text     NOT NULL,
    triggers        text[]   NOT NULL,
    artifacts       text[]   NOT NULL,
    constraints     text[]   NOT NULL,
    evidence        text[]   NOT NULL,
    -- In hundredths.
    confidence      smallint NOT NULL,
    source          text     NOT NULL,
    esco_uri        text,
    round           integer  NOT NULL,
    embedding       vector(384) NOT NULL,
    embedding_model text     NOT NULL,
    PRIMARY KEY (set_id, position)
);
