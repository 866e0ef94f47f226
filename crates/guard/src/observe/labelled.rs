//! Families of metrics whose rows are resolved once, in an order that doesn't depend on hashes.
//!
//! [`Rows`] has a fixed number of rows, found by index: for what every request touches.
//! [`ByName`] grows by name up to a bound: for what is rare. Neither may ever hold an account.

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Names that a [`ByName`] takes before all further ones count as `other`.
const NAMES_MAX: usize = 64;

type Labels = Vec<(&'static str, &'static str)>;

/// A fixed set of rows.
#[derive(Debug, Clone)]
pub struct Rows<M> {
    rows: Arc<[(Labels, M)]>,
}

impl<M: Default> Rows<M> {
    /// One row for each set of labels, in this order.
    pub(super) fn new(labels: impl IntoIterator<Item = Labels>) -> Self {
        Self { rows: labels.into_iter().map(|labels| (labels, M::default())).collect() }
    }
}

impl<M> Rows<M> {
    /// The row at this index.
    pub(super) fn get(&self, at: usize) -> Option<&M> {
        self.rows.get(at).map(|(_, metric)| metric)
    }

    /// All rows with their labels.
    pub fn iter(&self) -> impl Iterator<Item = (&[(&'static str, &'static str)], &M)> {
        self.rows.iter().map(|(labels, metric)| (labels.as_slice(), metric))
    }
}

impl<M: EncodeMetric + TypedMetric> EncodeMetric for Rows<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (labels, metric) in self.rows.iter() {
            metric.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

/// Rows that appear when their name is first used.
#[derive(Debug)]
pub struct ByName<M> {
    label: &'static str,
    rows: Arc<Mutex<BTreeMap<String, M>>>,
}

impl<M> Clone for ByName<M> {
    fn clone(&self) -> Self {
        Self { label: self.label, rows: Arc::clone(&self.rows) }
    }
}

impl<M: Default + Clone> ByName<M> {
    /// No rows; `label` is what the name is called.
    pub(super) fn new(label: &'static str) -> Self {
        Self { label, rows: Arc::default() }
    }

    /// The row of this name. Keep it where it is used often.
    pub fn get(&self, name: &str) -> M {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get(name) {
            return row.clone();
        }
        let name = if rows.len() < NAMES_MAX { name } else { "other" };
        rows.entry(name.to_owned()).or_default().clone()
    }

    /// All rows, by name.
    pub fn all(&self) -> Vec<(String, M)> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().map(|(name, row)| (name.clone(), row.clone())).collect()
    }
}

impl<M: EncodeMetric + TypedMetric + Default + Clone> EncodeMetric for ByName<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, metric) in self.all() {
            metric.encode(encoder.encode_family(&[(self.label, name.as_str())])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn names_are_bounded() {
        let family: ByName<Counter> = ByName::new("reason");
        for i in 0..1_000 {
            family.get(&format!("name-{i}")).inc();
        }
        let rows = family.all();
        assert_eq!(rows.len(), NAMES_MAX + 1);
        let other = rows.iter().find(|(name, _)| name == "other").map(|(_, row)| row.get());
        assert_eq!(other, Some(1_000 - NAMES_MAX as u64));
    }
}
