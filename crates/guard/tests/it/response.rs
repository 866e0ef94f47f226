//! Reading along: what is made of answers, wherever their bytes are cut.

use proptest::prelude::*;
use std::path::{Path, PathBuf};
use stillwatch_guard::limits::Cost;
use stillwatch_guard::request::Api;
use stillwatch_guard::response::{Answer, PIECE_BYTES_MAX, Reader, TEXT_BYTES_MAX};

fn read(api: Api, stream: bool, bytes: &[u8]) -> Answer {
    let mut reader = Reader::new(api, stream);
    reader.push(bytes);
    reader.finish()
}

fn plain(text: &str, reason: &str, cost: Option<(u64, u64)>) -> Answer {
    Answer {
        text: text.to_owned(),
        finish_reason: Some(reason.to_owned()),
        cost: cost
            .map(|(prompt_tokens, completion_tokens)| Cost { prompt_tokens, completion_tokens }),
        complete: true,
        ..Answer::default()
    }
}

fn chunk(delta: &str) -> String {
    format!(r#"data: {{"id":"c","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
        + "\n\n"
}

const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn chat_stream() -> String {
    let deltas = [r#"{"role":"assistant","content":""}"#, r#"{"content":"Hé"}"#];
    let start: String = deltas.iter().map(|delta| chunk(delta)).collect();
    start + &chunk(r#"{"content":"llo \ud83d\ude00\n"}"#) + STOP + USAGE + DONE
}

const ANTHROPIC: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":2,\"output_tokens\":1}}}\n\n\
event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\n\
event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"Hm.\"}}\n\n\
event: ping\ndata: {\"type\":\"ping\"}\n\n\
event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n\
event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n\
event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n\
event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

const RESPONSES: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\",\"output\":[]}}\n\n\
event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"item\":{\"type\":\"message\",\"content\":[]}}\n\n\
event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hel\"}\n\n\
event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"lo\"}\n\n\
event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hello\"}]}],\"usage\":{\"input_tokens\":7,\"output_tokens\":3}}}\n\n";

#[test]
fn every_shape_is_read() {
    let thought =
        Answer { reasoning: "Hm.".to_owned(), ..plain("Hello", "end_turn", Some((7, 3))) };
    let cases: [(Api, bool, &str, Answer); 8] = [
        (Api::Chat, true, &chat_stream(), plain("Héllo 😀\n", "stop", Some((7, 3)))),
        (
            Api::Chat,
            false,
            r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"tool_calls":[]},"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#,
            plain("Hello", "stop", Some((7, 3))),
        ),
        (
            Api::Completions,
            true,
            "data: {\"choices\":[{\"text\":\"Hel\",\"index\":0}]}\n\ndata: {\"choices\":[{\"text\":\"lo\",\"index\":0,\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n",
            plain("Hello", "length", None),
        ),
        (
            Api::Completions,
            false,
            r#"{"choices":[{"text":"Hello","index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#,
            plain("Hello", "stop", Some((7, 3))),
        ),
        (Api::Messages, true, ANTHROPIC, thought.clone()),
        (
            Api::Messages,
            false,
            r#"{"type":"message","role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"s"},{"type":"text","text":"Hello"}],"stop_reason":"end_turn","usage":{"input_tokens":4,"cache_creation_input_tokens":3,"output_tokens":3}}"#,
            thought,
        ),
        (Api::Responses, true, RESPONSES, plain("Hello", "stop", Some((7, 3)))),
        (
            Api::Responses,
            false,
            r#"{"object":"response","status":"completed","error":null,"output":[{"type":"reasoning","summary":[]},{"type":"message","content":[{"type":"output_text","text":"Hello","annotations":[]}]}],"usage":{"input_tokens":7,"output_tokens":3}}"#,
            plain("Hello", "stop", Some((7, 3))),
        ),
    ];
    for (api, stream, bytes, expected) in cases {
        assert_eq!(read(api, stream, bytes.as_bytes()), expected, "{api:?} {stream}");
        for at in 0..bytes.len() {
            let (head, tail) = bytes.as_bytes().split_at(at);
            let mut reader = Reader::new(api, stream);
            reader.push(head);
            reader.push(tail);
            assert_eq!(reader.finish(), expected, "{api:?} cut at {at}");
            // Broken off there, it is never taken for a whole answer with another text.
            let broken = read(api, stream, head);
            assert!(!broken.complete || broken.text == expected.text, "{api:?} {at}: {broken:?}");
        }
    }
    let embeddings = read(
        Api::Embeddings,
        false,
        br#"{"data":[{"embedding":[0.1,0.2]}],"usage":{"prompt_tokens":7,"total_tokens":7}}"#,
    );
    assert!(embeddings.complete);
    assert_eq!(embeddings.cost.map(|cost| cost.prompt_tokens), Some(7));
    assert_eq!(read(Api::Models, false, b"{}"), Answer::default());
}

#[test]
fn streams_may_be_spelt_in_many_ways() {
    let lf = chat_stream();
    let expected = read(Api::Chat, true, lf.as_bytes());
    let spellings = [
        lf.replace('\n', "\r\n"),
        lf.replace('\n', "\r"),
        format!("\u{feff}{lf}"),
        lf.replace("data: ", "data:"),
        lf.replace("data: ", ": keep-alive\nevent: x\nid: 1\nretry: 5\ndata: "),
        lf.replace("\"choices\":", "\ndata: \"choices\":"),
        lf.replace(DONE, ""),
        lf.trim_end().to_owned(),
        format!("\n\n\n{lf}\n\n: bye"),
    ];
    for spelling in spellings {
        assert_eq!(read(Api::Chat, true, spelling.as_bytes()), expected, "{spelling:?}");
    }
}

#[test]
fn more_than_text_is_noticed() {
    let body = |message: &str| {
        format!(r#"{{"choices":[{{"index":0,"message":{message},"finish_reason":"stop"}}]}}"#)
    };
    let cases = [
        (body(r#"{"content":null,"tool_calls":[{"id":"1"}]}"#), true, false),
        (body(r#"{"content":[{"type":"text","text":"x"}]}"#), true, false),
        (body(r#"{"content":"x","audio":{"id":"a"}}"#), true, false),
        (body(r#"{"content":null,"refusal":"I won't."}"#), false, true),
        (body(r#"{"content":"x"}"#).replace("stop", "content_filter"), false, true),
        (body(r#"{"content":"x"}"#).replace(":0", ":1"), true, false),
        (body(r#"{"content":"x","reasoning_content":"y"}"#), false, false),
    ];
    for (body, other, refused) in cases {
        let answer = read(Api::Chat, false, body.as_bytes());
        assert_eq!((answer.has_other_parts, answer.refused), (other, refused), "{body}");
    }
    let tool = ANTHROPIC.replace("{\"type\":\"text\",\"text\":\"\"}", "{\"type\":\"tool_use\"}");
    assert!(read(Api::Messages, true, tool.as_bytes()).has_other_parts);
    let call =
        RESPONSES.replace("{\"type\":\"message\",\"content\":[]}", "{\"type\":\"function_call\"}");
    assert!(read(Api::Responses, true, call.as_bytes()).has_other_parts);
}

#[test]
fn what_is_not_understood_is_incomplete() {
    let cases: [(Api, bool, String); 9] = [
        (Api::Chat, false, String::new()),
        (Api::Chat, false, "<html>".to_owned()),
        (Api::Chat, false, r#"{"error":{"message":"overloaded"}}"#.to_owned()),
        (Api::Chat, true, chunk(r#"{"content":"Hel"}"#)),
        (Api::Chat, true, chunk(r#"{"content":"Hel"}"#) + "data: {\"error\":{}}\n\n" + STOP + DONE),
        (Api::Chat, true, chunk(r#"{"content":"Hel"}"#) + "data: {oops\n\n" + STOP + DONE),
        (Api::Messages, true, "event: error\ndata: {\"type\":\"error\"}\n\n".to_owned()),
        (Api::Responses, true, RESPONSES.replace("\"completed\"", "\"failed\"")),
        (Api::Responses, false, r#"{"status":"queued","output":[]}"#.to_owned()),
    ];
    for (api, stream, bytes) in cases {
        assert!(!read(api, stream, bytes.as_bytes()).complete, "{bytes}");
    }
}

#[test]
fn memory_is_bounded() {
    let mut reader = Reader::new(Api::Chat, true);
    let delta = chunk(&format!(r#"{{"content":"{}"}}"#, "ü".repeat(40_000)));
    for _ in 0..20 {
        reader.push(delta.as_bytes());
    }
    reader.push(STOP.as_bytes());
    let answer = reader.finish();
    assert!(answer.is_cut && answer.complete);
    assert_eq!(answer.text.len(), TEXT_BYTES_MAX);

    // A line that never ends, and one whose event is passed over: what follows is read again.
    let mut reader = Reader::new(Api::Chat, true);
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..=(PIECE_BYTES_MAX >> 20) {
        reader.push(&megabyte);
    }
    reader.push(b"\n\n");
    reader.push(chat_stream().as_bytes());
    let answer = reader.finish();
    assert!(!answer.complete);
    assert_eq!(answer.text, "Héllo 😀\n");

    let mut reader = Reader::new(Api::Chat, false);
    for _ in 0..=(PIECE_BYTES_MAX >> 20) {
        reader.push(&megabyte);
    }
    assert!(!reader.finish().complete);
}

fn corpus() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/answers");
    let entries = fs_err::read_dir(dir).expect("the corpus lies beside the workspace");
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn the_fuzz_corpus_is_replayed() {
    for file in corpus() {
        let bytes = fs_err::read(&file).expect("a readable file");
        for cut in 0..=bytes.len() {
            stillwatch_guard::fuzzing::answer(bytes.get(..cut).unwrap_or_default());
        }
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            stillwatch_guard::fuzzing::answer(&other);
            stillwatch_guard::fuzzing::request(&other);
        }
    }
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(chunk(r#"{"content":"a"}"#).into_bytes()),
        Just(chat_stream().into_bytes()),
        Just(ANTHROPIC.as_bytes().to_vec()),
        Just(RESPONSES.as_bytes().to_vec()),
        Just(b"\r\n\r\n".to_vec()),
        Just(b"data: ".to_vec()),
        Just(b"\xEF\xBB\xBF".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn cuts_change_nothing(
        bytes in pieces(),
        cuts in proptest::collection::vec(0_usize..4000, 0..30),
        stream in any::<bool>(),
    ) {
        for api in [Api::Chat, Api::Completions, Api::Responses, Api::Embeddings, Api::Messages] {
            let whole = read(api, stream, &bytes);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut reader = Reader::new(api, stream);
            let (mut from, mut before) = (0, String::new());
            for cut in cuts.into_iter().chain([bytes.len()]) {
                reader.push(&bytes[from..cut]);
                prop_assert!(reader.text().starts_with(&before));
                before = reader.text().to_owned();
                from = cut;
            }
            prop_assert_eq!(reader.finish(), whole);
        }
    }
}
