//! What the tests of several rules need.

use api_types::users::{User, UserRole};
use chrono::Utc;
use serde_json::Map;

use super::StoredUser;

pub(super) fn stored() -> StoredUser {
    let now = Utc::now();
    let user = User {
        id: "usr_1".into(),
        username: "ada".to_owned(),
        email: "ada@example.com".to_owned(),
        full_name: "Ada Lovelace".to_owned(),
        role: UserRole::User,
        is_active: true,
        avatar_url: None,
        preferences: Map::new(),
        created_by: "usr_1".to_owned(),
        created_at: now,
        updated_at: now,
        revision: 1,
        last_login: None,
        login_count: 0,
    };
    StoredUser { user, password_hash: "none".to_owned() }
}
