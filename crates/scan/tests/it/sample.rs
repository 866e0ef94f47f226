//! The shipped sample log, from the file to the terminal's text and the page.

use std::path::PathBuf;
use stillwatch_evidence::Silent;
use stillwatch_scan::engine::EngineParams;
use stillwatch_scan::exhibits::{Example, exhibits};
use stillwatch_scan::readers::ReadOptions;
use stillwatch_scan::report::{DryRunRow, ReportInput, render};
use stillwatch_scan::{Alpha, Innocents, ScanParams, Scanned, scan, words};

fn sample() -> Scanned {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/scan/sample.jsonl.zst");
    let mut hash_key = [0; 32];
    hash_key[0] = 7;
    let params = ScanParams {
        paths: vec![file.display().to_string()],
        read: ReadOptions::default(),
        hash_key,
        seed: Some(7),
        fdr: Alpha::new(0.01).expect("a rate"),
        innocents: Innocents::default(),
        engine: EngineParams::default(),
    };
    scan(&params, &Silent).expect("it is read")
}

/// Who each account really is.
fn labels() -> Vec<(String, String)> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/scan/labels.csv");
    let text = fs_err::read_to_string(file).expect("labels are shipped");
    let pair = |line: &str| {
        let mut fields = line.split(',');
        (fields.next().unwrap_or("").to_owned(), fields.next().unwrap_or("").to_owned())
    };
    text.lines().skip(1).map(pair).collect()
}

#[test]
fn its_campaigns_are_flagged_and_its_innocents_are_not() {
    let Scanned { result, .. } = sample();
    let harvests: Vec<String> = labels()
        .into_iter()
        .filter(|(_, class)| class.starts_with("campaign"))
        .map(|(account, _)| account)
        .collect();
    let flagged: Vec<&String> = result.flagged().flat_map(|c| &c.accounts).collect();
    let right = flagged.iter().filter(|a| harvests.contains(a)).count();
    assert_eq!(right, flagged.len(), "an innocent is flagged");
    assert!(10 * right >= 9 * harvests.len(), "{right} of {}", harvests.len());
    assert_eq!(result.n_accounts, labels().len() as u64);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_text() {
    let (first, second) = (sample(), sample());
    let json = |s: &Scanned| serde_json::to_string(&s.result).expect("it is JSON");
    assert_eq!(json(&first), json(&second));
    let found = exhibits(&first.result, &first.plan.units, &Silent).expect("it is read again");
    let text = words::in_words(&first.result, &found, false);
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("scan-words.txt");
    fs_err::write(out, &text).expect("it is written");
    for expected in ["campaign-", "innocent?", "e.g. ", "reason to look", "sample.jsonl.zst:"] {
        assert!(text.contains(expected), "{expected} isn't in:\n{text}");
    }
    let shown = words::in_words(&first.result, &found, true);
    let prompt = &found.values().next().expect("a campaign").examples[0].prompt;
    let words: Vec<&str> = prompt.split(' ').take(4).collect();
    assert!(shown.contains(&words.join(" ")) && !text.contains(&words.join(" ")));
}

#[test]
fn what_a_log_says_is_escaped_and_hidden() {
    const EVIL: &str = "<script>alert(1)</script>\"'&";
    let Scanned { mut result, plan, .. } = sample();
    let mut found = exhibits(&result, &plan.units, &Silent).expect("it is read again");
    for campaign in &mut result.campaigns {
        for account in &mut campaign.accounts {
            account.push_str(EVIL);
        }
    }
    result.files[0].file = EVIL.to_owned();
    for exhibit in found.values_mut() {
        exhibit.examples.push(Example {
            account: EVIL.to_owned(),
            file: EVIL.to_owned(),
            line: 1,
            id: EVIL.to_owned(),
            time_ms: None,
            prompt: EVIL.to_owned(),
        });
    }
    let dry_run = [DryRunRow {
        policy: EVIL.to_owned(),
        measure: EVIL.to_owned(),
        accounts: 1,
        accounts_outside: 1,
        accounts_proposed: 0,
        requests_share: 0.1,
    }];
    let page = |show_texts| {
        render(&ReportInput {
            result: &result,
            exhibits: &found,
            dry_run: &dry_run,
            inputs: &[(EVIL.to_owned(), EVIL.to_owned())],
            made: "2026-09-14T00:00:00Z",
            command: EVIL,
            show_texts,
        })
    };
    for show_texts in [false, true] {
        let html = page(show_texts);
        assert!(!html.contains("<script"), "something isn't escaped");
        assert!(html.contains("default-src 'none'"));
        assert!(!html.contains("http://") || !html.contains("src=\"http"));
    }
    assert!(page(true).contains("alert(1)") && page(false).contains("xxxxx(0)"));
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("scan-report.html");
    fs_err::write(out, page(false)).expect("it is written");
}
