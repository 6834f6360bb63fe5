//! HTTP/3 against what RFC 9114 and wtransport say, in pieces of any size.

use proptest::prelude::*;
use wtransport_proto::{
    bytes::BytesReader as _,
    capsule::{Capsule, capsules::CloseWebTransportSession},
    settings::{SettingId, Settings},
    varint::VarInt,
};

use super::*;

/// All frames of these bytes, fed in pieces of `piece` bytes.
fn frames(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, H3Error> {
    let (mut frames, mut out) = (Frames::default(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        frames.feed(piece);
        while let Some(frame) = frames.next()? {
            out.push(frame);
            if matches!(out.last(), Some(Frame::Lane(_))) {
                return Ok(out);
            }
        }
    }
    Ok(out)
}

fn connect() -> Bytes {
    let request = SessionRequest::new("https://chat.example:4433/v1/webtransport?x=1");
    let mut request = request.expect("a URL");
    request
        .insert("origin", "https://chat.example")
        .expect("not reserved");
    let mut out = BytesMut::new();
    let headers = request.headers().generate_frame();
    frame::put(&mut out, frame::HEADERS, headers.payload());
    out.freeze()
}

#[test]
fn the_settings_are_what_wtransport_reads() {
    let preface = control_preface();
    assert_eq!(preface[0], 0, "the type of the stream");
    let mut reader = &preface[1..];
    let frame = ProtoFrame::read(&mut reader)
        .expect("known")
        .expect("whole");
    let settings = Settings::with_frame(&frame).expect("settings");
    let one = Some(VarInt::from_u32(1));
    for id in [
        SettingId::EnableConnectProtocol,
        SettingId::H3Datagram,
        SettingId::EnableWebTransport,
        SettingId::WebTransportMaxSessions,
    ] {
        assert_eq!(settings.get(id), one, "{id:?}");
    }
    assert_eq!(reader.get_varint(), None, "nothing more");
}

#[test]
fn a_request_is_read_and_answered() {
    let bytes = connect();
    for piece in [1, 2, 7, 1_000] {
        let read = frames(&bytes, piece).expect("good");
        let [Frame::Headers(headers)] = &read[..] else {
            panic!("{read:?}");
        };
        let request = Request::parse(headers).expect("headers").expect("CONNECT");
        assert_eq!(request.path, "/v1/webtransport?x=1");
        assert_eq!(request.origin.as_deref(), Some("https://chat.example"));
    }
    assert_eq!(Request::parse(b"\xff\xff\xff"), Err(H3Error::MESSAGE));
    for status in [200, 404] {
        let read = frames(&response(status), 3).expect("good");
        let [Frame::Headers(headers)] = &read[..] else {
            panic!("{read:?}");
        };
        let frame = ProtoFrame::new_headers(headers.as_ref().into());
        let headers = Headers::with_frame(&frame).expect("headers");
        assert_eq!(headers.get(":status"), Some(status.to_string().as_str()));
    }
}

/// Found by fuzzing: the decoder shifted by as many bits as the integer had bytes.
#[test]
fn g11_an_integer_without_end_or_a_table_that_there_is_not_is_no_request() {
    let endless = [&b"\x00\x00\xff"[..], &[0xff; 20], b"\x00"].concat();
    let as_length = [&b"\x00\x00\x27"[..], &[0xff; 20], b"\x00"].concat();
    for section in [
        &endless[..],
        &as_length,
        b"\x00",
        b"\x00\x00\x10",
        b"\x00\x00\x51\x05a",
        b"\x01\x00",
        b"\x00\x00\x80",
        b"\x00\x00\x41\x01a",
    ] {
        assert_eq!(
            Request::parse(section),
            Err(H3Error::MESSAGE),
            "{section:?}"
        );
    }
}

#[test]
fn unknown_frames_are_skipped_whatever_their_length() {
    let mut bytes = BytesMut::new();
    frame::put(&mut bytes, 0x21, &vec![7; 100_000]);
    frame::put(&mut bytes, frame::DATA, b"x");
    for piece in [1, 1_000, 200_000] {
        let read = frames(&bytes, piece);
        assert_eq!(read, Ok(vec![Frame::Data(Bytes::from_static(b"x"))]));
    }
}

#[test]
fn g10_a_long_frame_is_refused_before_it_comes() {
    let mut bytes = BytesMut::new();
    put_varint(&mut bytes, frame::HEADERS);
    put_varint(&mut bytes, PAYLOAD_MAX as u64 + 1);
    assert_eq!(frames(&bytes, 1), Err(H3Error::EXCESSIVE_LOAD));
}

#[test]
fn frames_of_http_2_are_refused() {
    for kind in [0x02, 0x06, 0x08, 0x09] {
        let mut bytes = BytesMut::new();
        frame::put(&mut bytes, kind, b"");
        assert_eq!(frames(&bytes, 1), Err(H3Error::FRAME_UNEXPECTED));
    }
}

#[test]
fn a_lane_begins_with_its_session_and_keeps_its_bytes() {
    let mut lane = Frames::default();
    lane.feed(b"\x40\x41\x00hello");
    assert_eq!(lane.next(), Ok(Some(Frame::Lane(SESSION_ID))));
    assert_eq!(&lane.into_rest()[..], b"hello");
}

#[test]
fn a_control_stream_begins_with_settings_and_has_them_once() {
    let settings = control_preface();
    for piece in [1, 3, 99] {
        let mut control = Unidirectional::default();
        for piece in settings.chunks(piece) {
            control.feed(piece).expect("good");
        }
        assert_eq!(control.role(), Some(Role::Control));
        // Another frame that is not an error: a reserved one.
        control.feed(b"\x21\x02ab").expect("skipped");
        assert_eq!(control.feed(&settings[1..]), Err(H3Error::FRAME_UNEXPECTED));
    }
    let mut control = Unidirectional::default();
    assert_eq!(
        control.feed(b"\x00\x00\x01x"),
        Err(H3Error::MISSING_SETTINGS)
    );
    assert_eq!(
        Unidirectional::default().feed(b"\x01"),
        Err(H3Error::STREAM_CREATION)
    );
    let mut unknown = Unidirectional::default();
    unknown.feed(b"\x21").expect("ignored");
    unknown.feed(&[0; 50_000]).expect("ignored");
    assert_eq!(unknown.role(), Some(Role::Unknown));
}

#[test]
fn a_session_is_closed_with_a_code() {
    let bytes = close_capsule(4_242, "a reason");
    let mut reader = &bytes[..];
    let frame = ProtoFrame::read(&mut reader)
        .expect("known")
        .expect("whole");
    let capsule = Capsule::with_frame(&frame).expect("a capsule");
    let theirs = CloseWebTransportSession::with_capsule(&capsule).expect("a close");
    assert_eq!(
        (theirs.error_code().into_inner(), theirs.reason()),
        (4_242, "a reason")
    );

    let mut skipped = BytesMut::new();
    frame::put(&mut skipped, frame::DATA, b"\x21\x40\x64");
    frame::put(&mut skipped, frame::DATA, &[0; 100]);
    skipped.extend_from_slice(&bytes);
    for piece in [1, 4, 1_000] {
        let mut capsules = Capsules::default();
        let closed: Vec<_> = skipped
            .chunks(piece)
            .filter_map(|piece| capsules.feed(piece).expect("good"))
            .collect();
        assert_eq!(closed, [Closed { code: 4_242 }]);
    }
    assert!(close_capsule(1, &"ü".repeat(2_000)).len() < 1_100);
}

#[test]
fn a_datagram_of_another_session_is_dropped() {
    let wrapped = wrap_datagram(b"hello");
    assert_eq!(unwrap_datagram(wrapped), Some(Bytes::from_static(b"hello")));
    assert_eq!(unwrap_datagram(Bytes::from_static(b"\x01hello")), None);
    assert_eq!(unwrap_datagram(Bytes::new()), None);
}

proptest! {
    #[test]
    fn g11_any_bytes_in_any_pieces_say_the_same_and_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        piece in 1..50_usize,
    ) {
        prop_assert_eq!(frames(&bytes, piece), frames(&bytes, usize::MAX));
        let mut stream = Unidirectional::default();
        let mut capsules = Capsules::default();
        for piece in bytes.chunks(piece) {
            let _ = stream.feed(piece);
            let _ = capsules.feed(piece);
        }
        let _ = Request::parse(&bytes);
        let _ = unwrap_datagram(bytes.into());
    }
}
