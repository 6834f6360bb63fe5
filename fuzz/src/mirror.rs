//! A second definition of the frames, for wincode: the same fields in the same order, with its
//! derive.
//!
//! Enums and codes are their numbers. [`Body`] and [`Framed`] check and normalise as the real ones do.

use std::mem::MaybeUninit;

use wincode::{
    ReadError, ReadResult, SchemaRead, SchemaWrite, WriteResult,
    config::{Config, Configuration},
    io::{Reader, Writer},
};

/// The configuration that writes what bincode's `standard` writes.
pub const CONFIG: MirrorConfig = Configuration::default().with_varint_encoding();

/// The type of [`CONFIG`].
pub type MirrorConfig = Configuration<
    true,
    { wincode::config::DEFAULT_PREALLOCATION_SIZE_LIMIT },
    wincode::len::BincodeLen,
    wincode::int_encoding::LittleEndian,
    wincode::int_encoding::VarInt,
>;

/// A record with a length in front.
pub struct Framed<T>(T);

// SAFETY: `TYPE_META` is the default, and `size_of` counts what `write` writes.
unsafe impl<C: Config, T: SchemaWrite<C, Src = T>> SchemaWrite<C> for Framed<T> {
    type Src = Self;

    fn size_of(src: &Self) -> WriteResult<usize> {
        let length = T::size_of(&src.0)?;
        <Vec<u8> as SchemaWrite<C>>::size_of(&vec![0; length])
    }

    fn write(writer: impl Writer, src: &Self) -> WriteResult<()> {
        let mut record = Vec::new();
        T::write(&mut record, &src.0)?;
        <Vec<u8> as SchemaWrite<C>>::write(writer, &record)
    }
}

// SAFETY: `TYPE_META` is the default, and `dst` is written exactly when the result is `Ok`.
unsafe impl<'de, C: Config, T> SchemaRead<'de, C> for Framed<T>
where
    T: for<'a> SchemaRead<'a, C, Dst = T>,
{
    type Dst = Self;

    fn read(reader: impl Reader<'de>, dst: &mut MaybeUninit<Self>) -> ReadResult<()> {
        let record = <Vec<u8> as SchemaRead<'de, C>>::get(reader)?;
        dst.write(Self(T::get(&record[..])?));
        Ok(())
    }
}

/// What a message says.
pub struct Body {
    kind: u32,
    data: Vec<u8>,
}

// SAFETY: `TYPE_META` is the default, and `size_of` counts what `write` writes.
unsafe impl<C: Config> SchemaWrite<C> for Body {
    type Src = Self;

    fn size_of(src: &Self) -> WriteResult<usize> {
        let kind = <u32 as SchemaWrite<C>>::size_of(&src.kind)?;
        Ok(kind + <Vec<u8> as SchemaWrite<C>>::size_of(&src.data)?)
    }

    fn write(mut writer: impl Writer, src: &Self) -> WriteResult<()> {
        <u32 as SchemaWrite<C>>::write(writer.by_ref(), &src.kind)?;
        <Vec<u8> as SchemaWrite<C>>::write(writer, &src.data)
    }
}

// SAFETY: `TYPE_META` is the default, and `dst` is written exactly when the result is `Ok`.
unsafe impl<'de, C: Config> SchemaRead<'de, C> for Body {
    type Dst = Self;

    fn read(mut reader: impl Reader<'de>, dst: &mut MaybeUninit<Self>) -> ReadResult<()> {
        let kind = <u32 as SchemaRead<'de, C>>::get(reader.by_ref())?;
        let mut data = <Vec<u8> as SchemaRead<'de, C>>::get(reader)?;
        match kind {
            0 => data.clear(),
            1 if std::str::from_utf8(&data).is_err() => {
                return Err(ReadError::Custom("a text is UTF-8"));
            }
            _ => {}
        }
        dst.write(Self { kind, data });
        Ok(())
    }
}

macro_rules! mirror {
    ($($name:ident { $($field:ident: $kind:ty,)* })*) => {$(
        #[allow(missing_docs, reason = "documented at the frame that it mirrors")]
        #[derive(SchemaRead, SchemaWrite)]
        pub struct $name { $($field: $kind,)* }
    )*};
}

type Id = [u8; 16];

mirror! {
    VersionRange { min: u16, max: u16, }
    Position { epoch: u32, seq: u64, }
    Resume { chat: Id, position: Position, }
    Hello { versions: VersionRange, connect_token: String, agent: String, resume: Vec<Resume>, }
    Limits {
        frame_bytes_max: u32, text_bytes_max: u32, text_graphemes_max: u32,
        ping_interval_ms: u32, idle_timeout_ms: u32, seat_hold_ms: u32,
    }
    Welcome {
        version: u16, connection: Id, server_time_ms: u64, limits: Framed<Limits>,
        ticket: Option<Framed<TicketState>>, chat: Option<Framed<ChatState>>,
    }
    Bye { code: u16, retry_after_ms: u32, reason: String, }
    Endpoint { webtransport: String, websocket: String, }
    GoAway { retry_after_ms: u32, endpoint: Option<Framed<Endpoint>>, }
    Ping { nonce: u32, }
    Pong { nonce: u32, }
    LaneCopy { offset: u64, bytes: Vec<u8>, }
    Done { request: u32, }
    Fail { request: u32, code: u16, retry_after_ms: u32, detail: String, }
    Join { request: u32, category: String, interests: Vec<String>, }
    Cancel { request: u32, ticket: Id, }
    TicketState {
        ticket: Id, category: String, interests: Vec<String>, since_ms: u64, stage: u8, waiting: u32,
    }
    Queued { request: u32, ticket: Framed<TicketState>, }
    Widened { ticket: Id, stage: u8, }
    Matched { ticket: Id, chat: Framed<ChatState>, }
    TicketEnded { ticket: Id, code: u16, }
    Why { shared_interests: Vec<String>, is_same_language: bool, }
    Member {
        name: String, language: String, seat: u8, held_until_ms: u64,
        delivered: Position, read: Position,
    }
    ChatState {
        chat: Id, category: String, members: Vec<Framed<Member>>, you: u8, why: Framed<Why>,
        head: Position, resumed: Position, unread: u32, started_at_ms: u64, expires_at_ms: u64,
    }
    Send { request: u32, chat: Id, client_message_id: Id, reply_to: Option<Position>, body: Body, }
    Ack { request: u32, position: Position, at_ms: u64, }
    Message {
        chat: Id, position: Position, member: u8, client_message_id: Id, at_ms: u64,
        reply_to: Option<Position>, body: Body,
    }
    Delivered { chat: Id, position: Position, }
    Read { chat: Id, position: Position, }
    Delete { request: u32, chat: Id, position: Position, }
    Deleted { chat: Id, position: Position, }
    Leave { request: u32, chat: Id, }
    Next { request: u32, chat: Id, }
    Block { request: u32, chat: Id, }
    Ended { chat: Id, reason: u8, member: Option<u8>, expires_at_ms: u64, }
    Seat { chat: Id, member: u8, state: u8, held_until_ms: u64, }
    Idle { chat: Id, ends_at_ms: u64, }
    Gone { chat: Id, }
    History { request: u32, chat: Id, before: Option<Position>, limit: u16, }
    Page { request: u32, messages: Vec<Framed<Message>>, has_more: bool, }
    Typing { chat: Id, is_typing: bool, }
    MemberTyping { chat: Id, member: u8, is_typing: bool, }
    Presence { chat: Id, state: u8, }
    MemberPresence { chat: Id, member: u8, state: u8, }
    ReadCursor { chat: Id, member: u8, delivered: Position, read: Position, }
}
