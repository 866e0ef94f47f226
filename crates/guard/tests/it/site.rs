//! The admin listener as a browser without a window sees it: cookies kept, redirects not followed.

use crate::gateway::Gateway;
use reqwest::{Client, Method, RequestBuilder, Response, header, redirect};
use std::sync::Mutex;

/// A client that follows nothing and trusts no proxy.
pub(crate) fn client() -> Client {
    // A second installation in the same process is refused and changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = Client::builder().redirect(redirect::Policy::none()).no_proxy();
    client.build().expect("a client")
}

/// A visitor of one admin listener.
pub(crate) struct Site {
    pub(crate) base: String,
    client: Client,
    cookies: Mutex<Vec<(String, String)>>,
}

impl Site {
    /// A visitor without cookies.
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self {
            base: format!("http://{}", gateway.admin),
            client: client(),
            cookies: Mutex::default(),
        }
    }

    /// A visitor who has logged in with this key.
    pub(crate) async fn logged_in(gateway: &Gateway, key: &str) -> Self {
        let site = Self::of(gateway);
        let answer = site.login(key).await;
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap_or_default());
        site
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies = self.cookies.lock().expect("no panic before");
        let line: Vec<String> = cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let request = self.client.request(method, format!("{}{path}", self.base));
        if line.is_empty() { request } else { request.header(header::COOKIE, line.join("; ")) }
    }

    fn keep(&self, response: &Response) {
        let mut cookies = self.cookies.lock().expect("no panic before");
        for value in response.headers().get_all(header::SET_COOKIE) {
            let text = value.to_str().expect("ASCII");
            let pair = text.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie");
            cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.cookies.lock().expect("no panic before");
        cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        let response = self.request(Method::GET, path).send().await.expect("an answer");
        self.keep(&response);
        response
    }

    /// A page, which must be there.
    pub(crate) async fn page(&self, path: &str) -> String {
        let response = self.get(path).await;
        let status = response.status();
        let text = response.text().await.expect("text");
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    /// Sends a form as it is.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let body: Vec<String> =
            fields.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v))).collect();
        let request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.join("&"));
        let response = request.send().await.expect("an answer");
        self.keep(&response);
        response
    }

    /// Sends a form with the token of the page that it stands on.
    pub(crate) async fn submit(&self, page: &str, path: &str, fields: &[(&str, &str)]) -> Response {
        let token = token(&self.page(page).await);
        let mut fields = fields.to_vec();
        fields.push(("token", &token));
        self.post(path, &fields).await
    }

    /// Fills in the login page.
    pub(crate) async fn login(&self, key: &str) -> Response {
        let page = self.get("/login").await.text().await.expect("text");
        self.post("/login", &[("key", key), ("token", &token(&page))]).await
    }
}

/// The token of a page's first form.
pub(crate) fn token(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"token\" value=\"").expect("a form with a token");
    rest.split('"').next().expect("a value").to_owned()
}

fn escape(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|b| format!("%{b:02X}")).collect();
    bytes.concat()
}
