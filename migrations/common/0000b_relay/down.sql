DROP TABLE outbox_relay;
ALTER TABLE outbox RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay);
ALTER TABLE outbox DROP COLUMN set_aside_until;
