//! Sessions of the dashboard: a signed cookie that names one of few sessions in memory.
//!
//! The key that signs is made at the start and kept nowhere, so a restart ends all sessions. A
//! session holds the name of the admin key that opened it, not the key, and ends with it.

use axum::http::{HeaderMap, HeaderValue, header};
use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};
use stillwatch_evidence::ledger::{Entropy as _, OsEntropy, from_hex_exact, to_hex};

/// A session ends after this, used or not, milliseconds: a working day.
pub(super) const SESSION_MS: i64 = 10 * 3_600_000;

/// A login page may be left open for this long, milliseconds.
const VISIT_MS: i64 = 3_600_000;

/// Sessions at once; the one that ends first makes room.
const SESSIONS_MAX: usize = 64;

/// The cookie of a session.
pub(super) const COOKIE: &str = "stillwatch_session";

/// The cookie of a login page, without which its form isn't taken.
pub(super) const VISIT_COOKIE: &str = "stillwatch_visit";

/// Names one session.
type Nonce = [u8; 16];

/// A session that was opened by an admin key and hasn't ended.
#[derive(Debug, Clone)]
pub(super) struct Session {
    nonce: Nonce,
    /// Name of the admin key that opened it.
    pub(super) admin: Arc<str>,
}

#[derive(Debug)]
struct Live {
    until_ms: i64,
    admin: Arc<str>,
}

/// All sessions.
pub(super) struct Sessions {
    /// Absent where the operating system gave no randomness: then nobody can log in.
    key: Option<[u8; 32]>,
    live: Mutex<BTreeMap<Nonce, Live>>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// None, under a new key.
    pub(super) fn new() -> Self {
        Self { key: random(), live: Mutex::default() }
    }

    /// Opens a session for the holder of an admin key; its cookie's value.
    pub(super) fn open(&self, admin: &Arc<str>, now_ms: i64) -> Option<String> {
        let nonce: Nonce = random()?;
        let until = now_ms + SESSION_MS;
        let value = self.signed("session", &nonce, until)?;
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|_, live| live.until_ms > now_ms);
        while live.len() >= SESSIONS_MAX {
            let first = live.iter().min_by_key(|(_, live)| live.until_ms);
            let Some(first) = first.map(|(nonce, _)| *nonce) else { break };
            live.remove(&first);
        }
        live.insert(nonce, Live { until_ms: until, admin: Arc::clone(admin) });
        Some(value)
    }

    /// The session of a request, if it has one.
    pub(super) fn of(&self, headers: &HeaderMap, now_ms: i64) -> Option<Session> {
        let nonce = self.verified("session", cookie(headers, COOKIE)?, now_ms)?;
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let one = live.get(&nonce).filter(|live| live.until_ms > now_ms)?;
        Some(Session { nonce, admin: Arc::clone(&one.admin) })
    }

    /// Ends a session.
    pub(super) fn close(&self, session: &Session) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&session.nonce);
    }

    /// The token that every form of this session carries.
    pub(super) fn form_token(&self, session: &Session) -> Option<String> {
        Some(self.mac("form", &session.nonce, 0)?.to_hex().to_string())
    }

    /// Whether a form carries its session's token. Compares in constant time.
    pub(super) fn is_form_token(&self, session: &Session, token: &str) -> bool {
        let mac = self.mac("form", &session.nonce, 0);
        let presented = blake3::Hash::from_hex(token).ok();
        matches!((mac, presented), (Some(mac), Some(presented)) if mac == presented)
    }

    /// For a login page: the value of its cookie and the token of its form.
    pub(super) fn visit(&self, now_ms: i64) -> Option<(String, String)> {
        let nonce: Nonce = random()?;
        let value = self.signed("visit", &nonce, now_ms + VISIT_MS)?;
        Some((value, self.mac("login", &nonce, 0)?.to_hex().to_string()))
    }

    /// Whether a login form comes from a page of ours, in this browser.
    pub(super) fn is_visit(&self, headers: &HeaderMap, token: &str, now_ms: i64) -> bool {
        let value = cookie(headers, VISIT_COOKIE);
        let nonce = value.and_then(|value| self.verified("visit", value, now_ms));
        let mac = nonce.and_then(|nonce| self.mac("login", &nonce, 0));
        let presented = blake3::Hash::from_hex(token).ok();
        matches!((mac, presented), (Some(mac), Some(presented)) if mac == presented)
    }

    fn mac(&self, purpose: &str, nonce: &Nonce, until: i64) -> Option<blake3::Hash> {
        let mut hasher = blake3::Hasher::new_keyed(&self.key?);
        hasher.update(nonce).update(&until.to_le_bytes()).update(purpose.as_bytes());
        Some(hasher.finalize())
    }

    fn signed(&self, purpose: &str, nonce: &Nonce, until: i64) -> Option<String> {
        let mac = self.mac(purpose, nonce, until)?;
        Some(format!("{}.{until}.{}", to_hex(nonce), mac.to_hex()))
    }

    fn verified(&self, purpose: &str, value: &str, now_ms: i64) -> Option<Nonce> {
        let mut parts = value.splitn(3, '.');
        let nonce: Nonce = from_hex_exact(parts.next()?).ok()?;
        let until: i64 = parts.next()?.parse().ok()?;
        let presented = blake3::Hash::from_hex(parts.next()?).ok()?;
        // `blake3::Hash` compares in constant time.
        (self.mac(purpose, &nonce, until)? == presented && until > now_ms).then_some(nonce)
    }
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    OsEntropy.fill(&mut bytes).ok()?;
    Some(bytes)
}

