//! The names and the texts of the bots. Pure.

use std::time::Duration;

/// Longest time that a bot types: a guest should not have to wait.
const TYPING_MAX: Duration = Duration::from_millis(2_500);

const FIRST_NAMES: [&str; 12] = [
    "Juniper", "Basil", "Clover", "Hazel", "Sorrel", "Fennel", "Marigold", "Tansy", "Yarrow",
    "Bramble", "Thistle", "Sage",
];

/// Names to try, one after the other: plain first, then with a number.
pub(crate) fn names() -> impl Iterator<Item = String> {
    let plain = FIRST_NAMES.iter().map(|name| format!("{name} (bot)"));
    let numbered = (2..100).flat_map(|number| {
        FIRST_NAMES
            .iter()
            .map(move |name| format!("{name} {number} (bot)"))
    });
    plain.chain(numbered)
}

/// The first thing that a bot says.
pub(crate) fn greeting(category: &str) -> String {
    let topic = category.replace('-', " ");
    format!("Hello! I am a friendly bot, here to keep you company about {topic}. How are you?")
}

/// A kind reply to `text`; `turn` counts the replies so far, so that they vary.
pub(crate) fn reply(text: &str, turn: usize) -> String {
    let said = text.trim().to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["bye", "see you", "good night"]) {
        return "It was nice to meet you. Take care!".to_owned();
    }
    if has(&["thank"]) {
        return "You are welcome!".to_owned();
    }
    if has(&["sad", "lonely", "tired", "angry"]) {
        return "I am sorry to hear that. Do you want to tell me more?".to_owned();
    }
    if said.ends_with('?') {
        return pick(
            turn,
            &[
                "Good question. I am only a bot; what do you think?",
                "Hard to say! What made you wonder?",
                "I would love to know as well. What is your guess?",
            ],
        );
    }
    pick(
        turn,
        &[
            "That sounds interesting. Tell me more!",
            "I see. What do you like best about it?",
            "Nice! How did that begin?",
            "I had not thought of it like that.",
        ],
    )
}

/// How long typing `text` takes.
pub(crate) fn typing_time(text: &str) -> Duration {
    let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    Duration::from_millis(20)
        .saturating_mul(length)
        .min(TYPING_MAX)
}

fn pick(turn: usize, answers: &[&str]) -> String {
    answers[turn % answers.len()].to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_differ_and_fit() {
        let all: Vec<_> = names().collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert!(
            all.iter()
                .all(|name| (2..=24).contains(&name.chars().count()))
        );
    }

    #[test]
    fn answers_fit_what_was_said() {
        assert!(reply("Thanks a lot", 0).contains("welcome"));
        assert!(reply("I feel lonely", 0).contains("sorry"));
        assert!(reply("ok, bye!", 3).contains("Take care"));
        assert_ne!(reply("I play chess", 0), reply("I play chess", 1));
    }

    #[test]
    fn nobody_waits_long() {
        assert!(typing_time("hi") < typing_time("hello there"));
        assert_eq!(typing_time(&"x".repeat(10_000)), TYPING_MAX);
    }
}
