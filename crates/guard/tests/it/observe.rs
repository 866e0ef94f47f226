//! Counters, logs, spans and kept exchanges.
