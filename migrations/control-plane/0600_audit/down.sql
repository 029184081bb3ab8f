DROP TABLE access_batches, audit_windows, audit_uses, audit_checkpoints, audit_head, audit_log;
DROP FUNCTION audit_refuse, audit_check_removal, audit_check_head;
