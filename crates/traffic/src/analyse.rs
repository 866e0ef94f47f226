//! From sketches to findings.

use crate::{AccountSketch, Analysis};

/// What the sketches say of accounts and groups.
pub fn analyse<'a>(
    accounts: impl Iterator<Item = (&'a str, &'a AccountSketch)>,
    now_ms: i64,
) -> Analysis {
    let (mut n_accounts, mut n_exchanges) = (0, 0);
    for (_, sketch) in accounts {
        n_accounts += 1;
        n_exchanges += sketch.n();
    }
    Analysis { time_ms: now_ms, n_accounts, n_exchanges, ..Analysis::default() }
}
