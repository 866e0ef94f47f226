//! Files of exposures that are odd but good: compression, ends of lines, cut files.

use crate::shared_texts::{exposure, gzip, line, zstd};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::path::Path;
use stillwatch_evidence::{
    ExposureFile, JsonLines, Limits, ReadError, Record, Reject, read_exposures, read_exposures_from,
};

fn read(bytes: &[u8]) -> Result<ExposureFile, ReadError> {
    read_exposures_from(bytes, Path::new("e.jsonl"), &Limits::default())
}

fn ids(file: &ExposureFile) -> Vec<&str> {
    file.exposures.iter().map(|exposure| exposure.id.as_str()).collect()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[test]
fn every_packing_gives_the_same_exposures_and_the_hash_of_the_disk() {
    let plain = format!("{}\n{}\n", line("a"), line("b")).into_bytes();
    let (first, second) = plain.split_at(plain.len() / 2);
    let members = [gzip(first), gzip(second)].concat();
    let frames = [zstd(first), zstd(second)].concat();
    let bom = [&[0xef, 0xbb, 0xbf], plain.as_slice()].concat();
    let crlf = format!("{}\r\n\r\n{}\r\n", line("a"), line("b")).into_bytes();
    let unended = format!("{}\n{}", line("a"), line("b")).into_bytes();
    for packed in
        [plain.clone(), gzip(&plain), zstd(&plain), members, frames, gzip(&bom), bom, crlf, unended]
    {
        let file = read(&packed).unwrap();
        assert_eq!(ids(&file), ["a", "b"]);
        assert_eq!(file.rejects, []);
        assert_eq!(file.damage, None);
        assert_eq!(file.sha256, hash(&packed));
        assert_eq!(file.bytes, packed.len() as u64);
    }
}

#[test]
fn a_file_on_disk_reads_like_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("e.jsonl.gz");
    let bytes = gzip(format!("{}\n", line("a")).as_bytes());
    fs_err::write(&path, &bytes).unwrap();
    assert_eq!(read_exposures(&path).unwrap(), read(&bytes).unwrap());
}

/// Every cut of a compressed file keeps what could be decompressed and says that it is cut.
#[test]
fn a_cut_stream_keeps_what_came_before() {
    let plain: String =
        (0..3000u32).map(|i| line(&format!("{i}-{}", hash(&i.to_le_bytes()))) + "\n").collect();
    // gzip gives out every byte that it got; zstd works in blocks, of which the last is lost.
    for (packed, at_least) in [(gzip(plain.as_bytes()), 3000), (zstd(plain.as_bytes()), 1500)] {
        let mut most = 0;
        for cut in (packed.len() / 2..packed.len()).step_by(9973).chain([packed.len() - 1]) {
            let file = read(packed.get(..cut).unwrap()).unwrap();
            assert!(file.damage.as_deref().unwrap().contains("cut short"), "{:?}", file.damage);
            assert_eq!(file.rejects.len(), 1);
            assert_eq!(file.rejects[0].line, file.exposures.len() as u64 + 1);
            most = most.max(file.exposures.len());
        }
        assert!(most >= at_least, "{most}");
    }
}

#[test]
fn a_corrupt_stream_is_told_from_a_cut_one() {
    let mut packed = gzip(format!("{}\n", line("a")).as_bytes());
    let at = packed.len() - 6;
    packed[at] ^= 0xff;
    let file = read(&packed).unwrap();
    assert_eq!(ids(&file), ["a"]);
    assert_eq!(
        file.damage.unwrap(),
        "the gzip stream is damaged (corrupt gzip stream does not have a matching checksum)"
    );
    let garbage_behind =
        [gzip(format!("{}\n", line("a")).as_bytes()), b"garbage".to_vec()].concat();
    assert!(read(&garbage_behind).unwrap().damage.is_some());
}

#[test]
fn a_line_of_five_megabytes_is_read() {
    let big = "x".repeat(5 << 20);
    let mut one = exposure("big", "q", &big, &["b"]);
    one.account = Some("a".into());
    let bytes = serde_json::to_vec(&one).unwrap();
    assert_eq!(read(&gzip(&bytes)).unwrap().exposures, [one]);
}

