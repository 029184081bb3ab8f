//! What only an administrator can make: extensions, roles, schemas.

use diesel::{
    Connection, OptionalExtension, PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    result::Error as QueryError,
    sql_query,
    sql_types::{Bool, Integer, Text},
};

use crate::{Error, Service, url::check};

/// The oldest server that we test our SQL for.
const OLDEST_SERVER: i32 = 15;

/// Makes what is missing of: the extension `vector` in `public`, one role and one schema per service.
///
/// The roles cannot log in; whoever may use a service's URL logs in as themselves and takes on the role. A role may use
/// its own schema and `public`, and no other service's.
///
/// # Errors
/// The server is away or too old, has no pgvector, or `admin_url` has not the right to make what is missing.
pub fn provision(admin_url: &str) -> Result<(), Error> {
    check(admin_url)?;
    let mut conn = PgConnection::establish(admin_url)?;
    conn.batch_execute("SET client_min_messages = warning; SET lock_timeout = '60s'")?;
    conn.transaction(|conn| {
        // Two that start at once must not both find something missing.
        sql_query("SELECT pg_advisory_xact_lock(hashtextextended('imago provision', 0))").execute(conn)?;
        check_server(conn)?;
        ensure_vector(conn)?;
        ensure_trigrams(conn)?;
        Service::ALL.iter().try_for_each(|service| ensure_service(conn, *service))
    })
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    value: i32,
}

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    value: bool,
}

fn check_server(conn: &mut PgConnection) -> Result<(), Error> {
    let version = sql_query("SELECT current_setting('server_version_num')::int / 10000 AS value");
    let version = version.get_result::<Number>(conn)?.value;
    if version < OLDEST_SERVER { Err(Error::TooOld(version)) } else { Ok(()) }
}

fn ensure_vector(conn: &mut PgConnection) -> Result<(), Error> {
    let installed = "SELECT n.nspname::text || ' ' || e.extversion AS value FROM pg_extension e
                     JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'";
    let mut found = sql_query(installed).get_result::<Value>(conn).optional()?;
    if found.is_none() {
        if !is_available(conn, "vector")? {
            return Err(Error::NoVector);
        }
        run(conn, "create the extension vector", "CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")?;
        found = sql_query(installed).get_result::<Value>(conn).optional()?;
    }
    let found = found.map(|found| found.value).unwrap_or_default();
    let (schema, version) = found.rsplit_once(' ').unwrap_or_default();
    if schema != "public" {
        return Err(Error::VectorElsewhere(schema.into()));
    }
    // "0.4.4" is too old, "0.10.0" is not.
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if (major, minor) < (0, 5) { Err(Error::VectorTooOld(version.into())) } else { Ok(()) }
}

/// Makes searching in texts faster where the server has it; nothing depends on it.
fn ensure_trigrams(conn: &mut PgConnection) -> QueryResult<()> {
    if !is_available(conn, "pg_trgm")? {
        return Ok(());
    }
    let made = conn.transaction(|conn| conn.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public"));
    if let Err(error) = made {
        tracing::debug!("no pg_trgm: {error}");
    }
    Ok(())
}

fn is_available(conn: &mut PgConnection, extension: &str) -> QueryResult<bool> {
    let query = sql_query("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = $1) AS value");
    Ok(query.bind::<Text, _>(extension).get_result::<Flag>(conn)?.value)
}

fn ensure_service(conn: &mut PgConnection, service: Service) -> Result<(), Error> {
    let (role, schema) = (service.role(), service.schema());
    if !holds(conn, &format!("EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')"))? {
        // Roles are the whole server's, so somebody in another database may be making the same one now.
        let statement = format!("CREATE ROLE {role} NOLOGIN");
        let tolerant =
            format!("DO $$ BEGIN {statement}; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$");
        run_as(conn, "create roles", &tolerant, &statement)?;
    }
    // Administrators are in every role already. Since 16 it takes the right to switch, before that being a member.
    let switch = if holds(conn, "current_setting('server_version_num')::int >= 160000")? { "SET" } else { "MEMBER" };
    if !holds(conn, &format!("pg_has_role(current_user, '{role}', '{switch}')"))? {
        run(conn, "take on the roles of the services", &format!("GRANT {role} TO CURRENT_USER"))?;
    }
    if !holds(conn, &format!("EXISTS (SELECT FROM pg_namespace WHERE nspname = '{schema}')"))? {
        run(conn, "create schemas", &format!("CREATE SCHEMA {schema} AUTHORIZATION {role}"))?;
    }
    for (name, rights) in [(schema, "USAGE, CREATE"), ("public", "USAGE")] {
        let missing =
            rights.split(", ").map(|right| format!("NOT has_schema_privilege('{role}', '{name}', '{right}')"));
        if holds(conn, &missing.collect::<Vec<_>>().join(" OR "))? {
            run(conn, "give rights on schemas", &format!("GRANT {rights} ON SCHEMA {name} TO {role}"))?;
        }
    }
    Ok(())
}

/// Evaluates a condition. Only ever given names that stand in this crate.
fn holds(conn: &mut PgConnection, condition: &str) -> QueryResult<bool> {
    Ok(sql_query(format!("SELECT ({condition}) AS value")).get_result::<Flag>(conn)?.value)
}

fn run(conn: &mut PgConnection, what: &str, statement: &str) -> Result<(), Error> {
    run_as(conn, what, statement, statement)
}

/// Runs a statement. If the server refuses, tells what an administrator should run instead.
fn run_as(conn: &mut PgConnection, what: &str, statement: &str, remedy: &str) -> Result<(), Error> {
    conn.batch_execute(statement).map_err(|error| match error {
        QueryError::DatabaseError(_, information)
            if ["permission denied", "must be "].iter().any(|sign| information.message().starts_with(sign)) =>
        {
            Error::Refused { what: what.into(), reason: information.message().into(), remedy: remedy.into() }
        }
        other => other.into(),
    })
}
