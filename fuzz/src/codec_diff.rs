//! Compares bincode 2.0.1 with wincode 0.6.3: the same verdict on every body, and the same bytes
//! for every value that both can read. Two values that both crates write as the same bytes are the
//! same value, so nothing else needs comparing.
//!
//! Input: one byte type number, then the body.

use nowrong_protocol::{
    codec,
    frame::{self, Frame},
    limits::FRAME_BYTES_MAX,
};

use crate::mirror::{self, CONFIG};

macro_rules! each_frame {
    ($kind:expr, $body:expr, $($name:ident)*) => {
        match $kind {
            $(frame::$name::KIND => compare::<frame::$name, mirror::$name>($body),)*
            _ => assert!(frame::info($kind).is_none(), "type {} is not compared", $kind),
        }
    };
}

/// Decodes and encodes `data` with both crates.
pub fn run(data: &[u8]) {
    let Some((&kind, body)) = data.split_first() else {
        return;
    };
    if body.len() > FRAME_BYTES_MAX {
        return;
    }
    each_frame!(
        u32::from(kind), body,
        Bye Ping Pong LaneCopy Hello Join Cancel Send Delivered Read Delete Leave Next Block History Typing
        Presence Welcome GoAway Done Fail Queued Widened Matched TicketEnded Ack Message Deleted
        Ended Seat Idle Gone Page MemberTyping MemberPresence ReadCursor
    );
}

fn compare<F, M>(body: &[u8])
where
    F: Frame + std::fmt::Debug,
    M: for<'de> wincode::SchemaRead<'de, mirror::MirrorConfig, Dst = M>
        + wincode::SchemaWrite<mirror::MirrorConfig, Src = M>,
{
    let ours = codec::decode::<F>(body);
    let theirs = wincode::config::deserialize::<M, _>(body, CONFIG);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            let bytes = wincode::config::serialize(&theirs, CONFIG).expect("a value just read");
            assert_eq!(
                codec::encode(&ours),
                bytes,
                "{} is written differently",
                F::NAME
            );
        }
        (Err(_), Err(_)) => {}
        // bincode charges up to eight bytes for one byte; a body this short cannot reach the limit.
        (Err(_), Ok(_)) if body.len() > FRAME_BYTES_MAX / 9 => {}
        (Err(error), Ok(_)) => panic!("{}: only wincode accepts it: {error}", F::NAME),
        (Ok(frame), Err(error)) => panic!("{frame:?}: only bincode accepts it: {error}"),
    }
}
