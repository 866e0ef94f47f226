//! The engine gives the same, however it is run.

use crate::log;
use std::collections::BTreeMap;
use stillwatch_scan::engine::{Collected, EngineParams, Sketched, collect, sketch};
use stillwatch_scan::readers::{ReadOptions, Unit};
use stillwatch_scan::{input, readers};
use stillwatch_traffic::{AccountSketch, Extractor, HashKey};

const KEY: [u8; 32] = [7; 32];

/// Many units, even of small files.
fn units(paths: &[String]) -> Vec<Unit> {
    let options = ReadOptions { unit_bytes: 50_000, ..ReadOptions::default() };
    let inputs = input::find(paths).expect("there are logs");
    readers::plan(&inputs, &options).expect("planned").units
}

fn run(paths: &[String], params: &EngineParams) -> Sketched {
    sketch(&units(paths), &KEY, params).expect("read")
}

fn on_disk(paths: &[String], params: &EngineParams) -> Collected {
    collect(&units(paths), &KEY, params).expect("read")
}

/// One exchange after the other, without the engine.
fn by_hand(paths: &[String]) -> BTreeMap<String, AccountSketch> {
    struct Collect(Extractor, BTreeMap<String, AccountSketch>);
    impl readers::Sink for Collect {
        fn row(&mut self, _: u64, row: &stillwatch_scan::row::LogRow<'_>) {
            if let Some(observation) = row.observation() {
                let features = self.0.extract(&observation);
                self.1.entry(observation.account.to_owned()).or_default().observe(&features);
            }
        }
        fn reject(&mut self, _: stillwatch_evidence::Reject) {}
    }
    let mut collect = Collect(Extractor::new(HashKey::new(&KEY)), BTreeMap::new());
    for unit in units(paths) {
        readers::read_unit(&unit, &mut collect).expect("read");
    }
    collect.1
}

#[test]
fn any_number_of_threads_and_little_memory_give_what_a_loop_gives() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = log::write(folder.path(), 300, 3);
    let expected = by_hand(&paths);
    let many = EngineParams::default();
    for (threads, memory_bytes) in [(1, many.memory_bytes), (3, many.memory_bytes), (2, 32 << 20)] {
        let params = EngineParams { threads, memory_bytes, ..many.clone() };
        let sketched = run(&paths, &params);
        assert_eq!(sketched.accounts, expected, "{threads} threads, {memory_bytes} bytes");
        let n: u64 = expected.values().map(AccountSketch::n).sum();
        assert_eq!(sketched.n_exchanges, n);
        let last = expected.values().map(AccountSketch::last_ms).max();
        assert_eq!(Some(sketched.now_ms), last);
    }
}

#[test]
fn the_file_of_accounts_is_the_same_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = log::write(folder.path(), 100, 2);
    let bytes = |threads: usize| {
        let sketched = on_disk(&paths, &EngineParams { threads, ..EngineParams::default() });
        fs_err::read(sketched.accounts.file()).expect("it is there")
    };
    assert_eq!(bytes(1), bytes(4));
}

#[test]
fn bad_lines_are_counted_and_kept_in_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = log::write(folder.path(), 20, 2);
    let second = paths.get(1).expect("two files");
    let mut text = fs_err::read_to_string(second).expect("it is there");
    text.insert_str(0, "{\"id\": 1\n");
    text.push_str("no JSON\n");
    fs_err::write(second, text).expect("it is written");
    let n_lines = fs_err::read_to_string(second).expect("it is there").lines().count() as u64;
    let sketched = run(&paths, &EngineParams::default());
    assert_eq!(sketched.n_rejected, 2);
    let lines: Vec<u64> = sketched.rejects.iter().map(|(_, reject)| reject.line).collect();
    assert_eq!(lines, [1, n_lines]);
    assert!(
        sketched.rejects.iter().all(|(file, reject)| file == second && !reject.reason.is_empty())
    );
}
