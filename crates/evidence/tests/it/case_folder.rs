//! The case folder: written whole, entered with its hash, and every change noticed.

use std::io;
use std::path::Path;
use stillwatch_evidence::{
    AuditResult, Case, CaseError, CaseManifest, CaseModel, Coin, CoinEvidence, Decide, Effect,
    Finding, Grade, PlanState, Reject, Report, ScoreRow, ScoreTable, VerdictKind, WriteError,
    atomic, result_json, schemas,
};

fn manifest() -> CaseManifest {
    CaseManifest::new(
        "was the suspect trained on the released texts?",
        "2025-01-31T12:00:00Z",
        7,
        serde_json::json!({ "alpha": 1e-3 }),
    )
}

fn table() -> ScoreTable {
    let row = ScoreRow {
        id: "a".into(),
        account: None,
        coin: Some(Coin::Server),
        unit: None,
        suspect: vec![-1.0, -2.0],
        references: vec![],
        n_tokens: None,
    };
    ScoreTable { rows: vec![row], ..ScoreTable::default() }
}

fn result() -> AuditResult {
    AuditResult {
        schema: "stillwatch.audit/1".into(),
        verdict: VerdictKind::Inconclusive,
        sentence: "Too few pairs.".into(),
        alpha: 1e-3,
        alpha_split: [("pooled".to_owned(), 5e-4), ("accounts".to_owned(), 5e-4)].into(),
        decide: Decide::P,
        seed: 7,
        grade: Grade {
            coin: Coin::Server,
            coin_evidence: CoinEvidence::Declared,
            plan: PlanState::None,
            placebos: vec![],
        },
        n_pairs: 1,
        n_set_aside: 0,
        references: vec![],
        findings: vec![Finding {
            test: "twins".into(),
            null: "independent of the coins".into(),
            n: 1,
            statistic: 0.1 + 0.2,
            p_value: Some(0.5),
            log10_p_value: Some(0.5f64.log10()),
            e_value: None,
            log10_e_value: None,
            effect: Some(Effect { estimate: 1.0, unit: "nats".into(), ci95: [-1.0, 3.0] }),
            min_detectable_effect: None,
            assumptions: vec![],
            cannot_say: vec![],
        }],
        accounts: vec![],
        partial: false,
    }
}

#[test]
fn what_is_written_is_read_back_and_every_change_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("data").join("exposures.jsonl");
    fs_err::create_dir_all(input.parent().unwrap()).unwrap();
    fs_err::write(&input, "one").unwrap();
    let folder = dir.path().join("cases").join("first");
    let mut case = Case::create(&folder, manifest()).unwrap();
    case.add_input("exposures", &input).unwrap();
    let model = CaseModel {
        role: "suspect".into(),
        spec: "hf:model".into(),
        model_hash: Some("00".into()),
        template_hash: None,
        settings: serde_json::json!({ "threads": 2 }),
    };
    case.set_models(vec![model]).unwrap();
    case.write_plan(b"{}").unwrap();
    case.write_scores(&table()).unwrap();
    case.write_result(&result()).unwrap();
    case.write_report("<html>").unwrap();
    let reject = Reject { line: 3, reason: "odd".into(), raw: "x".into() };
    let rejects = case.write_rejects(&[reject]).unwrap();
    assert_eq!(rejects, folder.join("rejects.jsonl"));

    let again = Case::open(&folder).unwrap();
    assert_eq!(again, case);
    assert_eq!(again.manifest().inputs[0].path, "../../data/exposures.jsonl");
    assert_eq!(again.read_scores().unwrap().rows, table().rows);
    assert_eq!(again.read_result().unwrap(), result());
    assert_eq!(again.changes(), []);

    // The whole can be moved, or the input carried in the folder itself.
    let moved = dir.path().join("elsewhere");
    fs_err::rename(&folder, &moved).unwrap();
    let again = Case::open(&moved).unwrap();
    let names = |case: &Case| -> Vec<String> {
        case.changes().into_iter().map(|change| change.name).collect()
    };
    assert_eq!(names(&again), ["exposures"]);
    fs_err::copy(&input, moved.join("exposures.jsonl")).unwrap();
    assert_eq!(again.changes(), []);

    fs_err::write(moved.join("exposures.jsonl"), "two").unwrap();
    fs_err::write(moved.join("scores.csv"), "changed").unwrap();
    fs_err::remove_file(moved.join("plan.json")).unwrap();
    let changes = again.changes();
    assert_eq!(names(&again), ["exposures", "plan.json", "scores.csv"]);
    assert!(changes[0].found_sha256.is_some() && changes[2].found_sha256.is_some());
    assert!(changes[1].found_sha256.is_none() && changes[1].problem.is_some());
}

