//! Random sequences of operations against both conversations.

use std::time::{Duration, Instant};

use nowrong_protocol::{
    ClientFrame, CloseCode, ServerFrame,
    conversation::{
        ClientConversation, Phase, ServerConversation, bye,
        client::{Input as ClientInput, Output as ClientOutput},
        server::{Input as ServerInput, Output as ServerOutput},
    },
    envelope::encode_datagram,
    frame::{GoAway, Hello, Lane, LaneCopy, Welcome},
    version::VersionRange,
};
use proptest::{collection::vec, prelude::*};

use crate::strategies::{self, client_frame, server_frame};

/// Something that happens to a conversation.
#[derive(Clone, Debug)]
enum Op {
    Live(Vec<u8>),
    Bulk(Vec<u8>),
    Datagram(Vec<u8>),
    Message(Vec<u8>),
    /// The shell agrees: `Admit` to a server, `Sent` to a client.
    Agree,
    Refuse,
    Drain,
    Close,
    LinkClosed,
    Wait(u64),
}

fn op(frames: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Op> {
    let bytes = || {
        prop_oneof![
            6 => frames.clone(),
            1 => (frames.clone(), 0usize..40).prop_map(|(mut b, at)| { b.truncate(at); b }),
            1 => vec(any::<u8>(), 0..40),
        ]
    };
    prop_oneof![
        8 => bytes().prop_map(Op::Live),
        3 => bytes().prop_map(Op::Bulk),
        2 => bytes().prop_map(Op::Datagram),
        4 => bytes().prop_map(Op::Message),
        6 => Just(Op::Agree),
        1 => Just(Op::Refuse),
        1 => Just(Op::Drain),
        1 => Just(Op::Close),
        1 => Just(Op::LinkClosed),
        4 => (0u64..60_000).prop_map(Op::Wait),
    ]
}

fn hello() -> Hello {
    Hello {
        versions: VersionRange::SUPPORTED,
        connect_token: "token".into(),
        agent: "test".into(),
        resume: vec![],
    }
}

fn goaway() -> GoAway {
    GoAway {
        retry_after_ms: 1,
        endpoint: None,
    }
}

/// Counts the outputs of a server conversation and checks their order.
#[derive(Default)]
struct ServerWatch {
    hellos: u32,
    welcomes: u32,
    byes: u32,
    closes: u32,
}

impl ServerWatch {
    fn see(&mut self, output: &ServerOutput) {
        assert_eq!(self.closes, 0, "{output:?} after Close");
        match output {
            ServerOutput::Hello(_) => self.hellos += 1,
            ServerOutput::Transmit(_, ServerFrame::Welcome(_)) => self.welcomes += 1,
            ServerOutput::Transmit(_, ServerFrame::Bye(_)) => self.byes += 1,
            ServerOutput::Close(_) => self.closes += 1,
            ServerOutput::Request(frame, _) => {
                assert_eq!((self.welcomes, self.byes), (1, 0), "{frame:?} out of phase");
                let is_inner = matches!(
                    frame,
                    ClientFrame::Hello(_) | ClientFrame::Bye(_) | ClientFrame::Ping(_)
                );
                assert!(!is_inner, "{frame:?} belongs inside");
            }
            ServerOutput::Transmit(..) => assert_eq!((self.welcomes, self.byes), (1, 0)),
        }
        assert!(self.hellos <= 1 && self.welcomes <= self.hellos && self.byes <= 1);
    }
}

fn run_server(ops: Vec<Op>, welcome: &Welcome) {
    let mut now = Instant::now();
    let mut talk = ServerConversation::new(now);
    let mut watch = ServerWatch::default();
    let mut phase = talk.phase();
    for op in ops {
        match &op {
            Op::Live(bytes) => talk.handle_input(ServerInput::LiveBytes(bytes), now),
            Op::Bulk(bytes) => talk.handle_input(ServerInput::BulkBytes(bytes), now),
            Op::Datagram(bytes) => talk.handle_input(ServerInput::Datagram(bytes), now),
            Op::Message(bytes) => {
                talk.handle_input(ServerInput::Message(bytes.clone().into()), now);
            }
            Op::Agree => talk.handle_input(ServerInput::Admit(Box::new(welcome.clone())), now),
            Op::Refuse => {
                talk.handle_input(ServerInput::Refuse(bye(CloseCode::TOKEN_REFUSED)), now);
            }
            Op::Drain => talk.handle_input(ServerInput::Drain(goaway()), now),
            Op::Close => talk.handle_input(ServerInput::Close(bye(CloseCode::SLOW)), now),
            Op::LinkClosed => talk.handle_input(ServerInput::LinkClosed, now),
            Op::Wait(ms) => {
                now += Duration::from_millis(*ms);
                talk.handle_timeout(now);
            }
        }
        while let Some(output) = talk.poll_output() {
            watch.see(&output);
        }
        assert!(
            talk.phase() >= phase,
            "{phase:?} came back to {:?}",
            talk.phase()
        );
        phase = talk.phase();
        assert_eq!(talk.poll_timeout().is_none(), phase == Phase::Closed);
    }
    // Left alone, it must end within a bounded number of deadlines.
    for _ in 0..4 {
        let Some(deadline) = talk.poll_timeout() else {
            break;
        };
        talk.handle_timeout(deadline.max(now));
        while let Some(output) = talk.poll_output() {
            watch.see(&output);
        }
    }
    assert_eq!(talk.phase(), Phase::Closed);
}

/// Checks the order of a client conversation's outputs.
#[derive(Default)]
struct ClientWatch {
    hellos: u32,
    welcomes: u32,
    byes: u32,
    ends: u32,
}

impl ClientWatch {
    fn see(&mut self, output: &ClientOutput) {
        assert_eq!(self.ends, 0, "{output:?} after Closed");
        match output {
            ClientOutput::Transmit(_, ClientFrame::Hello(_)) => self.hellos += 1,
            ClientOutput::Transmit(_, ClientFrame::Bye(_)) => self.byes += 1,
            ClientOutput::Welcome(_) => self.welcomes += 1,
            ClientOutput::Closed { .. } => self.ends += 1,
            ClientOutput::Transmit(..) | ClientOutput::Push(_) | ClientOutput::GoAway(_) => {
                assert_eq!(
                    (self.welcomes, self.byes),
                    (1, 0),
                    "{output:?} out of phase"
                );
            }
        }
        assert!(self.hellos == 1 && self.welcomes <= 1 && self.byes <= 1);
    }
}

fn run_client(ops: Vec<Op>) {
    let mut now = Instant::now();
    let mut talk = ClientConversation::new(hello(), now);
    let mut watch = ClientWatch::default();
    for op in ops {
        match &op {
            Op::Live(bytes) => talk.handle_input(ClientInput::LiveBytes(bytes), now),
            Op::Bulk(bytes) => talk.handle_input(ClientInput::BulkBytes(bytes), now),
            Op::Datagram(bytes) => talk.handle_input(ClientInput::Datagram(bytes), now),
            Op::Message(bytes) => {
                talk.handle_input(ClientInput::Message(bytes.clone().into()), now);
            }
            Op::Agree | Op::Refuse | Op::Drain => talk.handle_input(ClientInput::Sent, now),
            Op::Close => talk.handle_input(ClientInput::Close(bye(CloseCode::CLIENT_LEFT)), now),
            Op::LinkClosed => talk.handle_input(ClientInput::LinkClosed, now),
            Op::Wait(ms) => {
                now += Duration::from_millis(*ms);
                talk.handle_timeout(now);
            }
        }
        while let Some(output) = talk.poll_output() {
            watch.see(&output);
        }
        assert_eq!(talk.poll_timeout().is_none(), talk.phase() == Phase::Closed);
    }
    for _ in 0..4 {
        let Some(deadline) = talk.poll_timeout() else {
            break;
        };
        talk.handle_timeout(deadline.max(now));
        while let Some(output) = talk.poll_output() {
            watch.see(&output);
        }
    }
    assert_eq!(watch.ends, 1, "it never said Closed");
}

fn client_bytes() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        Just(ClientFrame::from(hello()).encode().to_vec()),
        client_frame().prop_map(|frame| frame.encode().to_vec()),
        client_frame().prop_map(|frame| frame.encode_datagram().to_vec()),
    ]
    .boxed()
}

