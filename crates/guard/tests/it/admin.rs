//! The admin listener: who is let in, and to what.
