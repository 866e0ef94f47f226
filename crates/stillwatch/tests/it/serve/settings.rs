//! Flags, configuration files, and what is said of wrong ones.

use super::running::Guard;
use crate::harness::Sandbox;
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

#[test]
fn without_an_upstream_it_says_what_to_do() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.show(&["serve"]), @r"
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: no model's server is named
    hint: give --upstream http://127.0.0.1:8000, or --config FILE (`stillwatch serve example-config` prints one)
    ");
    insta::assert_snapshot!(sandbox.show(&["serve", "--upstream", "not a url"]), @r#"
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: --upstream: "not a url" is no URL: invalid uri character
    hint: for example "http://127.0.0.1:8000" or "https://api.openai.com/v1"
    "#);
    let rate = ["serve", "--upstream", "http://127.0.0.1:1", "--exposure-rate", "2"];
    insta::assert_snapshot!(sandbox.show(&rate), @r"
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: --exposure-rate: 2 is out of range, expected 0 to 1
    hint: for 2% write 0.02
    ");
}

#[test]
fn a_wrong_configuration_names_line_and_key() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "unknown.toml",
        "[[upstream]]\nurl = \"http://127.0.0.1:9\"\n\n[exposure]\nrat = 0.01\n",
    );
    insta::assert_snapshot!(sandbox.show(&["serve", "--config", "unknown.toml"]), @r"
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: unknown.toml:5: exposure.rat: there is no such key
    hint: did you mean rate?
    ");
    sandbox.write(
        "range.toml",
        "[exposure]\nrate = 1.5\n\n[[upstream]]\nurl = \"http://127.0.0.1:9\"\n",
    );
    insta::assert_snapshot!(sandbox.show(&["serve", "--config", "range.toml"]), @r"
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: range.toml:2: exposure.rate: 1.5 is out of range, expected 0 to 1
    hint: for 1.5% write 0.015
    ");
    sandbox.write(
        "env.toml",
        "[[upstream]]\nurl = \"https://api.openai.com/v1\"\nkey_env = \"NOT_SET_ANYWHERE\"\n",
    );
    insta::assert_snapshot!(sandbox.show(&["serve", "check", "env.toml"]), @r"
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: env.toml:3: upstream[0].key_env: the environment variable NOT_SET_ANYWHERE isn't set
    hint: export NOT_SET_ANYWHERE=..., or leave upstream[0].key_env out
    ");
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
    insta::assert_snapshot!(sandbox.show(&["serve", "check", "guard.toml"]), @r"
    exit_code: 0
    ----- stdout -----
    guard.toml can be served
    clients    127.0.0.1:8080
    admin      127.0.0.1:8081
    upstream   http://127.0.0.1:8000/v1 (weight 1)
    exposed    0.01 of eligible requests
    policies   1
    ----- stderr -----
    ");
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
    insta::assert_snapshot!(sandbox.show(&["serve", "--help"]), @r"
    exit_code: 0
    ----- stdout -----
    Stand before a model as a gateway: keep proof of what goes out, see and slow harvesting

    Usage: stillwatch serve [OPTIONS]
           stillwatch serve <COMMAND>

    Commands:
      run             Stand before one or more models and pass requests on (the default)
      exposures       Write what was captured as a file of exposures for `audit`
      keys            Make, list and revoke virtual keys (in the store; a running guard sees it within
                      seconds)
      dry-run         Say who would have been hit by policies in a log, without doing anything
      indicators      Exchange indicators of campaigns with other providers without exchanging prompts
      check           Read a configuration and say what it means, without serving
      example-config  Print a configuration to start from
      help            Print this message or the help of the given subcommand(s)

    Options:
          --upstream <URL>     Base URL of a model's server (vLLM, llama-server, OpenAI, Anthropic),
                               with or without /v1; repeat for several, which then share the requests
                               evenly
          --listen <ADDR>      Address for clients; default 127.0.0.1:8080; port 0: one that is free
          --admin <ADDR>       Address for the administrator: API, dashboard, metrics; default
                               127.0.0.1:8081
          --exposure-rate <R>  Share of eligible requests of which two answers are sampled and a coin
                               sends one, 0 to 1; default 0.01
          --config <FILE>      The guard's own configuration (TOML; see `serve example-config`)
          --data <DIR>         Folder of the state: accounts, limits, ledger, captured answers; default
                               stillwatch-data, or what the configuration says
          --json               Print one JSON value on standard output, and nothing else there
      -h, --help               Print help
    ----- stderr -----
    ");
}
