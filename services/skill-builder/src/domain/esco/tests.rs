use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use api_types::skills::Category;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::super::taxonomy::{Need, Taxonomy};
use super::files::Limits;
use super::{Error, Import, read, read_within, version_in};

const OCCUPATIONS: &str = "\
conceptType,conceptUri,preferredLabel,altLabels,status,description,code,iscoGroup
Occupation,http://e/o1, juggler ,\"ball artist
 juggler
Ball Artist|club thrower\",released,\"Throws, and
catches.\",2659.1,2659
Occupation,http://e/o2,old trade,,deprecated,,1,1
Occupation,http://e/o3,mime,,released,Says nothing.,,2655
";
const SKILLS: &str = "\
description,preferredLabel,conceptUri,skillType,reuseLevel,altLabels,status,anything
About balls.,juggle balls,http://e/s1,skill/competence,sector-specific,toss balls,released,x
,history of circus,http://e/s2,knowledge,cross-sector,,released,x
,work in teams,http://e/s3,knowledge,transversal,,released,x
,blank status,http://e/s4,knowledge,cross-sector,,,x
,untyped,http://e/s5,,,,released,x
";
const RELATIONS: &str = "\
occupationUri,relationType,skillType,skillUri
http://e/o1,essential,skill/competence,http://e/s1
http://e/o1,optional,knowledge,http://e/s2
http://e/o1,optional,skill/competence,http://e/s1
http://e/o2,essential,knowledge,http://e/s2
http://e/o1,essential,knowledge,http://e/s4
http://e/nowhere,essential,knowledge,http://e/s2
";

const GOOD: [(&str, &str); 3] =
    [("occupations_en.csv", OCCUPATIONS), ("skills_en.csv", SKILLS), ("occupationSkillRelations.csv", RELATIONS)];

