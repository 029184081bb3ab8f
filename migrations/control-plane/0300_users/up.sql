-- People who sign in with a password, and their sessions.

-- Times have the precision in which they are shown. Texts that are sorted or looked up compare byte by byte.
CREATE TABLE users (
    id            text COLLATE "C" PRIMARY KEY,
    -- In lower case, as is the address: that is how they are unique.
    username      text COLLATE "C" NOT NULL,
    email         text COLLATE "C" NOT NULL,
    full_name     text             NOT NULL,
    role          text COLLATE "C" NOT NULL,
    is_active     boolean          NOT NULL,
    avatar_url    text,
    preferences   jsonb            NOT NULL,
    -- argon2id, with its parameters and salt.
    password_hash text             NOT NULL,
    created_by    text             NOT NULL,
    created_at    timestamptz(3)   NOT NULL,
    updated_at    timestamptz(3)   NOT NULL,
    revision      bigint           NOT NULL,
    last_login    timestamptz(3),
    login_count   bigint           NOT NULL
);

CREATE UNIQUE INDEX users_username ON users (username);
CREATE UNIQUE INDEX users_email ON users (email);
CREATE INDEX users_created_at ON users (created_at, id);

-- All that descends from one login.
CREATE TABLE sessions (
    id         text COLLATE "C" PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL REFERENCES users,
    created_at timestamptz(3)   NOT NULL,
    -- When the newest refresh token of it expires.
    expires_at timestamptz(3)   NOT NULL,
    ended_at   timestamptz(3)
);

CREATE INDEX sessions_user ON sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- A used token stays: who uses it again has got it from somewhere.
CREATE TABLE refresh_tokens (
    -- In hex. The token itself is shown once and kept nowhere.
    token_sha256 text COLLATE "C" PRIMARY KEY,
    session_id   text COLLATE "C" NOT NULL REFERENCES sessions ON DELETE CASCADE,
    expires_at   timestamptz(3)   NOT NULL,
    used_at      timestamptz(3)
);

CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

-- What the other services follow: sessions that ended while a token of them could still be good.
CREATE TABLE ended_sessions (
    seq        bigint           PRIMARY KEY,
    session_id text COLLATE "C" NOT NULL UNIQUE,
    -- By then all its tokens have expired by themselves.
    until      timestamptz(3)   NOT NULL
);

CREATE INDEX ended_sessions_until ON ended_sessions (until);

-- One row, locked by whoever ends a session until it commits: so numbers become visible in their order, and who reads on
-- from the last one it saw misses none.
CREATE TABLE last_ended_session (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq      bigint  NOT NULL DEFAULT 0
);

INSERT INTO last_ended_session DEFAULT VALUES;

-- Failed logins of a name from an address, within the time in which they count.
CREATE TABLE login_failures (
    -- A keyed digest: people type their password into the wrong field.
    name_digest text           NOT NULL,
    address     text           NOT NULL,
    failures    integer        NOT NULL,
    first_at    timestamptz(3) NOT NULL,
    PRIMARY KEY (name_digest, address)
);

CREATE INDEX login_failures_first_at ON login_failures (first_at);
