//! The configuration file: what is read, and what is said of what can't be.

use std::path::Path;
use stillwatch_evidence::{Report as _, Secret};
use stillwatch_guard::exposure::ExposureConfig;
use stillwatch_guard::{GuardConfig, GuardError, Secrets};

/// Reads a text as if it stood in `guard.toml`; what is said of it, with the hint.
fn said(text: &str) -> String {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("guard.toml");
    fs_err::write(&path, text).expect("it is writable");
    let error = GuardConfig::read(&path).expect_err(text);
    assert_eq!(error.code(), "config");
    assert_eq!(error.file(), Some(path.as_path()));
    let prefix = format!("{}/", dir.path().display());
    let hint = error.hint().map(|hint| format!(" | {hint}")).unwrap_or_default();
    format!("{error}{hint}").replace(&prefix, "")
}

const UPSTREAM: &str = "[[upstream]]\nurl = \"http://127.0.0.1:8000\"\n";

/// What is written after a good upstream, and what must be said: line, key, expectation, hint.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn a_wrong_line_is_named_with_its_key_and_what_to_do() {
    let cases: &[(&str, &[&str])] = &[
        (
            "[listen]\npubilc = \"1.1.1.1:1\"",
            &["guard.toml:4: listen.pubilc: ", "did you mean public?"],
        ),
        ("[exposure]\nrate = \"a\"", &["guard.toml:4: exposure.rate: invalid type: string"]),
        (
            "[exposure]\nrate = 1.5",
            &["guard.toml:4: exposure.rate: 1.5 is out of range", "0 to 1", "for 1.5% write 0.015"],
        ),
        ("[exposure]\nrate = nan", &["guard.toml:4: exposure.rate: NaN is out of range"]),
        ("[exposure]\nrate = -0.1", &["guard.toml:4: exposure.rate: -0.1 is out of range"]),
        ("[live]\nrate = 0.1", &["guard.toml:4: live.rate: ", "it belongs in [exposure]"]),
        (
            "[listen]\npublic = \"8080\"",
            &["guard.toml:4: listen.public: ", "write \"127.0.0.1:8080\""],
        ),
        ("[listen]\npublic = \":8080\"", &["guard.toml:4: listen.public: ", "\"0.0.0.0:8080\""]),
        ("[listen]\npublic = \"http://a:1\"", &["guard.toml:4: listen.public: ", "the scheme"]),
        ("[listen]\npublic = \"1.2.3:80\"", &["guard.toml:4: listen.public: "]),
        ("[listen]\npublic = \"a:99999\"", &["guard.toml:4: listen.public: "]),
        (
            "[listen]\npublic = \"127.0.0.1:9\"\nadmin = \"127.0.0.1:9\"",
            &["guard.toml:5: listen.admin: it is the public address", "another port"],
        ),
        ("[[upstream]]\nweight = 1", &["guard.toml:3: upstream[1]: the key url is missing"]),
        ("[[upstream]]\nurl = \"a b\"", &["guard.toml:4: upstream[1].url: ", "for example"]),
        ("[[upstream]]\nurl = \"file:///etc/passwd\"", &["guard.toml:4: upstream[1].url: "]),
        ("[[upstream]]\nurl = \"127.0.0.1:8000\"", &["guard.toml:4: upstream[1].url: "]),
        (
            "[[upstream]]\nurl = \"http://me:pw@host\"",
            &["guard.toml:4: upstream[1].url: it holds a user name"],
        ),
        ("[[upstream]]\nurl = \"http://host/?a=b\"", &["guard.toml:4: upstream[1].url: ", "query"]),
        (
            "[[upstream]]\nurl = \"http://169.254.169.254/\"",
            &["guard.toml:4: upstream[1].url: ", "credentials"],
        ),
        (
            "[[upstream]]\nurl = \"http://127.0.0.1:8000/v1/\"",
            &["guard.toml:4: upstream[1].url: ", "is an upstream already"],
        ),
        (
            "[[upstream]]\nurl = \"http://b\"\nkey_env = \"sk-123\"",
            &["guard.toml:5: upstream[1].key_env: ", "not the key"],
        ),
        (
            "[[upstream]]\nurl = \"http://b\"\nmodels = [\"a\", \"a\"]",
            &["guard.toml:5: upstream[1].models: "],
        ),
        (
            "[[upstream]]\nurl = \"http://b\"\nidle_timeout_ms = 0",
            &["guard.toml:5: upstream[1].idle_timeout_ms: 0 is out of range"],
        ),
        (
            "[[upstream]]\nurl = \"http://b\"\nweight = -1",
            &["guard.toml:5: upstream[1].weight: invalid value"],
        ),
        (
            "[limits.plan.free]\nrequests_per_minute = 0",
            &["guard.toml:4: limits.plan.free.requests_per_minute: 0 is out of range", "no limit"],
        ),
        (
            "limits.plan.free.tokens_per_minute = 0",
            &["guard.toml:3: upstream[0].limits: ", "no such key"],
        ),
        (
            "[[policy]]\nname = \"a\"\nmeasure = \"shadow\"\n[[policy]]\nname = \"a\"\nmeasure = \"shadow\"",
            &["guard.toml:7: policy[1].name: ", "twice"],
        ),
        (
            "[[policy]]\nname = \"a\"\nmeasure = \"shadwo\"",
            &["guard.toml:5: policy[0].measure: \"shadwo\"", "did you mean \"shadow\"?"],
        ),
        ("[[policy]]\nname = \"\"\nmeasure = \"shadow\"", &["guard.toml:4: policy[0].name: "]),
        (
            "[[policy]]\nname = \"a\"\nmeasure = \"suspension\"\nneeds_human = false",
            &["guard.toml:6: policy[0].needs_human: ", "only a human"],
        ),
        ("[exposure]\nepoch_s = 0", &["guard.toml:4: exposure.epoch_s: 0"]),
        (
            "[exposure]\nrates = [{ rate = 3 }]",
            &["guard.toml:4: exposure.rates[0].rate: 3 is no share"],
        ),
        (
            "[listen]\ntls_cert = \"a.pem\"",
            &["guard.toml:4: listen.tls_cert: it is set without tls_key"],
        ),
        (
            "[listen]\nbody_bytes_max = 0",
            &["guard.toml:4: listen.body_bytes_max: 0 is out of range"],
        ),
        (
            "[observe]\nlog_level = \"loud\"",
            &["guard.toml:4: observe.log_level: ", "expected one of error"],
        ),
        (
            "[observe]\notlp_sample_ratio = 7",
            &["guard.toml:4: observe.otlp_sample_ratio: 7", "write 0.07"],
        ),
        (
            "[observe]\notlp_endpoint = \"grpc://a\"",
            &["guard.toml:4: observe.otlp_endpoint: ", "4318"],
        ),
        ("[live]\naccounts_max = 0", &["guard.toml:4: live.accounts_max: 0 is out of range"]),
        ("[live]\nanalyse_every_s = 0", &["guard.toml:4: live.analyse_every_s: 0"]),
        ("[live]\nenabled = true\nenabled = true", &["guard.toml:5: ", "duplicate key"]),
        ("[live", &["guard.toml:3: "]),
        ("colour = 1", &["guard.toml:3: upstream[0].colour: ", "the keys here are url"]),
    ];
    for (lines, expected) in cases {
        let said = said(&format!("{UPSTREAM}{lines}\n"));
        for part in *expected {
            assert!(said.contains(part), "{lines}\nsaid {said}\nnot  {part}");
        }
        assert!(!said.contains("sk-123"), "a key must not be repeated: {said}");
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let text = format!("{UPSTREAM}[exposure]\nrate = 2\n[live]\naccounts_max = 0\n");
    let said = said(&text);
    assert!(said.contains("guard.toml:4: exposure.rate"), "{said}");
    assert!(said.contains("\nguard.toml:6: live.accounts_max"), "{said}");
}

