-- One store for keys of both published forms, and for the two secrets of a key that is being rotated.

ALTER TABLE keys
    -- `native`: `key_id.secret`, found by the id. `ains`: one text that names no id, found by its digest.
    ADD COLUMN form            text NOT NULL DEFAULT 'native' CHECK (form IN ('native', 'ains')),
    -- The secret before the last rotation, which stays good until then.
    ADD COLUMN previous_sha256 text,
    ADD COLUMN previous_until  timestamptz(3),
    -- The client of whoever made the key, who manages it beside the client that it is for. Null: nobody but the operator made it.
    ADD COLUMN maker_client    text,
    ADD CONSTRAINT keys_previous CHECK ((previous_sha256 IS NULL) = (previous_until IS NULL));

CREATE UNIQUE INDEX keys_ains_secret ON keys (secret_sha256) WHERE form = 'ains';
CREATE UNIQUE INDEX keys_ains_previous ON keys (previous_sha256) WHERE form = 'ains';
CREATE INDEX keys_client_id ON keys (client_id, created_at);
CREATE INDEX keys_maker_client ON keys (maker_client, created_at);
