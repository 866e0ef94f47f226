//! Crashes: a process killed at any point, a file cut at any byte, a bit changed anywhere, a
//! disk without room. What was acknowledged is there afterwards, or its loss is reported.

use super::{Made, at, create};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use stillwatch_evidence::ledger::{Ledger, LedgerError, LogView, Sha256Hash, check_entries};

/// Folder that tells the child tests below that they are children.
const CHILD: &str = "STILLWATCH_TEST_LEDGER_CHILD";

/// What a child does: appends for ever, says what was acknowledged. In the parent: nothing.
#[test]
fn child_appends_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let dir = Path::new(&dir);
    let mut ledger = match Ledger::open(dir) {
        Err(LedgerError::NotALedger { .. }) => Ledger::create(dir, at(0)).unwrap(),
        opened => opened.unwrap(),
    };
    println!("\nopen {}", ledger.tree_size());
    let begun = usize::try_from(ledger.n_sequences()).unwrap();
    let mut time = ledger.heads().last().map_or(at(0), |head| head.head.time);
    for number in begun.. {
        let mut made = Made::new(number, 2 + number % 3);
        let (opening, receipt) = ledger.commit_exposure(&made.request()).unwrap();
        println!("leaf {} {}", receipt.leaf_index, receipt.leaf_hash);
        made.opening = Some(opening);
        let texts = made.texts();
        let receipt = match ledger.record_outcome(made.opening(), &texts) {
            Err(LedgerError::DiskFull { .. }) => {
                println!("full");
                return;
            }
            receipt => receipt.unwrap(),
        };
        println!("leaf {} {}", receipt.leaf_index, receipt.leaf_hash);
        if number % 5 == 0 {
            time += Duration::from_secs(1);
            let head = ledger.close_epoch(time).unwrap();
            println!("head {} {}", head.head.epoch, head.head_hash().unwrap());
        }
    }
}

fn child(dir: &Path, limited: bool) -> Child {
    let exe = std::env::current_exe().expect("the test binary");
    let name = "ledger::crash::child_appends_until_it_is_killed";
    let mut command = if limited {
        // 512- or 1024-byte blocks, by shell; the write past them fails instead of killing.
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\""]).arg(exe);
        shell
    } else {
        Command::new(exe)
    };
    command.args(["--exact", name, "--nocapture"]).env(CHILD, dir);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a child")
}

/// What a child was told is safe.
#[derive(Debug, Default)]
struct Told {
    leaves: Vec<(u64, String)>,
    heads: Vec<(usize, String)>,
    full: bool,
}

impl Told {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["leaf", index, hash] => {
                self.leaves.push((index.parse().expect("an index"), (*hash).to_owned()));
            }
            ["head", epoch, hash] => {
                self.heads.push((epoch.parse().expect("an epoch"), (*hash).to_owned()));
            }
            ["full"] => self.full = true,
            _ => {}
        }
    }

    fn check(&self, view: &LogView) {
        for (index, hash) in &self.leaves {
            let found = view.leaf_hash(*index).expect("an acknowledged leaf");
            assert_eq!(found.to_string(), *hash, "leaf {index}");
        }
        for (epoch, hash) in &self.heads {
            let head = view.heads().get(*epoch).expect("an acknowledged head");
            assert_eq!(head.head_hash().expect("a hash").to_string(), *hash);
        }
    }
}

#[test]
fn killed_at_any_point_everything_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    for round in 0..30_u64 {
        let mut child = child(dir.path(), false);
        let stdout = child.stdout.take().unwrap();
        let delay = u64::from(Sha256Hash::of(&round.to_le_bytes()).as_bytes()[0]);
        // Kill after so many acknowledgements and a little more, or while it is still opening.
        let mut lines = BufReader::new(stdout).lines();
        let wait = if round % 6 == 5 { 0 } else { delay % 40 + 1 };
        for line in lines.by_ref().map_while(Result::ok) {
            told.line(&line);
            if told.leaves.len() as u64 % 41 >= wait || line.starts_with("open") && wait == 0 {
                break;
            }
        }
        std::thread::sleep(Duration::from_micros(delay * 17));
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).for_each(|line| told.line(&line));
        told.check(&LogView::open(dir.path()).unwrap());
        // The owner opens it too, repairs its end, and a stranger finds nothing to object to.
        drop(Ledger::open(dir.path()).unwrap());
        let view = LogView::open(dir.path()).unwrap();
        assert_eq!(view.torn_bytes(), 0);
        told.check(&view);
    }
    assert!(told.leaves.len() > 30 && !told.heads.is_empty(), "the children did something");
}

#[test]
fn killed_while_creating_it_can_be_created_again() {
    for round in 0..25_u64 {
        let dir = tempfile::tempdir().unwrap();
        let mut child = child(dir.path(), false);
        std::thread::sleep(Duration::from_micros(1_000 + 700 * round));
        child.kill().unwrap();
        let mut output = String::new();
        child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        child.wait().unwrap();
        let mut told = Told::default();
        output.lines().for_each(|line| told.line(line));
        match Ledger::open(dir.path()) {
            Err(LedgerError::NotALedger { .. }) => {
                assert!(told.leaves.is_empty());
                Ledger::create(dir.path(), at(0)).unwrap();
            }
            ledger => told.check(&ledger.unwrap()),
        }
    }
}

