//! The same analysis over a log instead of a stream: for dry runs and scans.

use crate::analyse::analyse;
use crate::features::Extractor;
use crate::hash::HashKey;
use crate::sketch::AccountSketch;
use crate::{Analysis, Observation};
use std::collections::BTreeMap;

/// Reads exchanges and says what they show. Memory: one sketch (≤ 4 KiB) per account.
pub fn analyse_exchanges<'a>(
    exchanges: impl IntoIterator<Item = Observation<'a>>,
    hash_key: &[u8; 32],
) -> Analysis {
    let mut extractor = Extractor::new(HashKey::new(hash_key));
    let mut accounts = BTreeMap::<Box<str>, AccountSketch>::new();
    let mut now_ms = i64::MIN;
    for exchange in exchanges {
        let features = extractor.extract(&exchange);
        now_ms = now_ms.max(exchange.time_ms);
        if let Some(sketch) = accounts.get_mut(exchange.account) {
            sketch.observe(&features);
        } else {
            let mut sketch = AccountSketch::default();
            sketch.observe(&features);
            accounts.insert(exchange.account.into(), sketch);
        }
    }
    analyse(accounts.iter().map(|(name, sketch)| (&**name, sketch)), now_ms)
}
