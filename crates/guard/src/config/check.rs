//! What a value must be, and what several sections must agree on.
//!
//! Everything that is wrong is reported at once, each with its line.

use super::GuardConfig;
use crate::{GuardError, Secrets, observe::logs::is_level, policy::PolicyConfig};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::SocketAddr,
};

/// The longest patience, milliseconds: a day.
const PATIENCE_MS_MAX: u64 = 86_400_000;

/// The address at which clouds hand out credentials to whoever asks from inside.
const CLOUD_METADATA: &str = "169.254.169.254";

/// What is wrong so far.
struct Problems<'a> {
    config: &'a GuardConfig,
    found: Vec<GuardError>,
}

impl Problems<'_> {
    fn add(&mut self, key: &str, problem: &str, hint: &str) {
        self.found.push(self.config.wrong(key, problem, (!hint.is_empty()).then_some(hint)));
    }

    /// What the module of a section says of it.
    fn also(&mut self, checked: Result<(), GuardError>) {
        self.found.extend(checked.err().map(|error| self.config.places.place(error)));
    }

    fn check(&mut self, fine: bool, key: &str, problem: &str, hint: &str) {
        if !fine {
            self.add(key, problem, hint);
        }
    }

    /// A number that must lie between two bounds, both included.
    fn between(&mut self, key: &str, value: u64, least: u64, most: u64, hint: &str) {
        let fine = (least..=most).contains(&value);
        self.check(
            fine,
            key,
            &format!("{value} is out of range, expected {least} to {most}"),
            hint,
        );
    }

    /// A share of a whole.
    fn share(&mut self, key: &str, value: f64) {
        let fine = (0.0..=1.0).contains(&value);
        let percent = format!("for {value}% write {}", value / 100.0);
        let hint = if value > 1.0 && value <= 100.0 { percent.as_str() } else { "" };
        self.check(fine, key, &format!("{value} is out of range, expected 0 to 1"), hint);
    }

    /// The first problem in the order of lines, with the others in its text.
    fn result(mut self) -> Result<(), GuardError> {
        self.found.sort_by_key(|error| match error {
            GuardError::Config { line, .. } => *line,
            _ => None,
        });
        let mut found = self.found.into_iter();
        let Some(mut first) = found.next() else { return Ok(()) };
        if let GuardError::Config { problem, .. } = &mut first {
            for other in found {
                // Writing into a string doesn't fail.
                write!(problem, "\n{other}").ok();
                if let GuardError::Config { hint: Some(hint), .. } = other {
                    write!(problem, " ({hint})").ok();
                }
            }
        }
        Err(first)
    }
}

impl GuardConfig {
    /// Checks ranges, addresses and what sections must agree on.
    ///
    /// # Errors
    /// Every key that is wrong, what was expected and what to do.
    pub fn check(&self) -> Result<(), GuardError> {
        let mut problems = Problems { config: self, found: Vec::new() };
        let p = &mut problems;
        p.check(!self.data.as_os_str().is_empty(), "data", "it is empty, expected a folder", "");
        listeners(p, self);
        upstreams(p, self);
        limits(p, self);
        p.share("exposure.rate", self.exposure.rate);
        if (0.0..=1.0).contains(&self.exposure.rate) {
            p.also(self.exposure.check());
        }
        p.also(PolicyConfig::check(&self.policy));
        let hint = "set live.enabled = false to switch detection off";
        p.between("live.accounts_max", self.live.accounts_max as u64, 1, 100_000_000, hint);
        p.between("live.analyse_every_s", self.live.analyse_every_s, 1, 86_400, hint);
        observed(p, self);
        problems.result()
    }

    /// Checks that every environment variable that a key names is set.
    ///
    /// # Errors
    /// The keys whose variables aren't set.
    pub fn check_secrets(&self, secrets: &Secrets) -> Result<(), GuardError> {
        let mut problems = Problems { config: self, found: Vec::new() };
        for (key, name) in self.secret_keys() {
            let hint = format!("export {name}=..., or leave {key} out");
            let problem = format!("the environment variable {name} isn't set");
            problems.check(secrets.get(&name).is_some(), &key, &problem, &hint);
        }
        problems.result()
    }

