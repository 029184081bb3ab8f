DROP TABLE login_failures;
DROP TABLE last_ended_session;
DROP TABLE ended_sessions;
DROP TABLE refresh_tokens;
DROP TABLE sessions;
DROP TABLE users;
