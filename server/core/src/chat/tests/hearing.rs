//! A node's reaction to another node's notices about a member: every case of the rules of
//! [`State::hear`].

use super::*;

const THERE: NodeId = NodeId([1; 8]);
const ELSEWHERE: NodeId = NodeId([2; 8]);

const TAKEN: Signal = Signal::Seat {
    state: SeatState::Taken,
    held_until: 0,
};
const HELD: Signal = Signal::Seat {
    state: SeatState::Held,
    held_until: START + 90_000,
};
const TYPING: Signal = Signal::Typing(true);

fn end() -> ChatEnd {
    ChatEnd {
        reason: EndReason::Left,
        member: Some(0),
        at: START,
        expires_at: START + 60_000,
    }
}

/// Member 1 of a chat, with a taken seat and THERE as its home.
fn at_home(home: Home) -> State {
    let mut state = state();
    state.member_mut(1).expect("two members").set_home(home);
    state
}

#[test]
fn a_member_is_where_the_connection_is_and_who_missed_that_is_told() {
    // Input: the home, whether the member is connected here, the notice of THERE. Output: the new
    // home, news, a reply.
    let cases = [
        (
            Home::Unknown,
            false,
            TYPING,
            Home::There(THERE),
            true,
            false,
        ),
        (Home::Unknown, true, TYPING, Home::There(THERE), true, false),
        (Home::Here, true, TYPING, Home::Here, false, false),
        (Home::Here, true, TAKEN, Home::Here, false, false),
        (Home::Here, true, HELD, Home::Here, false, true),
        (Home::Here, false, HELD, Home::There(THERE), true, false),
        (Home::Here, false, TAKEN, Home::There(THERE), false, false),
        (
            Home::There(THERE),
            false,
            HELD,
            Home::There(THERE),
            true,
            false,
        ),
        (
            Home::There(ELSEWHERE),
            false,
            TYPING,
            Home::There(ELSEWHERE),
            false,
            false,
        ),
        (
            Home::There(ELSEWHERE),
            false,
            HELD,
            Home::There(ELSEWHERE),
            false,
            false,
        ),
        (
            Home::There(ELSEWHERE),
            false,
            TAKEN,
            Home::There(THERE),
            false,
            false,
        ),
    ];
    for (home, is_connected, signal, expected, is_news, has_reply) in cases {
        let mut state = at_home(home);
        let heard = state.hear(THERE, 1, signal, is_connected);
        let case = format!("{home:?} {is_connected} {signal:?}");
        assert_eq!(state.members()[1].home(), expected, "{case}");
        assert_eq!(heard.is_news, is_news, "{case}");
        assert_eq!(heard.reply.is_some(), has_reply, "{case}");
    }
}

#[test]
fn a_node_that_holds_a_seat_taken_here_is_told_what_the_member_does() {
    let mut state = at_home(Home::Here);
    state.signal(1, Signal::Presence(PresenceState::Away));
    let heard = state.hear(THERE, 1, HELD, true);
    let Some(HeardReply::Signals(signals)) = heard.reply else {
        panic!("{heard:?}");
    };
    assert!(signals.contains(&TAKEN));
    assert!(signals.contains(&Signal::Presence(PresenceState::Away)));
    seat(&mut state, 1, SeatState::Held, START);
    assert_eq!(
        state.hear(THERE, 1, HELD, true).reply,
        None,
        "held here too"
    );
}

#[test]
fn a_node_that_holds_a_seat_of_an_ended_chat_is_told_of_the_end() {
    for (signal, is_told) in [(HELD, true), (TAKEN, false), (TYPING, false)] {
        let mut state = at_home(Home::Here);
        state.set_end(end());
        let reply = state.hear(THERE, 1, signal, true).reply;
        let expected = is_told.then(|| HeardReply::Ended(end()));
        assert_eq!(reply, expected, "{signal:?}");
    }
}

#[test]
fn a_member_that_is_not_there_is_heard_of_in_vain() {
    assert_eq!(state().hear(THERE, 9, HELD, false), Heard::default());
}
