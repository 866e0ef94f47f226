//! Text that the members of a group have and hardly anyone else has.

use crate::features::item;
use crate::measure::{Context, sketches};
use crate::sketch::{AccountSketch, Record};

/// Members that must have a hash before it counts as the group's text.
const GROUP_ITEM_MEMBERS_MIN: u32 = 3;
/// Of all accounts that have the hash, the share that must belong to the group.
pub(crate) const GROUP_ITEM_SPECIFICITY_MIN: f64 = 0.5;

/// Hashes of text that are the group's own with the members that have each, sorted.
///
/// `wider`: text of a wider group that these are part of, sorted. It counts as theirs though the
/// rest of that group has it too.
pub(crate) fn group_items(
    context: &Context<'_>,
    members: &[u32],
    wider: &[u32],
) -> Vec<(u32, u32)> {
    let mut items = Vec::new();
    let mut own = Vec::new();
    for sketch in sketches(context, members) {
        own.clear();
        for record in sketch.records.entries() {
            own.extend(specific_items(record));
        }
        own.sort_unstable();
        own.dedup();
        items.extend_from_slice(&own);
    }
    items.sort_unstable();
    items
        .chunk_by(|a, b| a == b)
        .filter_map(|group| {
            let item = *group.first()?;
            let n = u32::try_from(group.len()).unwrap_or(u32::MAX);
            let specific = wider.binary_search(&item).is_ok()
                || f64::from(n)
                    >= GROUP_ITEM_SPECIFICITY_MIN * f64::from(context.text.accounts(item));
            (n >= GROUP_ITEM_MEMBERS_MIN && specific).then_some((item, n))
        })
        .collect()
}

/// The items that show shared text; the shape of an opening is too common to show it.
fn specific_items(record: &Record) -> impl Iterator<Item = u32> + '_ {
    record
        .items
        .iter()
        .enumerate()
        .filter(|(i, item)| *i != item::SHAPE && **item != 0)
        .map(|(_, item)| *item)
}

/// Whether the record has some of the group's text.
pub(crate) fn has_text(record: &Record, items: &[u32]) -> bool {
    specific_items(record).any(|item| items.binary_search(&item).is_ok())
}

/// Share of an account's records that have the group's text.
pub(crate) fn text_share(sketch: &AccountSketch, items: &[u32]) -> f64 {
    let n = sketch.records.entries().len();
    n_with_text(sketch, items) as f64 / n.max(1) as f64
}

/// The same against the records that open a conversation: who carries on asks in words of his
/// own, whatever the conversation was opened with. At most 1.
pub(crate) fn coverage(sketch: &AccountSketch, items: &[u32]) -> f64 {
    let records = sketch.records.entries();
    let n_openings = records.iter().filter(|r| r.n_messages <= 2).count();
    (n_with_text(sketch, items) as f64 / n_openings.max(1) as f64).min(1.0)
}

fn n_with_text(sketch: &AccountSketch, items: &[u32]) -> usize {
    sketch.records.entries().iter().filter(|r| has_text(r, items)).count()
}
