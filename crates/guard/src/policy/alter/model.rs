//! Puts another model's name into a request, and changes nothing else of it.

use super::span::{Edits, members, root};
use bytes::Bytes;

/// The body with this model asked for; `None` where it names no model to replace.
pub fn with_model(body: &[u8], model: &str) -> Option<Bytes> {
    let found = members(body, root(body)?)?;
    let mut edits = Edits::default();
    for member in found.into_iter().filter(|member| member.key == "model") {
        edits.replace(member.value, serde_json::Value::from(model).to_string());
    }
    (!edits.is_empty()).then(|| Bytes::from(edits.apply(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_the_model_changes() {
        for (body, changed) in [
            (
                r#"{ "messages":[{"model":"in"}] , "mod\u0065l" : "big","x":1.50}"#,
                Some(r#"{ "messages":[{"model":"in"}] , "mod\u0065l" : "sm\"all","x":1.50}"#),
            ),
            (r#"{"messages":[]}"#, None),
            ("[]", None),
            ("{", None),
        ] {
            let found = with_model(body.as_bytes(), "sm\"all");
            assert_eq!(found.as_deref(), changed.map(str::as_bytes), "{body}");
        }
    }
}
