//! The pool, when things go wrong.

use api_core::{
    db::{Db, Error},
    health::Database,
    outbox,
};
use diesel::{RunQueryDsl as _, connection::SimpleConnection as _, sql_query};
use migrations::Service;
use serde_json::json;
use test_support::TestDb;

async fn one(db: &Db) -> Result<usize, Error> {
    db.run(|conn| Ok(sql_query("SELECT 1").execute(conn)?)).await
}

/// Ends the pool's connections, as a restart of the server does.
fn end_connections(db: &TestDb) {
    // The service's role may not do that, whoever logged in for it may.
    let end = "SET ROLE none; SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
               WHERE application_name = current_setting('application_name') AND pid <> pg_backend_pid()";
    db.connect().batch_execute(end).unwrap();
}

#[tokio::test]
async fn a_lost_connection_costs_one_statement_and_is_replaced() {
    let test_db = TestDb::schema(Service::ControlPlane);
    let db = Db::lazy(&test_db.url(), 1);
    for _ in 0..3 {
        one(&db).await.unwrap();
        end_connections(&test_db);
        let error = one(&db).await.unwrap_err();
        assert!(error.is_connection_loss(), "{error:?}");
        one(&db).await.unwrap();
        end_connections(&test_db);
        let error = db.transaction::<_, Error>(|conn| Ok(sql_query("SELECT 1").execute(conn)?)).await.unwrap_err();
        assert!(error.is_connection_loss(), "{error:?}");
    }
}

#[tokio::test]
async fn what_fails_in_a_transaction_leaves_nothing_behind() {
    let test_db = TestDb::schema(Service::ControlPlane);
    let db = Db::lazy(&test_db.url(), 2);
    let failed: Result<(), Error> = db
        .transaction(|conn| {
            outbox::push(conn, "a.b", "a:1", None, json!({}))?;
            sql_query("SELECT 1 / 0").execute(conn)?;
            Ok(())
        })
        .await;
    assert!(!failed.unwrap_err().is_connection_loss());
    assert_eq!(db.run::<_, Error>(|conn| Ok(sql_query("DELETE FROM outbox").execute(conn)?)).await.unwrap(), 0);
}

#[tokio::test]
async fn readiness_tells_a_missing_database_from_missing_migrations() {
    let test_db = TestDb::schema(Service::ControlPlane);
    let migrations = Service::ControlPlane.migrations();
    let database = Database::new(Db::lazy(&test_db.url(), 1), &migrations).unwrap();
    assert!(database.checks().await.iter().all(|check| check.ok));
    assert_eq!(database.dependency().await.status.as_str(), "healthy");

    test_db.connect().batch_execute("DELETE FROM __diesel_schema_migrations WHERE version LIKE '%1'").unwrap();
    let [reached, migrated] = database.checks().await.try_into().unwrap();
    assert!(reached.ok && !migrated.ok && migrated.note.contains('1'), "{migrated:?}");

    let away = Database::new(Db::lazy("postgres://127.0.0.1:1/none", 1), &migrations).unwrap();
    assert!(away.checks().await.iter().all(|check| !check.ok));
    assert_eq!(away.dependency().await.status.as_str(), "unreachable");
}