/// A folder with the good files, some of them replaced or added to.
fn folder(changes: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in GOOD {
        fs::write(folder.path().join(name), text).unwrap();
    }
    for (name, bytes) in changes {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn taxonomy(changes: &[(&str, &[u8])]) -> Taxonomy {
    read(folder(changes).path(), None).unwrap().taxonomy
}

fn fault(changes: &[(&str, &[u8])]) -> String {
    read(folder(changes).path(), None).unwrap_err().to_string()
}

/// A ZIP in a folder of its own.
fn archive(entries: &[(&str, &[u8])]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ESCO dataset - v1.2.3 - en - csv.zip");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    (folder, path)
}

fn good_entries() -> Vec<(&'static str, &'static [u8])> {
    GOOD.iter().rev().map(|(name, text)| (*name, text.as_bytes())).collect()
}

fn labels(taxonomy: &Taxonomy) -> (Vec<&str>, Vec<&str>) {
    let occupations = taxonomy.occupations.iter().map(|one| one.label.as_str());
    let skills = taxonomy.skills.iter().map(|one| one.label.as_str());
    (occupations.collect(), skills.collect())
}

#[test]
fn a_folder_is_read() {
    let read = taxonomy(&[]);
    let (occupations, skills) = labels(&read);
    assert_eq!(occupations, ["juggler", "mime"]);
    assert_eq!(skills, ["juggle balls", "history of circus", "work in teams", "untyped"]);
    let juggler = &read.occupations[0];
    assert_eq!((juggler.code.as_str(), juggler.description.as_str()), ("2659.1", "Throws, and\ncatches."));
    assert_eq!((read.name, read.language.as_str(), read.builtin), ("ESCO", "en", false));
}

#[test]
fn labels_are_parted_trimmed_and_stand_once() {
    assert_eq!(taxonomy(&[]).occupations[0].alternative, ["ball artist", "club thrower"]);
}

#[test]
fn a_missing_code_is_the_unit_group() {
    assert_eq!(taxonomy(&[]).occupations[1].code, "2655");
}

#[test]
fn without_any_code_the_unit_group_comes_from_its_files() {
    let occupations = "conceptUri,preferredLabel\nhttp://e/o1,juggler\n";
    let groups = "conceptUri,code\nhttp://e/C2659,2659\nhttp://e/C2,2\n";
    let broader = "conceptUri,broaderUri\nhttp://e/C2659,http://e/C2\nhttp://e/o1,http://e/C2659\n";
    let read = taxonomy(&[
        ("occupations_en.csv", occupations.as_bytes()),
        ("ISCOGroups_en.csv", groups.as_bytes()),
        ("broaderRelationsOccPillar_en.csv", broader.as_bytes()),
    ]);
    assert_eq!(read.occupations[0].code, "2659");
}

#[test]
fn categories_follow_type_and_reuse_level() {
    let categories: Vec<_> = taxonomy(&[]).skills.iter().map(|one| one.category).collect();
    let expected = [Category::Competence, Category::Knowledge, Category::Transversal, Category::Competence];
    assert_eq!(categories, expected);
}

#[test]
fn what_is_not_released_is_left_out_with_its_relations() {
    let Import { taxonomy, unreleased, dangling } = read(folder(&[]).path(), None).unwrap();
    assert_eq!((unreleased, dangling), (2, 1));
    let rows = taxonomy.occupation_skills.iter().map(|one| (&*one.occupation, &*one.skill, one.need));
    let expected = [
        ("http://e/nowhere", "http://e/s2", Need::Essential),
        ("http://e/o1", "http://e/s1", Need::Essential),
        ("http://e/o1", "http://e/s2", Need::Optional),
    ];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[test]
fn links_between_skills_are_read_and_those_to_groups_are_not() {
    let related = "originalSkillUri,originalSkillType,relationType,relatedSkillType,relatedSkillUri\n\
        http://e/s1,knowledge,optional,knowledge,http://e/s2\nhttp://e/s1,knowledge,optional,knowledge,http://e/s1\n";
    let broader = "conceptType,conceptUri,broaderType,broaderUri\n\
        KnowledgeSkillCompetence,http://e/s1,SkillGroup,http://e/g1\n\
        KnowledgeSkillCompetence,http://e/s2,KnowledgeSkillCompetence,http://e/s3\n\
        SkillGroup,http://e/g1,SkillGroup,http://e/g0\n";
    let groups = "conceptUri,preferredLabel,status,code\nhttp://e/g1,circus,released,S1\nhttp://e/g0,all,proposed,S\n";
    let read = taxonomy(&[
        ("skillSkillRelations_en.csv", related.as_bytes()),
        ("broaderRelationsSkillPillar.csv", broader.as_bytes()),
        ("skillGroups_en.csv", groups.as_bytes()),
    ]);
    let shown = |links: &[super::super::taxonomy::Link]| -> Vec<_> {
        links.iter().map(|link| format!("{} {}", link.from, link.to)).collect()
    };
    assert_eq!(shown(&read.related), ["http://e/s1 http://e/s2"]);
    assert_eq!(shown(&read.broader), ["http://e/s2 http://e/s3"]);
    assert_eq!((read.skill_groups.len(), read.skill_groups[0].code.as_str()), (1, "S1"));
}

#[test]
fn a_zip_reads_like_its_folder_whatever_the_order_and_depth() {
    let mut entries = good_entries();
    entries.push(("__MACOSX/._skills_en.csv", b"junk"));
    let deep: Vec<_> = entries.iter().map(|(name, bytes)| (format!("a/b/{name}"), *bytes)).collect();
    let deep: Vec<_> = deep.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let (_folder, path) = archive(&deep);
    let zipped = read(&path, Some("unknown")).unwrap().taxonomy;
    assert_eq!(zipped, taxonomy(&[]));
    assert_eq!(zipped.digest(), taxonomy(&[]).digest());
}

#[test]
fn a_byte_order_mark_and_crlf_do_not_matter() {
    let skills = format!("\u{feff}{}", SKILLS.replace('\n', "\r\n"));
    assert_eq!(taxonomy(&[("skills_en.csv", skills.as_bytes())]), taxonomy(&[]));
}

#[test]
fn the_version_is_the_option_or_in_the_name_or_unknown() {
    let version = |path: &Path, option| read(path, option).unwrap().taxonomy.version;
    let (_folder, zip) = archive(&good_entries());
    assert_eq!(version(&zip, None), "1.2.3");
    assert_eq!(version(&zip, Some(" mine ")), "mine");
    let folder = folder(&[]);
    let named = folder.path().join("esco-1.1.1");
    fs::create_dir(&named).unwrap();
    for (name, text) in GOOD {
        fs::write(named.join(name), text).unwrap();
    }
    assert_eq!(version(&named, None), "1.1.1");
    assert_eq!(version(&named.join("../esco-1.1.1/."), None), "1.1.1");
    for option in ["", &"x".repeat(101)] {
        assert!(matches!(read(&named, Some(option)), Err(Error::Version)));
    }
}

#[test]
fn versions_have_three_numbers() {
    for (name, version) in [
        ("ESCO dataset - v1.2.0 - classification - en - csv.zip", Some("1.2.0")),
        ("esco_v10.20.30.zip", Some("10.20.30")),
        ("esco-1.1", None),
        ("esco", None),
        ("2024.01 esco 1.0.9", Some("1.0.9")),
    ] {
        assert_eq!(version_in(name).as_deref(), version, "{name}");
    }
}

#[test]
fn the_language_is_the_suffix_of_the_files() {
    let folder = TempDir::new().unwrap();
    for (name, text) in GOOD {
        fs::write(folder.path().join(name.replace("_en", "_pt-br")), text).unwrap();
    }
    fs::write(folder.path().join("occupations_de.csv"), "nonsense").unwrap();
    assert_eq!(read(folder.path(), None).unwrap().taxonomy.language, "pt-br");
}

#[test]
fn several_languages_are_refused() {
    let both: [(&str, &[u8]); 2] =
        [("occupations_de.csv", OCCUPATIONS.as_bytes()), ("skills_de.csv", SKILLS.as_bytes())];
    assert!(fault(&both).ends_with("more than one language; leave the files of one"));
}

#[test]
fn a_missing_file_is_named() {
    for (name, shown) in [
        ("occupations_en.csv", "occupations_*.csv"),
        ("skills_en.csv", "skills_*.csv"),
        ("occupationSkillRelations.csv", "occupationSkillRelations*.csv"),
    ] {
        let folder = folder(&[]);
        fs::remove_file(folder.path().join(name)).unwrap();
        let error = read(folder.path(), None).unwrap_err().to_string();
        assert!(error.ends_with(&format!("has no file {shown}")), "{error}");
    }
    let error = read(Path::new("/no/such/place"), None).unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
}

#[test]
fn a_missing_column_is_named_with_its_file() {
    let skills = SKILLS.replace("preferredLabel", "label");
    let error = fault(&[("skills_en.csv", skills.as_bytes())]);
    assert_eq!(error, "skills_en.csv has no column 'preferredLabel'");
    assert_eq!(fault(&[("skills_en.csv", b"")]), "skills_en.csv has no column 'conceptUri'");
}

/// The header alone.
fn header(text: &str) -> &[u8] {
    text.split_inclusive('\n').next().unwrap().as_bytes()
}

#[test]
fn a_required_file_cut_off_after_its_header_is_named() {
    for (file, text) in GOOD {
        assert_eq!(fault(&[(file, header(text))]), format!("{file} has no rows; is the file cut off?"));
    }
    let none_counts = "occupationUri,relationType,skillUri\nhttp://e/o2,essential,http://e/s1\n";
    assert!(taxonomy(&[("occupationSkillRelations.csv", none_counts.as_bytes())]).occupation_skills.is_empty());
}

#[test]
fn a_further_file_may_have_no_rows() {
    let read = taxonomy(&[
        ("skillGroups_en.csv", b"conceptUri,preferredLabel\n"),
        ("skillSkillRelations.csv", b"originalSkillUri,relatedSkillUri\n"),
    ]);
    assert_eq!(read, taxonomy(&[]));
}

#[test]
fn each_file_of_the_unit_groups_is_checked_without_the_other() {
    for (file, text, column) in [
        ("ISCOGroups_en.csv", "conceptUri,preferredLabel\n", "code"),
        ("broaderRelationsOccPillar_en.csv", "conceptUri,broader\n", "broaderUri"),
    ] {
        assert_eq!(fault(&[(file, text.as_bytes())]), format!("{file} has no column '{column}'"));
    }
    let groups = "conceptUri,code\nhttp://e/C2659,2659\n";
    assert_eq!(taxonomy(&[("ISCOGroups_en.csv", groups.as_bytes())]), taxonomy(&[]));
}

#[test]
fn a_bad_row_is_named_with_file_and_line() {
    let skill = |row: &[u8]| [SKILLS.as_bytes(), row, b"\n"].concat();
    let relation = |row: &[u8]| [RELATIONS.as_bytes(), row, b"\n"].concat();
    let long = [b",".as_slice(), &[b'x'; 501], b",http://e/s9,,,,released,x"].concat();
    for (file, bytes, expected) in [
        ("skills_en.csv", skill(b"a,b"), "line 7: 2 columns instead of 8"),
        ("skills_en.csv", skill(b",\xff,http://e/s9,,,,released,x"), "line 7: not UTF-8"),
        ("skills_en.csv", skill(b",a\0b,http://e/s9,,,,released,x"), "line 7: a NUL character"),
        ("skills_en.csv", skill(b", ,http://e/s9,,,,released,x"), "line 7: 'preferredLabel' is empty"),
        ("skills_en.csv", skill(b",x,,,,,released,x"), "line 7: 'conceptUri' is empty"),
        ("skills_en.csv", skill(b",x,not a uri,,,,released,x"), "line 7: 'conceptUri' is not a URI"),
        (
            "skills_en.csv",
            skill(b",x,http://e/s1,,,,released,x"),
            "line 7: the concept http://e/s1 stands here for the second time",
        ),
        ("skills_en.csv", skill(&long), "line 7: 'preferredLabel' has a label of more than 500 characters"),
        (
            "skills_en.csv",
            skill(b",\"cut off,http://e/s9,"),
            "line 7: a quoted cell does not end; is the file cut off?",
        ),
        (
            "occupationSkillRelations.csv",
            relation(b"http://e/o1,perhaps,x,http://e/s1"),
            "line 8: 'relationType' is neither 'essential' nor 'optional'",
        ),
        ("occupationSkillRelations.csv", relation(b"http://e/o1,essential,x"), "line 8: 3 columns instead of 4"),
    ] {
        assert_eq!(fault(&[(file, &bytes)]), format!("{file}, {expected}"));
    }
}

#[test]
fn lines_are_counted_through_cells_with_line_breaks() {
    let occupations = format!("{OCCUPATIONS}Occupation,http://e/o9,,,released,,1,1\n");
    let error = fault(&[("occupations_en.csv", occupations.as_bytes())]);
    assert_eq!(error, "occupations_en.csv, line 8: 'preferredLabel' is empty");
}

#[test]
fn archives_that_try_something_are_refused() {
    for name in ["../skills_en.csv", "/skills_en.csv", "a/../../skills_en.csv", "a\\skills_en.csv"] {
        let mut entries = good_entries();
        entries.push((name, b"x"));
        let (_folder, path) = archive(&entries);
        let error = read(&path, None).unwrap_err().to_string();
        assert!(error.ends_with("an entry whose name leaves it"), "{name}: {error}");
    }
    let mut twice = good_entries();
    twice.push(("again/skills_en.csv", SKILLS.as_bytes()));
    let (_folder, path) = archive(&twice);
    let error = read(&path, None).unwrap_err().to_string();
    assert!(error.ends_with("more than one file skills_en.csv"), "{error}");
}

#[test]
fn archives_of_too_many_entries_are_refused() {
    let (_folder, path) = archive(&good_entries());
    let within = |entries| read_within(&path, None, Limits { entries, ..Limits::default() });
    assert!(within(3).is_ok());
    assert!(within(2).unwrap_err().to_string().ends_with("too many entries"));
}

#[test]
fn a_zip_bomb_is_refused_by_what_it_unpacks_to() {
    // Rows that would pass one by one and pack to almost nothing.
    let mut bomb = SKILLS.to_owned();
    for n in 100..200 {
        bomb.push_str(&format!("{},x,http://e/s{n},,,,proposed,x\n", " ".repeat(10_000)));
    }
    let mut entries = good_entries();
    entries.retain(|(name, _)| !name.starts_with("skills"));
    entries.push(("skills_en.csv", bomb.as_bytes()));
    let (_folder, path) = archive(&entries);
    assert!(fs::metadata(&path).unwrap().len() < 10_000);
    let within = |limits| read_within(&path, None, limits).map(|_| ()).map_err(|error| error.to_string());
    let limits = Limits { file_bytes: 2_000_000, total_bytes: 2_000_000, ..Limits::default() };
    assert_eq!(within(limits), Ok(()));
    let file_bytes = Limits { file_bytes: 1_000_000, ..limits };
    assert_eq!(within(file_bytes), Err("skills_en.csv: the file is too large".to_owned()));
    let total_bytes = Limits { total_bytes: 1_000_000, ..limits };
    assert_eq!(within(total_bytes), Err("skills_en.csv: the files are too large together".to_owned()));
    let archive_bytes = Limits { archive_bytes: 100, ..limits };
    assert!(within(archive_bytes).unwrap_err().ends_with("the archive is too large"));
}

#[test]
fn a_damaged_archive_is_refused() {
    let (_folder, path) = archive(&good_entries());
    let length = fs::metadata(&path).unwrap().len();
    let mut file = File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(60)).unwrap();
    file.write_all(&[0xff; 40]).unwrap();
    assert!(read(&path, None).is_err());
    file.set_len(length - 30).unwrap();
    assert!(matches!(read(&path, None), Err(Error::Archive { .. })));
    fs::write(&path, b"not a zip").unwrap();
    assert!(matches!(read(&path, None), Err(Error::Archive { .. })));
}
