-- Documents as they were read, and their passages for finding who is named in them.

-- Times have the precision in which they are shown, so that a value read from an answer finds its row again.
CREATE TABLE documents (
    document_id text           COLLATE "C" PRIMARY KEY,
    title       text           COLLATE "C" NOT NULL,
    url         text,
    media_type  text           COLLATE "C" NOT NULL,
    -- Of the content as it was sent; the content itself is not kept.
    bytes       bigint         NOT NULL,
    sha256      text           NOT NULL,
    -- Of the text that was read from it.
    characters  bigint         NOT NULL,
    passages    bigint         NOT NULL,
    text        text           NOT NULL,
    metadata    jsonb          NOT NULL,
    created_by  text           COLLATE "C" NOT NULL,
    created_at  timestamptz(3) NOT NULL
);

-- One behind every sort, each ending as every order does.
CREATE INDEX documents_title ON documents (title, created_at, document_id);
CREATE INDEX documents_media_type ON documents (media_type, created_at, document_id);
CREATE INDEX documents_bytes ON documents (bytes, created_at, document_id);
CREATE INDEX documents_created_by ON documents (created_by, created_at, document_id);
CREATE INDEX documents_created_at ON documents (created_at, document_id);

CREATE TABLE document_passages (
    document_id text     COLLATE "C" NOT NULL REFERENCES documents ON DELETE CASCADE,
    position    integer  NOT NULL,
    text        text     NOT NULL,
    -- Its words in lower case, whatever the language: made of letters and digits only, so that none is taken for a host or a path.
    words       tsvector NOT NULL,
    PRIMARY KEY (document_id, position)
);

CREATE INDEX document_passages_words ON document_passages USING gin (words);
