//! A check of a header section (RFC 9204 §4.5) before it is decoded: its integers are bounded and its strings
//! end. The decoder of wtransport-proto 0.7 shifts by the length of an integer without an end, and panics
//! where overflow is checked.

/// Longest integer after its prefix, in bytes: enough for every length up to 268,435,455.
const CONTINUATION_MAX: usize = 4;

/// Whether every line of the section is whole and refers to no dynamic table.
pub(crate) fn is_sound(section: &[u8]) -> bool {
    let mut rest = section;
    let mut walk = || {
        // How many entries of the dynamic table the section needs, and the base to count them from.
        (integer(&mut rest, 8)? == 0).then_some(())?;
        integer(&mut rest, 7)?;
        while let Some(first) = rest.first() {
            match first {
                // A line of the static table.
                0xc0.. => drop(integer(&mut rest, 6)?),
                // A name of the static table, and a value.
                0x50..=0x5f | 0x70..=0x7f => {
                    integer(&mut rest, 4)?;
                    string(&mut rest, 7)?;
                }
                // A name and a value.
                0x20..=0x3f => {
                    string(&mut rest, 3)?;
                    string(&mut rest, 7)?;
                }
                _ => return None,
            }
        }
        Some(())
    };
    walk().is_some()
}

/// Takes an integer whose first byte has so many bits for it (RFC 7541 §5.1).
fn integer(rest: &mut &[u8], prefix: u32) -> Option<usize> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    let mask = (1_usize << prefix) - 1;
    let mut value = usize::from(*first) & mask;
    if value < mask {
        return Some(value);
    }
    for place in 0..CONTINUATION_MAX {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value += usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn string(rest: &mut &[u8], prefix: u32) -> Option<()> {
    let length = integer(rest, prefix)?;
    *rest = rest.get(length..)?;
    Some(())
}
