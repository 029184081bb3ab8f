//! The rules of ARCHITECTURE.md that a machine can check.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::stack::root;

/// Longer modules want a split.
const LINES_MAX: usize = 600;

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if entry.file_name() != "target" {
                found.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

pub(crate) fn services() -> Vec<(String, PathBuf)> {
    let dirs = fs::read_dir(root().join("services")).unwrap();
    let mut found: Vec<_> =
        dirs.map(|dir| dir.unwrap()).map(|dir| (dir.file_name().into_string().unwrap(), dir.path())).collect();
    found.retain(|(name, _)| name != "imago");
    assert!(found.len() >= 4);
    found
}

/// Lines of code in `dir` of any service that name one of `words`.
fn mentions(dir: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (_, service) in services() {
        for file in rust_files(&service.join("src").join(dir)) {
            for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
                let code = line.split("//").next().unwrap();
                if words.iter().any(|word| code.contains(word)) {
                    found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
                }
            }
        }
    }
    found
}

#[test]
fn rules_know_no_http_and_no_sql() {
    let found = mentions("domain", &["actix_web", "diesel::", "reqwest::", "PgConnection", "HttpResponse"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn handlers_know_no_sql_and_queries_no_http() {
    let found = mentions("api", &["diesel::", "PgConnection", "sql_query"]);
    assert!(found.is_empty(), "{found:#?}");
    let found = mentions("store", &["actix_web", "reqwest::"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_service_depends_on_another() {
    let names: Vec<String> = services().into_iter().map(|(name, _)| name).collect();
    for (name, dir) in services() {
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap();
        for other in names.iter().filter(|other| **other != name) {
            assert!(!manifest.lines().any(|line| line.starts_with(&format!("{other}."))), "{name} depends on {other}");
        }
    }
}

#[test]
fn every_service_has_a_schema_of_its_own() {
    for (name, _) in services() {
        let folder = root().join("migrations").join(&name);
        assert!(folder.is_dir(), "{} is missing", folder.display());
        for migration in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
            for file in ["up.sql", "down.sql"] {
                let file = migration.join(file);
                let sql = fs::read_to_string(&file).unwrap();
                assert!(!sql.trim().is_empty(), "{} is empty", file.display());
            }
        }
    }
}

#[test]
fn versions_stand_in_the_workspace_only() {
    let manifests = ["crates", "services"].iter().flat_map(|dir| fs::read_dir(root().join(dir)).unwrap());
    for manifest in manifests.map(|dir| dir.unwrap().path().join("Cargo.toml")) {
        let text = fs::read_to_string(&manifest).unwrap();
        let dependencies = text.split("dependencies]").skip(1).flat_map(str::lines);
        let own: Vec<&str> = dependencies
            .filter(|line| line.contains("version =") || line.contains(" = \""))
            .filter(|line| !line.contains("workspace"))
            .collect();
        assert!(
            own.iter().all(|line| line.starts_with("path") || line.starts_with("name")),
            "{}: {own:?}",
            manifest.display()
        );
    }
}

#[test]
fn modules_are_short_enough_to_read() {
    let all =
        ["crates", "services", "migrations", "tests", "bench"].iter().flat_map(|dir| rust_files(&root().join(dir)));
    let long: Vec<_> = all
        .map(|file| (fs::read_to_string(&file).unwrap().lines().count(), file))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}
