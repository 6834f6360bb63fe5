//! Proofs of work as clients send them: never a panic, one text for each proof, and a check that costs no more
//! than one evaluation for each of its numbers.
//!
//! An input is the text of a proof and, after a line feed, the `Idempotency-Key` that comes with it. Bytes that are
//! not UTF-8 are replaced: in JSON they cannot come.

use nowrong_protocol::{limits::PROOF_WORK_MAX, proof::Proof};

/// Reads the bytes as a proof with its key.
///
/// # Panics
/// When a promise is broken.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (text, key) = text.split_once('\n').unwrap_or((&text, ""));
    let Ok(proof) = Proof::from_text(text) else {
        return;
    };
    assert_eq!(proof.to_text(), text);
    assert!((1..=PROOF_WORK_MAX).contains(&proof.challenge.work));
    let is_solved = proof.is_solved(key);
    // A challenge without work is solved by anything.
    assert!(is_solved || proof.challenge.work > 1);
}
