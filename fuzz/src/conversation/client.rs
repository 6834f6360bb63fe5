//! The client's side.

use std::time::Instant;

use nowrong_protocol::{
    ClientFrame, CloseCode,
    conversation::{
        ClientConversation, Phase, bye,
        client::{Input, Output},
    },
    envelope,
};

use super::{Op, hello, wait, welcome};

/// All outputs of a client for `ops`, with the bytes of streams in pieces of `piece`.
pub(super) fn run(ops: &[Op<'_>], is_greeted: bool, piece: usize, mut now: Instant) -> Vec<Output> {
    let mut talk = ClientConversation::new(hello(), now);
    let mut said = Vec::new();
    hear(&mut talk, &mut said);
    if is_greeted {
        talk.handle_input(Input::LiveBytes(&envelope::encode(&welcome())), now);
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
    // Left alone, it ends: after a ping, its deadline or the wait after a Bye.
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
    talk: &mut ClientConversation,
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
        Op::Agree | Op::Refuse | Op::Drain => talk.handle_input(Input::Sent, *now),
        Op::Close => talk.handle_input(Input::Close(bye(CloseCode::CLIENT_LEFT)), *now),
        Op::LinkClosed => talk.handle_input(Input::LinkClosed, *now),
        Op::Wait(ms) => {
            wait(now, ms);
            talk.handle_timeout(*now);
        }
    }
}

fn hear(talk: &mut ClientConversation, said: &mut Vec<Output>) {
    said.extend(std::iter::from_fn(|| talk.poll_output()));
}

/// One Hello first, one Welcome, pushes and pings while it is open, one Bye at most, one Closed last.
fn check(said: &[Output]) {
    let (mut hellos, mut welcomes, mut byes, mut ends) = (0, 0, 0, 0);
    for output in said {
        assert_eq!(ends, 0, "{output:?} after Closed");
        match output {
            Output::Transmit(_, ClientFrame::Hello(_)) => hellos += 1,
            Output::Transmit(_, ClientFrame::Bye(_)) => byes += 1,
            Output::Welcome(_) => welcomes += 1,
            Output::Closed { .. } => ends += 1,
            Output::Transmit(..) | Output::Push(_) | Output::GoAway(_) => {
                assert!(welcomes == 1 && byes == 0, "{output:?} out of phase");
            }
        }
        assert!(hellos == 1 && welcomes <= 1 && byes <= 1);
    }
    assert_eq!(ends, 1, "it never said Closed");
}
