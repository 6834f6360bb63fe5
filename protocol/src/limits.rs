//! Every bound of the protocol, with its unit and its reason. The TypeScript SDK's copies are
//! generated from here; `SPEC.md` lists them.

use std::time::Duration;

use crate::envelope::HEADER_BYTES_MAX;

/// Longest frame body in bytes. A page of history fits. An attacker can make a peer hold this many
/// bytes for each of the two lanes of a connection.
pub const FRAME_BYTES_MAX: usize = 65_536;

/// Longest frame body in bytes before `Welcome`: a `Hello` needs far less, and the sender is unknown.
pub const HELLO_BYTES_MAX: usize = 4_096;

/// Longest datagram in bytes, its type included. Firefox offers 1,024, Chromium 1,211.
pub const DATAGRAM_BYTES_MAX: usize = 1_000;

/// Most bytes of the live lane in one `LaneCopy`: with its header it is a datagram of
/// [`DATAGRAM_BYTES_MAX`].
pub const COPY_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - 13;

/// Longest WebSocket message of a client in bytes: one frame of the longest body and its header.
/// Several small frames may share a message up to this.
pub const WEBSOCKET_MESSAGE_BYTES_MAX: usize = FRAME_BYTES_MAX + HEADER_BYTES_MAX;

/// Longest WebSocket message of a server in bytes: the server gathers many messages of a chat into
/// one write, and a client trusts its server with this much memory.
pub const WEBSOCKET_BATCH_BYTES_MAX: usize = 1_048_576;

/// Longest text of a message in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 8_000;

/// Longest text of a message in graphemes (what people count as characters).
pub const TEXT_GRAPHEMES_MAX: usize = 2_000;

/// Shortest and longest user name in graphemes, after NFC.
pub const NAME_GRAPHEMES_MIN: usize = 2;
/// See [`NAME_GRAPHEMES_MIN`].
pub const NAME_GRAPHEMES_MAX: usize = 24;
/// Longest user name in bytes of UTF-8: stacked combining marks make graphemes long.
pub const NAME_BYTES_MAX: usize = 120;

/// Most interests of a user or a ticket.
pub const INTERESTS_MAX: usize = 10;
/// Longest interest in bytes of UTF-8.
pub const INTEREST_BYTES_MAX: usize = 64;

/// Longest category id in bytes: lower-case ASCII letters, digits and hyphens.
pub const CATEGORY_BYTES_MAX: usize = 48;

/// How many numbers a proof of work has: the time to find several varies less than the time to find one
/// that is as dear, and each costs the server a check.
pub const PROOF_SEARCHES: usize = 2;

/// Most numbers that have to be tried for each one that is found, on average.
pub const PROOF_WORK_MAX: u16 = 16_000;

/// Longest connect token in bytes (ASCII).
pub const CONNECT_TOKEN_BYTES_MAX: usize = 128;

/// Longest `agent` of a `Hello` in bytes: name and version of the client library.
pub const AGENT_BYTES_MAX: usize = 64;

/// Most chats that one `Hello` may resume. A user has one active chat and may be looking at the
/// last one.
pub const RESUME_CHATS_MAX: usize = 4;

/// Most messages of one `Page`; [`PAGE_BYTES_MAX`] bounds a page too.
pub const PAGE_MESSAGES_MAX: usize = 100;

/// Longest body of a `Page` in bytes. A decoder charges eight bytes for every length that it reads,
/// so a page of [`PAGE_MESSAGES_MAX`] messages is readable only if it leaves some room below
/// [`FRAME_BYTES_MAX`].
pub const PAGE_BYTES_MAX: usize = FRAME_BYTES_MAX - 1_024;

/// Most messages of one chat. At one message a second a chat reaches it after almost three hours;
/// beyond it `Send` fails with `CHAT_FULL`.
pub const CHAT_MESSAGES_MAX: usize = 10_000;

/// Most bytes of all texts of one chat, as they are stored: a thousand of the longest. Beyond it `Send` fails with
/// `CHAT_FULL`.
pub const CHAT_TEXT_BYTES_MAX: u64 = 8_000_000;

/// Most sends of one connection that wait for their `Ack`. A client holds back any further ones
/// itself.
pub const UNACKED_SENDS_MAX: usize = 128;

/// Unknown frames that a peer may send before the connection is closed with `TOO_MANY_UNKNOWN`:
/// room for a newer peer, no room for noise.
pub const UNKNOWN_FRAMES_MAX: u32 = 1_000;

/// Time from opening the live lane to a complete `Hello`.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(5);

/// Time from the first byte of a frame to its last.
pub const PARTIAL_FRAME_DEADLINE: Duration = Duration::from_secs(10);

/// A client that has sent nothing for this long sends a `Ping`.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);

/// A peer that has sent nothing for this long is closed with `IDLE`: two pings and a margin.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Time a client waits for the `Pong` to its `Ping` before it considers the connection dead.
pub const PONG_DEADLINE: Duration = Duration::from_secs(10);

/// While a person looks at the page and something was said lately, a client that has heard nothing
/// for this long sends a `Ping`: with [`QUICK_PONG_DEADLINE`] after it, a server or path that died
/// is found within 6 s.
pub const QUICK_PING_INTERVAL: Duration = Duration::from_secs(3);

/// Time a client waits for the `Pong` to such a `Ping`, unless three round trips are longer. A
/// packet that is lost twice is sent a third time within it.
pub const QUICK_PONG_DEADLINE: Duration = Duration::from_millis(2_500);

/// How long something that was said counts as lately: a conversation pauses, a forgotten page is
/// left.
pub const QUICK_FOR: Duration = Duration::from_secs(120);

/// Time a client waits for the reply to a request.
pub const REPLY_DEADLINE: Duration = Duration::from_secs(15);

/// Time from a write to its copy. If the copy were sent at once, QUIC would put both into one
/// packet, and they would be lost together.
pub const COPY_DELAY: Duration = Duration::from_millis(3);

/// Time from a write to its second copy, for a link that was dead for a moment: most such moments
/// are over by then, and over a long link QUIC's own timer fires later still.
pub const SECOND_COPY_DELAY: Duration = Duration::from_millis(80);

/// How far back a copy reaches, so that it also carries earlier writes that were lost together with
/// their copies.
pub const COPY_TAIL: Duration = Duration::from_millis(200);

/// Copies are sent only over a link whose shortest round trip is at least this. Over a shorter one
/// QUIC's own timer repairs a loss within 50 ms, and a packet that seems lost was mostly
/// acknowledged late by a busy machine.
pub const COPY_ROUND_TRIP_MIN: Duration = Duration::from_millis(10);

/// How long after a lost packet a link counts as lossy: at 2 % loss and one message a second,
/// losses are about a minute apart.
pub const LOSSY_FOR: Duration = Duration::from_secs(300);

/// Time from `Bye` to the hard close: the other side can read it and close first.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// How long a peer may refuse bytes before it is closed with `SLOW`.
pub const SLOW_DEADLINE: Duration = Duration::from_secs(10);

/// How long the seat of a member without a connection is held.
pub const SEAT_HOLD: Duration = Duration::from_secs(90);

/// How long the ticket of a user without a connection is held. It is not matched meanwhile.
pub const TICKET_HOLD: Duration = Duration::from_secs(30);

/// How long a typing signal is valid: the sender repeats it while typing, the receiver lets it
/// lapse.
pub const TYPING_LIFETIME: Duration = Duration::from_secs(5);

/// Life of a connect token.
pub const CONNECT_TOKEN_LIFETIME: Duration = Duration::from_secs(30);

/// Longest life of anything that a person wrote.
pub const RETENTION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
