//! `cost` from the outside: exit codes, JSON, the page.

use crate::harness::Sandbox;

#[test]
fn the_known_claim_is_answered_in_two_parts() {
    let dir = Sandbox::new();
    let ran = dir.run(&["cost", "deepseek-v3", "--html", "v3.html"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("1. What the claim covers"), "{}", ran.stdout);
    assert!(ran.stdout.contains("2. What it leaves out"), "{}", ran.stdout);
    assert!(dir.read("v3.html").contains("<svg"));
}

#[test]
fn json_carries_ranges_and_sources() {
    let dir = Sandbox::new();
    let ran = dir.run(&[
        "cost",
        "--params-active",
        "37B",
        "--params-total",
        "671B",
        "--tokens",
        "14.8T",
        "--gpu",
        "h800",
        "--mfu",
        "35%",
        "--rate",
        "2",
        "--gpus",
        "2048",
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON on stdout");
    let hours = value["estimate"]["gpu_hours"]["low"].as_f64().expect("a number");
    assert!((hours / 2.635e6 - 1.0).abs() < 0.01, "{hours}");
    assert!(value["sources"]["h100"]["url"].is_string());
}

#[test]
fn what_cannot_be_exits_with_2_and_prints_nothing() {
    let dir = Sandbox::new();
    let base = ["cost", "--tokens", "1T", "--gpu", "h100"];
    let cases: [&[&str]; 5] = [
        &["--params-active", "7B", "--params-total", "1B"],
        &["--params-active", "7B", "--mfu", "140%"],
        &["--params-active", "7B", "--gpu-hours", "10"],
        &["--params-active", "many"],
        &["--params-active", "7B", "--teacher", "nobody"],
    ];
    for case in cases {
        let ran = dir.run(&[&base[..], case].concat());
        assert_eq!(ran.code, 2, "{case:?}");
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    assert_eq!(dir.run(&["cost", "--params-active", "7B", "--tokens", "1T", "--gpu", "x"]).code, 2);
    assert_eq!(dir.run(&["cost"]).code, 2);
}
