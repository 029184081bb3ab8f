//! The queue against a real Postgres.

#![cfg(test)]

mod queue;
mod runner;

use diesel::{PgConnection, RunQueryDsl as _, connection::SimpleConnection as _, sql_query, sql_types::Text};
use migrations::Service;
use serde_json::json;
use test_support::TestDb;
use work_queue::NewJob;

const KIND: &str = "test";

/// A schema that has the table.
fn schema() -> TestDb {
    TestDb::schema(Service::AgentBuilder)
}

fn enqueue(conn: &mut PgConnection, key: &str) -> i64 {
    work_queue::enqueue(conn, &NewJob { kind: KIND, key, payload: json!({ "key": key }) }).unwrap()
}

#[derive(diesel::QueryableByName)]
struct StateRow {
    #[diesel(sql_type = Text)]
    state: String,
}

fn state(conn: &mut PgConnection, job: i64) -> String {
    let query = format!("SELECT state FROM jobs WHERE id = {job}");
    sql_query(query).get_result::<StateRow>(conn).unwrap().state
}

/// As if the runner had died long ago.
fn expire_leases(conn: &mut PgConnection) {
    conn.batch_execute("UPDATE jobs SET lease_until = now() - interval '1 second' WHERE state = 'running'").unwrap();
}