#[test]
fn a_case_goes_on_only_with_its_own_question() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("case");
    let mut case = Case::resume(&folder, manifest()).unwrap();
    case.write_scores(&table()).unwrap();
    let later = CaseManifest { created: "2026-01-01T00:00:00Z".into(), ..manifest() };
    assert_eq!(Case::resume(&folder, later).unwrap(), case);
    let other = CaseManifest { seed: 8, ..manifest() };
    let named = |error: CaseError| {
        let report = error.report();
        let message = report.message.replace(&dir.path().display().to_string(), "DIR");
        format!("{}: {message}; {}", report.code, report.hint.unwrap_or_default())
    };
    fs_err::create_dir_all(dir.path().join("bad")).unwrap();
    fs_err::write(dir.path().join("bad/case.json"), "{\n \"schema\": 3\n}").unwrap();
    fs_err::create_dir_all(dir.path().join("new")).unwrap();
    let text = fs_err::read_to_string(folder.join("case.json")).unwrap();
    fs_err::create_dir_all(dir.path().join("mine")).unwrap();
    fs_err::write(dir.path().join("mine/scores.csv"), "mine").unwrap();
    fs_err::write(dir.path().join("new/case.json"), text.replace("case/1", "case/9")).unwrap();
    let messages = [
        named(Case::resume(&folder, other).unwrap_err()),
        named(Case::create(&folder, manifest()).unwrap_err()),
        named(Case::open(dir.path()).unwrap_err()),
        named(Case::create(&dir.path().join("mine"), manifest()).unwrap_err()),
        named(Case::open(&dir.path().join("bad")).unwrap_err()),
        named(Case::open(&dir.path().join("new")).unwrap_err()),
        named(case.add_input("exposures", Path::new("no/such/file")).unwrap_err()),
    ]
    .join("\n");
    insta::assert_snapshot!(messages, @r#"
    case_differs: DIR/case holds a case with another seed; give another folder with --out
    case_exists: DIR/case holds a case already; give another folder with --out
    no_case: DIR holds no case: there is no case.json; give the folder that an audit wrote with --out
    folder_occupied: DIR/mine/scores.csv is there already and belongs to no case; give another folder with --out
    bad_case: DIR/bad/case.json:2: field `schema`: invalid type: integer `3`, expected a string; the file was changed by hand or damaged; run the audit again
    case_version: DIR/new/case.json: field `schema`: "stillwatch.case/9", expected "stillwatch.case/1"; use the version of stillwatch that made the case
    open_failed: can't open no/such/file: No such file or directory (os error 2); check the path
    "#);
}

#[test]
fn the_same_result_is_the_same_bytes() {
    let json = result_json(&result()).unwrap();
    assert_eq!(json, result_json(&serde_json::from_str(&json).unwrap()).unwrap());
    insta::assert_snapshot!(json, @r#"
    {
      "schema": "stillwatch.audit/1",
      "verdict": "inconclusive",
      "sentence": "Too few pairs.",
      "alpha": 0.001,
      "alpha_split": {
        "accounts": 0.0005,
        "pooled": 0.0005
      },
      "decide": "p",
      "seed": 7,
      "grade": {
        "coin": "server",
        "coin_evidence": "declared",
        "plan": "none",
        "placebos": []
      },
      "n_pairs": 1,
      "n_set_aside": 0,
      "references": [],
      "findings": [
        {
          "test": "twins",
          "null": "independent of the coins",
          "n": 1,
          "statistic": 0.30000000000000004,
          "p_value": 0.5,
          "log10_p_value": -0.3010299956639812,
          "e_value": null,
          "log10_e_value": null,
          "effect": {
            "estimate": 1.0,
            "unit": "nats",
            "ci95": [
              -1.0,
              3.0
            ]
          },
          "min_detectable_effect": null,
          "assumptions": [],
          "cannot_say": []
        }
      ],
      "accounts": [],
      "partial": false
    }
    "#);
}

#[test]
fn a_number_that_is_not_finite_is_named() {
    let mut odd = result();
    odd.findings[0].effect.as_mut().unwrap().ci95[1] = f64::INFINITY;
    assert_eq!(result_json(&odd).unwrap_err(), "field `findings[0].effect.ci95[1]` is not finite");
    odd.alpha_split.insert("pooled".into(), f64::NAN);
    assert_eq!(result_json(&odd).unwrap_err(), "field `alpha_split.pooled` is not finite");
    let dir = tempfile::tempdir().unwrap();
    let mut case = Case::create(dir.path(), manifest()).unwrap();
    assert!(matches!(case.write_result(&odd), Err(CaseError::Write(WriteError::Value { .. }))));
}

#[test]
fn a_full_disk_leaves_the_old_file_and_asks_for_exit_3() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    atomic::write(&path, b"old").unwrap();
    let full = atomic::write_with(&path, |file| {
        file.write_all(b"half of the ne")?;
        Err(io::ErrorKind::StorageFull.into())
    })
    .unwrap_err();
    assert_eq!((full.code(), full.exit_code()), ("disk_full", 3));
    assert!(CaseError::from(full).exit_code() == 3);
    let denied = atomic::write(&dir.path().join("no/such/folder"), b"x").unwrap_err();
    assert_eq!((denied.code(), denied.exit_code()), ("write_failed", 2));
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
}

/// `/dev/full` gives the real error of a full disk.
#[cfg(target_os = "linux")]
#[test]
fn the_operating_systems_word_for_a_full_disk_is_known() {
    let file = Path::new("/dev/full");
    let source = fs_err::write(file, "x").unwrap_err();
    assert!(matches!(WriteError::from_io(file, source), WriteError::DiskFull { .. }));
}

#[test]
fn schemas_name_every_field_of_what_is_written() {
    let all = schemas();
    assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "sorted by name");
    let of = |name: &str| &all.iter().find(|(file, _)| *file == name).expect("schema").1;
    let json: serde_json::Value = serde_json::from_str(&result_json(&result()).unwrap()).unwrap();
    let properties = of("audit-result.schema.json")["properties"].as_object().unwrap();
    let written = json.as_object().unwrap();
    assert!(written.keys().eq(properties.keys()), "{properties:?}");
    assert_eq!(of("exposure.schema.json")["additionalProperties"], false);
    assert_eq!(of("exposure.schema.json")["required"].as_array().unwrap().len(), 5);
    for (name, schema) in &all {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        assert!(schema["title"].is_string(), "{name}");
    }
}
