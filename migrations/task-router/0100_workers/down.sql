DROP TABLE trust_records, worker_tags, workers;
DROP SEQUENCE turns;
