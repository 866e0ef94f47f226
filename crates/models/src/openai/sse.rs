//! Answers that come as server-sent events although none were asked for.
//!
//! [`collect`] joins the events of a chat or text completion into the shape of a plain answer.
//! A stream without its end (`[DONE]` or a finish reason) was cut off.

use serde_json::{Value, json};

/// Joins a whole stream into one answer; the error says what was received instead.
pub(super) fn collect(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "a stream that is not UTF-8".to_owned())?;
    let mut content = String::new();
    let mut finish_reason = Value::Null;
    let mut usage = Value::Null;
    let mut done = false;
    for line in text.lines() {
        let Some(data) = line.strip_prefix("data:").map(str::trim) else {
            continue;
        };
        if data == "[DONE]" {
            done = true;
            break;
        }
        let event: Value = serde_json::from_str(data)
            .map_err(|error| format!("a stream with an event that is not JSON ({error})"))?;
        if event.get("error").is_some() {
            return Err("a stream that ended in an error".to_owned());
        }
        let piece = event
            .pointer("/choices/0/delta/content")
            .or_else(|| event.pointer("/choices/0/text"))
            .and_then(Value::as_str);
        content.push_str(piece.unwrap_or_default());
        if let Some(reason) = event.pointer("/choices/0/finish_reason").filter(|r| !r.is_null()) {
            finish_reason = reason.clone();
        }
        if let Some(counted) = event.get("usage").filter(|u| !u.is_null()) {
            usage = counted.clone();
        }
    }
    if !done && finish_reason.is_null() {
        return Err("a stream that was cut off".to_owned());
    }
    let mut answer = json!({
        "choices": [{
            "message": {"role": "assistant", "content": content},
            "text": content,
            "finish_reason": finish_reason,
        }],
    });
    if !usage.is_null() {
        answer["usage"] = usage;
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_events() {
        let stream = b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\r\n\r\n\
            : keep-alive\r\n\r\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"one \"}}]}\r\n\r\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"two\"},\"finish_reason\":\"stop\"}]}\r\n\r\n\
            data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\r\n\r\n\
            data: [DONE]\r\n\r\n";
        let answer = collect(stream).expect("whole stream");
        assert_eq!(answer["choices"][0]["message"]["content"], "one two");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        assert_eq!(answer["usage"]["completion_tokens"], 2);
    }

    #[test]
    fn says_what_is_wrong() {
        for (stream, expected) in [
            (&b"data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n"[..], "cut off"),
            (b"data: {\"choi", "not JSON"),
            (b"data: {\"error\":{\"message\":\"x\"}}\n", "ended in an error"),
            (b"", "cut off"),
            (b"data: \xff\n", "not UTF-8"),
        ] {
            let error = collect(stream).expect_err("broken stream");
            assert!(error.contains(expected), "{error}");
        }
    }
}
