//! Listeners: sockets, TLS, HTTP/1.1 and 2, limits of size and patience, orderly ending.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the guard listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// The public address.
    pub public: String,
    /// The admin address.
    pub admin: String,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self { public: "127.0.0.1:8080".to_owned(), admin: "127.0.0.1:8081".to_owned() }
    }
}
