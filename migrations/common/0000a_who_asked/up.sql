-- Whose event it is, and what is known of the request that caused it.
-- (The number comes after 0000 and before the first one of any service, which is 0001.)

ALTER TABLE outbox
    ADD COLUMN client_id  text,
    ADD COLUMN ip_address text,
    ADD COLUMN user_agent text,
    ADD COLUMN trace_id   text;
