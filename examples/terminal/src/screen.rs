//! Turns chats and events into text. Pure: it prints nothing.

use nowrong_client::{ChatEvent, Transport};
use nowrong_protocol::frame::{Body, ChatState, EndReason, Message, SeatState, Why};

/// The name of a transport.
pub(crate) fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::WebTransport => "WebTransport",
        Transport::WebSocket => "WebSocket",
        Transport::Auto => "whatever works",
    }
}

/// What is said about a line that looks like a command.
pub(crate) fn unknown(typed: &str) -> String {
    let typed = typed.escape_debug();
    format!("* there is no command {typed}, and nobody was told; to say it: /{typed}")
}

/// The partner, and why the two were matched.
pub(crate) fn matched(chat: &ChatState) -> String {
    let partners = partners(chat).map(|member| format!("{} ({})", member.0, member.1));
    let partners: Vec<_> = partners.collect();
    format!(
        "* you are with {}{} (/next, /leave, /help)",
        partners.join(", "),
        why(&chat.why.0)
    )
}

/// The messages that were there before, for a person who comes back.
pub(crate) fn before(chat: &ChatState, messages: &[Message]) -> Vec<String> {
    let lines = messages.iter();
    lines.map(|message| said(chat, message)).collect()
}

/// The text of an event; `None` when it is not worth a line.
pub(crate) fn event(chat: &ChatState, event: &ChatEvent) -> Option<String> {
    let name = |member: u8| name(chat, member);
    Some(match event {
        ChatEvent::Message(message) => said(chat, message),
        ChatEvent::Deleted(_) => "* a message was deleted".to_owned(),
        ChatEvent::Seat { member, state, .. } => match state {
            SeatState::Taken => format!("* {} is here", name(*member)),
            SeatState::Held => format!("* {} lost the connection; waiting", name(*member)),
            _ => return None,
        },
        ChatEvent::Idle(0) => "* go on".to_owned(),
        ChatEvent::Idle(_) => {
            "* nobody has said anything for a while: this chat ends soon".to_owned()
        }
        ChatEvent::Typing {
            member,
            is_typing: true,
        } => format!("* {} is typing", name(*member)),
        ChatEvent::Ended { reason, member, .. } => match (reason, member) {
            (EndReason::Left, Some(member)) if *member != chat.you => {
                format!("* {} has left", name(*member))
            }
            (EndReason::Gone, _) => "* your partner is gone".to_owned(),
            (EndReason::Idle, _) => "* the chat ended in silence".to_owned(),
            _ => "* the chat has ended".to_owned(),
        },
        ChatEvent::Gone => "* this chat has been erased".to_owned(),
        ChatEvent::Missed(count) => format!("* {count} events were missed"),
        _ => return None,
    })
}

fn said(chat: &ChatState, message: &Message) -> String {
    format!("{}: {}", name(chat, message.member), body(message))
}

fn body(message: &Message) -> &str {
    match &message.body {
        Body::Text(text) => text,
        Body::Deleted => "(deleted)",
        Body::Unknown { .. } => "(a newer kind of message)",
    }
}

fn why(why: &Why) -> String {
    let shared = &why.shared_interests;
    match (shared.is_empty(), why.is_same_language) {
        (false, _) => format!(": you share {}", shared.join(", ")),
        (true, true) => ": you speak the same language".to_owned(),
        (true, false) => String::new(),
    }
}

fn name(chat: &ChatState, member: u8) -> &str {
    if member == chat.you {
        return "you";
    }
    chat.members
        .get(usize::from(member))
        .map_or("somebody", |member| &member.name)
}

/// The names and languages of the other members.
fn partners(chat: &ChatState) -> impl Iterator<Item = (&str, &str)> {
    let others = chat.members.iter().enumerate();
    let others = others.filter(|(index, _)| *index != usize::from(chat.you));
    others.map(|(_, member)| (member.name.as_str(), member.language.as_str()))
}

#[cfg(test)]
mod tests {
    use nowrong_protocol::{ChatId, ClientMessageId, Framed, Position, frame::Member};

    use super::*;

    fn member(name: &str) -> Framed<Member> {
        Framed(Member {
            name: name.to_owned(),
            language: "en".to_owned(),
            seat: SeatState::Taken,
            held_until_ms: 0,
            delivered: Position::START,
            read: Position::START,
        })
    }

    fn chat(shared: &[&str]) -> ChatState {
        let shared_interests = shared
            .iter()
            .map(|interest| (*interest).to_owned())
            .collect();
        ChatState {
            chat: ChatId::from_bytes([1; 16]),
            category: "music".to_owned(),
            members: vec![member("Ana"), member("Bob")],
            you: 0,
            why: Framed(Why {
                shared_interests,
                is_same_language: true,
            }),
            head: Position::START,
            resumed: Position::START,
            unread: 0,
            started_at_ms: 0,
            expires_at_ms: 0,
        }
    }

    #[test]
    fn a_match_says_with_whom_and_why() {
        let said = matched(&chat(&["jazz", "vinyl"]));
        assert_eq!(
            said,
            "* you are with Bob (en): you share jazz, vinyl (/next, /leave, /help)"
        );
        assert!(matched(&chat(&[])).contains("you speak the same language"));
    }

    #[test]
    fn an_unknown_command_is_shown_without_what_could_change_the_screen() {
        let said = unknown("/\u{1b}[31m");
        assert!(said.contains("/\\u{1b}[31m"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }

    #[test]
    fn events_name_the_partner() {
        let chat = chat(&[]);
        let message = Message {
            chat: chat.chat,
            position: Position::new(1, 1),
            member: 1,
            client_message_id: ClientMessageId::from_bytes([2; 16]),
            at_ms: 0,
            reply_to: None,
            body: Body::Text("hello".to_owned()),
        };
        let left = ChatEvent::Ended {
            reason: EndReason::Left,
            member: Some(1),
            expires_at_ms: 0,
        };
        for (happened, expected) in [
            (ChatEvent::Message(message), Some("Bob: hello")),
            (
                ChatEvent::Typing {
                    member: 1,
                    is_typing: true,
                },
                Some("* Bob is typing"),
            ),
            (
                ChatEvent::Typing {
                    member: 1,
                    is_typing: false,
                },
                None,
            ),
            (left, Some("* Bob has left")),
        ] {
            assert_eq!(event(&chat, &happened).as_deref(), expected, "{happened:?}");
        }
    }
}
