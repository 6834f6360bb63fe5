//! A strategy for every frame.

use nowrong_protocol::{
    ChatId, ClientFrame, ClientMessageId, CloseCode, ConnectionId, ErrorCode, Framed, Position,
    ServerFrame, TicketId, frame::*, version::VersionRange,
};
use proptest::{collection::vec, option, prelude::*};

fn number<T: From<u8> + Arbitrary + 'static>() -> BoxedStrategy<T> {
    prop_oneof![any::<u8>().prop_map(T::from), any::<T>()].boxed()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "\\PC{0,40}", "[a-z]{245,260}"]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..4)
}

fn bytes() -> impl Strategy<Value = bytes::Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Into::into)
}

fn framed<T: std::fmt::Debug>(inner: impl Strategy<Value = T>) -> impl Strategy<Value = Framed<T>> {
    inner.prop_map(Framed)
}

macro_rules! ids {
    ($($function:ident $name:ident;)*) => {$(
        fn $function() -> impl Strategy<Value = $name> {
            any::<[u8; 16]>().prop_map($name::from_bytes)
        }
    )*};
}

ids! {
    chat_id ChatId;
    ticket_id TicketId;
    connection_id ConnectionId;
    message_id ClientMessageId;
}

macro_rules! records {
    ($($function:ident $name:ident { $($field:ident: $strategy:expr,)* })*) => {$(
        pub(super) fn $function() -> impl Strategy<Value = $name> {
            ($($strategy,)*).prop_map(|($($field,)*)| $name { $($field,)* })
        }
    )*};
}

records! {
    position Position { epoch: number::<u32>(), seq: number::<u64>(), }
    versions VersionRange { min: number::<u16>(), max: number::<u16>(), }
    resume Resume { chat: chat_id(), position: position(), }
    hello Hello { versions: versions(), connect_token: text(), agent: text(), resume: vec(resume(), 0..5), }
    limits Limits {
        frame_bytes_max: number::<u32>(), text_bytes_max: number::<u32>(),
        text_graphemes_max: number::<u32>(), ping_interval_ms: number::<u32>(),
        idle_timeout_ms: number::<u32>(), seat_hold_ms: number::<u32>(),
    }
    welcome Welcome {
        version: number::<u16>(), connection: connection_id(), server_time_ms: number::<u64>(),
        limits: framed(limits()), ticket: option::of(framed(ticket_state())),
        chat: option::of(framed(chat_state())),
    }
    bye Bye { code: number::<u16>().prop_map(CloseCode), retry_after_ms: number::<u32>(), reason: text(), }
    endpoint Endpoint { webtransport: text(), websocket: text(), }
    go_away GoAway { retry_after_ms: number::<u32>(), endpoint: option::of(framed(endpoint())), }
    ping Ping { nonce: number::<u32>(), }
    pong Pong { nonce: number::<u32>(), }
    lane_copy LaneCopy { offset: prop_oneof![0u64..600, any::<u64>()], bytes: bytes(), }
    done Done { request: number::<u32>(), }
    fail Fail {
        request: number::<u32>(), code: number::<u16>().prop_map(ErrorCode),
        retry_after_ms: number::<u32>(), detail: text(),
    }
    join Join { request: number::<u32>(), category: text(), interests: texts(), }
    cancel Cancel { request: number::<u32>(), ticket: ticket_id(), }
    ticket_state TicketState {
        ticket: ticket_id(), category: text(), interests: texts(), since_ms: number::<u64>(),
        stage: any::<u8>().prop_map(Stage::from), waiting: number::<u32>(),
    }
    queued Queued { request: number::<u32>(), ticket: framed(ticket_state()), }
    widened Widened { ticket: ticket_id(), stage: any::<u8>().prop_map(Stage::from), }
    matched Matched { ticket: ticket_id(), chat: framed(chat_state()), }
    ticket_ended TicketEnded { ticket: ticket_id(), code: number::<u16>().prop_map(ErrorCode), }
    member Member {
        name: text(), language: text(), seat: any::<u8>().prop_map(SeatState::from),
        held_until_ms: number::<u64>(), delivered: position(), read: position(),
    }
    why Why { shared_interests: texts(), is_same_language: any::<bool>(), }
    chat_state ChatState {
        chat: chat_id(), category: text(), members: vec(framed(member()), 0..3), you: any::<u8>(),
        why: framed(why()), head: position(), resumed: position(), unread: number::<u32>(),
        started_at_ms: number::<u64>(), expires_at_ms: number::<u64>(),
    }
    send Send {
        request: number::<u32>(), chat: chat_id(), client_message_id: message_id(),
        reply_to: option::of(position()), body: body(),
    }
    ack Ack { request: number::<u32>(), position: position(), at_ms: number::<u64>(), }
    message Message {
        chat: chat_id(), position: position(), member: any::<u8>(), client_message_id: message_id(),
        at_ms: number::<u64>(), reply_to: option::of(position()), body: body(),
    }
    delivered Delivered { chat: chat_id(), position: position(), }
    read Read { chat: chat_id(), position: position(), }
    delete Delete { request: number::<u32>(), chat: chat_id(), position: position(), }
    deleted Deleted { chat: chat_id(), position: position(), }
    leave Leave { request: number::<u32>(), chat: chat_id(), }
    next Next { request: number::<u32>(), chat: chat_id(), }
    block Block { request: number::<u32>(), chat: chat_id(), }
    ended Ended {
        chat: chat_id(), reason: any::<u8>().prop_map(EndReason::from),
        member: option::of(any::<u8>()), expires_at_ms: number::<u64>(),
    }
    seat Seat {
        chat: chat_id(), member: any::<u8>(), state: any::<u8>().prop_map(SeatState::from),
        held_until_ms: number::<u64>(),
    }
    idle Idle { chat: chat_id(), ends_at_ms: number::<u64>(), }
    gone Gone { chat: chat_id(), }
    history History {
        request: number::<u32>(), chat: chat_id(), before: option::of(position()),
        limit: number::<u16>(),
    }
    page Page { request: number::<u32>(), messages: vec(framed(message()), 0..4), has_more: any::<bool>(), }
    typing Typing { chat: chat_id(), is_typing: any::<bool>(), }
    member_typing MemberTyping { chat: chat_id(), member: any::<u8>(), is_typing: any::<bool>(), }
    presence Presence { chat: chat_id(), state: any::<u8>().prop_map(PresenceState::from), }
    member_presence MemberPresence {
        chat: chat_id(), member: any::<u8>(), state: any::<u8>().prop_map(PresenceState::from),
    }
    read_cursor ReadCursor {
        chat: chat_id(), member: any::<u8>(), delivered: position(), read: position(),
    }
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::Deleted),
        text().prop_map(Body::Text),
        (2u32.., bytes()).prop_map(|(kind, data)| Body::Unknown { kind, data }),
    ]
}

