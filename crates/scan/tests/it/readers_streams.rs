//! Streams as they come: cut, compressed, damaged, mixed, in pieces.

use proptest::prelude::*;
use std::fmt::Write as _;
use std::io::Write as _;
use stillwatch_scan::fuzzing::{Kept, read_bytes};
use stillwatch_scan::input;
use stillwatch_scan::readers::{
    Format, ReadOptions, Unit, UnitReport, first_lines, plan, read_unit,
};

fn line(id: usize) -> String {
    let text = "word ".repeat(id % 40);
    format!(
        "{{\"id\":\"e{id}\",\"time\":\"2026-02-03T10:00:00Z\",\"account\":\"a{}\",\"messages\":\
         [{{\"role\":\"user\",\"content\":\"{text}\"}}],\"response\":{{\"text\":\"x\"}}}}\n",
        id % 7
    )
}

fn lines(n: usize) -> Vec<u8> {
    (0..n).map(line).collect::<String>().into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("to memory");
    encoder.finish().expect("to memory")
}

fn read(bytes: &[u8]) -> (Kept, UnitReport) {
    let (kept, report, _) = read_bytes(bytes, &ReadOptions::default()).expect("it is a log");
    (kept, report)
}

fn ids(kept: &Kept) -> Vec<String> {
    kept.rows.iter().map(|(_, row)| row.id.to_string()).collect()
}

#[test]
fn compression_line_ends_and_a_byte_order_mark_change_nothing() {
    let plain = lines(50);
    let expected = ids(&read(&plain).0);
    assert_eq!(expected.len(), 50);
    let members = [gzip(&plain[..1000]), gzip(&plain[1000..])].concat();
    let zstd = zstd::encode_all(plain.as_slice(), 1).expect("to memory");
    let crlf = String::from_utf8(plain.clone()).expect("UTF-8").replace('\n', "\r\n");
    let bom = [b"\xef\xbb\xbf".as_slice(), &plain].concat();
    for (name, bytes) in
        [("gzip", members), ("zstd", zstd), ("CRLF", crlf.into_bytes()), ("BOM", bom)]
    {
        let (kept, report) = read(&bytes);
        assert_eq!(ids(&kept), expected, "{name}");
        assert!(!report.is_partial(), "{name}");
        assert_eq!(report.bytes_on_disk, bytes.len() as u64, "{name}");
    }
}

#[test]
fn a_half_written_last_line_is_rejected_and_the_rest_is_read() {
    let mut bytes = lines(3);
    bytes.truncate(bytes.len() - 20);
    let (kept, report) = read(&bytes);
    assert_eq!(ids(&kept), ["e0", "e1"]);
    assert_eq!((report.n_lines, kept.rejects[0].line), (3, 3));
    assert!(kept.rejects[0].reason.contains("cut short"), "{:?}", kept.rejects);
    let mut whole = lines(3);
    whole.pop();
    assert_eq!(read(&whole).0.rows.len(), 3, "a last line needs no end");
}

#[test]
fn a_cut_stream_gives_what_came_before() {
    let whole = gzip(&lines(3000));
    let (kept, report) = read(&whole[..whole.len() / 2]);
    assert!(kept.rows.len() > 100, "{}", kept.rows.len());
    assert!(report.is_partial());
    assert!(report.damages[0].contains("cut short"), "{:?}", report.damages);
    let mut bent = whole.clone();
    let middle = bent.len() / 2;
    bent[middle..middle + 40].fill(0xff);
    assert!(read(&bent).1.is_partial());
}

#[test]
fn a_bomb_costs_little_memory_and_is_told_of() {
    // 200 MB of blanks: zstd makes a few kB of them.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("to memory");
    encoder.write_all(line(1).as_bytes()).expect("to memory");
    let block = (" ".repeat(99_999) + "\n").repeat(10);
    for _ in 0..200 {
        encoder.write_all(block.as_bytes()).expect("to memory");
    }
    let (kept, report) = read(&encoder.finish().expect("to memory"));
    assert_eq!(kept.rows.len(), 1);
    let damage = report.damages.first().cloned().unwrap_or_default();
    assert!(damage.contains("1000 times its size"), "{report:?}");
    assert!(report.bytes_text < 100_000_000, "it stopped at {}", report.bytes_text);
}