fn server_bytes() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        strategies::welcome().prop_map(|frame| ServerFrame::from(frame).encode().to_vec()),
        server_frame().prop_map(|frame| frame.encode().to_vec()),
        server_frame().prop_map(|frame| frame.encode_datagram().to_vec()),
    ]
    .boxed()
}

proptest! {
    #[test]
    fn a_server_keeps_its_order(
        ops in vec(op(client_bytes()), 0..40),
        greets in any::<bool>(),
        welcome in strategies::welcome(),
    ) {
        let greeting = [Op::Live(ClientFrame::from(hello()).encode().to_vec()), Op::Agree];
        let ops = greeting.into_iter().filter(|_| greets).chain(ops).collect();
        run_server(ops, &welcome);
    }

    #[test]
    fn a_client_keeps_its_order(
        ops in vec(op(server_bytes()), 0..40),
        greets in any::<bool>(),
        welcome in strategies::welcome(),
    ) {
        let greeting = [Op::Live(ServerFrame::from(welcome).encode().to_vec())];
        let ops = greeting.into_iter().filter(|_| greets).chain(ops).collect();
        run_client(ops);
    }

    /// Two correct sides never complain about each other, however the bytes are cut into pieces.
    #[test]
    fn two_honest_sides_get_on(
        up in vec(client_frame().prop_filter("is a request", is_request), 0..10),
        down in vec(server_frame().prop_filter("is a push", is_push), 0..10),
        welcome in strategies::welcome(),
        piece in 1usize..50,
    ) {
        let now = Instant::now();
        let mut client = ClientConversation::new(hello(), now);
        let mut server = ServerConversation::new(now);
        let mut got_up = Vec::new();
        let mut got_down = Vec::new();
        loop {
            let mut is_quiet = true;
            while let Some(output) = client.poll_output() {
                is_quiet = false;
                match output {
                    ClientOutput::Transmit(_, frame) => feed_server(&mut server, &frame, piece, now),
                    ClientOutput::Welcome(_) => up.iter().for_each(|f| feed_server(&mut server, f, piece, now)),
                    ClientOutput::Push(frame) => got_down.push(frame),
                    other => panic!("{other:?}"),
                }
            }
            while let Some(output) = server.poll_output() {
                is_quiet = false;
                match output {
                    ServerOutput::Hello(_) => {
                        server.handle_input(ServerInput::Admit(Box::new(welcome.clone())), now);
                    }
                    ServerOutput::Transmit(_, frame) => {
                        feed_client(&mut client, &frame, piece, now);
                        if let ServerFrame::Welcome(_) = frame {
                            down.iter().for_each(|f| feed_client(&mut client, f, piece, now));
                        }
                    }
                    ServerOutput::Request(frame, _) => got_up.push(frame),
                    other => panic!("{other:?}"),
                }
            }
            if is_quiet {
                break;
            }
        }
        prop_assert_eq!(got_up, up);
        prop_assert_eq!(got_down, down);
    }

    /// The lane is the same whichever copies of it arrive in between, and in any order.
    #[test]
    fn copies_change_nothing(
        frames in vec(client_frame().prop_filter("is a request", is_request), 1..8),
        arrivals in vec((any::<bool>(), any::<u16>(), any::<u16>()), 0..60),
        welcome in strategies::welcome(),
    ) {
        let now = Instant::now();
        let greeting = ClientFrame::from(hello()).encode();
        let mut server = ServerConversation::new(now);
        server.handle_input(ServerInput::LiveBytes(&greeting), now);
        server.handle_input(ServerInput::Admit(Box::new(welcome)), now);
        let lane = frames.iter().flat_map(ClientFrame::encode).collect::<Vec<_>>();
        let mut streamed = 0;
        for (is_copy, at, length) in arrivals {
            let start = if is_copy { usize::from(at) % (lane.len() + 1) } else { streamed };
            let bytes = &lane[start..lane.len().min(start + usize::from(length) % 200)];
            if is_copy {
                let offset = (greeting.len() + start) as u64;
                let copy = LaneCopy { offset, bytes: bytes.to_vec().into() };
                server.handle_input(ServerInput::Datagram(&encode_datagram(&copy)), now);
            } else {
                server.handle_input(ServerInput::LiveBytes(bytes), now);
                streamed += bytes.len();
            }
        }
        server.handle_input(ServerInput::LiveBytes(&lane[streamed..]), now);
        let outputs = std::iter::from_fn(|| server.poll_output());
        let requests: Vec<_> = outputs.filter_map(|output| match output {
            ServerOutput::Request(frame, Lane::Live) => Some(frame),
            ServerOutput::Hello(_) | ServerOutput::Transmit(..) => None,
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(requests, frames);
    }
}

fn feed_server(server: &mut ServerConversation, frame: &ClientFrame, piece: usize, now: Instant) {
    for piece in frame.encode().chunks(piece) {
        server.handle_input(ServerInput::LiveBytes(piece), now);
    }
}

fn feed_client(client: &mut ClientConversation, frame: &ServerFrame, piece: usize, now: Instant) {
    for piece in frame.encode().chunks(piece) {
        client.handle_input(ClientInput::LiveBytes(piece), now);
    }
}

fn is_request(frame: &ClientFrame) -> bool {
    !matches!(
        frame,
        ClientFrame::Hello(_)
            | ClientFrame::Bye(_)
            | ClientFrame::Ping(_)
            | ClientFrame::Pong(_)
            | ClientFrame::LaneCopy(_)
    )
}

fn is_push(frame: &ServerFrame) -> bool {
    !matches!(
        frame,
        ServerFrame::Welcome(_)
            | ServerFrame::Bye(_)
            | ServerFrame::GoAway(_)
            | ServerFrame::Ping(_)
            | ServerFrame::Pong(_)
            | ServerFrame::LaneCopy(_)
    )
}
