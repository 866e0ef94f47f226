//! The gateway under load: the benchmark beside its peers, and the soak.
//!
//! Everything here watches from outside, over sockets, with its own client and no code of the
//! guard's.

pub(crate) mod bench;
mod counting;
mod load;
mod memory;
pub(crate) mod options;
mod peers;
mod servers;
pub(crate) mod soak;
mod wire;
