//! From a log to campaigns.

use std::io::Write as _;
use stillwatch_evidence::Silent;
use stillwatch_scan::engine::EngineParams;
use stillwatch_scan::readers::ReadOptions;
use stillwatch_scan::{Innocents, ScanParams, scan};
use stillwatch_stats::Alpha;
use stillwatch_testkit::traffic::{Replay, ReplayParams};

#[test]
fn a_replay_is_read_and_harvesters_are_flagged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("log.jsonl");
    let replay =
        Replay::new(&ReplayParams { ordinary: 300, per_class: 8, ..ReplayParams::default() });
    let labels = replay.labels().clone();
    let mut file = std::io::BufWriter::new(fs_err::File::create(&path).expect("the log is made"));
    for exchange in replay {
        serde_json::to_writer(&mut file, &exchange).expect("it is JSON");
        file.write_all(b"\n").expect("it is written");
    }
    file.flush().expect("it is written");
    let params = ScanParams {
        paths: vec![path.display().to_string()],
        read: ReadOptions::default(),
        hash_key: [7; 32],
        seed: None,
        fdr: Alpha::new(0.01).expect("a rate"),
        innocents: Innocents::default(),
        engine: EngineParams::default(),
    };
    let result = scan(&params, &Silent).expect("it is read").result;
    assert_eq!(result.n_rejected, 0);
    assert_eq!(result.n_accounts, labels.len() as u64);
    let flagged = result.accounts.iter().filter(|a| a.flagged).count();
    assert!(flagged > 100, "{flagged} flagged");
}
