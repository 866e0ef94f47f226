//! Every product's fixture, and the rows that it means.
//!
//! A row is written: id, account, time, model | system > user > response | end, messages, tokens
//! of prompt and answer, limit, temperature | flags | address, agent. What a log doesn't say is `-`.

use std::fmt::Write as _;
use std::path::PathBuf;
use stillwatch_scan::fuzzing::Kept;
use stillwatch_scan::input;
use stillwatch_scan::readers::{Format, Mapping, ReadOptions, UnitReport, plan, read_unit};
use stillwatch_scan::row::{LogRow, NoContent};

const NOW_MS: i64 = 1_790_000_000_000;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn read(name: &str, options: &ReadOptions) -> (Format, Kept, UnitReport) {
    let options = ReadOptions { now_ms: Some(NOW_MS), ..options.clone() };
    let inputs = input::find(&[fixture(name).display().to_string()]).expect("it is there");
    let plan = plan(&inputs, &options).expect("its format is found");
    let mut kept = Kept::default();
    let mut report = UnitReport::default();
    for unit in &plan.units {
        report.merge(read_unit(unit, &mut kept).expect("it is readable"));
    }
    (plan.detected[0].format, kept, report)
}

fn shown(row: &LogRow<'_>) -> String {
    let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let mut out = String::new();
    let account = row.account.as_deref().unwrap_or("-");
    let time = row.time_ms.map_or("-".to_owned(), |ms| ms.to_string());
    let number = |n: u32| if n == 0 { "-".to_owned() } else { n.to_string() };
    write!(out, "{} {account} {time} {}", or_none(&row.id), or_none(&row.model)).expect("text");
    let (system, user) = (or_none(&row.system), or_none(&row.user));
    write!(out, " | {system} > {user} > {}", or_none(&row.response)).expect("text");
    let limit = row.max_tokens.map_or("-".to_owned(), |n| n.to_string());
    let temperature = row.temperature.map_or("-".to_owned(), |t| t.to_string());
    write!(
        out,
        " | {} {} {}/{} {limit} {temperature} |",
        or_none(&row.finish_reason),
        row.n_messages,
        number(row.prompt_tokens),
        number(row.completion_tokens),
    )
    .expect("text");
    let flags = [
        (row.logprobs, "logprobs"),
        (row.stream, "stream"),
        (row.tools, "tools"),
        (row.failed, "failed"),
    ];
    for (_, flag) in flags.iter().filter(|(set, _)| *set) {
        write!(out, " {flag}").expect("text");
    }
    write!(out, " | {} {}", or_none(&row.ip), or_none(&row.user_agent)).expect("text");
    out
}

#[track_caller]
fn check(name: &str, format: Format, expected: &[&str]) -> UnitReport {
    let (found, kept, report) = read(name, &ReadOptions::default());
    assert_eq!(found, format, "the format of {name}");
    assert_eq!(kept.rejects, [], "nothing is rejected");
    let rows: Vec<String> = kept.rows.iter().map(|(_, row)| shown(row)).collect();
    assert_eq!(rows, expected, "rows of {name}:\n{}", rows.join("\n"));
    report
}

const TIME: i64 = 1_770_112_800_120;

#[test]
fn exchange() {
    let report = check(
        "exchange.jsonl",
        Format::Exchange,
        &[
            "e1 cust-9 1770112800120 gpt-4o-mini | Be brief. > Hi > Hello | stop 2 13/18 64 0.7 | logprobs stream tools | 203.0.113.7 OpenAI/Python 1.60",
            "e2 - - - | - > Café \"x\"\n > - | - 1 -/- - - | | - -",
        ],
    );
    assert_eq!((report.n_without_account, report.n_without_time), (1, 1));
}

#[test]
fn openai() {
    check(
        "openai-chat.jsonl",
        Format::OpenAi,
        &[
            "chatcmpl-a1 cust-9 1770112800000 gpt-4o-mini | Be brief. > Hi > Hello | stop 2 13/18 64 0.7 | tools | - -",
            "chatcmpl-a2 cust-9 1770112800000 gpt-4o-mini | - > Hi > Hello | stop 1 13/18 - - | stream | - -",
            "- cust-9 1770112800120 gpt-4o-mini | - > Hi > - | - 1 -/- - - | failed | - -",
        ],
    );
    check(
        "openai-stored.jsonl",
        Format::OpenAi,
        &[
            "chatcmpl-a1 cust-9 1770112800000 gpt-4o-mini-2024-07-18 | - > - > Hello | stop 0 13/18 - 0.7 | | - -",
        ],
    );
    check(
        "openai-batch.jsonl",
        Format::OpenAi,
        &[
            "r-1 - 1770112800000 gpt-4o-mini-2024-07-18 | - > - > Hello | stop 0 13/18 - - | | - -",
            "r-2 - - - | - > - > - | - 0 -/- - - | failed | - -",
            "r-3 - - gpt-4o-mini | - > Hi > - | - 1 -/- 64 - | | - -",
        ],
    );
    check(
        "openai-responses.jsonl",
        Format::OpenAi,
        &[
            "resp_1 cust-9 1770112800000 gpt-4o-mini | Be brief. > Hi > Hello | completed 1 13/18 64 0.7 | | - -",
        ],
    );
}