#[test]
fn a_file_without_upstream_says_so() {
    assert!(said("").starts_with("guard.toml: upstream: there is none"), "{}", said(""));
    let off = said("[[upstream]]\nurl = \"http://a\"\nweight = 0\n");
    assert!(off.contains("guard.toml:3: upstream[0].weight: all weights are 0"), "{off}");
}

#[test]
fn files_that_are_no_text_are_refused_with_their_line() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("guard.toml");
    fs_err::write(&path, b"data = \"d\"\n\xff\n").expect("it is writable");
    let error = GuardConfig::read(&path).expect_err("not UTF-8");
    assert_eq!(error.line(), Some(2));
    fs_err::write(&path, vec![b'#'; 2 << 20]).expect("it is writable");
    assert!(GuardConfig::read(&path).expect_err("too long").to_string().contains("at most"));
    let error = GuardConfig::read(Path::new("/does/not/exist.toml")).expect_err("no file");
    assert!(matches!(error, GuardError::Io { .. }), "{error:?}");
    fs_err::write(&path, format!("\u{feff}{UPSTREAM}")).expect("it is writable");
    GuardConfig::read(&path).expect("a byte order mark is no harm");
}

#[test]
fn flags_stand_for_a_file_and_are_named_in_errors() {
    let config = GuardConfig::from_flags("http://127.0.0.1:8000", None, None, None, None)
        .expect("good flags");
    assert_eq!(config.data, Path::new("stillwatch-data"));
    assert_eq!(config.upstream[0].weight, 1);
    let flags = |upstream, listen, rate| {
        GuardConfig::from_flags(upstream, listen, None, None, rate)
            .expect_err("bad flags")
            .to_string()
    };
    let said = flags("nothing", None, None);
    assert!(said.starts_with("--upstream: \"nothing\" is no http://"), "{said}");
    let said = flags("http://a", Some("x"), None);
    assert!(said.starts_with("--listen: "), "{said}");
    let said = flags("http://a", None, Some(50.0));
    assert!(said.starts_with("--exposure-rate: 50 is out of range"), "{said}");
}

