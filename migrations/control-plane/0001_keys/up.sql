-- API keys. A key is never deleted: that one was ever made closes the way to the first one for good.

-- Times have the precision in which they are shown, so that a value read from an answer finds its row again.
CREATE TABLE keys (
    id                    text           PRIMARY KEY,
    name                  text           NOT NULL,
    -- SHA-256 of the secret in hex. The secret itself is shown once and kept nowhere.
    secret_sha256         text           NOT NULL,
    roles                 text[]         NOT NULL,
    -- Empty: those of the roles.
    permissions           text[]         NOT NULL,
    client_id             text           NOT NULL,
    expires_at            timestamptz(3),
    -- Null: the defaults of whoever asks.
    rate_limit_per_minute bigint,
    rate_limit_per_hour   bigint,
    created_at            timestamptz(3) NOT NULL,
    last_used_at          timestamptz(3),
    revoked_at            timestamptz(3)
);

CREATE INDEX keys_id ON keys (id COLLATE "C");
CREATE INDEX keys_name ON keys (name COLLATE "C");
CREATE INDEX keys_created_at ON keys (created_at, id COLLATE "C");
CREATE INDEX keys_last_used_at ON keys (last_used_at);

-- One row, which whoever makes the first key locks. Its token is null until one is printed, and again once it was used.
CREATE TABLE bootstrap (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    token_sha256 text
);

INSERT INTO bootstrap DEFAULT VALUES;
