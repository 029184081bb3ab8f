-- Who did what, and who was refused. Each row is chained to the one before it (docs/audit.md says how).

CREATE TABLE audit_log (
    -- 1, 2, 3 …, given under the lock on the head, without gaps.
    seq        bigint         PRIMARY KEY,
    created_at timestamptz(3) NOT NULL,
    event_type text           NOT NULL,
    action     text           NOT NULL,
    client_id  text,
    actor      text,
    target     text,
    success    boolean        NOT NULL,
    ip_address text,
    user_agent text,
    request_id text,
    -- json, not jsonb: it is hashed to the letter.
    details    json           NOT NULL,
    -- The row whose count this one raises.
    corrects   bigint,
    prev_hash  bytea          NOT NULL,
    hash       bytea          NOT NULL
);

CREATE INDEX audit_log_time ON audit_log (created_at, seq) WHERE corrects IS NULL;
CREATE INDEX audit_log_client ON audit_log (client_id, created_at, seq) WHERE corrects IS NULL;
CREATE INDEX audit_log_type ON audit_log (event_type, created_at, seq) WHERE corrects IS NULL;
CREATE INDEX audit_log_failures ON audit_log (created_at, seq) WHERE corrects IS NULL AND NOT success;
CREATE INDEX audit_log_corrects ON audit_log (corrects) WHERE corrects IS NOT NULL;

-- One row: the newest one of the log. Whoever appends holds it.
CREATE TABLE audit_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq      bigint  NOT NULL,
    hash     bytea   NOT NULL
);

INSERT INTO audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- Where verification begins, since the rows up to seq were let go.
CREATE TABLE audit_checkpoints (
    seq       bigint         PRIMARY KEY,
    hash      bytea          NOT NULL,
    -- How many rows went.
    removed   bigint         NOT NULL,
    -- All of them were older than this.
    before    timestamptz(3) NOT NULL,
    made_at   timestamptz(3) NOT NULL,
    signature bytea          NOT NULL
);

-- Which row of the log counts a key's requests to an endpoint from an address in a minute, while more may come.
CREATE TABLE audit_uses (
    key_id     text        NOT NULL,
    endpoint   text        NOT NULL,
    method     text        NOT NULL,
    -- Empty when unknown.
    ip_address text        NOT NULL,
    minute     timestamptz NOT NULL,
    seq        bigint      NOT NULL,
    count      bigint      NOT NULL,
    -- How much of it the log says.
    logged     bigint      NOT NULL,
    PRIMARY KEY (minute, key_id, endpoint, method, ip_address)
);

CREATE INDEX audit_uses_seq ON audit_uses (seq);
CREATE INDEX audit_uses_open ON audit_uses (minute) WHERE count > logged;

-- Windows of the rate limits in which the log says that the limit was exceeded.
CREATE TABLE audit_windows (
    -- The key or token, else the address.
    who         text        NOT NULL,
    size        text        NOT NULL,
    starts_at   timestamptz NOT NULL,
    PRIMARY KEY (starts_at, who, size)
);

-- Batches of access records that were counted.
CREATE TABLE access_batches (
    id uuid        PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX access_batches_at ON access_batches (at);

-- What keeps honest programs honest. The tables' owner can take these triggers away; that is what the chain is for.

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: it only grows', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER audit_log_grows BEFORE UPDATE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoints_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_head_stays BEFORE DELETE OR TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

-- Rows go when a checkpoint says so.
CREATE FUNCTION audit_check_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT max(seq) FROM removed) > (SELECT coalesce(max(seq), 0) FROM audit_checkpoints) THEN
        RAISE EXCEPTION 'DELETE of audit_log is refused: no checkpoint covers it' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER audit_log_removal AFTER DELETE ON audit_log
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION audit_check_removal();

CREATE FUNCTION audit_check_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seq <= OLD.seq THEN
        RAISE EXCEPTION 'UPDATE of audit_head is refused: the log only grows' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER audit_head_grows BEFORE UPDATE ON audit_head FOR EACH ROW EXECUTE FUNCTION audit_check_head();
