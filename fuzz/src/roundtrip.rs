//! Every body that decodes can be encoded again, the result decodes to the same value in both
//! envelopes, and encoding that value again gives the same bytes.
//!
//! Input: one byte type number, then the body.

use nowrong_protocol::{
    ClientFrame, ServerFrame,
    envelope::{decode_datagram, split_frame},
};

macro_rules! check {
    ($frames:ident, $kind:expr, $body:expr) => {
        if let Ok(Some(frame)) = $frames::decode($kind, $body) {
            let stream = frame.encode();
            let (raw, width) = split_frame(&stream, usize::MAX)
                .expect("an envelope of ours")
                .expect("a whole frame");
            assert_eq!((raw.kind, width), ($kind, stream.len()));
            let again = $frames::decode(raw.kind, raw.body).expect("a body of ours");
            assert_eq!(again.as_ref(), Some(&frame));
            assert_eq!(again.expect("a known type").encode(), stream);
            let datagram = frame.encode_datagram();
            let packed = decode_datagram(&datagram, usize::MAX).expect("a datagram of ours");
            assert_eq!((packed.kind, packed.body), (raw.kind, raw.body));
            // A newer peer appends fields.
            let grown = [raw.body, b"\xff\x00tail"].concat();
            let grown = $frames::decode($kind, &grown).expect("a longer body");
            assert_eq!(grown, Some(frame));
        }
    };
}

/// Sends `data` there and back.
pub fn run(data: &[u8]) {
    let Some((&kind, body)) = data.split_first() else {
        return;
    };
    check!(ClientFrame, u32::from(kind), body);
    check!(ServerFrame, u32::from(kind), body);
}
