-- Taxonomies: the built-in one or imported ones. One is active; the one before it stays for runs that have begun with it.

CREATE TABLE taxonomies (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text    NOT NULL,
    version      text    NOT NULL,
    language     text    NOT NULL,
    builtin      boolean NOT NULL,
    -- Over the whole content: the same import again is no import.
    digest       text    NOT NULL,
    active       boolean NOT NULL,
    -- Counted when they were stored; rows of a taxonomy never change.
    occupations  bigint  NOT NULL DEFAULT 0,
    skills       bigint  NOT NULL DEFAULT 0,
    skill_groups bigint  NOT NULL DEFAULT 0,
    relations    bigint  NOT NULL DEFAULT 0,
    -- Null for the built-in one.
    imported_at  timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX taxonomies_one_active ON taxonomies (active) WHERE active;

CREATE TABLE occupations (
    taxonomy_id bigint NOT NULL REFERENCES taxonomies ON DELETE CASCADE,
    uri         text COLLATE "C" NOT NULL,
    label       text NOT NULL,
    code        text NOT NULL,
    description text NOT NULL,
    PRIMARY KEY (taxonomy_id, uri)
);

CREATE TABLE occupation_labels (
    taxonomy_id    bigint  NOT NULL REFERENCES taxonomies ON DELETE CASCADE,
    -- As it is compared.
    normalised     text COLLATE "C" NOT NULL,
    occupation_uri text COLLATE "C" NOT NULL,
    preferred      boolean NOT NULL,
    PRIMARY KEY (taxonomy_id, normalised, occupation_uri)
);

-- One vector for a label, whichever occupations and taxonomies have it, so that a new taxonomy keeps the vectors of old labels.
CREATE TABLE label_vectors (
    model      text COLLATE "C" NOT NULL,
    normalised text COLLATE "C" NOT NULL,
    embedding  vector(384) NOT NULL,
    PRIMARY KEY (model, normalised)
);

CREATE INDEX label_vectors_nearest ON label_vectors USING hnsw (embedding vector_cosine_ops);

CREATE TABLE skills (
    taxonomy_id bigint NOT NULL REFERENCES taxonomies ON DELETE CASCADE,
    uri         text COLLATE "C" NOT NULL,
    label       text   NOT NULL,
    alternative text[] NOT NULL,
    description text   NOT NULL,
    category    text   NOT NULL,
    -- Of the text that its vector is made from.
    text_sha256 bytea  NOT NULL,
    PRIMARY KEY (taxonomy_id, uri)
);

-- Vectors of skills' texts, made once and used in every set that has the skill.
CREATE TABLE skill_vectors (
    model       text COLLATE "C" NOT NULL,
    text_sha256 bytea NOT NULL,
    embedding   vector(384) NOT NULL,
    PRIMARY KEY (model, text_sha256)
);

CREATE TABLE skill_groups (
    taxonomy_id bigint NOT NULL REFERENCES taxonomies ON DELETE CASCADE,
    uri         text COLLATE "C" NOT NULL,
    label       text NOT NULL,
    code        text NOT NULL,
    PRIMARY KEY (taxonomy_id, uri)
);

-- No foreign keys to the two ends: a published classification may name concepts that it does not describe.
CREATE TABLE occupation_skills (
    taxonomy_id    bigint  NOT NULL REFERENCES taxonomies ON DELETE CASCADE,
    occupation_uri text COLLATE "C" NOT NULL,
    skill_uri      text COLLATE "C" NOT NULL,
    essential      boolean NOT NULL,
    PRIMARY KEY (taxonomy_id, occupation_uri, skill_uri)
);

-- Related skills stand in both directions, broader ones from the narrower to the broader.
CREATE TABLE skill_links (
    taxonomy_id bigint  NOT NULL REFERENCES taxonomies ON DELETE CASCADE,
    from_uri    text COLLATE "C" NOT NULL,
    broader     boolean NOT NULL,
    to_uri      text COLLATE "C" NOT NULL,
    PRIMARY KEY (taxonomy_id, from_uri, broader, to_uri)
);

-- Work that one process at a time does for all.
CREATE TABLE leases (
    name   text PRIMARY KEY,
    holder uuid        NOT NULL,
    until  timestamptz NOT NULL
);
