//! Names as people send them: never a panic, a name is in its normal form, what is computed of it is bounded, and
//! nobody gets around a reserved name by writing something around it.
//!
//! An input is the text of a name. Bytes that are not UTF-8 are replaced: in JSON they cannot come.

use std::sync::LazyLock;

use nowrong_core::text::{Name, ReservedNames};
use nowrong_protocol::limits::NAME_BYTES_MAX;

/// How many times as long as the longest name its skeleton may be: one character of three bytes becomes eighteen
/// characters.
const GROWTH_MAX: usize = 16;

/// Made once: it is costlier than all that is done with a name.
static RESERVED: LazyLock<ReservedNames> = LazyLock::new(ReservedNames::default);

/// Reads the bytes as a name.
///
/// # Panics
/// When a promise is broken.
pub fn run(data: &[u8]) {
    let raw = String::from_utf8_lossy(data);
    let Ok(name) = Name::parse(&raw) else { return };
    assert!(name.as_str().len() <= NAME_BYTES_MAX);
    assert_eq!(Name::parse(name.as_str()).as_ref(), Ok(&name));
    let skeleton = name.skeleton();
    assert!(!skeleton.is_empty() && skeleton.len() <= GROWTH_MAX * NAME_BYTES_MAX);

    let around = Name::parse(&format!("_{}_", name.as_str()));
    if let Ok(around) = around {
        assert!(!RESERVED.holds(&name) || RESERVED.holds(&around));
    }
    // A list of its own for each would be all that the fuzzer does.
    if data.len().is_multiple_of(16) {
        let own = ReservedNames::with(&[name.as_str().to_owned()]);
        assert!(own.is_err() || own.is_ok_and(|own| own.holds(&name)));
    }
}
