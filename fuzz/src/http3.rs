//! HTTP/3 from a client: never a panic, the same frames however the bytes are cut into pieces, and
//! no more bytes kept than the longest payload and the last input.
//!
//! The first byte is the length of the pieces; the rest are the bytes of a stream.

use nowrong_http3::{
    Capsules, Frame, Frames, H3Error, PAYLOAD_MAX, Request, Unidirectional, unwrap_datagram,
};

/// Reads the bytes as every kind of stream, and as a datagram.
///
/// # Panics
/// When a promise is broken.
pub fn run(data: &[u8]) {
    let Some((piece, bytes)) = data.split_first() else {
        return;
    };
    let piece = usize::from(*piece).max(1);
    let cut = frames(bytes, piece);
    assert_eq!(
        cut,
        frames(bytes, bytes.len().max(1)),
        "in pieces of {piece}"
    );
    for frame in cut.into_iter().flatten() {
        if let Frame::Headers(headers) = frame {
            let _ = Request::parse(&headers);
        }
    }
    let (mut stream, mut capsules) = (Unidirectional::default(), Capsules::default());
    for piece in bytes.chunks(piece) {
        let _ = stream.feed(piece);
        let _ = capsules.feed(piece);
    }
    let _ = Request::parse(bytes);
    let _ = unwrap_datagram(bytes.to_vec().into());
}

fn frames(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, H3Error> {
    let (mut frames, mut out) = (Frames::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        frames.feed(piece);
        while let Some(frame) = frames.next()? {
            let length = match &frame {
                Frame::Data(payload) | Frame::Headers(payload) | Frame::Settings(payload) => {
                    payload.len()
                }
                Frame::Lane(_) => 0,
            };
            assert!(length <= PAYLOAD_MAX);
            out.push(frame);
            if matches!(out.last(), Some(Frame::Lane(_))) {
                return Ok(out);
            }
        }
    }
    Ok(out)
}
