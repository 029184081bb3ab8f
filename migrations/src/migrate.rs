//! Runs pending migrations.

use diesel::{Connection, PgConnection, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text};
use diesel_migrations::MigrationHarness;

use crate::{Error, Service, schema_url};

/// Runs what is pending for a service in its schema, as its role. Returns the versions that were run.
///
/// Whoever comes second waits for the first and finds nothing to do.
///
/// # Errors
/// The database is away, is not provisioned, or refuses a migration.
pub fn migrate(admin_url: &str, service: Service) -> Result<Vec<String>, Error> {
    migrate_schema(admin_url, service, service.schema())
}

/// Like [`migrate`], into another schema, which must exist.
///
/// # Errors
/// As for [`migrate`].
pub fn migrate_schema(admin_url: &str, service: Service, schema: &str) -> Result<Vec<String>, Error> {
    let mut conn = PgConnection::establish(&schema_url(admin_url, service, schema)?)?;
    // An index on a big table may take its time; a table that somebody holds must not stop everybody behind us for long.
    conn.batch_execute("SET statement_timeout = 0; SET lock_timeout = '10min'; SET client_min_messages = warning")?;
    // Released with the connection.
    sql_query("SELECT pg_advisory_lock(hashtextextended('imago migrations ' || $1, 0))")
        .bind::<Text, _>(schema)
        .execute(&mut conn)?;
    conn.batch_execute("SET lock_timeout = '30s'")?;
    let failed = |source| Error::Migration { service, source };
    let run = conn.run_pending_migrations(service.migrations()).map_err(failed)?;
    let versions: Vec<String> = run.iter().map(ToString::to_string).collect();
    if !versions.is_empty() {
        tracing::info!("{service}: {} migrations run", versions.len());
    }
    Ok(versions)
}
