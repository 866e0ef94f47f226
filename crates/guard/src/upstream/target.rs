//! Where an upstream is: its base URL, read once, and the paths under it.

use http::{HeaderValue, Uri, uri::PathAndQuery};
use rustls::pki_types::ServerName;
use std::fmt;
use std::net::IpAddr;

/// A base URL, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Target {
    is_tls: bool,
    host: String,
    port: u16,
    /// Everything before `/v1`, without a slash at the end.
    prefix: String,
    host_header: HeaderValue,
    server_name: Option<ServerName<'static>>,
}

impl Target {
    /// Reads a base URL.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let expected = "expected something like \"http://127.0.0.1:8000/v1\"";
        let uri: Uri =
            url.trim().parse().map_err(|e| format!("{url:?} is no URL ({e}), {expected}"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("{url:?} has no scheme http or https, {expected}")),
        };
        let authority =
            uri.authority().ok_or_else(|| format!("{url:?} has no host, {expected}"))?;
        if authority.as_str().contains('@') {
            return Err("it contains a user or password; use key_env for the key".to_owned());
        }
        if uri.query().is_some() || url.contains('#') {
            return Err(format!("{url:?} has a query or fragment, {expected}"));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(format!("{url:?} has no host, {expected}"));
        }
        if host.parse::<IpAddr>().is_ok_and(is_link_local) {
            return Err(format!(
                "{host} is a link-local address, where clouds keep their credentials; no model \
                 is served there"
            ));
        }
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/');
        let prefix = path.strip_suffix("/v1").unwrap_or(path).trim_end_matches('/').to_owned();
        let host_header = HeaderValue::try_from(authority.as_str())
            .map_err(|_| format!("{url:?}: the host can't stand in a header"))?;
        let server_name = is_tls
            .then(|| ServerName::try_from(host.clone()))
            .transpose()
            .map_err(|_| format!("{host:?} is no name that a certificate can have"))?;
        Ok(Self { is_tls, host, port, prefix, host_header, server_name })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Host and port, to be resolved.
    pub(super) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    pub(super) fn host_header(&self) -> HeaderValue {
        self.host_header.clone()
    }

    pub(super) fn server_name(&self) -> Option<ServerName<'static>> {
        self.server_name.clone()
    }

    /// Whether the key goes into `x-api-key` whatever the client used.
    pub(super) fn is_anthropic(&self) -> bool {
        self.host == "anthropic.com" || self.host.ends_with(".anthropic.com")
    }

    /// The request target for a path that begins with `/v1/`.
    pub(super) fn uri(&self, path: &PathAndQuery) -> Uri {
        if self.prefix.is_empty() {
            return Uri::from(path.clone());
        }
        // Both parts were checked by the same parser; joined they are a path again.
        Uri::try_from(format!("{}{path}", self.prefix)).unwrap_or_else(|_| Uri::from(path.clone()))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        let host = self.host_header.to_str().unwrap_or(&self.host);
        write!(f, "{scheme}://{host}{}/v1", self.prefix)
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_base_urls() {
        for (url, shown, target) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1", "/v1/models?x=1"),
            ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1", "/v1/models?x=1"),
            ("https://api.openai.com/v1", "https://api.openai.com/v1", "/v1/models?x=1"),
            ("https://host/api/v1", "https://host/api/v1", "/api/v1/models?x=1"),
            ("http://[::1]:9/llm", "http://[::1]:9/llm/v1", "/llm/v1/models?x=1"),
        ] {
            let parsed = Target::parse(url).expect(url);
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(
                parsed.uri(&PathAndQuery::from_static("/v1/models?x=1")).to_string(),
                target
            );
        }
    }

    #[test]
    fn refuses_what_is_no_base_url() {
        for url in [
            "",
            "127.0.0.1:8000",
            "ftp://host/",
            "/v1",
            "http://",
            "http://user:pw@host/v1",
            "http://host/v1?key=1",
            "http://host/#a",
            "http://169.254.169.254/latest",
            "http://[fe80::1]/v1",
            "http://[::ffff:169.254.169.254]/",
            "http://ho st/",
        ] {
            assert!(Target::parse(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn knows_anthropic_by_its_host_only() {
        for (url, is) in [
            ("https://api.anthropic.com", true),
            ("https://api.anthropic.com.evil.example", false),
            ("https://notanthropic.com", false),
            ("http://host/api.anthropic.com", false),
        ] {
            assert_eq!(Target::parse(url).expect(url).is_anthropic(), is, "{url}");
        }
    }
}
