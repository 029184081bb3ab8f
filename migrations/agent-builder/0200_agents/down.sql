DROP VIEW agent_records;
DROP TABLE agent_knowledge;
DROP TABLE agent_skills;
DROP TABLE agents;
DROP TABLE builds;
