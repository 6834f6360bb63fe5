//! Properties of the codec, the envelope and the conversation, over random values and random bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to start from"
)]

mod conversation;
mod strategies;

use nowrong_protocol::{
    ClientFrame, Framed, ServerFrame, codec,
    envelope::{self, Decoder, decode_datagram, put_varint, read_varint},
    frame::{self, FRAMES, Frame, Lane, Message, Page},
    limits::{FRAME_BYTES_MAX, PAGE_BYTES_MAX, PAGE_MESSAGES_MAX},
};
use proptest::{collection::vec, prelude::*};
use strategies::{client_frame, server_frame};

/// The frames that a decoder reads from `bytes` in pieces of `piece` bytes, and whether bytes of an
/// incomplete frame are left.
fn cut(bytes: &[u8], piece: usize) -> (Vec<(u32, Vec<u8>)>, bool) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.push(piece);
        while let Some(frame) = decoder.next_frame(FRAME_BYTES_MAX).unwrap() {
            frames.push((frame.kind, frame.body.to_vec()));
        }
    }
    (frames, decoder.is_partial())
}

proptest! {
    #[test]
    fn client_frames_come_back(frame in client_frame(), tail in vec(any::<u8>(), 0..8)) {
        let bytes = frame.encode();
        let (frames, is_partial) = cut(&bytes, 7);
        prop_assert!(!is_partial);
        let [(kind, body)] = &frames[..] else { panic!("one frame expected") };
        prop_assert_eq!(*kind, frame.kind());
        prop_assert_eq!(ClientFrame::decode(*kind, body).unwrap(), Some(frame.clone()));
        // A newer peer may append fields.
        let grown = [&body[..], &tail[..]].concat();
        prop_assert_eq!(ClientFrame::decode(*kind, &grown).unwrap(), Some(frame.clone()));
        let datagram = frame.encode_datagram();
        let raw = decode_datagram(&datagram, usize::MAX).unwrap();
        prop_assert_eq!((raw.kind, raw.body), (*kind, &body[..]));
    }

    #[test]
    fn server_frames_come_back(frame in server_frame(), tail in vec(any::<u8>(), 0..8)) {
        let bytes = frame.encode();
        let (frames, _) = cut(&bytes, 5);
        let (kind, body) = &frames[0];
        prop_assert_eq!(ServerFrame::decode(*kind, body).unwrap(), Some(frame.clone()));
        let grown = [&body[..], &tail[..]].concat();
        prop_assert_eq!(ServerFrame::decode(*kind, &grown).unwrap(), Some(frame));
    }

    #[test]
    fn a_cut_body_is_refused(frame in server_frame(), at in any::<prop::sample::Index>()) {
        let bytes = frame.encode();
        let (frames, _) = cut(&bytes, bytes.len());
        let (kind, body) = &frames[0];
        let at = at.index(body.len());
        prop_assert!(ServerFrame::decode(*kind, &body[..at]).is_err());
    }

    #[test]
    fn any_bytes_decode_or_fail(kind in 0u32..100, body in vec(any::<u8>(), 0..300)) {
        let _ = ClientFrame::decode(kind, &body);
        let _ = ServerFrame::decode(kind, &body);
    }

    /// A body that decodes can be encoded again, and that decodes to the same value.
    #[test]
    fn what_decodes_is_stable(kind in 0u32..100, body in vec(prop_oneof![0u8..4, any::<u8>()], 0..120)) {
        if let Ok(Some(frame)) = ServerFrame::decode(kind, &body) {
            let (frames, _) = cut(&frame.encode(), 64);
            prop_assert_eq!(ServerFrame::decode(kind, &frames[0].1).unwrap(), Some(frame));
        }
    }

    #[test]
    fn json_comes_back(frame in strategies::message()) {
        let text = serde_json::to_string(&frame).unwrap();
        prop_assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), frame);
    }

    #[test]
    fn varints_come_back(value in prop_oneof![0u64..70_000, any::<u64>()], tail in any::<u8>()) {
        let mut bytes = Vec::new();
        put_varint(value, &mut bytes);
        let width = bytes.len();
        prop_assert_eq!(read_varint(&bytes[..width - 1]), Ok(None));
        bytes.push(tail);
        prop_assert_eq!(read_varint(&bytes), Ok(Some((value, width))));
        // The envelope and the bodies use the same varint.
        prop_assert_eq!(&codec::encode(&value)[..], &bytes[..width]);
    }

    #[test]
    fn pieces_do_not_matter(frames in vec(client_frame(), 1..6), piece in 1usize..40) {
        let bytes = frames.iter().map(|f| f.encode()).collect::<Vec<_>>().concat();
        let (kinds, is_partial) = cut(&bytes, piece);
        prop_assert!(!is_partial);
        prop_assert_eq!(kinds.len(), frames.len());
        prop_assert_eq!(cut(&bytes, bytes.len()).0, kinds);
    }

    #[test]
    fn any_bytes_cut_or_fail(bytes in vec(any::<u8>(), 0..200), limit in 0usize..100) {
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        while let Ok(Some(frame)) = decoder.next_frame(limit) {
            prop_assert!(frame.body.len() <= limit);
        }
        let _ = decode_datagram(&bytes, limit);
    }
}

#[test]
fn the_table_of_frames_is_one_to_one() {
    for (index, row) in FRAMES.iter().enumerate() {
        let found = frame::info(row.kind).unwrap();
        assert_eq!((found.name, found.lane), (row.name, row.lane));
        let twins = FRAMES[..index]
            .iter()
            .filter(|other| other.kind == row.kind || other.name == row.name);
        assert_eq!(twins.count(), 0, "{} has a twin", row.name);
        assert!(row.kind < 251, "{} takes more than one byte", row.name);
    }
    assert!(frame::info(0).is_none() && frame::info(u32::MAX).is_none());
    assert_eq!(frame::info(Page::KIND).unwrap().lane, Lane::Bulk);
}

/// The codec counts lengths as eight bytes; the fullest page must still be readable.
#[test]
fn the_fullest_page_is_readable() {
    let text = "x".repeat(PAGE_BYTES_MAX / PAGE_MESSAGES_MAX - 70);
    let mut page = Page {
        request: u32::MAX,
        messages: vec![Framed(strategies::message_with(&text)); PAGE_MESSAGES_MAX],
        has_more: true,
    };
    let room = PAGE_BYTES_MAX - codec::encode(&page).len();
    page.messages[0] = Framed(strategies::message_with(&"x".repeat(text.len() + room)));
    let body = codec::encode(&page);
    assert_eq!(body.len(), PAGE_BYTES_MAX);
    assert_eq!(codec::decode::<Page>(&body).unwrap(), page);
    assert_eq!(envelope::encode(&page).len(), body.len() + 1 + 3);
}