    /// Keys that name environment variables, with the names.
    pub(super) fn secret_keys(&self) -> Vec<(String, String)> {
        let upstreams = self.upstream.iter().enumerate();
        let upstreams = upstreams.map(|(at, u)| (format!("upstream[{at}].key_env"), &u.key_env));
        let others = [
            ("store.url_env".to_owned(), &self.store.url_env),
            ("store.secret_env".to_owned(), &self.store.secret_env),
            ("sharing.key_env".to_owned(), &self.sharing.key_env),
            ("observe.otlp_headers_env".to_owned(), &self.observe.otlp_headers_env),
        ];
        let policies = self.policy.iter().enumerate();
        let policies =
            policies.map(|(at, p)| (format!("policy[{at}].webhook_key_env"), &p.webhook_key_env));
        let keys = upstreams.chain(policies).chain(others);
        keys.filter_map(|(key, name)| Some((key, name.clone()?))).collect()
    }
}

fn listeners(p: &mut Problems<'_>, config: &GuardConfig) {
    let listen = &config.listen;
    for (key, address) in [("listen.public", &listen.public), ("listen.admin", &listen.admin)] {
        let problem = format!("{address:?} is no address, expected HOST:PORT");
        let hint = if let Some(port) = address.strip_prefix(':') {
            format!(
                "for all interfaces write \"0.0.0.0:{port}\", for this machine \"127.0.0.1:{port}\""
            )
        } else if address.parse::<u16>().is_ok() {
            format!("write \"127.0.0.1:{address}\"")
        } else if address.contains("://") {
            "leave the scheme and the path away".to_owned()
        } else {
            "for example \"127.0.0.1:8080\"".to_owned()
        };
        p.check(is_address(address), key, &problem, &hint);
    }
    for (key, value) in [
        ("header_timeout_ms", listen.header_timeout_ms),
        ("body_timeout_ms", listen.body_timeout_ms),
        ("write_timeout_ms", listen.write_timeout_ms),
    ] {
        p.between(&format!("listen.{key}"), value, 1, PATIENCE_MS_MAX, "it is in milliseconds");
    }
    for (key, value) in [
        ("header_bytes_max", listen.header_bytes_max),
        ("body_bytes_max", listen.body_bytes_max),
        ("bodies_bytes_max", listen.bodies_bytes_max),
        ("connections_max", listen.connections_max),
    ] {
        let hint = "0 would refuse every request";
        p.between(&format!("listen.{key}"), value as u64, 1, i64::MAX as u64, hint);
    }
    for (key, other, is_set, wants) in [
        ("listen.tls_cert", "tls_key", listen.tls_cert.is_some(), listen.tls_key.is_none()),
        ("listen.tls_key", "tls_cert", listen.tls_key.is_some(), listen.tls_cert.is_none()),
    ] {
        let problem = format!("it is set without {other}");
        p.check(!(is_set && wants), key, &problem, "TLS takes both");
    }
    let same = listen.public == listen.admin && !listen.public.ends_with(":0");
    let hint = "the admin surface is never served on the public address; take another port";
    p.check(!same, "listen.admin", "it is the public address", hint);
}

fn is_address(address: &str) -> bool {
    if address.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let host_fine = !host.is_empty()
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        && !host.chars().all(|c| c.is_ascii_digit() || c == '.');
    host_fine && port.parse::<u16>().is_ok()
}

