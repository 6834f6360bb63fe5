//! The load on every target: how many people write, how often, how much, and for how long.

use std::time::Duration;

/// One workload: people in pairs who write to each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    /// How many people; an even number. The partner of user `n` is [`partner`]`(n)`.
    pub users: u32,
    /// Messages per second, of all people together.
    pub rate: f64,
    /// Length of a text in bytes; at least [`BODY_BYTES_MIN`].
    pub body_bytes: usize,
    /// Time under load before anything is measured.
    pub warm_up: Duration,
    /// Time that is measured.
    pub measured: Duration,
    /// Seed of the schedule: the same seed gives the same schedule.
    pub seed: u64,
}

/// Shortest text: it holds the number of its message as eight hexadecimal digits.
pub const BODY_BYTES_MIN: usize = 8;

impl Workload {
    /// From the first message to the last.
    pub fn length(&self) -> Duration {
        self.warm_up + self.measured
    }

    /// Whether a message that is due at `at` counts.
    pub fn is_measured(&self, at: Duration) -> bool {
        (self.warm_up..self.length()).contains(&at)
    }
}

/// The partner of user `user`.
pub const fn partner(user: u32) -> u32 {
    user ^ 1
}

/// The text of message `number`: ASCII, so that it costs every target the same.
pub fn text_of(number: u32, body_bytes: usize) -> String {
    let mut text = format!("{number:08x}");
    while text.len() < body_bytes {
        // Words, as in a chat, for code that looks at words.
        text.push_str(" hello");
    }
    text.truncate(body_bytes);
    // Servers that clean texts cut off blanks at the end.
    if text.ends_with(' ') {
        text.pop();
        text.push('o');
    }
    text
}

/// The number in a text that [`text_of`] made.
pub fn number_of(text: &str) -> Option<u32> {
    u32::from_str_radix(text.get(..BODY_BYTES_MIN)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_length_and_its_number() {
        for (number, length) in [(0, 8), (7, 9), (0xdead_beef, 40), (u32::MAX, 200)] {
            let text = text_of(number, length);
            assert_eq!((text.len(), number_of(&text)), (length, Some(number)));
            assert_eq!(text.trim(), text);
        }
        assert_eq!(number_of("hello"), None);
        assert_eq!(number_of("hello, you"), None);
    }

    #[test]
    fn partners_are_each_others() {
        assert!(
            (0..10).all(|user| partner(partner(user)) == user && partner(user) / 2 == user / 2)
        );
    }

    #[test]
    fn the_warm_up_and_what_comes_after_the_end_do_not_count() {
        let second = Duration::from_secs(1);
        let workload = Workload {
            users: 2,
            rate: 1.0,
            body_bytes: 40,
            warm_up: second,
            measured: second,
            seed: 0,
        };
        let counts =
            [0.5, 1.0, 1.9, 2.0].map(|at| workload.is_measured(Duration::from_secs_f64(at)));
        assert_eq!(counts, [false, true, true, false]);
    }
}
