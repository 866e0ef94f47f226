//! The admin API for accounts, keys, plans and limits, over a real socket.

use crate::gateway::{self, Gateway};
use reqwest::Method;
use serde_json::{Value, json};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

struct Api {
    gateway: Gateway,
    admin_key: String,
}

impl Api {
    async fn start() -> (Self, MockUpstream) {
        let upstream = MockUpstream::start(Behaviour::new());
        let gateway = Gateway::before(&[&upstream]).await;
        let key = gateway.guard.keys.first_admin_key().expect("there was none");
        (Self { gateway, admin_key: key.expose().to_owned() }, upstream)
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("http://{}/admin/api{path}", self.gateway.admin);
        let mut request = gateway::client().request(method, url).bearer_auth(&self.admin_key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.send(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn chat(&self, key: &str) -> reqwest::Response {
        gateway::client()
            .post(self.gateway.url("/v1/chat/completions"))
            .bearer_auth(key)
            .json(&gateway::chat("hello", false))
            .send()
            .await
            .expect("an answer")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_api_makes_accounts_and_keys_that_open_the_gateway() {
    let (api, _upstream) = Api::start().await;
    let (status, made) = api
        .send(Method::POST, "/accounts", Some(json!({ "name": "acme/ü", "note": "a friend" })))
        .await;
    assert_eq!((status, &made["plan"]), (201, &json!("default")), "{made}");
    let (status, error) =
        api.send(Method::POST, "/accounts", Some(json!({ "name": "acme/ü" }))).await;
    assert_eq!((status, &error["error"]["code"]), (409, &json!("account_exists")));

    let keys = "/accounts/acme%2F%C3%BC/keys";
    let body = json!({ "label": "laptop", "expires": "2999-01-01T00:00:00Z" });
    let (status, key) = api.send(Method::POST, keys, Some(body)).await;
    assert_eq!(status, 201, "{key}");
    let secret = key["key"].as_str().expect("the key").to_owned();
    assert!(secret.starts_with(key["prefix"].as_str().expect("a prefix")));
    assert_eq!(key["expires"], "2999-01-01T00:00:00Z");
    assert_eq!(api.chat(&secret).await.status(), 200);
    assert_eq!(api.chat("sw-wrong").await.status(), 401);

    let listed = api.get(keys).await;
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(1));
    assert!(!listed.to_string().contains(&secret), "it is shown once");
    let account = "/accounts/acme%2F%C3%BC";
    let (_, changed) = api.send(Method::PATCH, account, Some(json!({ "disabled": true }))).await;
    assert_eq!(changed["disabled"], true);
    assert_eq!(api.chat(&secret).await.status(), 403);
    api.send(Method::PATCH, account, Some(json!({ "disabled": false }))).await;
    assert_eq!(api.chat(&secret).await.status(), 200);
    let id = key["id"].as_str().expect("an id");
    assert_eq!(api.send(Method::DELETE, &format!("/keys/{id}"), None).await.0, 204);
    assert_eq!(api.send(Method::DELETE, &format!("/keys/{id}"), None).await.0, 404);
    assert_eq!(api.chat(&secret).await.status(), 401);
    assert_eq!(api.send(Method::DELETE, account, None).await.0, 204);
    assert_eq!(api.send(Method::GET, account, None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_api_names_the_field_that_is_wrong() {
    let (api, _upstream) = Api::start().await;
    api.send(Method::POST, "/accounts", Some(json!({ "name": "a" }))).await;
    let long = "x".repeat(300);
    for (method, path, body, field) in [
        (Method::POST, "/accounts", json!({}), "body"),
        (Method::POST, "/accounts", json!({ "name": 3 }), "name"),
        (Method::POST, "/accounts", json!({ "name": "" }), "name"),
        (Method::POST, "/accounts", json!({ "name": "a\r\nb" }), "name"),
        (Method::POST, "/accounts", json!({ "name": long }), "name"),
        (Method::POST, "/accounts", json!({ "name": "b", "plan": "none" }), "plan"),
        (Method::POST, "/accounts", json!({ "name": "b", "colour": 1 }), "colour"),
        (Method::PATCH, "/accounts/a", json!({ "disabled": "no" }), "disabled"),
        (Method::POST, "/accounts/a/keys", json!({ "expires": "soon" }), "expires"),
        (Method::POST, "/accounts/a/keys", json!({ "expires": "2001-01-01T00:00:00Z" }), "expires"),
        (Method::PUT, "/plans/p", json!({ "requests_per_minute": 0 }), "requests_per_minute"),
        (Method::PUT, "/plans/p", json!({ "tokens_per_minute": -1 }), "tokens_per_minute"),
        (Method::GET, "/accounts?limit=0", json!({}), "limit"),
        (Method::GET, "/accounts?limit=x", json!({}), "query"),
    ] {
        let (status, error) = api.send(method, path, Some(body.clone())).await;
        assert_eq!(status, 400, "{path} {body}: {error}");
        assert_eq!(error["error"]["field"], field, "{path} {body}: {error}");
    }
    for path in ["/accounts/none", "/accounts/none/keys"] {
        assert_eq!(api.send(Method::GET, path, None).await.0, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_api_pages_through_accounts() {
    let (api, _upstream) = Api::start().await;
    for n in 0..5 {
        api.send(Method::POST, "/accounts", Some(json!({ "name": format!("a{n}") }))).await;
    }
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page = api.get(&format!("/accounts?limit=2&after={after}")).await;
        let rows = page["accounts"].as_array().expect("rows").clone();
        names.extend(rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()));
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names, ["a0", "a1", "a2", "a3", "a4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_api_sets_plans_that_hold_at_once() {
    let (api, _upstream) = Api::start().await;
    let limits = json!({ "requests_per_minute": 2 });
    assert_eq!(api.send(Method::PUT, "/plans/tiny", Some(limits)).await.0, 200);
    assert_eq!(api.get("/plans").await["plans"][0]["name"], "tiny");
    let body = json!({ "name": "acme", "plan": "tiny" });
    assert_eq!(api.send(Method::POST, "/accounts", Some(body)).await.0, 201);
    let (_, key) = api.send(Method::POST, "/accounts/acme/keys", None).await;
    let secret = key["key"].as_str().expect("the key");
    let first = api.chat(secret).await;
    assert_eq!(first.status(), 200);
    assert_eq!(first.headers()["x-ratelimit-limit-requests"], "2");
    assert_eq!(first.headers()["x-ratelimit-remaining-requests"], "1");
    assert_eq!(api.chat(secret).await.status(), 200);
    let refused = api.chat(secret).await;
    assert_eq!(refused.status(), 429);
    let seconds: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("s");
    assert!((1..=30).contains(&seconds), "{seconds}");
    let left = api.get("/limits/accounts/acme").await;
    assert!(left["limits"][0]["remaining"].as_f64().expect("a number") < 1.0, "{left}");
    assert_eq!(api.send(Method::POST, "/limits/accounts/acme/reset", None).await.0, 204);
    assert_eq!(api.chat(secret).await.status(), 200);
    assert_eq!(api.send(Method::DELETE, "/plans/tiny", None).await.0, 204);
    for _ in 0..5 {
        assert_eq!(api.chat(secret).await.status(), 200, "no plan, no limits");
    }
    assert_eq!(api.get("/limits/clusters").await["clusters"], json!([]));
    assert_eq!(api.get("/nodes").await["is_shared"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_api_keeps_the_last_admin_key() {
    let (mut api, _upstream) = Api::start().await;
    let listed = api.get("/admin-keys").await;
    let first = listed["keys"][0]["id"].as_str().expect("an id").to_owned();
    let (status, error) = api.send(Method::DELETE, &format!("/admin-keys/{first}"), None).await;
    assert_eq!((status, &error["error"]["code"]), (409, &json!("last_admin_key")));
    let (status, second) =
        api.send(Method::POST, "/admin-keys", Some(json!({ "label": "bob" }))).await;
    assert_eq!(status, 201);
    assert_eq!(api.send(Method::DELETE, &format!("/admin-keys/{first}"), None).await.0, 204);
    assert_eq!(api.send(Method::GET, "/nodes", None).await.0, 401, "it was revoked");
    api.admin_key = second["key"].as_str().expect("the key").to_owned();
    assert_eq!(api.send(Method::GET, "/nodes", None).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_api_deletes_what_is_kept_of_an_account() {
    let (api, _upstream) = Api::start().await;
    let sketch = stillwatch_guard::store::SketchRow {
        account: "acme".to_owned(),
        bytes: vec![1, 2, 3],
        updated_ms: 1,
    };
    api.gateway.guard.store.put_sketches(&[sketch]).await.expect("written");
    let (status, deleted) = api.send(Method::DELETE, "/accounts/acme/data", None).await;
    assert_eq!((status, &deleted["sketches"]), (200, &json!(1)), "{deleted}");
    assert!(api.gateway.guard.store.sketch("acme").await.expect("read").is_none());
    let (_, again) = api.send(Method::DELETE, "/accounts/acme/data", None).await;
    assert_eq!(again["sketches"], 0, "it may be repeated");
}
