DROP TABLE set_skills;
DROP TABLE skill_sets;