/// The value of a request's cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// A `set-cookie` header; an empty value takes the cookie away.
pub(super) fn set_cookie(name: &str, value: &str, seconds: i64, secure: bool) -> HeaderValue {
    let mut text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    if secure {
        // Writing into a string doesn't fail.
        text.write_str("; Secure").ok();
    }
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin() -> Arc<str> {
        Arc::from("adm")
    }

    fn headers(name: &str, value: &str) -> HeaderMap {
        let value = format!("a=b; {name}={value}; c=d");
        HeaderMap::from_iter([(header::COOKIE, value.parse().expect("a header"))])
    }

    #[test]
    fn a_session_lives_until_it_ends() {
        let sessions = Sessions::new();
        let value = sessions.open(&admin(), 1_000).expect("randomness");
        let with = headers(COOKIE, &value);
        let session = sessions.of(&with, 2_000).expect("it is open");
        assert!(sessions.of(&with, 1_000 + SESSION_MS).is_none(), "it ends by time");
        let token = sessions.form_token(&session).expect("a key");
        assert!(sessions.is_form_token(&session, &token));
        assert!(!sessions.is_form_token(&session, ""));
        sessions.close(&session);
        assert!(sessions.of(&with, 2_000).is_none(), "it was closed");
    }

    #[test]
    fn changed_and_foreign_cookies_are_refused() {
        let sessions = Sessions::new();
        let value = sessions.open(&admin(), 0).expect("randomness");
        let later = value.replacen(&format!(".{SESSION_MS}."), ".99999999999999.", 1);
        let foreign = Sessions::new().open(&admin(), 0).expect("randomness");
        for bad in [
            later.as_str(),
            foreign.as_str(),
            "",
            "..",
            "a.b.c",
            value.trim_start_matches(char::is_alphanumeric),
        ] {
            assert!(sessions.of(&headers(COOKIE, bad), 1).is_none(), "{bad}");
        }
        // A login page's cookie is no session, and the other way round.
        let (visit, token) = sessions.visit(0).expect("randomness");
        assert!(sessions.of(&headers(COOKIE, &visit), 1).is_none());
        assert!(sessions.is_visit(&headers(VISIT_COOKIE, &visit), &token, 1));
        assert!(!sessions.is_visit(&headers(VISIT_COOKIE, &value), &token, 1));
        assert!(!sessions.is_visit(&HeaderMap::new(), &token, 1));
    }

    #[test]
    fn sessions_are_bounded_and_the_oldest_makes_room() {
        let sessions = Sessions::new();
        let first = sessions.open(&admin(), 0).expect("randomness");
        for now in 1..=64 {
            sessions.open(&admin(), now).expect("randomness");
        }
        assert!(sessions.of(&headers(COOKIE, &first), 100).is_none());
        let live = sessions.live.lock().expect("no panic before");
        assert_eq!(live.len(), SESSIONS_MAX);
    }
}
