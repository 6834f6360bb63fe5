//! Building blocks of bodies that must be able to grow: length-prefixed records and open enums.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _, SeqAccess, Visitor},
};

use crate::codec;

/// A record with its length in front, so that a later version can append fields to it even inside a
/// list or in the middle of a frame. On the wire: a byte string that holds the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Framed<T>(pub T);

impl<T> std::ops::Deref for Framed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Serialize> Serialize for Framed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.0.serialize(serializer)
        } else {
            serializer.serialize_bytes(&codec::encode(&self.0))
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Framed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return T::deserialize(deserializer).map(Self);
        }
        let bytes = bytes::Bytes::deserialize(deserializer)?;
        codec::decode(&bytes).map(Self).map_err(D::Error::custom)
    }
}

/// Bytes that are written as a byte string; a slice by itself would be a list of numbers.
pub(crate) struct ByteString<'a>(pub(crate) &'a [u8]);

impl Serialize for ByteString<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Most list items for which memory is reserved before they are read. Longer lists grow as their
/// items arrive: a false length costs its sender the connection and costs us nothing.
const LIST_ITEMS_AHEAD_MAX: usize = 16;

/// Reads a list without trusting its length. For `#[serde(deserialize_with)]` on every `Vec` of
/// this crate; the usual reader of a `Vec` would reserve up to 1 MiB for a false length.
pub(crate) fn list<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_seq(ListVisitor(PhantomData))
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let claimed = items.size_hint().unwrap_or(0);
        let mut list = Vec::with_capacity(claimed.min(LIST_ITEMS_AHEAD_MAX));
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(list)
    }
}

/// Declares an enum of named numbers. A number that this version does not know, sent by a newer
/// peer, decodes to `Unknown`. One byte on the wire.
macro_rules! open_enum {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(from = "u8", into = "u8")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A number of a newer version.
            Unknown(u8),
        }

        impl From<u8> for $name {
            fn from(number: u8) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    other => Self::Unknown(other),
                }
            }
        }

        impl From<$name> for u8 {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => $number,)*
                    $name::Unknown(number) => number,
                }
            }
        }
    };
}
pub(crate) use open_enum;