fn upstreams(p: &mut Problems<'_>, config: &GuardConfig) {
    let hint = "add [[upstream]] with url = \"http://127.0.0.1:8000\"";
    p.check(!config.upstream.is_empty(), "upstream", "there is none, expected one or more", hint);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, upstream) in config.upstream.iter().enumerate() {
        let key = |name: &str| format!("upstream[{at}].{name}");
        let url = upstream.url.as_str();
        if let Err((problem, hint)) = url_problem(url) {
            p.add(&key("url"), &problem, hint);
        }
        let same = seen.insert(url.trim_end_matches('/').trim_end_matches("/v1"), at);
        let before = same.and_then(|before| config.upstream.get(before));
        let overlaps = before.is_some_and(|before| {
            let shared = before.models.iter().any(|model| upstream.models.contains(model));
            before.models.is_empty() || upstream.models.is_empty() || shared
        });
        let hint = "give one of them a larger weight, or each its own models";
        p.check(!overlaps, &key("url"), &format!("{url} is an upstream already"), hint);
        let models: BTreeSet<&str> = upstream.models.iter().map(String::as_str).collect();
        let fine = models.len() == upstream.models.len() && !models.contains("");
        p.check(fine, &key("models"), "a model is empty or named twice", "");
        for (name, patience) in [
            ("connect_timeout_ms", upstream.connect_timeout_ms),
            ("first_byte_timeout_ms", upstream.first_byte_timeout_ms),
            ("idle_timeout_ms", upstream.idle_timeout_ms),
        ] {
            p.between(&key(name), patience, 1, PATIENCE_MS_MAX, "it is in milliseconds");
        }
        if let Some(name) = &upstream.key_env {
            let looks_like_key = name.starts_with("sk-") || name.len() > 100;
            let fine = !looks_like_key && is_variable(name);
            // The value is not repeated: it may be the key itself.
            let problem = "this is no name of an environment variable";
            p.check(fine, &key("key_env"), problem, "write the variable's name, not the key");
        }
    }
    let weighed = config.upstream.iter().any(|upstream| upstream.weight > 0);
    let hint = "a weight of 0 takes an upstream out of service; leave one in";
    let fine = config.upstream.is_empty() || weighed;
    p.check(fine, "upstream[0].weight", "all weights are 0", hint);
}

/// What is wrong with an upstream's URL, and what to do.
fn url_problem(url: &str) -> Result<(), (String, &'static str)> {
    let example = "for example \"http://127.0.0.1:8000\" or \"https://api.openai.com/v1\"";
    let uri: http::Uri = url.parse().map_err(|e| (format!("{url:?} is no URL: {e}"), example))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err((format!("{url:?} is no http:// or https:// URL"), example));
    }
    let Some(authority) = uri.authority() else {
        return Err((format!("{url:?} names no host"), example));
    };
    if authority.as_str().contains('@') {
        let problem = "it holds a user name or password".to_owned();
        return Err((problem, "name the key's environment variable in key_env"));
    }
    if uri.query().is_some() || url.contains('#') {
        return Err((format!("{url:?} has a query or a fragment"), "leave it away"));
    }
    if uri.host() == Some(CLOUD_METADATA) {
        let problem = format!("{CLOUD_METADATA} hands out this machine's cloud credentials");
        return Err((problem, "an upstream is a model server"));
    }
    Ok(())
}

fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn limits(p: &mut Problems<'_>, config: &GuardConfig) {
    for (name, plan) in &config.limits.plan {
        for (what, limit) in [
            ("requests_per_minute", plan.requests_per_minute),
            ("tokens_per_minute", plan.tokens_per_minute),
            ("micros_per_day", plan.micros_per_day),
        ] {
            let key = format!("limits.plan.{name}.{what}");
            let hint = "leave the key out for no limit; to refuse an account, suspend it";
            p.between(&key, limit.unwrap_or(1), 1, i64::MAX as u64, hint);
        }
        let fine = !name.is_empty() && name.len() <= 64;
        let key = format!("limits.plan.{name}");
        p.check(fine, &key, "the name of a plan has 1 to 64 bytes", "");
    }
}

fn observed(p: &mut Problems<'_>, config: &GuardConfig) {
    let observe = &config.observe;
    let problem = format!("{:?} is no level", observe.log_level);
    let hint = "expected one of error, warn, info, debug, trace";
    p.check(is_level(&observe.log_level), "observe.log_level", &problem, hint);
    p.share("observe.otlp_sample_ratio", observe.otlp_sample_ratio);
    if let Some(Err((problem, _))) = observe.otlp_endpoint.as_deref().map(url_problem) {
        p.add("observe.otlp_endpoint", &problem, "for example \"http://127.0.0.1:4318\"");
    }
    let days = u64::from(observe.prompts_keep_days);
    let hint = "set observe.store_prompts = false to keep none";
    p.between("observe.prompts_keep_days", days, 1, 36_500, hint);
    let megabytes = observe.prompts_megabytes_max;
    p.between("observe.prompts_megabytes_max", megabytes, 1, 1_000_000_000, hint);
    let fine = !observe.service_name.is_empty() && observe.service_name.len() <= 200;
    p.check(fine, "observe.service_name", "a name has 1 to 200 bytes", "");
}
