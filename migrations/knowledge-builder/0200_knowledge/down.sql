DROP TABLE runs;
DROP TABLE knowledge_items;
DROP TABLE knowledge_records;
