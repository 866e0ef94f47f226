//! Replayed traffic: harvesting campaigns and hard negatives, by seed.