#[test]
fn variables_that_are_not_set_are_named() {
    let text = format!("{UPSTREAM}key_env = \"UP_KEY\"\n[store]\nurl_env = \"DB\"\n");
    let config = GuardConfig::parse(&text, Some(Path::new("guard.toml"))).expect("a good file");
    assert_eq!(config.secret_names(), ["DB", "UP_KEY"]);
    let mut secrets = Secrets::default();
    let error = config.check_secrets(&secrets).expect_err("nothing is set").to_string();
    assert!(error.contains("guard.toml:3: upstream[0].key_env: "), "{error}");
    assert!(error.contains("guard.toml:5: store.url_env: "), "{error}");
    for name in config.secret_names() {
        secrets.0.insert(name, Secret::new("x").expect("not empty"));
    }
    config.check_secrets(&secrets).expect("all are set");
}

#[test]
fn the_example_parses_and_holds_the_defaults() {
    let example = GuardConfig::example_toml();
    let config = GuardConfig::parse(&example, None).unwrap_or_else(|e| panic!("{e}\n{example}"));
    config.check().unwrap_or_else(|e| panic!("{e}\n{example}"));
    let defaults = GuardConfig::default();
    let places = config.places.clone();
    let upstream = config.upstream.clone();
    let expected = GuardConfig {
        upstream,
        places,
        policy: config.policy.clone(),
        limits: config.limits.clone(),
        exposure: ExposureConfig { rates: config.exposure.rates.clone(), ..defaults.exposure },
        ..defaults
    };
    assert_eq!(config, expected, "{example}");
    // Every key that it shows but doesn't set is of the right type too.
    let all: String = example
        .lines()
        .map(|line| {
            let key = line.strip_prefix("# ").filter(|rest| {
                rest.starts_with('[')
                    || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
            });
            key.unwrap_or(line)
        })
        .collect::<Vec<_>>()
        .join("\n");
    GuardConfig::parse(&all, None).unwrap_or_else(|e| panic!("{e}\n{all}"));
    assert!(all.contains("\nurl_env = "), "{all}");
}

#[test]
fn every_key_is_explained() {
    let schema = GuardConfig::json_schema();
    let sections = schema["$defs"].as_object().expect("sections");
    for (name, section) in sections {
        for (key, value) in section["properties"].as_object().into_iter().flatten() {
            assert!(value["description"].is_string(), "{name}.{key} has no description");
        }
    }
    assert!(sections.contains_key("ListenConfig"));
}