#[test]
fn anthropic() {
    check(
        "anthropic.jsonl",
        Format::Anthropic,
        &[
            "msg_1 cust-9 - claude-sonnet-4-5 | Be brief. > Hi > Hello | end_turn 1 13/18 64 0.7 | | - -",
            "msg_2 cust-9 - claude-sonnet-4-5 | Be brief. > Hi > Hello | end_turn 1 13/18 64 - | stream | - -",
        ],
    );
    check(
        "anthropic-batch.jsonl",
        Format::Anthropic,
        &[
            "r-1 - - claude-sonnet-4-5 | - > - > Hello | end_turn 0 13/18 - - | | - -",
            "r-2 - - - | - > - > - | - 0 -/- - - | failed | - -",
        ],
    );
}

#[test]
fn litellm() {
    let whole = "chatcmpl-a1 cust-9 1770112800120 chat | - > Hi > Hello | stop 1 13/18 - 0.7 | | 203.0.113.7 -";
    let key = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b";
    let report = check(
        "litellm-spend.jsonl",
        Format::LitellmSpend,
        &[
            whole,
            &format!(
                "chatcmpl-a2 {key} 1770112800120 chat | - > - > - | - 0 13/18 - - | | 203.0.113.7 -"
            ),
            "chatcmpl-a3 cust-9 1770112800120 chat | - > Hi > - | - 1 13/18 - 0.7 | failed | 203.0.113.7 -",
        ],
    );
    assert_eq!(report.n_without_content.get(&NoContent::NotStored), Some(&1));
    check("litellm-spend.csv", Format::LitellmSpend, &[whole]);
    let report = check(
        "litellm-payload.jsonl",
        Format::LitellmPayload,
        &[
            "chatcmpl-a1 cust-9 1770112800120 chat | - > Hi > Hello | stop 1 13/18 - 0.7 | stream | 203.0.113.7 OpenAI/Python 1.60",
            "chatcmpl-a2 u1 1770112800120 chat | - > - > - | stop 1 13/18 - 0.7 | stream | 203.0.113.7 OpenAI/Python 1.60",
            "chatcmpl-a3 cust-9 1770112800120 chat | - > Hi > - | - 1 13/18 - 0.7 | stream failed | 203.0.113.7 OpenAI/Python 1.60",
        ],
    );
    assert_eq!(report.n_without_content.get(&NoContent::Redacted), Some(&1));
}

#[test]
fn helicone() {
    let rows = [
        "5f0c8a8e-6f0b-4a52-9a4f-8d1c6f1c0a11 cust-9 1770112800120 gpt-4o-mini | - > Hi > Hello | stop 1 13/18 - 0.7 | | - -",
        "h2 cust-9 1770112800120 gpt-4o-mini | - > - > - | - 0 13/18 - - | | - -",
        "h3 cust-9 1770112800120 gpt-4o-mini | - > Hi > - | - 1 13/18 - 0.7 | failed | - -",
    ];
    for file in ["helicone.jsonl", "helicone.json"] {
        let report = check(file, Format::Helicone, &rows);
        assert_eq!(report.n_without_content.get(&NoContent::Elsewhere), Some(&1), "{file}");
    }
}

#[test]
fn langfuse() {
    let report = check(
        "langfuse.jsonl",
        Format::Langfuse,
        &[
            "ob1 cust-9 1770112800120 gpt-4o-mini | - > Hi > Hello | - 1 13/18 - 0.7 | | - -",
            "ob3 - 1770112800120 gpt-4o-mini | - > Hi > Hello | - 1 13/18 - 0.7 | failed | - -",
        ],
    );
    assert_eq!(report.n_passed_over, 1, "a span is no exchange");
    check(
        "langfuse-api.jsonl",
        Format::Langfuse,
        &["ob1 cust-9 1770112800120 gpt-4o-mini | - > Hi > Hello | - 1 13/18 - 0.7 | | - -"],
    );
}

#[test]
fn tensorzero() {
    let id = format!("{:08x}-{:04x}-7abc-8def-0123456789ab", TIME >> 16, TIME & 0xffff);
    check(
        "tensorzero.jsonl",
        Format::TensorZero,
        &[
            &format!("{id} cust-9 {TIME} chat | Be brief. > Hi > Hello | - 1 -/- 64 0.7 | | - -"),
            &format!("{id} - {TIME} gpt-4o-mini | - > Hi > Hello | stop 1 13/18 - - | | - -"),
            &format!("{id} key-1 {TIME} chat | - > Hi > Hello | - 1 -/- - - | stream | - -"),
        ],
    );
}

