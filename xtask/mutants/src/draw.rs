//! Which mutants are tried: those whose names have the lowest hashes. Pure.
//!
//! So the draw is the same on every machine, and a change elsewhere does not change it: a mutant is in it as
//! long as it has its name and few enough new ones come before it.

use crate::list::Mutant;

/// What the draw grows from.
const SEED: u64 = 1;

/// `count` of the mutants, in the order of their places.
pub fn draw(mutants: Vec<Mutant>, count: usize) -> Vec<Mutant> {
    let mut keyed: Vec<_> = mutants.into_iter().enumerate().collect();
    keyed.sort_by_key(|(_, mutant)| hash(SEED, mutant.name.as_bytes()));
    keyed.truncate(count);
    keyed.sort_by_key(|(place, _)| *place);
    keyed.into_iter().map(|(_, mutant)| mutant).collect()
}

/// FNV-1a with a final mix: the same in every version of the compiler, as the hashes of std are not.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mixed = bytes.iter().fold(OFFSET ^ seed, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    });
    (mixed ^ (mixed >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::tests::mutants;

    #[test]
    fn a_draw_does_not_depend_on_what_is_not_in_it() {
        let [one, two] = &mutants()[..] else {
            panic!("there are two")
        };
        let drawn = draw(vec![one.clone(), two.clone()], 1);
        let again = draw(drawn.clone(), 1);
        assert_eq!(drawn[0].name, again[0].name);
        assert_eq!(
            draw(vec![two.clone(), one.clone()], 1)[0].name,
            drawn[0].name
        );
        assert_eq!(draw(vec![one.clone(), two.clone()], 5).len(), 2);
    }

    #[test]
    fn hashes_are_those_of_every_machine() {
        assert_eq!(hash(SEED, b"a"), hash(SEED, b"a"));
        assert_ne!(hash(SEED, b"a"), hash(SEED, b"b"));
        assert_ne!(hash(SEED, b"a"), hash(SEED + 1, b"a"));
    }
}
