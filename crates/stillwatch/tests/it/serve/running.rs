//! A guard in a process of its own, and curl.
#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use crate::harness::{Ran, Sandbox, stillwatch};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A hang guard, no measurement.
const PATIENCE: Duration = Duration::from_mins(1);

/// A guard that serves.
pub(crate) struct Guard {
    child: Child,
    /// Base URL without `/v1`.
    pub(crate) url: String,
}

impl Guard {
    /// Starts `serve` on ports of the system's, with its state in the sandbox's folder `data`.
    pub(crate) fn start(sandbox: &Sandbox, upstream: &str, more: &[&str]) -> Self {
        let mut args = vec!["serve", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        args.extend(["--upstream", upstream, "--data", "data"]);
        args.extend(more);
        let mut child = stillwatch(sandbox, &args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("one line");
        let Ok(ready) = serde_json::from_str::<Value>(&line) else {
            let mut said = String::new();
            let stderr = child.stderr.as_mut().expect("piped");
            stderr.read_to_string(&mut said).expect("text");
            drop(child.kill());
            drop(child.wait());
            panic!("the guard isn't ready: {line:?}\n{said}");
        };
        let url = ready["url"].as_str().expect("a URL").to_owned();
        Self { child, url }
    }

    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([name, &id]).status().expect("kill is there");
        assert!(status.success(), "kill {name} {id}");
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ran {
        let since = Instant::now();
        while self.child.try_wait().expect("a child").is_none() {
            assert!(since.elapsed() < PATIENCE, "the guard doesn't end");
            std::thread::sleep(Duration::from_millis(10));
        }
        let status = self.child.wait().expect("a child");
        let mut stderr = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut stderr).expect("text");
        }
        Ran { code: status.code().unwrap_or(-1), stdout: String::new(), stderr }
    }

    /// Ends it in order.
    pub(crate) fn stop(self) -> Ran {
        self.signal("-TERM");
        self.wait()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Ended already, or a test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What curl got: head and body apart.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// `curl -N` with these arguments; follows nothing, waits for the end.
pub(crate) fn curl(args: &[&str]) -> Got {
    let output = curl_command(args).output().expect("curl is there");
    got(&output.stdout)
}

/// The same, not waited for.
pub(crate) fn curl_command(args: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "-N", "--include", "--max-time", "120"]).args(args);
    command.stdin(Stdio::null());
    command
}

/// What curl printed, taken apart.
pub(crate) fn got(printed: &[u8]) -> Got {
    let end = printed.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(printed.len());
    let (head, rest) = printed.split_at(end);
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Got { status, head, body: rest.get(4..).unwrap_or_default().to_vec() }
}

/// A POST of JSON with a key.
pub(crate) fn post(url: &str, body: &str) -> Got {
    post_as(url, "alice", body)
}

/// The same with this key.
pub(crate) fn post_as(url: &str, key: &str, body: &str) -> Got {
    let key = format!("authorization: Bearer sk-{key}");
    curl(&["-H", "content-type: application/json", "-H", &key, "-d", body, url])
}

/// A chat request; `temperature` 1 may be exposed, 0 can't be.
pub(crate) fn chat(prompt: &str, temperature: u8, stream: bool) -> String {
    serde_json::json!({
        "model": "mock-1", "temperature": temperature, "max_tokens": 24, "stream": stream,
        "messages": [{"role": "user", "content": prompt}],
    })
    .to_string()
}