#[test]
fn without_room_it_says_so_and_keeps_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = child(dir.path(), true);
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    child.wait().unwrap();
    let mut told = Told::default();
    output.lines().for_each(|line| told.line(line));
    let view = LogView::open(dir.path()).unwrap();
    told.check(&view);
    assert_eq!(view.torn_bytes(), 0, "nothing half-written is left");
    assert!(told.leaves.len() > 10);
    let mut ledger = Ledger::open(dir.path()).unwrap();
    let number = usize::try_from(ledger.n_sequences()).unwrap();
    Made::new(number, 2).begin(&mut ledger);
}

/// A folder with five entries in five batches, and where each ends.
fn five(dir: &Path) -> Vec<u64> {
    let mut ledger = create(dir, 11);
    let entries = dir.join("entries.log");
    let len = || fs_err::metadata(&entries).expect("entries").len();
    let mut ends = vec![len()];
    for number in 0..5 {
        Made::new(number, 2).begin(&mut ledger);
        ends.push(len());
    }
    ends
}

fn copy(from: &Path, to: &Path) {
    for name in ["log.json", "key", "entries.log", "acknowledged", "heads.jsonl"] {
        if from.join(name).exists() {
            fs_err::copy(from.join(name), to.join(name)).expect("a copy");
        }
    }
}

#[test]
fn cut_at_every_byte_it_opens_with_every_whole_entry_or_reports_a_loss() {
    let dir = tempfile::tempdir().unwrap();
    let ends = five(dir.path());
    let bytes = fs_err::read(dir.path().join("entries.log")).unwrap();
    let other = tempfile::tempdir().unwrap();
    copy(dir.path(), other.path());
    let mark = fs_err::read(dir.path().join("acknowledged")).unwrap();
    for cut in (usize::try_from(ends[0]).unwrap()..=bytes.len()).rev() {
        let whole = ends.iter().filter(|&&end| end <= cut as u64).count() - 1;
        // After a power cut the mark may lag behind: here it says nothing.
        fs_err::write(other.path().join("acknowledged"), b"").unwrap();
        fs_err::write(other.path().join("entries.log"), &bytes[..cut]).unwrap();
        assert_eq!(LogView::open(other.path()).unwrap().tree_size(), whole as u64, "cut at {cut}");
        // Opening for writing waits for the disk, so not for every byte within an entry.
        if cut % 11 > 0 && ends.iter().all(|&end| end.abs_diff(cut as u64) > 2) {
            continue;
        }
        let mut ledger = Ledger::open(other.path()).unwrap();
        assert_eq!(ledger.tree_size(), whole as u64, "cut at {cut}");
        if cut % 77 == 0 {
            Made::new(77, 2).begin(&mut ledger);
            assert_eq!(LogView::open(other.path()).unwrap().tree_size(), whole as u64 + 1);
        }
        drop(ledger);
        // After a kill the mark is there, and what it promised must be.
        if cut < bytes.len() {
            fs_err::write(other.path().join("acknowledged"), &mark).unwrap();
            fs_err::write(other.path().join("entries.log"), &bytes[..cut]).unwrap();
            let lost = Ledger::open(other.path());
            assert!(matches!(lost, Err(LedgerError::Corrupt { .. })), "cut at {cut}");
        }
    }
}

#[test]
fn every_changed_bit_is_found() {
    let dir = tempfile::tempdir().unwrap();
    five(dir.path());
    let bytes = fs_err::read(dir.path().join("entries.log")).unwrap();
    let sound = check_entries(&bytes).unwrap();
    for bit in 0..8 * bytes.len() {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        // A changed last entry looks torn: then the tree is shorter, and head or mark object.
        assert!(!check_entries(&altered).is_ok_and(|found| found.0 == sound.0), "bit {bit}");
    }
    drop(Ledger::open(dir.path()).unwrap().close_epoch(at(1)).unwrap());
    drop(Ledger::open(dir.path()).unwrap().close_epoch(at(2)).unwrap());
    let sound = LogView::open(dir.path()).unwrap();
    for name in ["entries.log", "heads.jsonl", "log.json"] {
        let other = tempfile::tempdir().unwrap();
        copy(dir.path(), other.path());
        let mark = fs_err::read(dir.path().join("acknowledged")).unwrap();
        let bytes = fs_err::read(dir.path().join(name)).unwrap();
        for at in (0..bytes.len()).step_by(5) {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << (at % 8);
            fs_err::write(other.path().join(name), &altered).unwrap();
            fs_err::write(other.path().join("acknowledged"), &mark).unwrap();
            // What passes says the same: another spelling of a time, the time of creation.
            let same = Ledger::open(other.path()).is_ok_and(|changed| {
                changed.heads() == sound.heads()
                    && changed.identity().public_key == sound.identity().public_key
            });
            assert!(same || Ledger::open(other.path()).is_err(), "{name}, byte {at}");
            assert!(!same || name != "entries.log", "{name}, byte {at}");
        }
    }
}
