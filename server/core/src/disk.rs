//! When a disk is too full for new things, and when it has room again.

/// The mark below which a disk is full, with some room between full and not: a disk around the mark would otherwise
/// change its mind with every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HighWater {
    /// Least room, in bytes; with 0 no disk is ever full.
    least: u64,
    is_full: bool,
}

impl HighWater {
    /// A disk that has room, until it is found to have less than `least` bytes.
    pub const fn new(least: u64) -> Self {
        Self {
            least,
            is_full: false,
        }
    }

    /// Notes how much room there is; returns whether the disk counts as full. Once it was full, it needs a tenth
    /// more than the least.
    pub fn observe(&mut self, free: u64) -> bool {
        let enough = match self.is_full {
            true => self.least.saturating_add(self.least / 10),
            false => self.least,
        };
        self.is_full = free < enough;
        self.is_full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_room_again_when_there_is_a_tenth_more() {
        let mut mark = HighWater::new(1_000);
        for (free, is_full) in [
            (5_000, false),
            (1_000, false),
            (999, true),
            (1_000, true),
            (1_099, true),
            (1_100, false),
            (1_000, false),
            (0, true),
            (u64::MAX, false),
        ] {
            assert_eq!(mark.observe(free), is_full, "{free}");
        }
        assert!(!HighWater::new(0).observe(0));
        assert!(HighWater::new(u64::MAX).observe(u64::MAX - 1));
    }
}
