//! What the handlers share.

use api_core::db::Db;

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) db: Db,
}
