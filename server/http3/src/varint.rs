//! Variable-length integers (RFC 9000 §16).

use bytes::{BufMut, BytesMut};

/// The integer at the front and how many bytes it takes; `None` when it is cut off.
pub(crate) fn read(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let bytes = bytes.get(..length)?;
    let start = u64::from(first & 0x3f);
    let value = bytes[1..]
        .iter()
        .fold(start, |value, byte| value << 8 | u64::from(*byte));
    Some((value, length))
}

/// Appends an integer of at most 62 bits in its shortest form; higher bits cannot be written.
pub(crate) fn put_varint(out: &mut BytesMut, value: u64) {
    match value {
        0..0x40 => out.put_u8(value as u8),
        0x40..0x4000 => out.put_u16(0x4000 | value as u16),
        0x4000..0x4000_0000 => out.put_u32(0x8000_0000 | value as u32),
        _ => out.put_u64(0xc000_0000_0000_0000 | value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        for (value, bytes) in [
            (
                151_288_809_941_952_652,
                &b"\xc2\x19\x7c\x5e\xff\x14\xe8\x8c"[..],
            ),
            (494_878_333, b"\x9d\x7f\x3e\x7d"),
            (15_293, b"\x7b\xbd"),
            (37, b"\x25"),
        ] {
            assert_eq!(read(bytes), Some((value, bytes.len())));
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(read(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(read(b"\x40\x25"), Some((37, 2)), "a longer form is allowed");
    }
}
