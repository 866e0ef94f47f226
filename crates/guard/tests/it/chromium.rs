//! A headless Chromium, driven over its debugging pipe: JSON messages, each ended by a zero byte.

use base64::Engine as _;
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Where a browser may be.
const BROWSERS: [&str; 3] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// The browser is ended after this, whatever it does.
const PATIENCE: Duration = Duration::from_secs(90);

/// A browser with one page.
pub(crate) struct Chromium {
    child: Arc<Mutex<Child>>,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: String,
    next: u64,
    /// Events that came while an answer was waited for.
    pub(crate) events: Vec<Value>,
    _profile: TempDir,
}

impl Chromium {
    /// Starts one; `None` where none is installed.
    pub(crate) fn start() -> Option<Self> {
        let browser = BROWSERS.iter().map(Path::new).find(|path| path.exists())?;
        let profile = tempfile::tempdir().expect("a temporary folder");
        // The pipe is on descriptors 3 and 4, which the shell makes of its own 0 and 1.
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null"#, "sh"])
            .arg(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let to = child.stdin.take().expect("piped");
        let from = BufReader::new(child.stdout.take().expect("piped"));
        let child = Arc::new(Mutex::new(child));
        let watched = Arc::downgrade(&child);
        std::thread::spawn(move || {
            let end = Instant::now() + PATIENCE;
            while Instant::now() < end {
                std::thread::sleep(Duration::from_millis(200));
                if watched.strong_count() == 0 {
                    return;
                }
            }
            if let Some(child) = watched.upgrade() {
                child.lock().expect("no panic before").kill().ok();
            }
        });
        let mut browser = Self {
            child,
            to,
            from,
            session: String::new(),
            next: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let id = &target["targetId"];
        let session =
            browser.call("Target.attachToTarget", &json!({ "targetId": id, "flatten": true }));
        let session = session["sessionId"].as_str();
        session.expect("a session").clone_into(&mut browser.session);
        for domain in ["Page", "Network", "Log", "Runtime", "DOM"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.size(1_280, 900);
        Some(browser)
    }

    /// Sends a command and waits for its answer.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser reads");
        loop {
            let message = self.read();
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).expect("the browser answers");
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// Waits for an event that comes after the last call.
    pub(crate) fn wait_for(&mut self, method: &str) {
        while !self.events.iter().any(|event| event["method"] == method) {
            let message = self.read();
            self.events.push(message);
        }
    }

    /// Does something that loads a page, and waits until it is loaded.
    pub(crate) fn load(&mut self, act: impl FnOnce(&mut Self)) {
        self.events.retain(|event| event["method"] != "Page.loadEventFired");
        act(self);
        self.wait_for("Page.loadEventFired");
    }

    /// Goes to an address.
    pub(crate) fn go(&mut self, url: &str) {
        self.load(|browser| {
            browser.call("Page.navigate", &json!({ "url": url }));
        });
    }

    /// The value of a JavaScript expression.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        let result = self.call("Runtime.evaluate", &params);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Presses `Tab` or `Enter`.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            _ => (13, "\r"),
        };
        let mut event = json!({ "key": key, "code": key, "windowsVirtualKeyCode": code });
        event["type"] = if text.is_empty() { "rawKeyDown".into() } else { "keyDown".into() };
        event["text"] = text.into();
        self.call("Input.dispatchKeyEvent", &event);
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", &event);
    }

    /// Types a text.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Sets the size of the window.
    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let params =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &params);
    }

    /// Light or dark, screen or print.
    pub(crate) fn media(&mut self, media: &str, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let params = json!({ "media": media, "features": features });
        self.call("Emulation.setEmulatedMedia", &params);
    }

    /// A picture of the whole page: the PNG's bytes.
    pub(crate) fn picture(&mut self) -> Vec<u8> {
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let data = self.call("Page.captureScreenshot", &params);
        let text = data["data"].as_str().expect("base64");
        base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
    }

    /// Addresses that pages have asked for so far.
    pub(crate) fn requested(&self) -> Vec<String> {
        let sent = self.events.iter().filter(|e| e["method"] == "Network.requestWillBeSent");
        sent.filter_map(|e| e["params"]["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    /// What the console complained of so far: refused resources, errors.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.events.iter().filter(|e| e["method"] == "Log.entryAdded");
        entries.map(|e| e["params"]["entry"]["text"].to_string()).collect()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let mut child = self.child.lock().expect("no panic before");
        child.kill().ok();
        child.wait().ok();
    }
}
