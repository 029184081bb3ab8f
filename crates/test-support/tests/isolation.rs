//! That tests cannot see each other, and leave nothing behind.

#![cfg(test)]

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Bool,
};
use migrations::Service;
use test_support::{TestDatabase, TestDb, rolled_back};

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    value: bool,
}

fn holds(conn: &mut PgConnection, condition: &str) -> bool {
    sql_query(format!("SELECT ({condition}) AS value")).get_result::<Flag>(conn).unwrap().value
}

#[test]
fn two_schemas_of_one_service_are_apart_and_go_away() {
    let (one, two) = (TestDb::schema(Service::AgentBuilder), TestDb::schema(Service::AgentBuilder));
    let (mut first, mut second) = (one.connect(), two.connect());
    first.batch_execute("CREATE TABLE mine (n int)").unwrap();
    assert!(!holds(&mut second, "to_regclass('mine') IS NOT NULL"));
    assert!(holds(&mut second, "to_regclass('outbox') IS NOT NULL"));

    let gone = format!("EXISTS (SELECT FROM pg_namespace WHERE nspname = '{}')", one.name());
    assert!(holds(&mut second, &gone));
    // Even with a connection in the middle of something.
    first.batch_execute("BEGIN; LOCK TABLE mine").unwrap();
    drop(one);
    assert!(!holds(&mut second, &gone));
}

#[test]
fn what_is_rolled_back_is_seen_by_nobody() {
    let (mut one, mut two) = (rolled_back(Service::ControlPlane), rolled_back(Service::ControlPlane));
    one.batch_execute("CREATE TABLE mine (n int)").unwrap();
    assert!(!holds(&mut two, "to_regclass('mine') IS NOT NULL"));
}

#[test]
fn a_database_has_every_service_and_goes_away_with_its_connections() {
    let database = TestDatabase::new();
    let mut conn = PgConnection::establish(database.url()).unwrap();
    for service in Service::ALL {
        assert!(holds(&mut conn, &format!("to_regclass('{}.outbox') IS NOT NULL", service.schema())));
    }
    let url = database.url().to_owned();
    drop(database);
    assert!(PgConnection::establish(&url).is_err());
}
