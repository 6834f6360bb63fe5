//! Every frame of the protocol, and the table of their numbers.
//!
//! A frame is a struct whose fields are its body, in order. The table below gives each frame its
//! number, its sender and its lane. Numbers are never reused. A body grows at its end only; records
//! inside it that may grow are [`crate::Framed`]. A receiver skips types it does not know and
//! ignores bytes after the last field it knows.
//!
//! Families: [`connect`] 1-15, [`queue`] 16-31, [`chat`] 32-63, [`history`] 64-79, [`signal`] 80-95.

use serde::{Serialize, de::DeserializeOwned};

use crate::{codec, codec::DecodeError, envelope};

pub mod chat;
pub mod connect;
pub mod history;
pub mod queue;
pub mod signal;

pub use chat::*;
pub use connect::*;
pub use history::*;
pub use queue::*;
pub use signal::*;

/// Where a frame travels. On a WebSocket all lanes are the one message stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The first stream that the client opens: requests, replies, pushes.
    Live,
    /// The second stream that the client opens: history. Its frames may also use the live lane.
    Bulk,
    /// Datagrams: signals, which may be lost and on a WebSocket are dropped rather than queued, and
    /// copies of the live lane.
    Datagram,
}

/// Who sends a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The client only.
    Client,
    /// The server only.
    Server,
    /// Both.
    Both,
}

/// One row of the table of frames.
#[derive(Clone, Copy, Debug)]
pub struct FrameInfo {
    /// Type number on the wire.
    pub kind: u32,
    /// Name of the struct.
    pub name: &'static str,
    /// Who sends it.
    pub sender: Sender,
    /// Where it travels.
    pub lane: Lane,
}

/// A frame: a body with a type number and a lane.
pub trait Frame: Serialize + DeserializeOwned {
    /// Type number on the wire.
    const KIND: u32;
    /// Name of the struct.
    const NAME: &'static str;
    /// Where it travels.
    const LANE: Lane;
}

macro_rules! frames {
    (
        both { $($bkind:literal $both:ident $blane:ident;)* }
        client { $($ckind:literal $client:ident $clane:ident;)* }
        server { $($skind:literal $server:ident $slane:ident;)* }
    ) => {
        frames!(@traits $($bkind $both $blane;)* $($ckind $client $clane;)* $($skind $server $slane;)*);
        frames!(@enum
            "A frame that a client sends." ClientFrame
            $($bkind $both $blane;)* $($ckind $client $clane;)*);
        frames!(@enum
            "A frame that a server sends." ServerFrame
            $($bkind $both $blane;)* $($skind $server $slane;)*);

        /// The table: every frame, by sender and number.
        pub const FRAMES: &[FrameInfo] = &[
            $(FrameInfo { kind: $bkind, name: stringify!($both), sender: Sender::Both, lane: Lane::$blane },)*
            $(FrameInfo { kind: $ckind, name: stringify!($client), sender: Sender::Client, lane: Lane::$clane },)*
            $(FrameInfo { kind: $skind, name: stringify!($server), sender: Sender::Server, lane: Lane::$slane },)*
        ];

        /// The row of type `kind`, if this version knows it.
        pub const fn info(kind: u32) -> Option<FrameInfo> {
            Some(match kind {
                $($bkind => FrameInfo { kind, name: stringify!($both), sender: Sender::Both, lane: Lane::$blane },)*
                $($ckind => FrameInfo { kind, name: stringify!($client), sender: Sender::Client, lane: Lane::$clane },)*
                $($skind => FrameInfo { kind, name: stringify!($server), sender: Sender::Server, lane: Lane::$slane },)*
                _ => return None,
            })
        }
    };
    (@traits $($kind:literal $name:ident $lane:ident;)*) => {$(
        impl Frame for $name {
            const KIND: u32 = $kind;
            const NAME: &'static str = stringify!($name);
            const LANE: Lane = Lane::$lane;
        }
    )*};
    (@enum $doc:literal $enum:ident $($kind:literal $name:ident $lane:ident;)*) => {
        #[doc = $doc]
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "each variant is documented at its struct")]
        pub enum $enum { $($name($name),)* }

        impl $enum {
            /// Decodes the body of type `kind`; `None` when this version does not know the type.
            ///
            /// # Errors
            /// [`DecodeError`] when the body is not of that type.
            pub fn decode(kind: u32, body: &[u8]) -> Result<Option<Self>, DecodeError> {
                match kind {
                    $($kind => codec::decode(body).map(|frame| Some(Self::$name(frame))),)*
                    _ => Ok(None),
                }
            }

            /// Its type number.
            pub fn kind(&self) -> u32 {
                match self { $(Self::$name(_) => $kind,)* }
            }

            /// Its name.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)* }
            }

            /// The lane it belongs to.
            pub fn lane(&self) -> Lane {
                match self { $(Self::$name(_) => Lane::$lane,)* }
            }

            /// Its stream envelope.
            pub fn encode(&self) -> bytes::Bytes {
                match self { $(Self::$name(frame) => envelope::encode(frame),)* }
            }

            /// Appends its stream envelope.
            pub fn encode_into(&self, out: &mut Vec<u8>) {
                match self { $(Self::$name(frame) => envelope::encode_into(frame, out),)* }
            }

            /// Its datagram envelope.
            pub fn encode_datagram(&self) -> bytes::Bytes {
                match self { $(Self::$name(frame) => envelope::encode_datagram(frame),)* }
            }
        }

        $(impl From<$name> for $enum {
            fn from(frame: $name) -> Self {
                Self::$name(frame)
            }
        })*
    };
}

frames! {
    both {
        3 Bye Live;
        5 Ping Live;
        6 Pong Live;
        9 LaneCopy Datagram;
    }
    client {
        1 Hello Live;
        16 Join Live;
        18 Cancel Live;
        32 Send Live;
        35 Delivered Live;
        36 Read Live;
        37 Delete Live;
        39 Leave Live;
        40 Next Live;
        41 Block Live;
        64 History Bulk;
        80 Typing Datagram;
        82 Presence Datagram;
    }
    server {
        2 Welcome Live;
        4 GoAway Live;
        7 Done Live;
        8 Fail Live;
        17 Queued Live;
        19 Widened Live;
        20 Matched Live;
        21 TicketEnded Live;
        33 Ack Live;
        34 Message Live;
        38 Deleted Live;
        42 Ended Live;
        43 Seat Live;
        44 Idle Live;
        45 Gone Live;
        65 Page Bulk;
        81 MemberTyping Datagram;
        83 MemberPresence Datagram;
        84 ReadCursor Datagram;
    }
}
