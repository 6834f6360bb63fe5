//! The server's side.

use std::time::Instant;

use nowrong_protocol::{
    ClientFrame, CloseCode, ServerFrame,
    conversation::{
        Phase, ServerConversation, bye,
        server::{Input, Output},
    },
    envelope,
    frame::{GoAway, Lane},
};

use super::{Op, hello, wait, welcome};

/// All outputs of a server for `ops`, with the bytes of streams in pieces of `piece`.
pub(super) fn run(ops: &[Op<'_>], is_greeted: bool, piece: usize, mut now: Instant) -> Vec<Output> {
    let mut talk = ServerConversation::new(now);
    let mut said = Vec::new();
    if is_greeted {
        talk.handle_input(Input::LiveBytes(&envelope::encode(&hello())), now);
        hear(&mut talk, &mut said);
        talk.handle_input(Input::Admit(Box::new(welcome())), now);
        hear(&mut talk, &mut said);
    }
    for op in ops {
        let before = talk.phase();
        apply(&mut talk, *op, piece, &mut now, &mut said);
        hear(&mut talk, &mut said);
        assert!(
            talk.phase() >= before,
            "{before:?} came back to {:?}",
            talk.phase()
        );
        assert_eq!(talk.poll_timeout().is_none(), talk.phase() == Phase::Closed);
    }
    // Left alone, it ends: after its phase, the idle time and the wait after a Bye at most.
    for _ in 0..4 {
        let Some(deadline) = talk.poll_timeout() else {
            break;
        };
        talk.handle_timeout(deadline.max(now));
        hear(&mut talk, &mut said);
    }
    assert_eq!(talk.phase(), Phase::Closed);
    check(&said);
    said
}

fn apply(
    talk: &mut ServerConversation,
    op: Op<'_>,
    piece: usize,
    now: &mut Instant,
    said: &mut Vec<Output>,
) {
    match op {
        Op::Live(bytes) => {
            for bytes in bytes.chunks(piece) {
                talk.handle_input(Input::LiveBytes(bytes), *now);
                hear(talk, said);
            }
        }
        Op::Bulk(bytes) => {
            for bytes in bytes.chunks(piece) {
                talk.handle_input(Input::BulkBytes(bytes), *now);
                hear(talk, said);
            }
        }
        Op::Datagram(bytes) => talk.handle_input(Input::Datagram(bytes), *now),
        Op::Message(bytes) => talk.handle_input(Input::Message(bytes.to_vec().into()), *now),
        Op::Agree => talk.handle_input(Input::Admit(Box::new(welcome())), *now),
        Op::Refuse => talk.handle_input(Input::Refuse(bye(CloseCode::TOKEN_REFUSED)), *now),
        Op::Drain => talk.handle_input(Input::Drain(goaway()), *now),
        Op::Close => talk.handle_input(Input::Close(bye(CloseCode::SLOW)), *now),
        Op::LinkClosed => talk.handle_input(Input::LinkClosed, *now),
        Op::Wait(ms) => {
            wait(now, ms);
            talk.handle_timeout(*now);
        }
    }
}

fn goaway() -> GoAway {
    GoAway {
        retry_after_ms: 1,
        endpoint: None,
    }
}

fn hear(talk: &mut ServerConversation, said: &mut Vec<Output>) {
    said.extend(std::iter::from_fn(|| talk.poll_output()));
}

/// Hello, Welcome, requests and pongs, GoAway, Bye, Close: each in its place.
fn check(said: &[Output]) {
    let (mut hellos, mut welcomes, mut goaways, mut byes, mut closes) = (0, 0, 0, 0, 0);
    for output in said {
        assert_eq!(closes, 0, "{output:?} after Close");
        let is_open = welcomes == 1 && byes == 0;
        match output {
            Output::Hello(_) => hellos += 1,
            Output::Request(frame, lane) => {
                assert!(is_open, "{frame:?} out of phase");
                assert!(
                    *lane != Lane::Bulk || frame.lane() == Lane::Bulk,
                    "{frame:?}"
                );
                assert!(
                    *lane != Lane::Datagram || frame.lane() == Lane::Datagram,
                    "{frame:?}"
                );
                check_request(frame);
            }
            Output::Transmit(_, ServerFrame::Welcome(_)) => welcomes += 1,
            Output::Transmit(_, ServerFrame::GoAway(_)) => goaways += 1,
            Output::Transmit(_, ServerFrame::Bye(_)) => byes += 1,
            Output::Transmit(_, frame) => assert!(is_open, "{frame:?} out of phase"),
            Output::Close(_) => closes += 1,
        }
        assert!(welcomes <= hellos && hellos <= 1 && byes <= 1 && goaways <= 1);
    }
}

fn check_request(frame: &ClientFrame) {
    let is_inner = matches!(
        frame,
        ClientFrame::Hello(_) | ClientFrame::Bye(_) | ClientFrame::Ping(_) | ClientFrame::Pong(_)
    );
    assert!(!is_inner, "{frame:?} belongs inside");
}
