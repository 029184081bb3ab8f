-- How the outbox is emptied.

-- Until when an event that the control plane refused does not keep the others back.
ALTER TABLE outbox ADD COLUMN set_aside_until timestamptz;

-- Rows live for a moment: what they leave behind is cleared away by their number, not by the table's size.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- One row: which process empties the outbox, and until when it may count on being the only one.
CREATE TABLE outbox_relay (
    only_row boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    holder   uuid,
    until    timestamptz
);

INSERT INTO outbox_relay DEFAULT VALUES;
