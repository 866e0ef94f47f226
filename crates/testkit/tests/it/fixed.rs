//! The cheap upstream for benchmarks: whole answers, streams, several requests on one connection.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use stillwatch_testkit::upstream::{FixedAnswer, FixedUpstream};

const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

fn post(body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn requests_on_one_connection_are_answered_one_by_one() {
    let upstream = FixedUpstream::start(LOCAL.into(), 2, FixedAnswer::chat(5)).expect("a port");
    let mut stream = TcpStream::connect(upstream.addr).expect("it listens");
    let chunked = "POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let all = post("{}") + &post("{\"stream\":true}") + chunked + "GET /v1/models HTTP/1.1\r\n\r\n";
    stream.write_all(all.as_bytes()).expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("said that no more comes");
    let mut got = String::new();
    stream.read_to_string(&mut got).expect("text");
    assert_eq!(got.matches("HTTP/1.1 200 OK").count(), 4, "{got}");
    assert_eq!(got.matches("data: [DONE]").count(), 1);
    assert_eq!(got.matches("\"object\":\"chat.completion\"").count(), 3);
    assert_eq!(upstream.answered(), 4);
}
