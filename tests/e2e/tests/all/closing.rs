//! WebSocket links end as RFC 6455 says: a close frame gets a reply, and a client that breaks the rules is told by
//! one `Bye` and one close frame with the same code.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::time::{Duration, Instant};

use e2e::{TestServer, within};
use nowrong_client::{NewAccount, RawConnection, User};
use nowrong_protocol::{
    ClientFrame, CloseCode, ServerFrame, conversation::bye, envelope::split_frame,
    limits::FRAME_BYTES_MAX,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// A WebSocket without rules.
struct Socket {
    stream: TcpStream,
    /// Bytes that were read and not taken yet.
    front: Vec<u8>,
}

/// What a socket brought until its TCP connection was closed.
#[derive(Debug, Default, PartialEq)]
struct End {
    byes: Vec<CloseCode>,
    /// The status of each close frame; `None` where it has none.
    closes: Vec<Option<u16>>,
}

impl End {
    fn with(code: CloseCode) -> Self {
        Self {
            byes: vec![code],
            closes: vec![Some(code.0)],
        }
    }
}

impl Socket {
    async fn open(server: &TestServer) -> Self {
        let mut stream = TcpStream::connect(server.http()).await.unwrap();
        let request = format!(
            "GET /v1/websocket HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            server.http()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut front = Vec::new();
        let head = loop {
            let end = front.windows(4).position(|it| it == b"\r\n\r\n");
            if let Some(end) = end {
                break end;
            }
            assert!(stream.read_buf(&mut front).await.unwrap() > 0);
        };
        assert!(front.starts_with(b"HTTP/1.1 101"));
        front.drain(..head + 4);
        Self { stream, front }
    }

    /// One that is past `Welcome`.
    async fn welcomed(server: &TestServer, user: &User) -> Self {
        let mut socket = Self::open(server).await;
        let token = user.connect().await.unwrap().connect_token;
        let hello = ClientFrame::from(RawConnection::hello(token)).encode();
        socket.write(&frame(FIN | BINARY, &hello)).await;
        let (first, payload) = socket.next().await.unwrap();
        assert_eq!(first, FIN | BINARY);
        assert!(matches!(frames(&payload)[..], [ServerFrame::Welcome(_)]));
        socket
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next WebSocket frame: its first byte, and its payload. `None` when the server has closed.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((length, header)) = self.header()
                && self.front.len() >= header + length
            {
                let whole: Vec<u8> = self.front.drain(..header + length).collect();
                return Some((whole[0], whole[header..].to_vec()));
            }
            if self.stream.read_buf(&mut self.front).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The lengths of payload and header of the next frame.
    fn header(&self) -> Option<(usize, usize)> {
        match self.front[..] {
            [_, 126, high, low, ..] => Some((u16::from_be_bytes([high, low]).into(), 4)),
            [_, length, ..] if length < 126 => Some((length.into(), 2)),
            _ => None,
        }
    }

    /// Everything until the server closes the TCP connection. Replies to its close frame, as a client must.
    async fn end(mut self) -> End {
        let mut end = End::default();
        let reading = async {
            while let Some((first, payload)) = self.next().await {
                if first == FIN | CLOSE {
                    let status = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    end.closes.push(status);
                    let _ = self.stream.write_all(&frame(FIN | CLOSE, &payload)).await;
                } else {
                    let byes = frames(&payload)
                        .into_iter()
                        .filter_map(|frame| match frame {
                            ServerFrame::Bye(bye) => Some(bye.code),
                            _ => None,
                        });
                    end.byes.extend(byes);
                }
            }
        };
        within("the end", reading).await;
        end
    }
}

/// A client's frame: masked, with a key of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(FIN | length as u8),
        length @ 126..65_536 => {
            bytes.push(FIN | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(FIN | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

fn frames(message: &[u8]) -> Vec<ServerFrame> {
    let (mut rest, mut frames) = (message, Vec::new());
    while let Some((raw, width)) = split_frame(rest, FRAME_BYTES_MAX).unwrap() {
        frames.extend(ServerFrame::decode(raw.kind, raw.body).unwrap());
        rest = &rest[width..];
    }
    frames
}

async fn server_and_user() -> (TestServer, User) {
    let server = TestServer::start().await.unwrap();
    let account = NewAccount::named("Mallory");
    let user = server.api().register(&account).await.unwrap();
    (server, user)
}

#[tokio::test]
async fn a_client_that_closes_gets_its_own_status_back_before_hello_and_after_welcome() {
    let (server, user) = server_and_user().await;
    for status in [Some(1_000_u16), Some(1_001), Some(3_000), None] {
        let payload = status.map_or(Vec::new(), |status| status.to_be_bytes().to_vec());
        for is_welcomed in [false, true] {
            let mut socket = match is_welcomed {
                false => Socket::open(&server).await,
                true => Socket::welcomed(&server, &user).await,
            };
            let started = Instant::now();
            socket.write(&frame(FIN | CLOSE, &payload)).await;
            let replied = End {
                byes: vec![],
                closes: vec![status],
            };
            assert_eq!(socket.end().await, replied, "welcomed: {is_welcomed}");
            assert!(started.elapsed() < Duration::from_secs(1), "it waited");
        }
    }
}

#[tokio::test]
async fn broken_frames_cost_one_bye_and_a_close_frame_with_its_code() {
    let (server, user) = server_and_user().await;
    let mut unmasked = vec![FIN | BINARY, 2];
    unmasked.extend([5, 0]);
    let fragment = [frame(BINARY, &[5]), frame(FIN | BINARY, &[5])].concat();
    let cases = [
        ("a reserved bit", frame(FIN | RSV1 | BINARY, &[5, 0])),
        ("no mask", unmasked),
        ("opcode 3", frame(FIN | 3, &[5, 0])),
        ("opcode 11", frame(FIN | 11, &[])),
        ("a ping of 126 bytes", frame(FIN | PING, &[0; 126])),
        ("a ping in two parts", frame(PING, &[0])),
        ("a text that is not UTF-8", frame(FIN | TEXT, &[0xff, 0xfe])),
        ("a text", frame(FIN | TEXT, b"hello")),
        ("a continuation of nothing", frame(FIN, &[5])),
        ("a message within a message", fragment),
        ("a close frame of one byte", frame(FIN | CLOSE, &[3])),
    ];
    for (what, bytes) in cases {
        for is_welcomed in [false, true] {
            let mut socket = match is_welcomed {
                false => Socket::open(&server).await,
                true => Socket::welcomed(&server, &user).await,
            };
            socket.write(&bytes).await;
            let end = socket.end().await;
            assert_eq!(
                end,
                End::with(CloseCode::BAD_FRAME),
                "{what}, {is_welcomed}"
            );
        }
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_costs_one_bye_and_a_close_frame_with_its_code() {
    let (server, user) = server_and_user().await;
    let parts = [frame(BINARY, &[0; 60_000]), frame(FIN, &[0; 10_000])].concat();
    for bytes in [frame(FIN | BINARY, &[0; 70_000]), parts] {
        let mut socket = Socket::welcomed(&server, &user).await;
        // The server may close before it has read everything.
        let _ = socket.stream.write_all(&bytes).await;
        let end = socket.end().await;
        assert_eq!(end, End::with(CloseCode::FRAME_TOO_LARGE));
    }
}

#[tokio::test]
async fn the_server_waits_for_the_reply_to_its_close_frame_and_not_for_ever() {
    let (server, user) = server_and_user().await;
    let leaving = ClientFrame::from(bye(CloseCode::CLIENT_LEFT)).encode();
    for replies in [true, false] {
        let mut socket = Socket::welcomed(&server, &user).await;
        socket.write(&frame(FIN | BINARY, &leaving)).await;
        let (first, payload) = socket.next().await.unwrap();
        assert_eq!(
            (first, &payload[..2]),
            (FIN | CLOSE, &4_500_u16.to_be_bytes()[..])
        );
        let said = Instant::now();
        let early = tokio::time::timeout(Duration::from_millis(300), socket.next()).await;
        assert!(early.is_err(), "the server did not wait: {early:?}");
        if replies {
            socket.write(&frame(FIN | CLOSE, &payload)).await;
        }
        assert_eq!(within("the end", socket.next()).await, None);
        let is_quick = said.elapsed() < Duration::from_millis(900);
        assert_eq!(is_quick, replies, "{:?}", said.elapsed());
    }
}
