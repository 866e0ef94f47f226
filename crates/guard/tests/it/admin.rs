//! The admin listener: who is let in, and to what.

use crate::gateway::{self, Gateway};
use crate::site::{self, Site, token};
use reqwest::{Method, header};
use stillwatch_guard::Secrets;
use stillwatch_guard::admin::CONTENT_SECURITY_POLICY;
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

/// Pages that ask for a session.
const PAGES: [&str; 9] = [
    "/",
    "/accounts",
    "/accounts/nobody",
    "/campaigns",
    "/campaigns/none",
    "/decisions",
    "/decisions/dec-0",
    "/exposures",
    "/keys",
];

async fn start() -> (MockUpstream, Gateway, String) {
    let upstream = MockUpstream::start(Behaviour::default());
    let gateway = Gateway::before(&[&upstream]).await;
    let key = gateway.guard.keys.first_admin_key().expect("the first start makes one");
    (upstream, gateway, key.expose().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_served_without_a_key() {
    let (_upstream, gateway, key) = start().await;
    let site = Site::of(&gateway);
    for page in PAGES {
        let answer = site.get(page).await;
        assert_eq!(answer.status(), 303, "{page}");
        assert_eq!(answer.headers()[header::LOCATION], "/login", "{page}");
        let text = answer.text().await.expect("text");
        assert!(text.is_empty(), "{page}: {text}");
    }
    for path in ["/metrics", "/admin/api/accounts", "/admin/api", "/admin/api/no/such/thing"] {
        let answer = site.get(path).await;
        assert_eq!(answer.status(), 401, "{path}");
        assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], "Bearer", "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        for path in [
            "/admin/api/accounts",
            "/admin/api/keys",
            "/logout",
            "/decisions/dec-0",
            "/decisions",
            "/appeals/app-0",
            "/policies/watch",
        ] {
            let answer = site.request(method.clone(), path).send().await.expect("an answer");
            let status = answer.status().as_u16();
            assert!(matches!(status, 303 | 401 | 405), "{method} {path}: {status}");
        }
    }
    // A session is no key for the API, a key is no session for the pages.
    let visitor = Site::logged_in(&gateway, &key).await;
    assert_eq!(visitor.get("/admin/api/accounts").await.status(), 401);
    assert_eq!(visitor.get("/metrics").await.status(), 200);
    let with_key = |path| site.request(Method::GET, path).bearer_auth(&key);
    assert_eq!(with_key("/").send().await.expect("an answer").status(), 303);
    assert_eq!(with_key("/metrics").send().await.expect("an answer").status(), 200);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_two_addresses_share_no_path() {
    let (_upstream, gateway, key) = start().await;
    let client = site::client();
    for path in PAGES.iter().chain(&["/login", "/style.css", "/metrics", "/admin/api/accounts"]) {
        let answer = client.get(gateway.url(path)).bearer_auth(&key).send().await;
        let status = answer.expect("an answer").status().as_u16();
        assert_eq!(status, 404, "{path} on the public address");
    }
    let visitor = Site::logged_in(&gateway, &key).await;
    for path in ["/v1/models", "/v1/chat/completions", "/stillwatch/terms"] {
        assert_eq!(visitor.get(path).await.status(), 404, "{path} on the admin address");
    }
    // Without normalisation there is nothing to traverse: these are no paths at all.
    for path in ["//", "/../login", "/style.css/..", "/accounts/../../etc/passwd", "/%2e%2e/login"]
    {
        let status = raw_status(&gateway, path).await;
        assert!(matches!(status, 303 | 400 | 404), "{path}: {status}");
    }
    gateway.stop().await;
}

/// Asks for a path as it is written, which clients would tidy up.
async fn raw_status(gateway: &Gateway, path: &str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut socket = tokio::net::TcpStream::connect(gateway.admin).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("it answers");
    assert!(!answer.contains("root:"), "{path}");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_carries_the_policy_and_no_page_a_script() {
    let (_upstream, gateway, key) = start().await;
    let visitor = Site::logged_in(&gateway, &key).await;
    let others = ["/login", "/style.css", "/icon.svg", "/healthz", "/metrics", "/no/such/page"];
    for path in PAGES.iter().chain(&others) {
        let answer = visitor.get(path).await;
        let headers = answer.headers().clone();
        let policy = &headers[header::CONTENT_SECURITY_POLICY];
        assert_eq!(policy, CONTENT_SECURITY_POLICY, "{path}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer", "{path}");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
        assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY", "{path}");
        let text = answer.text().await.expect("text");
        for forbidden in ["<script", " style=", " onclick=", "javascript:", "<iframe", "http-equiv"]
        {
            assert!(!text.contains(forbidden), "{path}: {forbidden}");
        }
        for after in text.split("http").skip(1).filter(|_| !path.contains("metrics")) {
            assert!(after.starts_with("://www.w3.org/2000/svg"), "{path}: http{after:.60}");
        }
    }
    for needed in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(CONTENT_SECURITY_POLICY.contains(needed));
    }
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_login_cookie_is_closed_to_scripts_and_other_sites() {
    let (_upstream, gateway, key) = start().await;
    let site = Site::of(&gateway);
    let answer = site.login(&key).await;
    assert_eq!(answer.status(), 303);
    let all = answer.headers().get_all(header::SET_COOKIE).iter();
    let all: Vec<&str> = all.map(|value| value.to_str().expect("ASCII")).collect();
    let cookie = all.iter().find(|c| c.starts_with("stillwatch_session=")).expect("a session");
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=36000"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "over plain HTTP it would never come back");
    assert!(!cookie.contains(&key), "the key is not in it");
    assert_eq!(site.get("/").await.status(), 200);
    assert_eq!(site.get("/login").await.status(), 303, "there is nothing to do there");

    // Behind something that speaks TLS it says Secure.
    let fresh = Site::of(&gateway);
    let request = fresh.request(Method::GET, "/login").header("x-forwarded-proto", "https");
    let answer = request.send().await.expect("an answer");
    let cookie = answer.headers()[header::SET_COOKIE].to_str().expect("ASCII").to_owned();
    assert!(cookie.contains("; Secure"), "{cookie}");

    // After the logout the old cookie is worth nothing, also for who kept it.
    let kept = site.cookie("stillwatch_session").expect("a session");
    assert_eq!(site.submit("/", "/logout", &[]).await.status(), 303);
    assert_eq!(site.cookie("stillwatch_session"), None);
    let again = Site::of(&gateway).request(Method::GET, "/");
    let again = again.header(header::COOKIE, format!("stillwatch_session={kept}")).send().await;
    assert_eq!(again.expect("an answer").status(), 303);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_from_elsewhere_are_not_taken() {
    let (_upstream, gateway, key) = start().await;
    let visitor = Site::logged_in(&gateway, &key).await;
    let stranger = Site::logged_in(&gateway, &key).await;
    let foreign = token(&stranger.page("/").await);
    for bad in ["", "x", foreign.as_str()] {
        assert_eq!(visitor.post("/logout", &[("token", bad)]).await.status(), 403, "{bad}");
    }
    assert_eq!(visitor.post("/logout", &[]).await.status(), 403);
    assert_eq!(visitor.get("/").await.status(), 200, "still logged in");
    let own = token(&visitor.page("/").await);
    let cross = visitor
        .request(Method::POST, "/logout")
        .header("sec-fetch-site", "cross-site")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(format!("token={own}"));
    assert_eq!(cross.send().await.expect("an answer").status(), 403);
    // The login form itself: without its page's cookie nobody can be logged in as someone else.
    let site = Site::of(&gateway);
    let page = Site::of(&gateway).page("/login").await;
    let answer = site.post("/login", &[("key", &key), ("token", &token(&page))]).await;
    assert_eq!(answer.status(), 403);
    let large = "x".repeat(300 * 1024);
    let answer = visitor.post("/logout", &[("token", &large)]).await;
    assert_eq!(answer.status(), 413);
    assert_eq!(visitor.submit("/", "/logout", &[]).await.status(), 303);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_keys_is_slowed_down_on_the_page_and_in_the_api() {
    let (_upstream, gateway, key) = start().await;
    let site = Site::of(&gateway);
    for guess in 0..5 {
        assert_eq!(site.login(&format!("guess-{guess}")).await.status(), 401);
    }
    let answer = site.login(&key).await;
    assert_eq!(answer.status(), 429, "not even the right key is looked at");
    let wait = answer.headers()[header::RETRY_AFTER].to_str().expect("ASCII").to_owned();
    assert!((1..=2).contains(&wait.parse::<u64>().expect("seconds")), "{wait}");
    assert!(!answer.text().await.expect("text").contains("guess-"));
    let api = site.request(Method::GET, "/admin/api/accounts").bearer_auth("guess");
    assert_eq!(api.send().await.expect("an answer").status(), 429);
    // After the wait the right key is let in, and the failures are forgotten.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(site.login(&key).await.status(), 303);
    assert_eq!(Site::of(&gateway).login("guess").await.status(), 401);
    let text = site.page("/metrics").await;
    assert!(text.contains("stillwatch_key_failures_total{kind=\"admin\"} 6"), "{text}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_names_parts_to_all_and_reasons_to_key_holders() {
    let (_upstream, gateway, key) = start().await;
    let site = Site::of(&gateway);
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
    assert_eq!(json(site.page("/healthz").await)["status"], "ok");
    gateway.guard.metrics.health.degrade("ledger", "the disk is full: <b>exposure</b> is off");
    let answer = json(site.page("/healthz").await);
    assert_eq!((&answer["status"], &answer["degraded"][0]), (&"degraded".into(), &"ledger".into()));
    assert!(answer.get("reasons").is_none());
    let request = site.request(Method::GET, "/healthz").bearer_auth(&key);
    let answer = request.send().await.expect("an answer").text().await.expect("text");
    assert!(json(answer)["reasons"]["ledger"].as_str().expect("a reason").contains("disk"));
    let visitor = Site::logged_in(&gateway, &key).await;
    let page = visitor.page("/exposures").await;
    assert!(page.contains("the disk is full: &lt;b&gt;exposure"), "{page}");
    gateway.guard.metrics.health.restore("ledger");
    assert_eq!(json(site.page("/healthz").await)["status"], "ok");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_with_the_key_that_opened_it() {
    use stillwatch_guard::store::KeyKind;
    let (_upstream, gateway, _first) = start().await;
    let now_ms = gateway.guard.clock.now_ms();
    let keys = &gateway.guard.keys;
    let second = keys.create_admin_key("colleague", None, now_ms).await.expect("made");
    let visitor = Site::logged_in(&gateway, second.secret.expose()).await;
    assert_eq!(visitor.get("/").await.status(), 200);
    assert!(keys.revoke_key(KeyKind::Admin, &second.row.id, now_ms).await.expect("revoked"));
    assert_eq!(visitor.get("/").await.status(), 303);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_can_be_opened_to_scrapers_without_a_key() {
    let upstream = MockUpstream::start(Behaviour::default());
    let mut config = gateway::config(&[&upstream]);
    config.observe.metrics_open = true;
    let gateway = Gateway::start_with(config, &Secrets::default()).await;
    let answer = Site::of(&gateway).get("/metrics").await;
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()[header::CONTENT_TYPE].to_str().expect("ASCII").to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = answer.text().await.expect("text");
    assert!(text.ends_with("# EOF\n") && text.contains("stillwatch_resident_bytes "), "{text}");
    gateway.stop().await;
}
