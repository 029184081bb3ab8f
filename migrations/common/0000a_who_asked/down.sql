ALTER TABLE outbox DROP COLUMN client_id, DROP COLUMN ip_address, DROP COLUMN user_agent, DROP COLUMN trace_id;