#[test]
fn long_lines_and_deep_ones_are_rejected() {
    let long = format!("{}{{\"id\":\"{}\"}}\n{}", line(1), "x".repeat(5000), line(2));
    let options = ReadOptions { line_bytes_max: 4096, ..ReadOptions::default() };
    let (kept, _, _) = read_bytes(long.as_bytes(), &options).expect("a log");
    assert_eq!(ids(&kept), ["e1", "e2"]);
    assert!(kept.rejects[0].reason.contains("longer than 4096"), "{:?}", kept.rejects);
    let deep = format!("{{\"id\":\"d\",\"x\":{}", "[".repeat(1_000_000));
    let (kept, _) = read(format!("{}{deep}\n{}", line(1), line(2)).as_bytes());
    assert_eq!(ids(&kept), ["e1", "e2"]);
    assert_eq!(kept.rejects.len(), 1);
    let nested = format!(
        "{{\"input\":\"{}\",\"type\":\"GENERATION\",\"trace_id\":\"t\",\"start_time\":\"\",\"id\":\"g\"}}\n",
        "[".repeat(1_000_000)
    );
    assert_eq!(read(nested.as_bytes()).0.rows.len(), 1, "text that opens a million lists is text");
}

#[test]
fn lines_of_several_products_are_read_as_what_they_are() {
    let other = r#"{"custom_id":"r-1","result":{"type":"expired"}}"#;
    let wrong = r#"{"colour":"red"}"#;
    let broken = r#"{"id":"e9","messages":5}"#;
    let mixed = format!("{}{other}\n{wrong}\n{broken}\n\n{}", line(1), line(2));
    let (kept, report) = read(mixed.as_bytes());
    assert_eq!(ids(&kept), ["e1", "r-1", "e2"]);
    assert_eq!(report.n_by_format.get(&Format::Exchange), Some(&2));
    assert_eq!(report.n_by_format.get(&Format::Anthropic), Some(&1));
    let rejects: Vec<u64> = kept.rejects.iter().map(|reject| reject.line).collect();
    assert_eq!(rejects, [3, 4]);
    assert!(kept.rejects[1].reason.contains("messages"), "{:?}", kept.rejects[1]);
    let named = ReadOptions { format: Some(Format::Exchange), ..ReadOptions::default() };
    let (kept, _, _) = read_bytes(mixed.as_bytes(), &named).expect("a log");
    assert_eq!(ids(&kept), ["e1", "e2"], "with a name there is no search");
}

#[test]
fn impossible_times_count_as_none() {
    let at = |time: &str| format!("{{\"id\":\"e\",\"time\":\"{time}\",\"messages\":[]}}\n");
    let log = [
        "1970-01-01T00:00:00Z",
        "2026-02-03T10:00:00Z",
        "2026-02-04T09:00:00Z",
        "2026-02-04T11:00:00Z",
        "2099-01-01T00:00:00Z",
    ]
    .map(at)
    .concat();
    let options = ReadOptions { now_ms: Some(1_770_112_800_000), ..ReadOptions::default() };
    let (kept, report, _) = read_bytes(log.as_bytes(), &options).expect("a log");
    let known: Vec<bool> = kept.rows.iter().map(|(_, row)| row.time_ms.is_some()).collect();
    assert_eq!(known, [false, true, true, false, false]);
    assert_eq!((report.n_without_time, report.n_implausible_time), (3, 3));
}

#[test]
fn documents_and_tables() {
    let pretty = "[\n  {\"id\": \"e1\",\n   \"messages\": [], \"client\": {}},\n  7,\n  {\"id\": \"e2\", \"messages\": [], \"client\": {}}\n]\n";
    let (kept, _) = read(pretty.as_bytes());
    assert_eq!(ids(&kept), ["e1", "e2"]);
    assert_eq!(kept.rows[1].0, 5, "the line that it begins on");
    assert_eq!(kept.rejects.len(), 1);
    let head = "request_id;request_created_at;request_user_id;request_body\n";
    let row = "r1;2026-02-03T10:00:00Z;u;\"{\"\"messages\"\":[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"a\nb\"\"}]}\"\n";
    let (kept, report) = read(format!("{head}{row}r2;x\n1;2;3;4;5\n").as_bytes());
    assert_eq!(ids(&kept), ["r1", "r2"]);
    assert_eq!(report.n_rejected, 1, "more cells than columns");
    // A line end inside of a JSON text isn't JSON; what isn't JSON is text.
    assert!(kept.rows[0].1.has_content());
    let open = format!("{head}r1;2026-02-03T10:00:00Z;u;\"never closed");
    assert_eq!(read(open.as_bytes()).0.rows.len(), 1);
}

