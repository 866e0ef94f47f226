//! A histogram of durations that a request can add to without a lock.
//!
//! Buckets are fixed; the sum is kept in whole microseconds, so that adding is one addition.

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Upper bounds of the buckets of latencies, microseconds: 50 µs to 2 minutes.
const LATENCY_US: [u64; 18] = [
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    30_000_000,
    120_000_000,
];

#[derive(Debug, Default)]
struct Inner {
    /// One more than there are bounds: the last has none.
    buckets: [AtomicU64; LATENCY_US.len() + 1],
    sum_us: AtomicU64,
}

/// Durations, counted in fixed buckets. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Durations(Arc<Inner>);

impl Durations {
    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let at = LATENCY_US.partition_point(|&bound| bound < us);
        if let Some(bucket) = self.0.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Sum of all, seconds.
    pub fn sum_s(&self) -> f64 {
        self.0.sum_us.load(Ordering::Relaxed) as f64 / 1e6
    }

    /// Upper bound of the bucket that holds this quantile; `None` where nothing was counted or
    /// the quantile lies beyond the last bound.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let counts = self.0.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let counts: Vec<u64> = counts.collect();
        let asked = self.count() as f64 * q.clamp(0.0, 1.0);
        let mut below = 0;
        for (count, bound) in counts.iter().zip(LATENCY_US) {
            below += count;
            if below > 0 && below as f64 >= asked {
                return Some(Duration::from_micros(bound));
            }
        }
        None
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = LATENCY_US.iter().map(|&us| us as f64 / 1e6).chain([f64::INFINITY]);
        let counts = self.0.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum_s(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_fall_into_their_buckets() {
        let durations = Durations::default();
        assert_eq!(durations.quantile(0.5), None);
        for us in [1, 50, 51, 1_000_000_000] {
            durations.observe(Duration::from_micros(us));
        }
        assert_eq!(durations.count(), 4);
        assert!((durations.sum_s() - 1_000.000_102).abs() < 1e-9);
        assert_eq!(durations.quantile(0.5), Some(Duration::from_micros(50)));
        assert_eq!(durations.quantile(0.75), Some(Duration::from_micros(100)));
        assert_eq!(durations.quantile(1.0), None, "beyond the last bound");
    }
}