pub(super) fn client_frame() -> impl Strategy<Value = ClientFrame> {
    let opening = prop_oneof![
        hello().prop_map(ClientFrame::from),
        bye().prop_map(ClientFrame::from),
        ping().prop_map(ClientFrame::from),
        pong().prop_map(ClientFrame::from),
        lane_copy().prop_map(ClientFrame::from),
        join().prop_map(ClientFrame::from),
        cancel().prop_map(ClientFrame::from),
    ];
    let chat = prop_oneof![
        send().prop_map(ClientFrame::from),
        delivered().prop_map(ClientFrame::from),
        read().prop_map(ClientFrame::from),
        delete().prop_map(ClientFrame::from),
        leave().prop_map(ClientFrame::from),
        next().prop_map(ClientFrame::from),
        block().prop_map(ClientFrame::from),
        history().prop_map(ClientFrame::from),
        typing().prop_map(ClientFrame::from),
        presence().prop_map(ClientFrame::from),
    ];
    prop_oneof![opening, chat]
}

pub(super) fn server_frame() -> impl Strategy<Value = ServerFrame> {
    let opening = prop_oneof![
        welcome().prop_map(ServerFrame::from),
        bye().prop_map(ServerFrame::from),
        go_away().prop_map(ServerFrame::from),
        ping().prop_map(ServerFrame::from),
        pong().prop_map(ServerFrame::from),
        done().prop_map(ServerFrame::from),
        fail().prop_map(ServerFrame::from),
        queued().prop_map(ServerFrame::from),
        widened().prop_map(ServerFrame::from),
        matched().prop_map(ServerFrame::from),
    ];
    let chat = prop_oneof![
        ticket_ended().prop_map(ServerFrame::from),
        ack().prop_map(ServerFrame::from),
        message().prop_map(ServerFrame::from),
        deleted().prop_map(ServerFrame::from),
        ended().prop_map(ServerFrame::from),
        seat().prop_map(ServerFrame::from),
        idle().prop_map(ServerFrame::from),
        gone().prop_map(ServerFrame::from),
        page().prop_map(ServerFrame::from),
    ];
    let signals = prop_oneof![
        member_typing().prop_map(ServerFrame::from),
        member_presence().prop_map(ServerFrame::from),
        read_cursor().prop_map(ServerFrame::from),
        lane_copy().prop_map(ServerFrame::from),
    ];
    prop_oneof![opening, chat, signals]
}

/// A message with wide numbers and this text.
pub(super) fn message_with(text: &str) -> Message {
    Message {
        chat: ChatId::from_bytes([1; 16]),
        position: Position::new(u32::MAX, u64::MAX),
        member: 1,
        client_message_id: ClientMessageId::from_bytes([2; 16]),
        at_ms: u64::MAX,
        reply_to: None,
        body: Body::Text(text.into()),
    }
}
