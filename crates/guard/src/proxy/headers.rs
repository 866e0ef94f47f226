//! Which headers pass, in either direction.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Of one hop, not of the message (RFC 9110 section 7.6.1, with what is sent in their place).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What else of a request stays here: its framing and host are made anew; whose address the
/// client has is no business of the upstream; and answers come unpacked, so that they can be read.
const OF_REQUESTS: [HeaderName; 12] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TRAILER,
    header::ACCEPT_ENCODING,
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-real-ip"),
];

/// Names that only the guard speaks under; neither side can forge them through it.
const OWN_PREFIX: &str = "stillwatch-";

/// Takes out of a request's headers what isn't for the upstream.
pub(super) fn of_request(headers: &mut HeaderMap) {
    hop_by_hop(headers);
    for name in &OF_REQUESTS {
        headers.remove(name);
    }
    own(headers);
}

/// Takes out of an answer's headers what isn't for the client.
pub(crate) fn of_answer(headers: &mut HeaderMap) {
    hop_by_hop(headers);
    own(headers);
}

fn hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::try_from(name.trim()).ok())
            .collect();
        for name in named {
            // What a message can't do without isn't a connection's option.
            if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
                headers.remove(name);
            }
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn own(headers: &mut HeaderMap) {
    if headers.keys().any(|name| name.as_str().starts_with(OWN_PREFIX)) {
        let names: Vec<HeaderName> =
            headers.keys().filter(|n| n.as_str().starts_with(OWN_PREFIX)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

/// The key that a client presents: OpenAI's way or Anthropic's.
pub(super) fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let value = value.to_str().ok()?;
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer
        .or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()).map(str::trim))
        .filter(|key| !key.is_empty())
}

/// Whether a body is packed.
pub(super) fn is_packed(headers: &HeaderMap) -> bool {
    let identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| !identity(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"))
            })
            .collect()
    }

    #[test]
    fn what_is_of_one_hop_stays() {
        let mut headers = map(&[
            ("connection", "close, x-secret, content-type"),
            ("x-secret", "1"),
            ("content-type", "application/json"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("host", "evil"),
            ("accept-encoding", "gzip"),
            ("x-forwarded-for", "1.2.3.4"),
            ("stillwatch-receipt", "forged"),
            ("anthropic-version", "2023-06-01"),
            ("openai-organization", "org"),
        ]);
        of_request(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["anthropic-version", "content-type", "openai-organization"]);
    }

    #[test]
    fn reads_keys_from_both_places() {
        for (pairs, key) in [
            (&[("authorization", "Bearer k1")][..], Some("k1")),
            (&[("authorization", "bearer  k1 ")], Some("k1")),
            (&[("x-api-key", "k2")], Some("k2")),
            (&[("authorization", "Bearer k1"), ("x-api-key", "k2")], Some("k1")),
            (&[("authorization", "Basic abc"), ("x-api-key", "k2")], Some("k2")),
            (&[("authorization", "Bearer ")], None),
            (&[], None),
        ] {
            assert_eq!(presented_key(&map(pairs)), key, "{pairs:?}");
        }
    }
}
