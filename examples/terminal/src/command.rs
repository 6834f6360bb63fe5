//! What a person types: a message, or a command. Pure: the one place that knows how commands are written.

use std::path::PathBuf;

/// The list of commands, for a person.
pub(crate) const HELP: &str = "\
* a line is a message; one that begins with // says it with a single /
*   /next           another partner
*   /leave          end this chat, or stop waiting
*   /block          end this chat, and never meet this partner again
*   /recovery       a recovery code, in place of the one before
*   /forget         remove the recovery code
*   /export [FILE]  all that the server holds of you, here or in a new file
*   /logout         log out here
*   /erase          erase your account now
*   /quit           go; without a recovery code this erases your account
*   /help           this list";

/// A line that a person typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A message with this text.
    Say(String),
    /// Another partner.
    Next,
    /// No partner, for now.
    Leave,
    /// Never this partner again.
    Block,
    /// A new recovery code.
    Recovery,
    /// No recovery code.
    Forget,
    /// All that the server holds, into this file or onto the screen.
    Export(Option<PathBuf>),
    /// Log out here.
    LogOut,
    /// Erase the account.
    Erase {
        /// Whether the person has confirmed it.
        is_sure: bool,
    },
    /// The list of commands.
    Help,
    /// Go.
    Quit,
    /// It looks like a command, and is not one.
    Unknown(String),
}

impl Line {
    /// The line that was typed; `None` when it is blank.
    pub(crate) fn parse(typed: &str) -> Option<Self> {
        let typed = typed.trim();
        if typed.is_empty() {
            return None;
        }
        Some(match typed.strip_prefix('/') {
            None => Self::Say(typed.to_owned()),
            Some(text) if text.starts_with('/') => Self::Say(text.to_owned()),
            Some(command) => Self::command(command).unwrap_or_else(|| Self::Unknown(typed.into())),
        })
    }

    /// The command without its slash. One with too many words is not one: it may have been meant for the partner.
    fn command(typed: &str) -> Option<Self> {
        let (word, rest) = typed.split_once(char::is_whitespace).unwrap_or((typed, ""));
        let rest = rest.trim_start();
        Some(match (word, rest) {
            ("next", "") => Self::Next,
            ("leave", "") => Self::Leave,
            ("block", "") => Self::Block,
            ("recovery", "") => Self::Recovery,
            ("forget", "") => Self::Forget,
            ("export", "") => Self::Export(None),
            ("export", file) => Self::Export(Some(file.into())),
            ("logout", "") => Self::LogOut,
            ("erase", "") => Self::Erase { is_sure: false },
            ("erase", "yes") => Self::Erase { is_sure: true },
            ("help", "") => Self::Help,
            ("quit", "") => Self::Quit,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &str) -> Option<Line> {
        Some(Line::Say(text.to_owned()))
    }

    fn unknown(typed: &str) -> Option<Line> {
        Some(Line::Unknown(typed.to_owned()))
    }

    #[test]
    fn commands_are_read_with_blanks_around_them() {
        for (typed, line) in [
            ("/next", Line::Next),
            ("  /leave\t", Line::Leave),
            ("/block", Line::Block),
            ("/recovery", Line::Recovery),
            ("/forget", Line::Forget),
            ("/export ", Line::Export(None)),
            (
                "/export  my data.json",
                Line::Export(Some("my data.json".into())),
            ),
            ("/logout", Line::LogOut),
            ("/erase", Line::Erase { is_sure: false }),
            ("/erase  yes", Line::Erase { is_sure: true }),
            ("/help", Line::Help),
            ("/quit", Line::Quit),
        ] {
            assert_eq!(Line::parse(typed), Some(line), "{typed:?}");
        }
    }

    #[test]
    fn everything_else_is_a_message_and_two_slashes_say_one() {
        assert_eq!(Line::parse(" hello / there "), say("hello / there"));
        assert_eq!(Line::parse("//next"), say("/next"));
        assert_eq!(Line::parse("///"), say("//"));
        assert_eq!(Line::parse("next"), say("next"));
        for blank in ["", " \t"] {
            assert_eq!(Line::parse(blank), None);
        }
    }

    #[test]
    fn what_only_looks_like_a_command_is_neither_carried_out_nor_said() {
        for typed in [
            "/",
            "/ next",
            "/nxt",
            "/Quit",
            "/quit now",
            "/erase no",
            "/erase yes please",
        ] {
            assert_eq!(Line::parse(typed), unknown(typed), "{typed:?}");
        }
    }

    #[test]
    fn the_list_has_every_command() {
        let listed = HELP.lines().filter_map(|line| line.strip_prefix("*   "));
        let mut count = 0;
        for typed in listed.filter_map(|line| line.split_whitespace().next()) {
            let line = Line::parse(typed);
            assert!(
                !matches!(line, Some(Line::Unknown(_) | Line::Say(_))),
                "{typed}"
            );
            count += 1;
        }
        assert_eq!(count, 10);
    }
}
