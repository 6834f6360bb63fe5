//! The streams that only the client writes to: its control stream, and the two of QPACK, which stay silent
//! because the dynamic table has no room. Their bytes are read, checked and dropped.

use bytes::{Buf as _, BytesMut};

use crate::{Frame, Frames, H3Error, varint};

/// Type of a control stream.
pub(crate) const CONTROL: u64 = 0x00;

const PUSH: u64 = 0x01;
const QPACK_ENCODER: u64 = 0x02;
const QPACK_DECODER: u64 = 0x03;

/// What a stream turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The control stream: one per connection, and it must not end.
    Control,
    /// The encoder stream of QPACK: likewise.
    QpackEncoder,
    /// The decoder stream of QPACK: likewise.
    QpackDecoder,
    /// Anything else: ignored.
    Unknown,
}

impl Role {
    /// Whether the connection ends with the stream.
    pub fn is_critical(self) -> bool {
        self != Self::Unknown
    }
}

/// One stream that only the client writes to.
#[derive(Debug, Default)]
pub struct Unidirectional {
    role: Option<Role>,
    /// The front of the stream until its type is known: less than eight bytes.
    front: BytesMut,
    frames: Frames,
    has_settings: bool,
}

impl Unidirectional {
    /// The role of the stream, once its first bytes have come.
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`H3Error`] for a stream that a client must not open, or a control stream that does not begin with
    /// settings or has a frame that is not allowed there.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), H3Error> {
        let role = match self.role {
            Some(role) => {
                if role == Role::Control {
                    self.frames.feed(bytes);
                }
                role
            }
            None => {
                self.front.extend_from_slice(bytes);
                let Some((kind, length)) = varint::read(&self.front) else {
                    return Ok(());
                };
                self.front.advance(length);
                let rest = std::mem::take(&mut self.front);
                self.frames.feed(&rest);
                *self.role.insert(role(kind)?)
            }
        };
        if role == Role::Control {
            return self.control();
        }
        self.frames = Frames::default();
        Ok(())
    }

    fn control(&mut self) -> Result<(), H3Error> {
        while let Some(frame) = self.frames.next()? {
            match frame {
                Frame::Settings(_) if !self.has_settings => self.has_settings = true,
                _ if !self.has_settings => return Err(H3Error::MISSING_SETTINGS),
                _ => return Err(H3Error::FRAME_UNEXPECTED),
            }
        }
        Ok(())
    }
}

fn role(kind: u64) -> Result<Role, H3Error> {
    match kind {
        CONTROL => Ok(Role::Control),
        PUSH => Err(H3Error::STREAM_CREATION),
        QPACK_ENCODER => Ok(Role::QpackEncoder),
        QPACK_DECODER => Ok(Role::QpackDecoder),
        _ => Ok(Role::Unknown),
    }
}
