//! TLS on both sides, and what listeners say of wrong settings.

use crate::gateway::{Gateway, PATIENCE, chat, client, config, read};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use stillwatch_guard::server::Listeners;
use stillwatch_guard::upstream::UpstreamConfig;
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};
use tokio::net::TcpStream;

#[tokio::test]
async fn tls_speaks_both_versions_of_http() {
    let upstream = MockUpstream::start(Behaviour::new());
    let folder = tempfile::tempdir().expect("a folder");
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (cert_path, key_path) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs_err::write(&cert_path, cert.pem()).expect("written");
    fs_err::write(&key_path, signing_key.serialize_pem()).expect("written");
    let mut settings = config(&[&upstream]);
    settings.listen.tls_cert = Some(cert_path.clone());
    settings.listen.tls_key = Some(key_path);
    settings.listen.header_timeout_ms = 500;
    let gateway = Gateway::start(settings.clone()).await;
    let url = format!("https://localhost:{}/v1/chat/completions", gateway.public.port());
    drop(client());
    let root = reqwest::Certificate::from_pem(cert.pem().as_bytes()).expect("a certificate");
    for (only_old, version) in [(false, http::Version::HTTP_2), (true, http::Version::HTTP_11)] {
        let mut builder = reqwest::Client::builder().no_proxy().tls_certs_only([root.clone()]);
        if only_old {
            builder = builder.http1_only();
        }
        let client = builder.build().expect("a client");
        for stream in [false, true] {
            let request = client.post(&url).json(&chat("hello", stream));
            let response = request.send().await.expect("an answer");
            assert_eq!(response.version(), version);
            assert_eq!(response.status(), 200);
            let text = response.text().await.expect("a body");
            assert_eq!(text.contains("[DONE]"), stream);
        }
    }
    // Who speaks no TLS, or never finishes shaking hands, is let go.
    let plain = gateway.raw(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(!plain.contains("200 OK"), "{plain}");
    let mut silent = TcpStream::connect(gateway.public).await.expect("a connection");
    assert_eq!(read(&mut silent, PATIENCE).await, "");
    gateway.stop().await;

    // An upstream behind TLS, with an authority of its own: the guard before a guard.
    let mut inner = settings.clone();
    inner.listen.header_timeout_ms = 30_000;
    let inner = Gateway::start(inner).await;
    let mut outer = config(&[]);
    let mut to_inner = UpstreamConfig::new(format!("https://localhost:{}", inner.public.port()));
    to_inner.ca_file = Some(cert_path);
    outer.upstream = vec![to_inner];
    let outer_gateway = Gateway::start(outer.clone()).await;
    let ask = |gateway: &Gateway| {
        client().post(gateway.url("/v1/chat/completions")).json(&chat("hello", true)).send()
    };
    let response = ask(&outer_gateway).await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(response.text().await.expect("a body").contains("[DONE]"));
    outer_gateway.stop().await;
    // Without it the certificate is nobody's.
    outer.upstream[0].ca_file = None;
    let outer_gateway = Gateway::start(outer).await;
    assert_eq!(ask(&outer_gateway).await.expect("an answer").status(), 502);
    outer_gateway.stop().await;
    inner.stop().await;
}

#[tokio::test]
async fn listeners_say_what_is_wrong() {
    let mut settings = config(&[]).listen;
    settings.tls_cert = Some("/no/such/file".into());
    let error = Listeners::bind(&settings).await.expect_err("no key");
    assert!(error.to_string().contains("listen.tls_cert and listen.tls_key"), "{error}");
    settings.tls_key = Some("/no/such/file".into());
    let error = Listeners::bind(&settings).await.expect_err("no file");
    assert!(error.to_string().contains("/no/such/file"), "{error}");
    let mut settings = config(&[]).listen;
    settings.public = "nowhere".to_owned();
    let error = Listeners::bind(&settings).await.expect_err("no address");
    assert!(error.to_string().contains("listen.public"), "{error}");
}