#[test]
fn otel_genai() {
    let full = |account: &str| {
        format!(
            "chatcmpl-a1 {account} {TIME} gpt-4o-mini | Be brief. > Hi > Hello | stop 1 13/18 - 0.7 | | 203.0.113.7 -"
        )
    };
    let report = check(
        "otel-genai.jsonl",
        Format::OtelGenai,
        &[
            &full("cust-9"),
            &format!(
                "eee19b7ec3c1b176 - {TIME} gpt-4o-mini | - > Hi > Hello | - 1 13/18 - - | failed | - -"
            ),
            &full("cust-9"),
            &format!("s1 cust-9 {TIME} - | - > Hi > Hello | stop 1 -/- - - | | - -"),
            &full("cust-9"),
        ],
    );
    assert_eq!(report.n_lines, 3, "several exchanges on a line");
}

#[test]
fn portkey() {
    check(
        "portkey.jsonl",
        Format::Portkey,
        &[
            "550e8400-e29b-41d4-a716-446655440000 cust-9 1770112800120 gpt-4o-mini | - > Hi > Hello | stop 1 13/18 - 0.7 | | - -",
            "p2 cust-9 1770112800120 gpt-4o-mini | - > Hi > - | - 1 13/18 - 0.7 | failed | - -",
        ],
    );
    check(
        "portkey-object.jsonl",
        Format::Portkey,
        &[
            "p3 cust-9 1770112800120 gpt-4o-mini | - > Hi > Hello | stop 1 13/18 - 0.7 | | - OpenAI/Python 1.60",
        ],
    );
}

#[test]
fn cloudflare() {
    check(
        "cloudflare.jsonl",
        Format::Cloudflare,
        &[
            "01JKAAAA cust-9 1770112800120 gpt-4o-mini | - > Hi > Hello | stop 1 13/18 - 0.7 | | - -",
            "01JKAAAB cust-9 1770112800120 gpt-4o-mini | - > - > - | - 0 13/18 - - | failed | - -",
        ],
    );
    let report = check(
        "cloudflare-logpush.jsonl",
        Format::Cloudflare,
        &[
            "- cust-9 - gpt-4o-mini | - > Hi > Hello | stop 1 -/- - - | stream | - -",
            "- - - - | - > - > - | - 0 -/- - - | | - -",
        ],
    );
    assert_eq!(report.n_without_content.get(&NoContent::Encrypted), Some(&1));
}

#[test]
fn a_mapping_names_the_fields() {
    let rules = ["account=$.who.id", "user=$.asked", "response=$['said'][0]", "time=$.at"];
    let options = ReadOptions {
        mapping: Mapping::new(rules).expect("they are rules"),
        ..ReadOptions::default()
    };
    let (format, kept, report) = read("mapped.jsonl", &options);
    assert_eq!(format, Format::Mapped);
    let rows: Vec<String> = kept.rows.iter().map(|(_, row)| shown(row)).collect();
    assert_eq!(rows, ["- cust-9 1770112800120 - | - > Hi > Hello | - 0 -/- - - | | - -"]);
    assert_eq!(report.n_rejected, 1, "a line without any of them says nothing");
}

#[test]
fn a_mapping_replaces_what_the_reader_found() {
    let options = ReadOptions {
        mapping: Mapping::new(["account=$.api_key", "plan=$.team_id"]).expect("they are rules"),
        ..ReadOptions::default()
    };
    let (format, kept, _) = read("litellm-spend.jsonl", &options);
    assert_eq!(format, Format::LitellmSpend);
    assert!(kept.rows.iter().all(|(_, row)| row.account.as_deref().is_some_and(|a| a.len() == 64)));
    let through_text = Mapping::new(["account=$.metadata.user"]).expect("a rule");
    let options = ReadOptions { mapping: through_text, ..ReadOptions::default() };
    let (_, kept, _) = read("cloudflare.jsonl", &options);
    assert_eq!(kept.rows[0].1.account.as_deref(), Some("cust-9"), "JSON inside of a text");
}

#[test]
fn mappings_that_cant_be_understood_say_why() {
    for (rule, expected) in [
        ("account", "expected FIELD=PATH"),
        ("who=$.a", "expected one of id, account"),
        ("account=user", "doesn't begin with $"),
        ("account=$.a[", "a bracket is never closed"),
        ("account=$.a['b", "a quote is never closed"),
        ("account=$..a", "a dot without a name"),
        ("account=$.a[x]", "expected a number"),
        ("account=$a", "expected . or ["),
    ] {
        let error = Mapping::new([rule]).expect_err("it is none").to_string();
        assert!(error.contains(expected), "{rule}: {error}");
    }
}

#[test]
fn formats_go_by_their_names() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(format));
        let json = serde_json::to_string(&format).expect("it is JSON");
        assert_eq!(json, format!("\"{format}\""));
    }
    let error = "gpt".parse::<Format>().expect_err("none").to_string();
    assert!(error.contains("litellm-spend"), "{error}");
}
