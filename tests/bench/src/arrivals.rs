//! The schedule of an open loop: a Poisson process over all users. Pure.
//!
//! Independent people cause exponentially distributed gaps; regular ones would hide queues.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

/// One message that is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// When, counted from the start.
    pub at: Duration,
    /// The user whose turn it is.
    pub user: u32,
}

/// All arrivals up to an end, in order.
#[derive(Clone, Debug)]
pub struct Arrivals {
    random: SmallRng,
    rate: f64,
    users: u32,
    at: f64,
    end: f64,
}

impl Arrivals {
    /// `rate` a second on average, spread evenly over `users`, for the time `length`.
    pub fn new(rate: f64, users: u32, length: Duration, seed: u64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(seed),
            rate,
            users,
            at: 0.0,
            end: length.as_secs_f64(),
        }
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        // 1 - [0, 1) is never 0, so the logarithm is finite.
        let uniform: f64 = 1.0 - self.random.random::<f64>();
        self.at -= uniform.ln() / self.rate;
        if self.at >= self.end || self.users == 0 {
            return None;
        }
        Some(Arrival {
            at: Duration::from_secs_f64(self.at),
            user: self.random.random_range(0..self.users),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(seed: u64) -> Vec<Arrival> {
        Arrivals::new(1_000.0, 10, Duration::from_secs(20), seed).collect()
    }

    #[test]
    fn the_same_seed_is_the_same_schedule() {
        assert_eq!(arrivals(1), arrivals(1));
        assert_ne!(arrivals(1), arrivals(2));
    }

    #[test]
    fn it_has_the_rate_the_users_and_the_gaps_of_a_poisson_process() {
        let all = arrivals(3);
        // 20,000 expected; four standard deviations are 566.
        assert!(all.len().abs_diff(20_000) < 566, "{}", all.len());
        assert!(all.is_sorted_by_key(|arrival| arrival.at));
        assert!(
            all.iter()
                .all(|arrival| arrival.at < Duration::from_secs(20))
        );
        for user in 0..10 {
            let own = all.iter().filter(|arrival| arrival.user == user).count();
            assert!(own.abs_diff(2_000) < 200, "{own} of user {user}");
        }
        // Of exponential gaps, 1/e are longer than the mean.
        let gaps = all.windows(2).map(|pair| pair[1].at - pair[0].at);
        let long = gaps.filter(|gap| *gap > Duration::from_millis(1)).count();
        let share = long as f64 / all.len() as f64;
        assert!((share - (-1.0_f64).exp()).abs() < 0.02, "{share}");
    }
}
