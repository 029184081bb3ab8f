//! `imago env`, `backup`, `restore`, `import`.

use std::{fs, process::Output};

use reqwest::Method;
use serde_json::{Value, json};

use crate::stack::{Stack, eventually};

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn env_names_the_running_stack_for_a_shell() {
    let stack = Stack::start();
    let output = stack.imago(&["env"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains(&format!("export IMAGO_PUBLIC_URL='{}'", stack.url(""))), "{text}");
    assert!(text.lines().any(|line| line.starts_with("export DATABASE_URL='postgres")), "{text}");
}

#[test]
fn a_backup_brings_agents_back() {
    let stack = Stack::start();
    stack.begin_agent("kept");
    let before = stack.finished_agent("kept");
    let output = stack.imago(&["backup", "agents.json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).trim(), "agents.json");
    let file: Value = serde_json::from_str(&fs::read_to_string(stack.dir().join("agents.json")).unwrap()).unwrap();
    assert_eq!(file["version"], "1.0");
    assert_eq!(file["agents"][0]["generated_skills"][0]["embedding"].as_array().unwrap().len(), 384);

    assert_eq!(stack.send(Method::DELETE, "/api/v1/agents/kept", None).0, 200);
    let output = stack.imago(&["restore", "agents.json"]);
    assert_eq!(stdout(&output).trim(), "Restored 1 agents", "{}", stderr(&output));
    let (status, after) = stack.get("/api/v1/agents/kept");
    assert_eq!(status, 200);
    for key in ["role_model", "generated_skills", "generated_knowledge", "status", "capabilities", "created_at"] {
        assert_eq!(after["data"][key], before[key], "{key}");
    }
}

#[test]
fn a_file_of_another_format_restores_nothing() {
    let stack = Stack::start();
    for (name, text) in [
        ("not-json", "{"),
        ("other", r#"{"agents": 3}"#),
        ("half", r#"{"timestamp":"x","version":"1.0","agents":[{"agent_id":"a"#),
    ] {
        fs::write(stack.dir().join(name), text).unwrap();
        let output = stack.imago(&["restore", name]);
        assert_eq!(output.status.code(), Some(2), "{name}: {}", stderr(&output));
        assert!(!stderr(&output).trim().is_empty());
    }
    assert_eq!(stack.get("/api/v1/agents").1["meta"]["pagination"]["total"], 0);
}

/// A classification of one occupation, in the layout of the ESCO download.
fn write_esco(dir: &std::path::Path, label: &str) {
    fs::create_dir_all(dir).unwrap();
    let occupation = "http://data.example/occupation/1";
    let skill = |number: u8| format!("http://data.example/skill/{number}");
    let occupations = format!(
        "conceptType,conceptUri,iscoGroup,preferredLabel,altLabels,status,description,code\nOccupation,{occupation},2120,{label},\"kite maker\nkite smith\",released,Makes kites.,2120.9\n"
    );
    let skills: String = (1..=3)
        .map(|n| {
            format!(
                "KnowledgeSkillCompetence,{},knowledge,cross-sector,kite craft {n},,released,About kites.\n",
                skill(n)
            )
        })
        .collect();
    let relations: String = (1..=3)
        .map(|n| format!("{occupation},{},knowledge,{}\n", if n < 3 { "essential" } else { "optional" }, skill(n)))
        .collect();
    fs::write(dir.join("occupations_en.csv"), occupations).unwrap();
    fs::write(
        dir.join("skills_en.csv"),
        format!("conceptType,conceptUri,skillType,reuseLevel,preferredLabel,altLabels,status,description\n{skills}"),
    )
    .unwrap();
    fs::write(
        dir.join("occupationSkillRelations.csv"),
        format!("occupationUri,relationType,skillType,skillUri\n{relations}"),
    )
    .unwrap();
}

#[test]
fn an_import_replaces_the_taxonomy_and_a_broken_one_does_not() {
    let stack = Stack::start();
    let taxonomy = || stack.get("/api/v1/skills/taxonomy").1["data"].clone();
    assert_eq!(taxonomy()["builtin"], true);
    write_esco(&stack.dir().join("esco-9.9.9"), "kite builder");
    let output = stack.imago(&["import", "esco", "esco-9.9.9"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let imported = eventually("the service follows", || Some(taxonomy()).filter(|t| t["name"] == "ESCO"));
    assert_eq!(
        (&imported["version"], &imported["occupations"], &imported["relations"]),
        (&json!("9.9.9"), &json!(1), &json!(3))
    );
    let (status, made) = stack.send(Method::POST, "/api/v1/skills", Some(&json!({"occupation": "Kite Smith"})));
    assert_eq!((status, &made["data"]["occupation_match"]["label"]), (201, &json!("kite builder")), "{made}");

    let broken = stack.dir().join("esco-9.9.10");
    write_esco(&broken, "kite breaker");
    fs::write(broken.join("skills_en.csv"), "conceptType,conceptUri\nKnowledgeSkillCompetence,\"unfinished").unwrap();
    let output = stack.imago(&["import", "esco", "esco-9.9.10"]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stderr(&output).contains("skills_en.csv"), "{}", stderr(&output));
    assert_eq!(taxonomy()["version"], "9.9.9");
}

#[test]
fn the_audit_log_is_verified_and_exported() {
    let stack = Stack::start();
    // The first rows come a moment after the start that they tell of.
    let (text, head) = eventually("the log begins", || {
        let output = stack.imago(&["audit", "verify"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let text = stdout(&output);
        let head = text.lines().find_map(|line| line.strip_prefix("head ")).unwrap().to_owned();
        (!head.starts_with("0:")).then_some((text, head))
    });
    assert!(text.starts_with("The audit log is intact: "), "{text}");
    // What happens later does not contradict what was printed.
    stack.get("/ains/audit-logs");
    assert!(stack.imago(&["audit", "verify", "--expect-head", &head]).status.success());

    let (seq, hash) = head.split_once(':').unwrap();
    for (expected, code) in
        [(format!("{seq}:{}", "0".repeat(64)), 1), (format!("1000000:{hash}"), 1), ("nonsense".to_owned(), 2)]
    {
        let output = stack.imago(&["audit", "verify", "--expect-head", &expected]);
        assert_eq!(output.status.code(), Some(code), "{expected}: {}", stderr(&output));
    }

    let output = stack.imago(&["audit", "export", "audit.ndjson"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<Value> = fs::read_to_string(stack.dir().join("audit.ndjson"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(stdout(&output).contains(&format!("Exported {} rows", lines.len())));
    let last = lines.iter().find(|line| line["seq"].as_i64() == seq.parse().ok()).unwrap();
    assert_eq!(last["hash"], hash);
}