#[test]
fn lines_are_numbered_in_their_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.jsonl");
    let mut text = String::new();
    for n in 0..200 {
        text += &line(n);
        if n % 20 == 0 {
            writeln!(text, "broken {n}\n").expect("strings take all");
        }
    }
    fs_err::write(&path, &text).expect("written");
    let expected: Vec<u64> = text
        .lines()
        .zip(1..)
        .filter(|(line, _)| line.starts_with("broken"))
        .map(|(_, number)| number)
        .collect();
    let inputs = input::find(&[path.display().to_string()]).expect("it is there");
    for unit_bytes in [1_u64, 100, 777, 5000] {
        let options = ReadOptions { unit_bytes, ..ReadOptions::default() };
        let units = plan(&inputs, &options).expect("a log").units;
        let first = first_lines(&units.iter().collect::<Vec<&Unit>>()).expect("readable");
        let mut found = Vec::new();
        for (unit, first) in units.iter().zip(first) {
            let mut kept = Kept::default();
            read_unit(unit, &mut kept).expect("readable");
            found.extend(kept.rejects.iter().map(|reject| first + reject.line));
        }
        assert_eq!(found, expected, "in pieces of {unit_bytes} bytes");
    }
}

#[test]
fn units_travel_as_json() {
    let (_, _, units) = read_bytes(&lines(2), &ReadOptions::default()).expect("a log");
    let json = serde_json::to_string(&units).expect("it is JSON");
    assert_eq!(serde_json::from_str::<Vec<Unit>>(&json).expect("it is"), units);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        stillwatch_scan::fuzzing::log(&bytes);
        stillwatch_scan::fuzzing::products(&bytes);
        stillwatch_scan::fuzzing::mapping(&bytes);
    }

    #[test]
    fn any_cut_of_any_lines_reads_the_same(
        picks in proptest::collection::vec(0_usize..6, 1..30),
        unit_bytes in 1_u64..700,
    ) {
        let kinds = ["\n", "broken\n", "{\"id\":5}\n", "\r\n", "{\"custom_id\":\"r\",\"result\":{}}\n"];
        let text: String = std::iter::once(line(0))
            .chain(picks.iter().map(|n| kinds.get(*n).map_or_else(|| line(*n), |k| (*k).to_owned())))
            .collect();
        let (whole, report) = read(text.as_bytes());
        let options = ReadOptions { unit_bytes, ..ReadOptions::default() };
        let (cut, sum, _) = read_bytes(text.as_bytes(), &options).expect("a log");
        prop_assert_eq!(ids(&whole), ids(&cut));
        prop_assert_eq!(report.n_lines, sum.n_lines);
        prop_assert_eq!(report.n_rejected, sum.n_rejected);
        prop_assert_eq!(sum.bytes_text, text.len() as u64 + extra(text.as_bytes(), unit_bytes));
    }

    #[test]
    fn the_fast_way_agrees_with_the_schema(
        content in "\\PC{0,20}",
        temperature in proptest::option::of(0.0_f32..2.0),
        account in proptest::option::of("[a-z]{1,8}"),
    ) {
        let params = temperature.map(|t| serde_json::json!({"temperature": t, "stream": true}));
        let mut exchange = serde_json::json!({
            "id": "e",
            "time": "2026-02-03T10:00:00.5+01:00",
            "messages": [{"role": "system", "content": content}, {"role": "user", "content": content}],
            "response": {"text": content},
        });
        if let Some(params) = params { exchange["params"] = params; }
        if let Some(account) = &account { exchange["account"] = account.as_str().into(); }
        let (kept, _) = read(exchange.to_string().as_bytes());
        let row = &kept.rows[0].1;
        prop_assert_eq!((&*row.system, &*row.user, &*row.response), (&*content, &*content, &*content));
        prop_assert_eq!(row.temperature, temperature);
        prop_assert_eq!(row.account.as_deref(), account.as_deref());
        prop_assert_eq!(row.time_ms, Some(1_770_109_200_500));
        let messages: serde_json::Value = serde_json::from_str(&row.messages_json).expect("JSON");
        prop_assert_eq!(&messages, &exchange["messages"]);
    }
}

/// Bytes that units read of lines that belong to the unit before.
fn extra(text: &[u8], unit_bytes: u64) -> u64 {
    let step = usize::try_from(unit_bytes).expect("small");
    let starts = (step..text.len()).step_by(step);
    let to_line_end = |start: usize| {
        let rest = &text[start - 1..];
        rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1)
    };
    starts.map(|start| to_line_end(start) as u64).sum()
}