/// 256 MiB in 260 kB: it must neither fill memory nor hide the good line behind it.
#[test]
fn a_decompression_bomb_is_one_bad_line() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..256 {
        std::io::Write::write_all(&mut encoder, &zeros).unwrap();
    }
    std::io::Write::write_all(&mut encoder, format!("\n{}\n", line("a")).as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    assert!(packed.len() < 300_000);
    let file = read(&packed).unwrap();
    assert_eq!(ids(&file), ["a"]);
    assert_eq!(file.lines, [2]);
    assert_eq!(file.rejects[0].reason, "line longer than 67108864 bytes");
    assert_eq!(file.rejects[0].raw.len(), 1024);
}

#[test]
fn the_limit_is_exact() {
    let text = line("a");
    let limits = Limits { line_bytes_max: text.len(), rejects_max: 10 };
    for (bytes, good) in [(format!("{text}\n"), 1), (text.clone(), 1), (format!("{text} \n"), 0)] {
        let all = bytes + "\n" + &line("b") + "\n";
        let file = read_exposures_from(all.as_bytes(), Path::new("e"), &limits).unwrap();
        assert_eq!(file.exposures.len(), good + 1);
        assert_eq!(file.rejects.len(), 1 - good);
    }
}

#[test]
fn rejects_are_written_with_line_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rejects.jsonl");
    let file = read(format!("nonsense\n{}\n{{\"id\":1}}", line("a")).as_bytes()).unwrap();
    file.write_rejects(&path).unwrap();
    insta::assert_snapshot!(fs_err::read_to_string(&path).unwrap(), @r#"
    {"line":1,"reason":"expected a JSON object, found `nonsense`","raw":"nonsense"}
    {"line":3,"reason":"field `id`: invalid type: integer `1`, expected a string","raw":"{\"id\":1}"}
    "#);
    let again = JsonLines::<Parsed>::open(&path, &Limits::default()).unwrap();
    let again: Vec<Reject> = again
        .map(|record| match record.unwrap() {
            Record::Good { value, .. } => value.0,
            Record::Bad(reject) => panic!("{reject:?}"),
        })
        .collect();
    assert_eq!(again, file.rejects);
}

/// The reader takes any record type.
#[derive(Debug, serde::Deserialize)]
struct Parsed(Reject);

impl stillwatch_evidence::Validate for Parsed {
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

prop_compose! {
    fn any_exposure()(
        prompt in ".{0,20}",
        released in "(?s).{1,40}",
        withheld in prop::collection::vec("(?s).{1,40}", 1..4),
        account in prop::option::of(".{1,8}"),
        slot in prop::option::of(0usize..2),
        number in any::<f64>().prop_filter("JSON has finite numbers", |x| x.is_finite()),
    ) -> stillwatch_evidence::Exposure {
        let withheld: Vec<&str> = withheld.iter().map(String::as_str).collect();
        let mut one = exposure("x", &prompt, &released, &withheld);
        one.account = account;
        one.slot = slot;
        one.params = Some(serde_json::json!({ "temperature": number }));
        one
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn exposures_round_trip(
        mut exposures in prop::collection::vec(any_exposure(), 1..6),
        packing in 0u8..3,
    ) {
        let mut bytes = Vec::new();
        for (i, one) in exposures.iter_mut().enumerate() {
            one.id = format!("id {i}");
            serde_json::to_writer(&mut bytes, one).unwrap();
            bytes.push(b'\n');
        }
        let bytes = match packing {
            0 => bytes,
            1 => gzip(&bytes),
            _ => zstd(&bytes),
        };
        let file = read(&bytes).unwrap();
        prop_assert_eq!(file.exposures, exposures);
        prop_assert!(file.rejects.is_empty());
    }

    /// Whatever comes, every line that isn't blank is an exposure, a reject, or an error.
    #[test]
    fn no_line_vanishes(pieces in prop::collection::vec(
        prop_oneof![
            Just(b"".to_vec()),
            Just(b"{\"id\":".to_vec()),
            Just(vec![0xff, 0xfe, 0x00]),
            Just(b"\xef\xbb\xbf".to_vec()),
            any::<u32>().prop_map(|n| line(&n.to_string()).into_bytes()),
            prop::collection::vec(any::<u8>().prop_filter("line end", |b| *b != b'\n'), 0..30),
        ],
        1..20,
    )) {
        let bytes = pieces.join(&b'\n');
        let compressed = bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(b"\x28\xb5\x2f\xfd");
        if let (false, Ok(file)) = (compressed, read(&bytes)) {
            let visible = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
            let lines = visible.split(|byte| *byte == b'\n');
            let lines = lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).count();
            prop_assert_eq!(file.exposures.len() + file.rejects.len(), lines);
        }
    }
}
