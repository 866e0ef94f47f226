//! Which logs are meant by what was given.

use std::path::{Path, PathBuf};
use stillwatch_evidence::Report as _;
use stillwatch_scan::ScanError;
use stillwatch_scan::fuzzing::Memory;
use stillwatch_scan::input::{Inputs, Location, find, find_with};
use stillwatch_scan::readers::{ReadOptions, plan};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn put(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs_err::create_dir_all(path.parent().expect("it has one")).expect("made");
    fs_err::write(&path, "{\"id\":\"e\",\"messages\":[]}\n").expect("written");
    path
}

fn given(paths: &[&Path]) -> Vec<String> {
    paths.iter().map(|path| path.display().to_string()).collect()
}

fn names(inputs: &Inputs, folder: &Path) -> Vec<String> {
    let name = |location: &Location| {
        let path = location.to_path();
        path.strip_prefix(folder).unwrap_or(&path).display().to_string()
    };
    inputs.logs.iter().map(|log| name(&log.location)).collect()
}

#[test]
fn folders_are_walked_and_each_file_is_taken_once() {
    let root = folder();
    let at = root.path();
    for name in ["b.jsonl", "a/x.jsonl.gz", "a/y.CSV", "z", ".hidden.jsonl", ".git/c.jsonl"] {
        put(at, name);
    }
    put(at, "report.html");
    std::os::unix::fs::symlink(at, at.join("a/loop")).expect("linked");
    std::os::unix::fs::symlink(at.join("b.jsonl"), at.join("c.jsonl")).expect("linked");
    fs_err::hard_link(at.join("b.jsonl"), at.join("d.jsonl")).expect("linked");
    let again = at.join("a/../b.jsonl");
    let inputs = find(&given(&[at, &at.join("b.jsonl"), &again])).expect("logs are there");
    assert_eq!(names(&inputs, at), ["a/../b.jsonl", "a/x.jsonl.gz", "a/y.CSV", "z"]);
    assert_eq!(inputs.unreadable, []);
    assert_eq!(inputs.n_passed_over, 1, "a page is no log");
}

#[test]
fn globs_match_names_but_no_hidden_ones() {
    let root = folder();
    let at = root.path();
    for name in ["a1.jsonl", "a2.jsonl", "b.jsonl", ".a3.jsonl", "odd[1].jsonl", "in/a4.jsonl"] {
        put(at, name);
    }
    let inputs = find(&given(&[&at.join("a*.jsonl")])).expect("found");
    assert_eq!(names(&inputs, at), ["a1.jsonl", "a2.jsonl"]);
    let inputs = find(&given(&[&at.join("**/a*.jsonl")])).expect("found");
    assert_eq!(names(&inputs, at), ["a1.jsonl", "a2.jsonl", "in/a4.jsonl"]);
    let inputs = find(&given(&[&at.join("odd[1].jsonl")])).expect("a name, not a glob");
    assert_eq!(names(&inputs, at), ["odd[1].jsonl"]);
}

#[test]
fn what_cant_be_read_is_listed_and_the_rest_is_read() {
    let root = folder();
    let at = root.path();
    let good = put(at, "good.jsonl");
    let gone = at.join("gone.jsonl");
    let nothing = at.join("*.csv");
    std::os::unix::fs::symlink(at.join("nowhere"), at.join("dangling.jsonl")).expect("linked");
    let inputs = find(&given(&[&good, &gone, &nothing, &at.join("dangling.jsonl")]));
    let inputs = inputs.expect("one is good");
    assert_eq!(names(&inputs, at), ["good.jsonl"]);
    let reasons: Vec<&str> = inputs.unreadable.iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(reasons[0].contains("No such file"), "{reasons:?}");
    assert_eq!(reasons[1..], ["no file has such a name", "a link to nothing"]);
    let plan = plan(&inputs, &ReadOptions::default()).expect("one is good");
    assert_eq!((plan.units.len(), plan.unreadable.len()), (1, 3));
}

#[test]
fn files_without_permission_are_listed() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = folder();
    let at = root.path();
    let (good, closed) = (put(at, "good.jsonl"), put(at, "closed.jsonl"));
    let mode = std::fs::Permissions::from_mode(0o000);
    fs_err::set_permissions(&closed, mode).expect("closed");
    if fs_err::File::open(&closed).is_ok() {
        return; // Whoever may read everything can't see this.
    }
    let inputs = find(&given(&[&good, &closed])).expect("one is good");
    let plan = plan(&inputs, &ReadOptions::default()).expect("one is good");
    assert_eq!(plan.units.len(), 1);
    assert!(plan.unreadable[0].1.contains("ermission denied"), "{:?}", plan.unreadable);
}

#[test]
fn nothing_to_read_is_an_error_that_helps() {
    let root = folder();
    let at = root.path();
    let error = find(&given(&[at])).expect_err("an empty folder");
    assert!(matches!(error, ScanError::Empty { .. }));
    assert!(error.report().hint.expect("it helps").contains(".jsonl"));
    let error = find(&given(&[&at.join("gone")])).expect_err("no such file");
    assert!(error.to_string().contains("No such file"), "{error}");
    assert!(find(&[]).is_err());
    fs_err::write(at.join("empty.jsonl"), "").expect("written");
    let inputs = find(&given(&[at])).expect("there is a file");
    let error = plan(&inputs, &ReadOptions::default()).expect_err("it is empty");
    assert!(matches!(error, ScanError::Empty { .. }));
}

#[test]
fn files_of_no_known_format_say_what_they_hold() {
    let root = folder();
    for (text, expected) in [
        ("{\"colour\":\"red\"}\n", "no product's log has these fields: colour"),
        ("once upon a time.\n", "no JSON objects and no table"),
        ("a,b\n1,2\n", "these fields: a, b"),
    ] {
        let path = root.path().join("log.txt");
        fs_err::write(&path, text).expect("written");
        let inputs = find(&given(&[&path])).expect("there is a file");
        let error = plan(&inputs, &ReadOptions::default()).expect_err("no log").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let path = root.path().join("wide.jsonl");
    fs_err::write(&path, b"\xff\xfe{\0}\0").expect("written");
    let inputs = find(&given(&[&path])).expect("there is a file");
    let error = plan(&inputs, &ReadOptions::default()).expect_err("no UTF-8").to_string();
    assert!(error.contains("UTF-16") && error.contains("save it as UTF-8"), "{error}");
}

#[test]
fn objects_are_listed_by_their_store() {
    let urls = ["s3://bucket/logs/".to_owned(), "s3://bucket/logs/".to_owned()];
    let inputs = find_with(&urls, &Memory(b"{}".to_vec())).expect("an object");
    assert_eq!(inputs.logs.len(), 1, "each once");
    assert_eq!(inputs.logs[0].bytes, 2);
    let error = find(&urls).expect_err("no store is set up").to_string();
    assert!(error.contains("no object store"), "{error}");
}
