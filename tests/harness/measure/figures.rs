//! What was measured, gathered over the rounds.

use std::collections::BTreeMap;
use std::time::Duration;

/// A kind of figure; all are better when lower, but those of throughput.
pub trait Kind: Copy + Ord {
    /// The name in JSON.
    fn name(self) -> &'static str;
}

/// One chain's figures, a value for each round.
pub struct Figures<F> {
    pub chain: &'static str,
    pub values: BTreeMap<F, Vec<f64>>,
    /// By the kind of work that met them.
    pub errors: BTreeMap<String, u64>,
}

impl<F: Kind> Figures<F> {
    pub fn new(chain: &'static str) -> Self {
        Self { chain, values: BTreeMap::new(), errors: BTreeMap::new() }
    }

    pub fn add(&mut self, figure: F, value: f64) {
        self.values.entry(figure).or_default().push(value);
    }

    /// Counts what went wrong in a piece of work.
    pub fn wrong(&mut self, work: impl std::fmt::Debug, errors: u64) {
        if errors > 0 {
            *self.errors.entry(format!("{work:?}").to_lowercase()).or_default() += errors;
        }
    }

    /// Errors of all kinds of work.
    pub fn errors(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Of the rounds.
    pub fn median(&self, figure: F) -> Option<f64> {
        median(self.values.get(&figure)?.clone())
    }

    /// Half the way from the lowest to the highest round, as a part of the median.
    pub fn spread(&self, figure: F) -> Option<f64> {
        let values = self.values.get(&figure)?;
        let (low, high) =
            (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        Some((high - low) / 2.0 / self.median(figure)?)
    }

    /// So many times another's figure: the median of what it is in each round, since a machine that drifts between rounds
    /// meets both alike within one.
    pub fn ratio(&self, figure: F, other: &Self, theirs: F) -> Option<f64> {
        let (ours, theirs) = (self.values.get(&figure)?, other.values.get(&theirs)?);
        match ours.len() == theirs.len() {
            true => median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()),
            false => Some(median(ours.clone())? / median(theirs.clone())?),
        }
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

/// The latency that this part of the requests does not exceed, µs; none for no request.
pub fn percentile(latencies: &mut [Duration], part: f64) -> Option<f64> {
    latencies.sort_unstable();
    let rank = (latencies.len() as f64 * part).ceil() as usize;
    latencies.get(rank.checked_sub(1)?).map(|latency| latency.as_secs_f64() * 1e6)
}
