//! Flags, configuration files, and what is said of wrong ones.

use super::running::Guard;
use crate::harness::Sandbox;
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

#[test]
fn without_an_upstream_it_says_what_to_do() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.show(&["serve"]), @"");
    insta::assert_snapshot!(sandbox.show(&["serve", "--upstream", "not a url"]), @"");
    let rate = ["serve", "--upstream", "http://127.0.0.1:1", "--exposure-rate", "2"];
    insta::assert_snapshot!(sandbox.show(&rate), @"");
}

#[test]
fn a_wrong_configuration_names_line_and_key() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "unknown.toml",
        "[[upstream]]\nurl = \"http://127.0.0.1:9\"\n\n[exposure]\nrat = 0.01\n",
    );
    insta::assert_snapshot!(sandbox.show(&["serve", "--config", "unknown.toml"]), @"");
    sandbox.write(
        "range.toml",
        "[exposure]\nrate = 1.5\n\n[[upstream]]\nurl = \"http://127.0.0.1:9\"\n",
    );
    insta::assert_snapshot!(sandbox.show(&["serve", "--config", "range.toml"]), @"");
    sandbox.write(
        "env.toml",
        "[[upstream]]\nurl = \"https://api.openai.com/v1\"\nkey_env = \"NOT_SET_ANYWHERE\"\n",
    );
    insta::assert_snapshot!(sandbox.show(&["serve", "check", "env.toml"]), @"");
    let error = sandbox.run(&["serve", "--json", "--config", "unknown.toml"]);
    let error: serde_json::Value = serde_json::from_str(&error.stdout).expect("JSON");
    assert_eq!((&error["error"]["line"], &error["error"]["code"]), (&5.into(), &"config".into()));
}

#[test]
fn a_configuration_is_checked_without_serving() {
    let sandbox = Sandbox::new();
    for kind in ["llama-server", "vllm"] {
        let example = sandbox.run(&["serve", "example-config", kind]);
        sandbox.write("guard.toml", &example.stdout);
        let checked = sandbox.run(&["serve", "check", "guard.toml"]);
        assert_eq!(checked.code, 0, "{kind}: {}", checked.stderr);
    }
    sandbox.write("guard.toml", sandbox.run(&["serve", "example-config"]).stdout);
    insta::assert_snapshot!(sandbox.show(&["serve", "check", "guard.toml"]), @"");
}

#[test]
fn flags_beat_the_file() {
    let sandbox = Sandbox::new();
    let upstream = MockUpstream::start(Behaviour::new());
    let file = "data = \"elsewhere\"\n[exposure]\nrate = 0.5\n[[upstream]]\nurl = \"http://127.0.0.1:9\"\n";
    sandbox.write("guard.toml", file);
    let more = ["--config", "guard.toml", "--exposure-rate", "0"];
    let guard = Guard::start(&sandbox, &upstream.url(), &more);
    let ran = guard.stop();
    let said = ran.stderr;
    assert!(said.contains(&format!("upstream   {}", upstream.url())), "{said}");
    assert!(said.contains("exposed    nothing"), "{said}");
    assert!(!sandbox.path().join("elsewhere").exists(), "--data says where");
}

#[test]
fn help_of_serve() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.show(&["serve", "--help"]), @"");
}
