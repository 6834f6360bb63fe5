//! Looks for the highest rate that still passes: doubles the rate until one fails, then halves the
//! gap. Pure.

/// A search in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    passed: Option<f64>,
    failed: Option<f64>,
    next: f64,
    precision: f64,
    tries_left: u32,
}

impl Search {
    /// Begins at `start`; ends when the highest rate that passed and the lowest that failed differ
    /// by less than the share `precision`, or after `tries_max` attempts.
    pub fn new(start: f64, precision: f64, tries_max: u32) -> Self {
        Self {
            passed: None,
            failed: None,
            next: start,
            precision,
            tries_left: tries_max,
        }
    }

    /// The rate to try next; `None` when the search has ended.
    pub fn next_rate(&self) -> Option<f64> {
        let is_close = match (self.passed, self.failed) {
            (Some(passed), Some(failed)) => failed / passed < 1.0 + self.precision,
            _ => false,
        };
        (self.tries_left > 0 && !is_close).then_some(self.next)
    }

    /// Takes the outcome of [`Self::next_rate`].
    pub fn record(&mut self, has_passed: bool) {
        self.tries_left = self.tries_left.saturating_sub(1);
        let tried = if has_passed {
            &mut self.passed
        } else {
            &mut self.failed
        };
        *tried = Some(self.next);
        self.next = match (self.passed, self.failed) {
            // The geometric mean: rates are compared by their ratio.
            (Some(passed), Some(failed)) => (passed * failed).sqrt(),
            (Some(passed), None) => passed * 2.0,
            (None, _) => self.next / 2.0,
        };
    }

    /// The highest rate that passed; `None` when none did.
    pub fn best(&self) -> Option<f64> {
        self.passed
    }

    /// Whether a rate above [`Self::best`] has failed: if not, the target can do more than was
    /// tried.
    pub fn is_bounded(&self) -> bool {
        self.failed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(start: f64, limit: f64, tries_max: u32) -> (Search, u32) {
        let mut search = Search::new(start, 0.05, tries_max);
        let mut tries = 0;
        while let Some(rate) = search.next_rate() {
            search.record(rate <= limit);
            tries += 1;
        }
        (search, tries)
    }

    #[test]
    fn it_finds_the_limit_from_either_side() {
        for (start, limit) in [
            (1_000.0, 43_000.0),
            (100_000.0, 7_000.0),
            (1_000.0, 1_000.0),
        ] {
            let (search, tries) = search(start, limit, 20);
            let best = search.best().unwrap();
            assert!(best <= limit && best * 1.05 > limit, "{best} for {limit}");
            assert!(search.is_bounded() && tries <= 14, "{tries} tries");
        }
    }

    #[test]
    fn it_ends_when_nothing_passes_and_when_everything_does() {
        let (hopeless, tries) = search(1_000.0, 0.0, 6);
        assert_eq!((hopeless.best(), tries), (None, 6));
        let (boundless, _) = search(1_000.0, f64::MAX, 4);
        assert_eq!(
            (boundless.best(), boundless.is_bounded()),
            (Some(8_000.0), false)
        );
    }
}
