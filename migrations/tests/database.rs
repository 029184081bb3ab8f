//! Provisioning and migrating on a real server.

#![cfg(test)]

use diesel::{Connection, PgConnection, RunQueryDsl, connection::SimpleConnection, sql_query};
use diesel_migrations::MigrationHarness;
use migrations::{Error, Service, migrate, provision, service_url};
use test_support::{TestDatabase, TestDb};

fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).unwrap()
}

fn refusal(conn: &mut PgConnection, sql: &str) -> String {
    conn.batch_execute(sql).unwrap_err().to_string()
}

diesel::table! {
    pg_tables (tablename) {
        schemaname -> Text,
        tablename -> Text,
        tableowner -> Text,
    }
}

/// The tables of a schema, each with its owner.
fn tables(url: &str, schema: &str) -> Vec<(String, String)> {
    use diesel::{ExpressionMethods, QueryDsl};
    pg_tables::table
        .filter(pg_tables::schemaname.eq(schema))
        .order(pg_tables::tablename)
        .select((pg_tables::tablename, pg_tables::tableowner))
        .load(&mut connect(url))
        .unwrap()
}

#[test]
fn doing_everything_twice_changes_nothing() {
    let db = TestDatabase::empty();
    provision(db.url()).unwrap();
    provision(db.url()).unwrap();
    for service in Service::ALL {
        assert!(!migrate(db.url(), *service).unwrap().is_empty());
        assert!(migrate(db.url(), *service).unwrap().is_empty());
    }
}

#[test]
fn whoever_starts_at_the_same_time_waits_its_turn() {
    let db = TestDatabase::empty();
    let run: Vec<usize> = std::thread::scope(|scope| {
        let start = || {
            provision(db.url()).unwrap();
            migrate(db.url(), Service::AgentBuilder).unwrap().len()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(run.iter().filter(|versions| **versions > 0).count(), 1, "{run:?}");
}

#[test]
fn a_service_owns_its_tables_and_reaches_no_other_service() {
    let db = TestDatabase::new();
    for service in Service::ALL {
        let tables = tables(db.url(), service.schema());
        assert!(tables.iter().any(|(name, _)| name == "outbox"), "{tables:?}");
        assert!(tables.iter().all(|(_, owner)| owner == service.role()), "{tables:?}");
    }

    let mut conn = connect(&service_url(db.url(), Service::AgentBuilder).unwrap());
    conn.batch_execute("SELECT count(*) FROM outbox; SELECT '[1,2]'::vector").unwrap();
    let denied = "permission denied for schema skill_builder";
    assert_eq!(refusal(&mut conn, "SELECT count(*) FROM skill_builder.outbox"), denied);
    assert_eq!(refusal(&mut conn, "CREATE TABLE skill_builder.mine (n int)"), denied);
    assert_eq!(refusal(&mut conn, "CREATE TABLE public.mine (n int)"), "permission denied for schema public");
    assert!(refusal(&mut conn, "CREATE SCHEMA mine").starts_with("permission denied for database"));
}

#[test]
fn every_migration_can_be_taken_back_and_run_again() {
    for service in Service::ALL {
        let db = TestDb::schema(*service);
        let mut conn = db.connect();
        let all = conn.revert_all_migrations(service.migrations()).unwrap().len();
        let schema: Vec<_> = tables(&db.url(), db.name()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(schema, ["__diesel_schema_migrations"], "{service}");
        assert_eq!(conn.run_pending_migrations(service.migrations()).unwrap().len(), all, "{service}");
    }
}

#[test]
fn an_administrator_without_rights_is_told_what_is_missing() {
    let db = TestDatabase::empty();
    let user = "imago_test_nobody_in_particular";
    let create = format!("CREATE ROLE {user} LOGIN PASSWORD 'x'");
    // Roles outlive the database; an earlier run may have made it.
    drop(sql_query(create).execute(&mut connect(db.url())));
    let (_, address) = db.url().rsplit_once('@').unwrap();

    let error = provision(&format!("postgres://{user}:x@{address}")).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Refused { .. }), "{text}");
    assert!(text.contains("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public") && !text.contains('\n'), "{text}");
}

#[test]
fn an_administrator_needs_no_more_than_the_right_to_make_roles_and_schemas() {
    let db = TestDatabase::empty();
    let user = format!("imago_test_admin_{}", std::process::id());
    let mut superuser = connect(db.url());
    let (base, name) = db.url().rsplit_once('/').unwrap();
    let (_, address) = base.rsplit_once('@').unwrap();
    superuser.batch_execute("CREATE EXTENSION vector SCHEMA public").unwrap();
    let rights = format!("CREATE ROLE {user} LOGIN CREATEROLE PASSWORD 'x'; GRANT CREATE ON DATABASE {name} TO {user}");
    superuser.batch_execute(&rights).unwrap();
    for service in Service::ALL {
        superuser.batch_execute(&format!("GRANT {} TO {user} WITH ADMIN OPTION", service.role())).unwrap();
    }

    let url = format!("postgres://{user}:x@{address}/{name}");
    provision(&url).unwrap();
    migrate(&url, Service::ControlPlane).unwrap();

    superuser.batch_execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).unwrap();
}

#[test]
fn the_address_of_an_unreachable_server_is_an_error_without_the_password() {
    let error = provision("postgres://u:geheim@127.0.0.1:1/d").unwrap_err().to_string();
    assert!(error.starts_with("cannot connect to the database") && !error.contains("geheim"), "{error}");
}
