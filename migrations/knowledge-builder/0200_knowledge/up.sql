-- Records of entities, and their items with full text and vectors.

CREATE TABLE knowledge_records (
    knowledge_id     text           COLLATE "C" PRIMARY KEY,
    identifier       text           COLLATE "C" NOT NULL,
    -- The identifier as entities are looked up: in lower case, with spaces for underscores.
    lookup           text           COLLATE "C" NOT NULL,
    entity_type      text           COLLATE "C",
    -- The type in lower case; empty without one.
    type_key         text           COLLATE "C" NOT NULL,
    deepening_cycles integer        NOT NULL,
    cycles_run       integer        NOT NULL,
    stopped_early    boolean        NOT NULL,
    rounds           jsonb          NOT NULL,
    sources          jsonb          NOT NULL,
    run_id           uuid           NOT NULL,
    -- Of the items, written with them: their number, their joined texts, and what the first one says.
    total_items      bigint         NOT NULL DEFAULT 0,
    text             text           NOT NULL DEFAULT '',
    source           text,
    confidence       double precision,
    found_at         timestamptz(3),
    created_by       text           NOT NULL,
    created_at       timestamptz(3) NOT NULL,
    updated_at       timestamptz(3) NOT NULL
);

CREATE INDEX knowledge_records_lookup ON knowledge_records (lookup);
CREATE INDEX knowledge_records_type_key ON knowledge_records (type_key);
-- One behind every sort, each ending as every order does.
CREATE INDEX knowledge_records_identifier ON knowledge_records (identifier, created_at, knowledge_id);
CREATE INDEX knowledge_records_entity_type ON knowledge_records (entity_type, created_at, knowledge_id);
CREATE INDEX knowledge_records_cycles ON knowledge_records (deepening_cycles, created_at, knowledge_id);
CREATE INDEX knowledge_records_total ON knowledge_records (total_items, created_at, knowledge_id);
CREATE INDEX knowledge_records_created_at ON knowledge_records (created_at, knowledge_id);
CREATE INDEX knowledge_records_updated_at ON knowledge_records (updated_at, created_at, knowledge_id);

CREATE TABLE knowledge_items (
    knowledge_id       text             COLLATE "C" NOT NULL REFERENCES knowledge_records ON DELETE CASCADE,
    -- Items of clients come first, then those found; each kind in this order.
    given              boolean          NOT NULL,
    position           integer          NOT NULL,
    item_id            text             COLLATE "C" NOT NULL,
    -- Null: those of the record, which may change.
    entity_name        text,
    entity_type        text,
    text               text             NOT NULL,
    quality_score      double precision NOT NULL,
    trust_score        double precision NOT NULL,
    completeness_score double precision NOT NULL,
    source             text             NOT NULL,
    confidence         double precision NOT NULL,
    found_at           timestamptz(3)   NOT NULL,
    attributes         jsonb            NOT NULL,
    metadata           jsonb            NOT NULL,
    embedding          vector(384)      NOT NULL,
    embedding_model    text             NOT NULL,
    words              tsvector         NOT NULL GENERATED ALWAYS AS (to_tsvector('english', text)) STORED,
    PRIMARY KEY (knowledge_id, given, position)
);

CREATE UNIQUE INDEX knowledge_items_item_id ON knowledge_items (item_id, knowledge_id);
CREATE INDEX knowledge_items_words ON knowledge_items USING gin (words);
CREATE INDEX knowledge_items_nearest ON knowledge_items USING hnsw (embedding vector_cosine_ops);

-- Who gathers for an entity: one run at a time, in whichever process.
CREATE TABLE runs (
    knowledge_id text        COLLATE "C" PRIMARY KEY,
    holder       uuid        NOT NULL,
    -- Renewed while the run goes on.
    until        timestamptz NOT NULL
);
