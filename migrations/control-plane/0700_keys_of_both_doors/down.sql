DROP INDEX keys_maker_client;
DROP INDEX keys_client_id;
DELETE FROM keys WHERE form = 'ains';
ALTER TABLE keys
    DROP CONSTRAINT keys_previous,
    DROP COLUMN maker_client,
    DROP COLUMN previous_until,
    DROP COLUMN previous_sha256,
    DROP COLUMN form;
