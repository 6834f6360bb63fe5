//! Decides the fate of each packet: lost, or delivered at a certain time. Pure: time and randomness
//! come from outside.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use crate::conditions::{Conditions, Loss, WAIT_MAX};

/// One direction of a link over time. The same seed and the same packets have the same fate.
pub struct Impairment {
    conditions: Conditions,
    random: SmallRng,
    /// When the link has finished sending everything it was given.
    free_at: Duration,
    /// When the last packet arrives.
    last: Duration,
    spell: Spell,
}

/// The state of a link with spells.
#[derive(Clone, Copy, Debug)]
struct Spell {
    is_dead: bool,
    until: Duration,
}

impl Impairment {
    /// A wire; `seed` decides its losses and delays.
    pub fn new(seed: u64) -> Self {
        Self {
            conditions: Conditions::default(),
            random: SmallRng::seed_from_u64(seed),
            free_at: Duration::ZERO,
            last: Duration::ZERO,
            spell: Spell {
                // A spell that has ended: the first packet begins a live period.
                is_dead: true,
                until: Duration::ZERO,
            },
        }
    }

    /// From now on the direction has these conditions. Packets under way arrive as already decided.
    pub fn set(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// A packet of `bytes` is put on the link at `now`, which never goes back. Returns when it
    /// arrives; `None` when it is lost.
    pub fn pass(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        if self.conditions.is_down || self.is_lost(now) {
            return None;
        }
        let sent = self.sent(now, bytes)?;
        let jitter = self.conditions.jitter.mul_f64(self.random.random());
        let arrival = sent + self.conditions.delay + jitter;
        self.last = self.last.max(arrival);
        Some(self.last)
    }

    fn is_lost(&mut self, now: Duration) -> bool {
        match self.conditions.loss {
            Loss::None => false,
            Loss::Random(share) => self.random.random::<f64>() < share,
            Loss::Spells { share, mean } => self.is_dead(now, share, mean),
        }
    }

    fn is_dead(&mut self, now: Duration, share: f64, mean: Duration) -> bool {
        if share <= 0.0 || mean.is_zero() {
            return false;
        }
        while self.spell.until <= now {
            let is_dead = !self.spell.is_dead;
            let mean = match is_dead {
                true => mean,
                false => mean.mul_f64((1.0 - share).max(0.0) / share),
            };
            // From 0, which is excluded, to 1.
            let even = 1.0 - self.random.random::<f64>();
            let length = mean.mul_f64(-even.ln()).max(Duration::from_micros(1));
            self.spell = Spell {
                is_dead,
                until: self.spell.until + length,
            };
        }
        self.spell.is_dead
    }

    /// When the last bit is on the link; `None` when too much waits ahead of it.
    fn sent(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        let Some(rate) = self.conditions.rate else {
            return Some(now);
        };
        let begin = now.max(self.free_at);
        if begin - now > WAIT_MAX {
            return None;
        }
        let time = Duration::from_secs_f64(bytes as f64 / f64::from(rate.max(1)));
        self.free_at = begin + time;
        Some(self.free_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn like(conditions: Conditions) -> Impairment {
        let mut impairment = Impairment::new(7);
        impairment.set(conditions);
        impairment
    }

    /// The fates of `count` packets, one every millisecond.
    fn fates(impairment: &mut Impairment, count: u32) -> Vec<Option<Duration>> {
        let mut pass = |number| impairment.pass(number * MS, 100);
        (0..count).map(&mut pass).collect()
    }

    fn lost(fates: &[Option<Duration>]) -> usize {
        fates.iter().filter(|fate| fate.is_none()).count()
    }

    #[test]
    fn a_wire_changes_nothing() {
        let fates = fates(&mut Impairment::new(1), 3);
        assert_eq!(fates, [0, 1, 2].map(|number| Some(number * MS)));
    }

    #[test]
    fn a_packet_arrives_after_the_delay_and_some_jitter_and_in_order() {
        let mut link = like(Conditions {
            delay: 20 * MS,
            jitter: 5 * MS,
            ..Conditions::default()
        });
        let mut last = Duration::ZERO;
        for (number, fate) in (0..1_000).zip(fates(&mut link, 1_000)) {
            let (arrival, sent) = (fate.unwrap(), number * MS);
            assert!(arrival >= last && arrival >= sent + 20 * MS);
            assert!(arrival <= sent + 25 * MS, "{number}: {arrival:?}");
            last = arrival;
        }
    }

    #[test]
    fn random_loss_takes_its_share_and_the_same_with_the_same_seed() {
        let conditions = Conditions {
            loss: Loss::Random(0.05),
            ..Conditions::default()
        };
        let first = fates(&mut like(conditions), 100_000);
        // 5,000 expected; four standard deviations are 276.
        assert!((4_724..=5_276).contains(&lost(&first)), "{}", lost(&first));
        assert_eq!(first, fates(&mut like(conditions), 100_000));
    }

    #[test]
    fn spells_take_their_share_of_the_time_in_one_piece() {
        let mut link = like(Conditions {
            loss: Loss::Spells {
                share: 0.05,
                mean: 50 * MS,
            },
            ..Conditions::default()
        });
        let fates = fates(&mut link, 1_000_000);
        let share = lost(&fates) as f64 / 1e6;
        assert!((0.045..0.055).contains(&share), "{share}");
        let begins = fates.windows(2);
        let begins = begins.filter(|pair| pair[0].is_some() && pair[1].is_none());
        let mean = lost(&fates) as f64 / begins.count() as f64;
        assert!((45.0..55.0).contains(&mean), "{mean} ms");
    }

    #[test]
    fn what_is_too_much_for_the_rate_waits_and_then_is_lost() {
        let mut link = like(Conditions {
            rate: Some(50_000),
            ..Conditions::default()
        });
        // 100 bytes a millisecond, twice what gets through: 2 ms each.
        let fates = fates(&mut link, 1_000);
        assert_eq!(fates[..3], [2, 4, 6].map(|at| Some(at * MS)));
        let first_lost = fates.iter().position(Option::is_none).unwrap();
        assert!((250..=253).contains(&first_lost), "{first_lost}");
        let passed = fates.len() - lost(&fates);
        assert!((620..=630).contains(&passed), "{passed}");
    }

    #[test]
    fn nothing_goes_through_what_is_down_and_all_when_it_is_up_again() {
        let mut link = like(Conditions {
            is_down: true,
            ..Conditions::default()
        });
        assert_eq!(lost(&fates(&mut link, 10)), 10);
        link.set(Conditions::default());
        assert_eq!(link.pass(10 * MS, 1), Some(10 * MS));
    }
}
