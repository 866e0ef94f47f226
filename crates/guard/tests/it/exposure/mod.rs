//! Exposures: what is captured, what isn't, and that nothing about it depends on the coin.

mod capture;
mod crash;
mod ledger;
mod null;
mod rig;
mod skips;
mod slots;
