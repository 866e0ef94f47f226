//! Help, versions, completions, and what a wrong flag brings.

use crate::harness::Sandbox;

#[test]
fn help_lists_the_verbs() {
    let dir = Sandbox::new();
    let ran = dir.run(&["--help"]);
    assert_eq!(ran.code, 0);
    for verb in ["demo", "audit", "verify", "completions"] {
        assert!(ran.stdout.contains(verb), "{verb} in {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("reference"), "the hidden verb stays hidden");
}

#[test]
fn wrong_flags_exit_with_2_and_speak_json_when_asked() {
    let dir = Sandbox::new();
    for args in [&["audit"][..], &["nonsense"], &["audit", "--scores"], &["verify"]] {
        assert_eq!(dir.run(args).code, 2, "{args:?}");
    }
    let ran = dir.run(&["audit", "--json", "--alhpa", "1"]);
    let error: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON on stdout");
    assert_eq!(error["error"]["code"], "usage");
    assert!(ran.stderr.contains("--alhpa"), "{}", ran.stderr);
}

#[test]
fn completions_for_every_shell() {
    let dir = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = dir.run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains("stillwatch"), "{shell}");
    }
}
