//! What of the time is counted for which part: a moment in which several run counts in equal shares, so
//! that the times of all are the time by the clock. Pure.

use std::time::Duration;

/// Begin and end of a part, from the begin of the run.
pub type Span = (Duration, Duration);

/// The share of each of `spans`, in the same order.
pub fn shares(spans: &[Span]) -> Vec<Duration> {
    let mut edges: Vec<_> = spans
        .iter()
        .flat_map(|(begin, end)| [*begin, *end])
        .collect();
    edges.sort_unstable();
    let mut shares = vec![Duration::ZERO; spans.len()];
    for moment in edges.windows(2) {
        let (from, to) = (moment[0], moment[1]);
        let is_running = |(begin, end): &Span| *begin <= from && to <= *end;
        let count = spans.iter().filter(|span| is_running(span)).count();
        let running = spans.iter().zip(&mut shares);
        for (_, share) in running.filter(|(span, _)| is_running(span)) {
            *share += (to - from) / u32::try_from(count).unwrap_or(u32::MAX);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spans: &[(u64, u64)], expected: &[u64]) {
        let seconds = Duration::from_secs;
        let spans = spans
            .iter()
            .map(|(begin, end)| (seconds(*begin), seconds(*end)));
        let expected: Vec<_> = expected.iter().map(|share| seconds(*share)).collect();
        assert_eq!(shares(&spans.collect::<Vec<_>>()), expected);
    }

    #[test]
    fn what_runs_alone_counts_whole_and_side_by_side_half() {
        check(&[], &[]);
        check(&[(0, 10), (10, 14)], &[10, 4]);
        check(&[(0, 10), (4, 8)], &[8, 2]);
        check(&[(0, 10), (2, 12)], &[6, 6]);
        check(&[(0, 10), (2, 4), (6, 12)], &[7, 1, 4]);
        check(&[(0, 6), (0, 6)], &[3, 3]);
    }
}
