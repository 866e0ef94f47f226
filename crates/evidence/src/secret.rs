//! A key that can be used but not shown.
//!
//! [`Secret`] holds a credential from the moment that the binary reads it. `Debug` and `Display`
//! mask it, it can't be serialised, and [`Secret::redact`] takes it out of any text that a
//! server sent back. Reading the environment is left to the binary.

use std::fmt;

/// What stands in a text where a key stood.
const MASK: &str = "[key]";

/// A credential. Shown as a mask by `Debug` and `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a key; blanks around it (a newline from a file) are no part of it.
    /// `None` when nothing is left.
    pub fn new(key: impl AsRef<str>) -> Option<Self> {
        let key = key.as_ref().trim();
        (!key.is_empty()).then(|| Self(key.to_owned()))
    }

    /// The key itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text with every occurrence of the key masked.
    pub fn redact(&self, text: &str) -> String {
        text.replace(&self.0, MASK)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([key])")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_masked_wherever_it_is_shown() {
        let secret = Secret::new(" sk-hidden\n").expect("not empty");
        assert_eq!(secret.expose(), "sk-hidden");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), {
            "[key] Secret([key]) Some(Secret([key]))"
        });
        assert_eq!(secret.redact("bad key sk-hidden, sk-hidden!"), "bad key [key], [key]!");
    }

    #[test]
    fn blank_is_no_key() {
        for blank in ["", " ", "\r\n"] {
            assert!(Secret::new(blank).is_none(), "{blank:?}");
        }
    }
}
