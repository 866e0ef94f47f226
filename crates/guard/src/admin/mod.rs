//! The admin listener: its API, the dashboard, `/metrics`. Never on the public address.
