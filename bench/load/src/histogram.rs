//! Latencies in buckets whose width grows with the value (about 1.6 %).

/// Buckets per doubling.
const STEPS: u64 = 64;
const BITS: u32 = STEPS.trailing_zeros();

/// A histogram of nanoseconds.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Self {
            counts: vec![0; (64 * STEPS) as usize],
            total: 0,
        }
    }

    /// Adds a value.
    pub fn record(&mut self, value: u64) {
        self.counts[Self::index(value)] += 1;
        self.total += 1;
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// The value that a share `quantile` of all values does not exceed; `None`
    /// when nothing was recorded.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let rank = (quantile * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.counts.iter().enumerate().find_map(|(index, &count)| {
            seen += count;
            (seen >= rank && count > 0).then(|| Self::value(index as u64))
        })
    }

    fn index(value: u64) -> usize {
        if value < STEPS {
            return value as usize;
        }
        let shift = value.ilog2() - BITS;
        (u64::from(shift + 1) * STEPS + (value >> shift) - STEPS) as usize
    }

    /// The middle of a bucket.
    fn value(index: u64) -> f64 {
        if index < STEPS {
            return index as f64;
        }
        let shift = index / STEPS - 1;
        ((index % STEPS + STEPS) as f64 + 0.5) * (1_u64 << shift) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=100_000).for_each(|value| histogram.record(value));
        for (quantile, exact) in [(0.5, 50_000.0), (0.99, 99_000.0)] {
            let value = histogram.quantile(quantile).unwrap();
            assert!((value / exact - 1.0).abs() < 0.02, "{value}");
        }
        histogram.record(u64::MAX);
    }
}
