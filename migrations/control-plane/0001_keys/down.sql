DROP TABLE bootstrap;
DROP TABLE keys;
