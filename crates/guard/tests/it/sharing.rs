//! Indicators that providers exchange: what a file holds, who can read it, what a match means.

use proptest::prelude::*;
use stillwatch_evidence::Secret;
use stillwatch_evidence::ledger::OsEntropy;
use stillwatch_guard::sharing::{
    HASHES, IndicatorFile, LocalItems, Share, SharedKey, export_file, import_file, matches,
};
use stillwatch_traffic::Campaign;

const NOW: i64 = 1_795_000_000_000;

type Tweak = fn(&mut IndicatorFile);

fn key(text: &str) -> SharedKey {
    let long = text.repeat(40);
    SharedKey::new(Secret::new(long).expect("not empty")).expect("long enough")
}

fn campaign(indicators: &[u32]) -> Campaign {
    Campaign {
        id: "home-name".to_owned(),
        accounts: (0..21).map(|i| format!("account-{i}")).collect(),
        flagged: true,
        families: vec!["text".to_owned(), "sharding".to_owned()],
        indicators: indicators.to_vec(),
        ..Campaign::default()
    }
}

fn file_of(campaigns: &[Campaign], key: &SharedKey) -> IndicatorFile {
    let shares: Vec<Share<'_>> = campaigns
        .iter()
        .map(|campaign| Share { campaign, first_seen_ms: Some(NOW), last_seen_ms: NOW })
        .collect();
    export_file(key, "provider A", &shares, NOW, &mut OsEntropy).expect("randomness")
}

#[test]
fn a_file_is_read_back_and_names_nobody() {
    let key = key("k");
    let file = file_of(&[campaign(&[1, 2, 3, 0])], &key);
    let text = file.to_json();
    assert_eq!(import_file(&key, &text).expect("ours"), file);
    let shown = String::from_utf8(text).expect("UTF-8");
    assert!(!shown.contains("account-") && !shown.contains("home-name"), "{shown}");
    let shared = file.campaigns.first().expect("one");
    assert_eq!((shared.accounts, shared.hashes.len()), (16, HASHES * 16));
    assert_eq!(shared.last_seen, "2026-11-18");
    assert_eq!(shared.families, ["sharding", "text"]);
}

#[test]
fn size_says_nothing_of_what_is_shared() {
    let key = key("k");
    let few = file_of(&[campaign(&[7])], &key).to_json().len();
    let many: Vec<u32> = (1..1_000).collect();
    assert_eq!(few, file_of(&[campaign(&many)], &key).to_json().len());
}

#[test]
fn nothing_is_shared_of_who_is_not_flagged_or_shares_no_text() {
    let quiet = Campaign { flagged: false, ..campaign(&[1, 2, 3]) };
    assert!(file_of(&[quiet, campaign(&[]), campaign(&[0, 0])], &key("k")).campaigns.is_empty());
}

#[test]
fn two_files_of_one_campaign_have_nothing_in_common_without_the_key() {
    let key = key("k");
    let hashes = || {
        let file = file_of(&[campaign(&[1, 2, 3])], &key);
        file.campaigns.first().expect("one").hashes.clone()
    };
    let (a, b) = (hashes(), hashes());
    let chunks = |text: &str| -> std::collections::BTreeSet<String> {
        text.as_bytes().chunks(16).map(|c| String::from_utf8_lossy(c).into_owned()).collect()
    };
    assert!(chunks(&a).is_disjoint(&chunks(&b)));
}

#[test]
fn matches_come_with_the_rate_of_false_ones() {
    let key = key("k");
    let file = file_of(&[campaign(&(100..200).collect::<Vec<u32>>())], &key);
    let same: Vec<u32> = (150..180).collect();
    let few: Vec<u32> = (198..230).collect();
    let benign: Vec<Vec<u32>> =
        (0..200).map(|i| (1_000 * i + 1_000..1_000 * i + 1_040).collect()).collect();
    let mut locals = vec![
        LocalItems { name: "same", is_campaign: true, flagged: true, items: &same },
        LocalItems { name: "few", is_campaign: true, flagged: true, items: &few },
    ];
    let local = |items| LocalItems { name: "benign", is_campaign: false, flagged: false, items };
    locals.extend(benign.iter().map(|items| local(items)));
    let report = matches(&key, &file, &locals).expect("a file of ours");
    let [found] = report.matches.as_slice() else { panic!("{:?}", report.matches) };
    assert_eq!((found.local.as_str(), found.matched, found.of), ("same", 30, 30));
    assert!(found.by_hashing < 1e-9, "{found:?}");
    assert_eq!((report.n_benign, report.n_benign_matched), (200, 0));
    assert!(report.false_match_rate.abs() < f64::EPSILON);
    assert!((0.014..0.016).contains(&report.false_match_rate_max), "rule of three");

    // An honest text that harvesters use as well shows in the rate.
    locals.push(local(&same));
    let report = matches(&key, &file, &locals).expect("a file of ours");
    assert_eq!(report.n_benign_matched, 1);
    assert!(report.false_match_rate > 0.004 && report.note.contains("errs upwards"));
}

#[test]
fn another_key_reads_nothing_and_short_keys_are_refused() {
    let text = file_of(&[campaign(&[1, 2, 3])], &key("k")).to_json();
    let error = import_file(&key("other"), &text).expect_err("another key").to_string();
    assert!(error.contains("another key"), "{error}");
    assert!(SharedKey::new(Secret::new("short").expect("not empty")).is_err());
}

#[test]
fn what_is_no_file_is_refused_with_the_place() {
    let key = key("k");
    let good = file_of(&[campaign(&[1, 2, 3])], &key);
    let table: [(Tweak, &str); 10] = [
        (|f| f.version = 2, "version"),
        (|f| f.source = "a\nb".to_owned(), "source"),
        (|f| f.made = "yesterday".to_owned(), "made"),
        (|f| f.salt = "zz".to_owned(), "salt"),
        (|f| f.key_check = "00".to_owned(), "key_check"),
        (|f| f.campaigns[0].id = "x".to_owned(), "campaigns[0].id"),
        (|f| f.campaigns[0].first_seen = Some("2026-13-01".to_owned()), "first_seen"),
        (|f| f.campaigns[0].families = vec!["<script>".to_owned()], "campaigns[0].families"),
        (|f| f.campaigns[0].hashes.truncate(16), "campaigns[0].hashes"),
        (|f| f.campaigns[0].hashes = "ff".repeat(HASHES * 8 - 1) + "00", "campaigns[0].hashes"),
    ];
    for (tweak, place) in table {
        let mut file = good.clone();
        tweak(&mut file);
        let error = import_file(&key, &file.to_json()).expect_err(place).to_string();
        assert!(error.contains(place), "{place}: {error}");
    }
    assert!(import_file(&key, b"{}").is_err());
    assert!(import_file(&key, b"{\"version\":1,\"extra\":2}").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_files_are_read_or_refused_but_never_panic(
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..6),
    ) {
        let key = key("k");
        let mut text = file_of(&[campaign(&[1, 2, 3])], &key).to_json();
        let at = at.index(text.len());
        text.splice(at..(at + with.len()).min(text.len()), with);
        if let Ok(file) = import_file(&key, &text) {
            prop_assert!(matches(&key, &file, &[]).is_ok());
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_file(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(import_file(&key("k"), &bytes).is_err());
    }
}
