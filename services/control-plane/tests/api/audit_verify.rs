//! Whatever is done to the audit log behind the service's back is found.

use api_core::secret::Secret;
use control_plane::audit::{Break, Head, VerifyError, export, verify};
use serde_json::{Value, json};

use crate::{
    audit::{SECRET, tell, used},
    rig::{Rig, on},
};

/// Rows that a case begins with, beside those of the rig itself.
const ROWS: u32 = 12;

fn check(rig: &Rig, expected: Option<&Head>) -> Result<i64, String> {
    match verify(&rig.db.url(), &Secret::new(SECRET), expected) {
        Ok(intact) => Ok(intact.rows),
        Err(VerifyError::Broken(broken)) => Err(format!("{broken:?}")),
        Err(other) => panic!("{other:?}"),
    }
}

fn head(rig: &Rig) -> Head {
    verify(&rig.db.url(), &Secret::new(SECRET), None).unwrap().head
}

/// An empty log that nobody adds to: what the start itself writes down, so many rows, is gone again.
pub(crate) async fn emptied(settings: &[(&str, &str)], first: usize) -> Rig {
    let rig = Rig::start(settings).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while rig.texts("SELECT action AS value FROM audit_log").len() < first {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    rig.execute(
        "ALTER TABLE audit_log DISABLE TRIGGER USER; ALTER TABLE audit_head DISABLE TRIGGER USER; DELETE FROM audit_log; \
         UPDATE audit_head SET seq = 0, hash = decode(repeat('00', 32), 'hex'); \
         ALTER TABLE audit_log ENABLE TRIGGER USER; ALTER TABLE audit_head ENABLE TRIGGER USER",
    );
    rig
}

/// A log with rows.
async fn filled() -> Rig {
    // The administrator's key, and the first administrator.
    let rig = emptied(&[], 2).await;
    for number in 0..ROWS {
        tell(&rig, number, json!([used(&format!("k_{number}"), "2026-01-01T10:00:00.000Z", 1)]), json!([])).await;
    }
    rig.execute("CREATE TABLE saved AS SELECT * FROM audit_log; CREATE TABLE saved_head AS SELECT * FROM audit_head");
    rig
}

/// Does something to the log that its triggers would refuse, says what is found, and puts everything back.
fn after(rig: &Rig, sql: &str, expected: Option<&Head>) -> Result<i64, String> {
    rig.execute("ALTER TABLE audit_log DISABLE TRIGGER USER; ALTER TABLE audit_head DISABLE TRIGGER USER");
    rig.execute(sql);
    let found = check(rig, expected);
    rig.execute(
        "DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM saved; \
         DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM saved_head; \
         ALTER TABLE audit_log ENABLE TRIGGER USER; ALTER TABLE audit_head ENABLE TRIGGER USER",
    );
    found
}

/// SQL that gives a row the hash that it should have: the canonical form, as the documentation describes it.
fn rehash(seq: i64) -> String {
    format!(
        "UPDATE audit_log SET hash = sha256(convert_to(encode(prev_hash, 'hex') || E'\\n' || '[' || concat_ws(',', seq, \
         to_json(to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')), to_json(event_type), \
         to_json(action), coalesce(to_json(client_id)::text, 'null'), coalesce(to_json(actor)::text, 'null'), \
         coalesce(to_json(target)::text, 'null'), success::text, coalesce(to_json(ip_address)::text, 'null'), \
         coalesce(to_json(user_agent)::text, 'null'), coalesce(to_json(request_id)::text, 'null'), \
         to_json(details::text), coalesce(corrects::text, 'null')) || ']', 'UTF8')) WHERE seq = {seq};"
    )
}

#[tokio::test]
async fn every_change_is_found_and_named() {
    let rig = filled().await;
    let rows = i64::from(ROWS);
    let before = head(&rig);
    assert_eq!(check(&rig, Some(&before)), Ok(rows));
    // The documentation's canonical form is the one that is used.
    assert_eq!(after(&rig, &rehash(5), None), Ok(rows));

    let deleted = |first, last| Err(format!("{:?}", Break::Deleted { first, last }));
    let broken = |broken: Break| Err(format!("{broken:?}"));
    for (sql, found) in [
        ("UPDATE audit_log SET actor = 'somebody' WHERE seq = 5".to_owned(), broken(Break::Edited(5))),
        ("UPDATE audit_log SET created_at = created_at - interval '1 s' WHERE seq = 1".to_owned(), broken(Break::Edited(1))),
        (r#"UPDATE audit_log SET details = '{"count":2,"endpoint":"/ains/tasks","method":"GET"}' WHERE seq = 7"#.to_owned(), broken(Break::Edited(7))),
        // Not even the letters of it.
        ("UPDATE audit_log SET details = (details::text || ' ')::json WHERE seq = 7".to_owned(), broken(Break::Edited(7))),
        ("UPDATE audit_log SET hash = '' WHERE seq = 7".to_owned(), broken(Break::Edited(7))),
        (format!("UPDATE audit_log SET success = false WHERE seq = {rows}"), broken(Break::Edited(rows))),
        // With its hash made anew.
        (format!("UPDATE audit_log SET actor = 'somebody' WHERE seq = 5; {}", rehash(5)), broken(Break::Rewritten(5))),
        (format!("UPDATE audit_log SET actor = 'x' WHERE seq = {rows}; {}", rehash(rows)), broken(Break::Rewritten(rows))),
        ("DELETE FROM audit_log WHERE seq = 1".to_owned(), deleted(1, 1)),
        ("DELETE FROM audit_log WHERE seq IN (5, 6)".to_owned(), deleted(5, 6)),
        (format!("DELETE FROM audit_log WHERE seq = {rows}"), deleted(rows, rows)),
        ("DELETE FROM audit_log".to_owned(), deleted(1, rows)),
        // And the others moved up.
        ("DELETE FROM audit_log WHERE seq = 5; UPDATE audit_log SET seq = -seq WHERE seq > 5; \
          UPDATE audit_log SET seq = -seq - 1 WHERE seq < 0; UPDATE audit_head SET seq = seq - 1".to_owned(), deleted(5, 5)),
        ("UPDATE audit_log SET seq = 0 WHERE seq = 5; UPDATE audit_log SET seq = 5 WHERE seq = 6; \
          UPDATE audit_log SET seq = 6 WHERE seq = 0".to_owned(), broken(Break::Moved { seq: 5, written: 6 })),
        // One more row in the middle, well made, and the others moved down.
        (format!(
            "UPDATE audit_log SET seq = -seq WHERE seq >= 5; UPDATE audit_log SET seq = 1 - seq WHERE seq < 0; \
             UPDATE audit_head SET seq = seq + 1; INSERT INTO audit_log SELECT 5, created_at, event_type, action, client_id, 'x', \
             target, success, ip_address, user_agent, request_id, details, corrects, hash, hash FROM audit_log WHERE seq = 4; {}",
            rehash(5)
        ), broken(Break::Inserted(5))),
        // At the end, with and without the head.
        (format!("INSERT INTO audit_log SELECT seq + 1, created_at, event_type, action, client_id, 'x', target, success, ip_address, \
                  user_agent, request_id, details, corrects, hash, hash FROM audit_log WHERE seq = {rows}; {}", rehash(rows + 1)),
         broken(Break::Inserted(rows + 1))),
        // Before the beginning.
        ("INSERT INTO audit_log SELECT 0, created_at, event_type, action, client_id, 'x', target, success, ip_address, \
          user_agent, request_id, details, corrects, hash, hash FROM audit_log WHERE seq = 1".to_owned(), broken(Break::Inserted(0))),
        ("UPDATE audit_head SET hash = ''".to_owned(), broken(Break::Rewritten(rows))),
        // A checkpoint that nobody signed.
        ("INSERT INTO audit_checkpoints SELECT 5, hash, 5, now(), now(), '' FROM audit_log WHERE seq = 5; \
          DELETE FROM audit_log WHERE seq <= 5".to_owned(), broken(Break::Checkpoint(5))),
    ] {
        assert_eq!(after(&rig, &sql, None), found, "{sql}");
    }
}

#[tokio::test]
async fn whoever_kept_the_head_finds_what_the_chain_alone_does_not_show() {
    let rig = filled().await;
    let before = head(&rig);
    let rows = before.seq;
    // The newest rows go, and the head says that they never were.
    let cut = format!(
        "DELETE FROM audit_log WHERE seq > {0}; UPDATE audit_head SET seq = {0}, hash = (SELECT hash FROM audit_log WHERE seq = {0})",
        rows - 2
    );
    assert_eq!(after(&rig, &cut, None), Ok(rows - 2));
    let deleted = format!("{:?}", Break::Deleted { first: rows - 1, last: rows });
    assert_eq!(after(&rig, &cut, Some(&before)), Err(deleted));
    // The last row is rewritten, and the head with it.
    let rewritten = format!(
        "UPDATE audit_log SET actor = 'x' WHERE seq = {rows}; {} UPDATE audit_head SET hash = (SELECT hash FROM audit_log WHERE seq = {rows})",
        rehash(rows)
    );
    assert_eq!(after(&rig, &rewritten, None), Ok(rows));
    assert_eq!(after(&rig, &rewritten, Some(&before)), Err(format!("{:?}", Break::Unexpected(rows))));
    // An older head is as good.
    tell(&rig, 99, json!([used("k_99", "2026-01-01T10:00:00.000Z", 1)]), json!([])).await;
    assert_eq!(check(&rig, Some(&before)), Ok(rows + 1));
    assert_eq!(before.to_string().parse::<Head>(), Ok(before));
    for bad in ["", "5", "5:xyz", "-1:00", "x:00"] {
        assert!(bad.parse::<Head>().is_err(), "{bad}");
    }
}

#[tokio::test]
async fn what_was_let_go_by_rule_is_no_break_and_what_went_with_it_is() {
    let rig = emptied(&[], 2).await;
    // The first row is young: it keeps those after it.
    tell(&rig, 0, json!([used("k_0", &api_types::time::format(chrono::Utc::now()), 1)]), json!([])).await;
    for number in 1..5 {
        tell(&rig, number, json!([used(&format!("k_{number}"), "2026-01-01T10:00:00.000Z", 1)]), json!([])).await;
    }
    let before = head(&rig);
    let again = on(&rig.db, &[("AUDIT_RETENTION_DAYS", "1")], &rig.tokens).await;
    drop(again);
    let intact = verify(&rig.db.url(), &Secret::new(SECRET), Some(&before)).unwrap();
    assert_eq!(intact.checkpoint, None);
    assert!(verify(&rig.db.url(), &Secret::new("another"), None).is_ok());
}

#[tokio::test]
async fn a_checkpoint_is_good_for_its_secret_and_for_heads_that_are_not_older() {
    let rig = emptied(&[("BOOTSTRAP_ADMIN_KEY", "")], 1).await;
    for number in 0..5 {
        tell(&rig, number, json!([used(&format!("k_{number}"), "2026-01-01T10:00:00.000Z", 1)]), json!([])).await;
    }
    let old = head(&rig);
    tell(&rig, 5, json!([used("k_5", "2026-01-01T10:01:00.000Z", 1)]), json!([])).await;
    let at_the_cut = head(&rig);
    let young = api_types::time::format(chrono::Utc::now());
    tell(&rig, 6, json!([used("k_6", &young, 1)]), json!([])).await;
    let now = head(&rig);
    let again = on(&rig.db, &[("BOOTSTRAP_ADMIN_KEY", ""), ("AUDIT_RETENTION_DAYS", "2")], &rig.tokens).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while rig.texts("SELECT seq::text AS value FROM audit_checkpoints").is_empty() {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    drop(again);
    for head in [&at_the_cut, &now] {
        assert_eq!(check(&rig, Some(head)), Ok(1));
    }
    assert!(matches!(verify(&rig.db.url(), &Secret::new(SECRET), Some(&old)), Err(VerifyError::TooOld(6))));
    let error = verify(&rig.db.url(), &Secret::new("another"), None).unwrap_err();
    assert!(matches!(error, VerifyError::Broken(Break::Checkpoint(6))));
    // A row that was let go does not come back.
    rig.execute("INSERT INTO audit_log SELECT 3, created_at, event_type, action, client_id, actor, target, success, ip_address, \
                 user_agent, request_id, details, corrects, prev_hash, hash FROM audit_log WHERE seq = 7");
    assert_eq!(check(&rig, None), Err(format!("{:?}", Break::Inserted(3))));
}

#[tokio::test]
async fn an_export_is_the_chain_to_the_letter() {
    let rig = filled().await;
    let mut text = Vec::new();
    let count = export(&rig.db.url(), &mut text).unwrap();
    let lines: Vec<Value> =
        String::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((count, lines.len()), (u64::from(ROWS), ROWS as usize));
    assert!(lines.windows(2).all(|two| two[1]["prev_hash"] == two[0]["hash"]));
}
