//! What ties the members of a group together besides text: networks, clients, hours.

use crate::group_text::GROUP_ITEM_SPECIFICITY_MIN;
use crate::measure::{Context, Measures, sketches};
use crate::sketch::ACTIVE_HOURS;
use crate::survey::Facts;

/// Networks and clients that members share.
pub(crate) fn infrastructure(context: &Context<'_>, members: &[u32], m: &mut Measures) {
    let mut owners: Vec<(u32, u32)> = sketches(context, members)
        .zip(0..)
        .flat_map(|(s, i)| s.networks.entries().iter().map(move |e| (e.hash, i)))
        .collect();
    owners.sort_unstable();
    let mut linked = vec![false; members.len()];
    for group in owners.chunk_by(|x, y| x.0 == y.0) {
        let Some((hash, _)) = group.first() else { continue };
        let specific = group.len() as f64
            >= GROUP_ITEM_SPECIFICITY_MIN * f64::from(context.networks.accounts(*hash));
        if group.len() < 2 || !specific {
            continue;
        }
        m.n_linking_networks += 1;
        for (_, i) in group {
            if let Some(linked) = linked.get_mut(*i as usize) {
                *linked = true;
            }
        }
    }
    m.network_linked = linked.iter().filter(|l| **l).count() as f64 / members.len().max(1) as f64;
    (m.client_share, m.client_share_outside) = shares(context, members, |f| f.client);
    (m.profile_share, m.profile_share_outside) = shares(context, members, |f| f.profile);
}

/// The share of members that agree on the commonest value, and that of the others that have it.
fn shares(
    context: &Context<'_>,
    members: &[u32],
    of: impl Fn(&Facts) -> Option<u32>,
) -> (f64, f64) {
    let mut values: Vec<u32> =
        members.iter().filter_map(|i| context.facts.get(*i as usize).and_then(&of)).collect();
    values.sort_unstable();
    let top = values.chunk_by(|a, b| a == b).max_by_key(|g| g.len());
    let (hash, n) = top.and_then(|g| g.first().map(|h| (*h, g.len()))).unwrap_or((0, 0));
    let outside = (context.facts.len() - members.len()).max(1) as f64;
    let n_outside = f64::from(context.clients.accounts(hash)) - n as f64;
    (n as f64 / members.len().max(1) as f64, n_outside.max(0.0) / outside)
}

/// Members active per hour: variance against that of members who are active independently of
/// each other at the hours at which the population is.
pub(crate) fn synchrony(context: &Context<'_>, members: &[u32]) -> f64 {
    let until = context.baseline.until_hour;
    let mut active = vec![0.0; ACTIVE_HOURS as usize];
    let mut total = 0.0;
    for sketch in sketches(context, members) {
        for (back, sum) in (0..ACTIVE_HOURS).zip(active.iter_mut()) {
            if until.checked_sub(back).is_some_and(|hour| sketch.active_in(hour)) {
                *sum += 1.0;
                total += 1.0;
            }
        }
    }
    let (mut dispersion, mut n) = (0.0, 0.0);
    for (seen, usual) in active.iter().zip(&context.baseline.active) {
        let expected = total * usual;
        if expected >= 0.25 {
            dispersion += (seen - expected) * (seen - expected) / expected;
            n += 1.0;
        }
    }
    if n < 24.0 { 1.0 } else { dispersion / n }
}
