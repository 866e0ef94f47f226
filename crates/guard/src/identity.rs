//! Whose request it is.

use std::net::IpAddr;
use std::sync::Arc;

/// Whose request it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account. With virtual keys its name; before any are made, a pseudonym of the key
    /// that was presented (`key-…`), or `ip-…` where none was.
    pub account: Arc<str>,
    /// The account's plan.
    pub plan: Arc<str>,
    /// Whether a virtual key was presented: then the upstream gets the upstream's own key,
    /// otherwise the client's passes through.
    pub is_virtual: bool,
    /// Address of the client.
    pub ip: IpAddr,
}
