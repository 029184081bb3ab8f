//! Importing a classification while the service runs.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rig::{Rig, names};

const OCCUPATIONS: &str = "\
conceptType,conceptUri,preferredLabel,altLabels,status,description,code
Occupation,http://e/o1,juggler,ball artist,released,Throws and catches.,2659.1
Occupation,http://e/o2,mime,,released,Says nothing.,2655.2
";
const SKILLS: &str = "\
conceptUri,preferredLabel,altLabels,skillType,reuseLevel,status,description
http://e/s1,juggle balls,toss balls,skill/competence,sector-specific,released,About balls.
http://e/s2,history of circus,,knowledge,cross-sector,released,About tents.
http://e/s3,keep time,,skill/competence,transversal,released,About rhythm.
";
const RELATIONS: &str = "\
occupationUri,relationType,skillType,skillUri
http://e/o1,essential,skill/competence,http://e/s1
http://e/o1,optional,knowledge,http://e/s2
";
const RELATED: &str = "originalSkillUri,relatedSkillUri\nhttp://e/s3,http://e/s1\n";

/// A download with these occupations.
fn download(occupations: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in [
        ("occupations_en.csv", occupations),
        ("skills_en.csv", SKILLS),
        ("occupationSkillRelations_en.csv", RELATIONS),
        ("skillSkillRelations_en.csv", RELATED),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

async fn taxonomy(rig: &Rig) -> Value {
    rig.client().get("/api/v1/skills/taxonomy").await.data(200)
}

#[actix_web::test]
async fn an_import_replaces_the_taxonomy_while_the_service_runs() {
    let rig = Rig::start().await;
    let client = rig.client();
    let old = client.post("/api/v1/skills", &json!({"occupation": "Mathematician"})).await.data(201);
    let report = skill_builder::import::esco(&rig.db.url(), download(OCCUPATIONS).path(), Some("7.8.9")).unwrap();
    assert_eq!(report.to_string(), "ESCO 7.8.9 (en) imported: 2 occupations, 3 skills, 0 skill groups, 2 relations");

    let told = taxonomy(&rig).await;
    assert_eq!((&told["name"], &told["version"], &told["builtin"]), (&json!("ESCO"), &json!("7.8.9"), &json!(false)));
    assert_eq!((&told["occupations"], &told["skills"], &told["relations"]), (&json!(2), &json!(3), &json!(2)));
    assert!(told["imported_at"].is_string());
    assert_eq!(told["attribution"], "This service uses the ESCO classification of the European Commission.");

    let set =
        client.post("/api/v1/skills", &json!({"occupation": "Ball Artist", "deepening_cycles": 2})).await.data(201);
    assert_eq!(names(&set), ["juggle balls", "history of circus", "keep time"]);
    let categories: Vec<_> = set["skills"].as_array().unwrap().iter().map(|one| &one["category"]).collect();
    assert_eq!(categories, ["Competence", "Knowledge", "Transversal"]);
    let confidences: Vec<_> = set["skills"].as_array().unwrap().iter().map(|one| &one["confidence"]).collect();
    assert_eq!(confidences, [0.9, 0.76, 0.62]);
    assert_eq!((&set["skills"][0]["source"], &set["skills"][0]["esco_uri"]), (&json!("esco"), &json!("http://e/s1")));
    assert_eq!(set["occupation_match"]["taxonomy"], "ESCO 7.8.9");

    let path = format!("/api/v1/skills/{}", old["skill_id"].as_str().unwrap());
    assert_eq!(client.get(&path).await.data(200), old, "finished sets keep their skills");
    client
        .post("/api/v1/skills", &json!({"occupation": "Mathematician"}))
        .await
        .error(422, "VALIDATION_ERROR.NO_OCCUPATION_MATCH");
}

#[actix_web::test]
async fn the_labels_of_a_new_taxonomy_are_found_by_similarity_soon() {
    let rig = Rig::with_vectors().await;
    skill_builder::import::esco(&rig.db.url(), download(OCCUPATIONS).path(), None).unwrap();
    rig.vectors().await;
    let rows = rig.client().get("/api/v1/skills/occupations?q=jugglers").await.data(200);
    assert_eq!((&rows[0]["label"], &rows[0]["method"]), (&json!("juggler"), &json!("embedding")));
    assert_eq!(rows.as_array().unwrap().len(), 2, "nothing of the old one");
}

#[actix_web::test]
async fn of_occupations_that_share_the_nearest_label_the_one_named_most_alike_is_found() {
    let rig = Rig::start().await;
    let occupations = "conceptUri,preferredLabel,altLabels\n\
        http://e/o1,tent keeper,circus performers\nhttp://e/o2,mime,circus performers\n\
        http://e/o3,circus juggler,circus performers\n";
    skill_builder::import::esco(&rig.db.url(), download(occupations).path(), None).unwrap();
    rig.vectors().await;
    let rows = rig.client().get("/api/v1/skills/occupations?q=circus%20performer&limit=1").await.data(200);
    assert_eq!((&rows[0]["label"], &rows[0]["method"]), (&json!("circus juggler"), &json!("embedding")));
    assert_eq!(rows.as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn the_same_import_again_changes_nothing() {
    let rig = Rig::start().await;
    let folder = download(OCCUPATIONS);
    let import = || skill_builder::import::esco(&rig.db.url(), folder.path(), None).unwrap();
    assert!(import().changed);
    let told = taxonomy(&rig).await;
    let again = import();
    assert!(!again.changed && again.to_string().starts_with("ESCO unknown (en) unchanged: 2 occupations"), "{again}");
    assert_eq!(taxonomy(&rig).await, told);
}

#[actix_web::test]
async fn a_faulty_download_leaves_the_old_taxonomy() {
    let rig = Rig::start().await;
    let told = taxonomy(&rig).await;
    let faulty = format!("{OCCUPATIONS}Occupation,http://e/o9,,,released,x,1\n");
    let error = skill_builder::import::esco(&rig.db.url(), download(&faulty).path(), None).unwrap_err();
    assert_eq!(error.to_string(), "occupations_en.csv, line 4: 'preferredLabel' is empty");
    let header = OCCUPATIONS.lines().next().unwrap();
    let error = skill_builder::import::esco(&rig.db.url(), download(header).path(), None).unwrap_err();
    assert_eq!(error.to_string(), "occupations_en.csv has no rows; is the file cut off?");
    assert_eq!(taxonomy(&rig).await, told);
}

#[actix_web::test]
async fn an_import_outlives_the_next_start() {
    let rig = Rig::start().await;
    skill_builder::import::esco(&rig.db.url(), download(OCCUPATIONS).path(), None).unwrap();
    let another = rig.another().await;
    let told = another.client().admin().get("/api/v1/skills/taxonomy").await.data(200);
    assert_eq!(told["name"], "ESCO");
}

#[actix_web::test]
async fn one_import_after_another_keeps_only_the_one_before() {
    let rig = Rig::start().await;
    for label in ["juggler", "acrobat", "clown"] {
        let folder = download(&OCCUPATIONS.replace("juggler", label));
        assert!(skill_builder::import::esco(&rig.db.url(), folder.path(), None).unwrap().changed);
        let rows = rig.client().get(&format!("/api/v1/skills/occupations?q={label}")).await.data(200);
        assert_eq!(rows[0]["label"], label);
    }
    assert_eq!(stored_taxonomies(&rig), 2);
}

fn stored_taxonomies(rig: &Rig) -> i64 {
    use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types::BigInt};
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let query = sql_query("SELECT count(DISTINCT taxonomy_id) AS count FROM occupation_skills");
    query.get_result::<Row>(&mut rig.db.connect()).unwrap().count
}
