//! The dashboard: what it shows, in a real browser.
