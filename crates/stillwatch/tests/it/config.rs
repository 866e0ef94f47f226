//! `--config`: flags from a file.

use crate::harness::Sandbox;

#[test]
fn unknown_key_is_refused_with_the_known_ones() {
    let dir = Sandbox::new();
    dir.write("a.toml", "alhpa = 0.01\n");
    let shown = dir.show(&["audit", "--config", "a.toml", "--scores", "x.csv"]);
    assert!(shown.starts_with("exit_code: 2\n"), "{shown}");
    assert!(shown.contains(r#"a.toml: unknown key "alhpa" for `audit`"#), "{shown}");
    assert!(shown.contains("hint: known keys: alpha, attempts, budget, coin"), "{shown}");
}

#[test]
fn broken_toml_names_file_and_line() {
    let dir = Sandbox::new();
    dir.write("a.toml", "\u{feff}alpha = 0.01\nseed = = 3\n");
    let ran = dir.run(&["audit", "--json", "--config=a.toml", "--scores", "x.csv"]);
    assert_eq!(ran.code, 2);
    let error: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON on stdout");
    assert_eq!(error["error"]["code"], "config");
    assert_eq!(error["error"]["file"], "a.toml");
    assert_eq!(error["error"]["line"], 2);
}

#[test]
fn values_are_checked_as_if_typed() {
    let dir = Sandbox::new();
    dir.write("a.toml", "resamples = \"many\"\n").write("b.toml", "seed = [[1]]\n");
    let shown = dir.show(&["audit", "--config", "a.toml", "--scores", "x.csv"]);
    assert!(shown.contains("invalid value 'many' for '--resamples <RESAMPLES>'"), "{shown}");
    let shown = dir.show(&["audit", "--config", "b.toml", "--scores", "x.csv"]);
    assert!(shown.contains(r#"key "seed" can't be a list of lists"#), "{shown}");
}

#[test]
fn missing_file_and_missing_value() {
    let dir = Sandbox::new();
    assert!(dir.show(&["demo", "--config", "none.toml"]).contains("none.toml"));
    let shown = dir.show(&["demo", "--config"]);
    assert!(shown.contains("error: --config needs a file"), "{shown}");
}
