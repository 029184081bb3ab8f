//! Administering users.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    keys::make,
    people::{AUTH, FORBIDDEN, REVOKED, WRONG, events, login, person},
    rig::Rig,
};

fn path() -> String {
    format!("{AUTH}/users")
}

fn of(id: &str) -> String {
    format!("{AUTH}/users/{id}")
}

fn names(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["username"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn users_are_found_by_role_activity_and_text() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let bob = person(&rig, "bob", "developer").await;
    rig.admin().put(&of(&bob.id), &json!({"full_name": "Bob of ADAland"})).await.data(200);
    rig.admin().put(&of(&ada.id), &json!({"is_active": false})).await.data(200);
    let found = async |query: &str| rig.admin().get(&format!("{}?{query}", path())).await.data(200);
    for (query, expected) in [
        ("", vec!["admin", "ada", "bob"]),
        ("role=developer", vec!["bob"]),
        ("filter[role]=developer", vec!["bob"]),
        ("role=&is_active=", vec!["admin", "ada", "bob"]),
        ("is_active=false", vec!["ada"]),
        ("search=ada", vec!["ada", "bob"]),
        ("search=ADA@EXAMPLE", vec!["ada"]),
        ("search=ada&role=user", vec!["ada"]),
        ("search=100%25_", vec![]),
        ("sort=-username&limit=2", vec!["bob", "admin"]),
        ("skip=1&limit=1", vec!["ada"]),
        ("offset=2", vec!["bob"]),
    ] {
        assert_eq!(names(&found(query).await), expected, "{query}");
    }
    for (query, field) in [("role=emperor", "role"), ("is_active=maybe", "is_active"), ("sort=colour", "sort")] {
        let answer = rig.admin().get(&format!("{}?{query}", path())).await;
        answer.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
        assert_eq!(answer.fields(), [field]);
    }
    let paged = rig.admin().get(&format!("{}?skip=1&limit=1&page=9", path())).await.meta()["pagination"].clone();
    let expected = json!({
        "page": 2, "per_page": 1, "total": 3, "total_pages": 3, "has_next": true, "has_prev": true, "offset": 1, "limit": 1,
    });
    assert_eq!(paged, expected);
}

#[tokio::test]
async fn only_who_manages_users_reads_and_changes_them() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "developer").await;
    for answer in [
        ada.client.get(&path()).await,
        ada.client.get(&of(&ada.id)).await,
        ada.client.put(&of(&ada.id), &json!({"role": "admin"})).await,
    ] {
        answer.error(403, FORBIDDEN);
    }
    let (manager, _) = make(&rig.admin(), json!({"name": "m", "permissions": ["users:manage"]})).await;
    rig.service.client().bearer(&manager).get(&of(&ada.id)).await.data(200);
}

#[tokio::test]
async fn an_unknown_user_is_not_found() {
    let rig = Rig::start(&[]).await;
    for id in ["usr_none", "a'b", "x%20y"] {
        let error = rig.admin().get(&of(id)).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
        let id = id.replace("%20", " ");
        assert_eq!(error["message"], format!("User '{id}' not found"));
    }
    for body in [json!({"full_name": "Ada King"}), json!({"password": "Better-Horse-8"})] {
        rig.admin().put(&of("usr_none"), &body).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    }
}

#[tokio::test]
async fn another_role_activity_or_password_ends_the_users_sessions_and_nothing_else_does() {
    let rig = Rig::start(&[]).await;
    let mut ada = person(&rig, "ada", "user").await;
    for (change, ends) in [
        (json!({"role": "user", "is_active": true, "full_name": "Ada King"}), false),
        (json!({"email": "ada2@example.com", "preferences": {"a": 1}, "avatar_url": "https://a.example"}), false),
        (json!({"role": "developer"}), true),
        (json!({"is_active": false}), true),
        (json!({"is_active": true, "role": "developer"}), true),
        (json!({"password": crate::people::PASSWORD}), true),
    ] {
        let user = rig.admin().put(&of(&ada.id), &change).await.data(200);
        for (name, value) in change.as_object().unwrap().iter().filter(|(name, _)| *name != "password") {
            assert_eq!(&user[name], value, "{name}");
        }
        let answer = ada.client.get(&format!("{AUTH}/me")).await;
        if ends {
            answer.error(401, REVOKED);
        } else {
            answer.data(200);
        }
        if user["is_active"] == true && ends {
            ada.sign_in().await;
        }
    }
    let told = events(&rig, "user.updated");
    assert_eq!(told.len(), 6);
    assert_eq!((&told[2]["payload"]["changed"], &told[2]["actor"]), (&json!(["role"]), &json!("admin-key")));
}

#[tokio::test]
async fn a_deactivated_user_does_not_come_in_again() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    rig.admin().put(&of(&ada.id), &json!({"is_active": false})).await.data(200);
    let body = json!({"username": "ada", "password": crate::people::PASSWORD});
    rig.service.client().post(&format!("{AUTH}/login"), &body).await.error(401, WRONG);
    let body = json!({"refresh_token": ada.refresh_token()});
    rig.service.client().post(&format!("{AUTH}/refresh"), &body).await.error(401, REVOKED);
    rig.admin().put(&of(&ada.id), &json!({"is_active": true})).await.data(200);
    login(&rig.service.client(), "ada", crate::people::PASSWORD).await;
}

#[tokio::test]
async fn the_last_active_administrator_keeps_role_and_activity() {
    let rig = Rig::start(&[]).await;
    let first = rig.texts("SELECT id AS value FROM users")[0].clone();
    for change in [json!({"role": "user"}), json!({"is_active": false}), json!({"role": null})] {
        rig.admin().put(&of(&first), &change).await.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
    }
    rig.admin().put(&of(&first), &json!({"full_name": "The Boss", "role": "admin"})).await.data(200);
    let second = person(&rig, "ada", "admin").await;
    let admin = rig.admin();
    for _ in 0..5 {
        rig.execute("UPDATE users SET role = 'admin', is_active = true");
        let changes = [(&first, json!({"role": "user"})), (&second.id, json!({"is_active": false}))];
        let answers = join_all(changes.iter().map(async |(id, change)| admin.put(&of(id), change).await)).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }
}

#[tokio::test]
async fn of_many_changes_of_one_revision_one_is_made() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let (admin, id) = (rig.admin(), of(&ada.id));
    let change = async |n: usize| admin.put(&id, &json!({"full_name": format!("Ada {n}"), "revision": 1})).await.status;
    let mut statuses = join_all((0..6).map(change)).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409]);
}
