//! Cuts a stream into frames: the same frames and the same verdict however the stream is cut into
//! pieces, never a body over the limit, and never more bytes held than were pushed.
//!
//! Input: one byte length of the pieces, one byte limit (in units of 16 bytes), then the stream.

use nowrong_protocol::envelope::{
    Decoder, EnvelopeError, decode_datagram, put_varint, read_varint, split_frame,
};

type Frames = Vec<(u32, Vec<u8>)>;

/// Cuts `data` in three ways.
pub fn run(data: &[u8]) {
    let [piece, limit, stream @ ..] = data else {
        return;
    };
    let limit = usize::from(*limit) * 16;
    let whole = cut(stream, stream.len().max(1), limit);
    let pieces = cut(stream, usize::from(*piece).max(1), limit);
    assert_eq!(whole, pieces, "pieces matter");
    assert_eq!(
        whole,
        split(stream, limit),
        "the decoder is not split_frame"
    );
    check_canonical(&whole.0, limit);
    check_varint(stream);
    let _ = decode_datagram(stream, limit);
}

/// The frames, the error, and how many bytes of an incomplete frame are left.
fn cut(stream: &[u8], piece: usize, limit: usize) -> (Frames, Option<EnvelopeError>) {
    let mut decoder = Decoder::new();
    let mut frames = Frames::new();
    for bytes in stream.chunks(piece) {
        decoder.push(bytes);
        loop {
            match decoder.next_frame(limit) {
                Ok(Some(frame)) => {
                    assert!(frame.body.len() <= limit);
                    frames.push((frame.kind, frame.body.to_vec()));
                }
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn split(mut stream: &[u8], limit: usize) -> (Frames, Option<EnvelopeError>) {
    let mut frames = Frames::new();
    loop {
        match split_frame(stream, limit) {
            Ok(Some((frame, width))) => {
                frames.push((frame.kind, frame.body.to_vec()));
                stream = &stream[width..];
            }
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

/// Frames written in the shortest form are read back the same.
fn check_canonical(frames: &Frames, limit: usize) {
    let mut stream = Vec::new();
    for (kind, body) in frames {
        put_varint((*kind).into(), &mut stream);
        put_varint(body.len() as u64, &mut stream);
        stream.extend_from_slice(body);
    }
    assert_eq!(&split(&stream, limit).0, frames);
}

fn check_varint(bytes: &[u8]) {
    let Ok(Some((value, width))) = read_varint(bytes) else {
        return;
    };
    let mut shortest = Vec::new();
    put_varint(value, &mut shortest);
    assert!(shortest.len() <= width);
    assert_eq!(read_varint(&shortest), Ok(Some((value, shortest.len()))));
}
