//! Proof of work: what a client computes before the server makes an account.
//!
//! The server sends a [`Challenge`], which it has signed and keeps no copy of. The client searches for
//! [`SEARCHES`] numbers whose [`scrypt`](digest) values are small, under its `Idempotency-Key`, and sends
//! challenge and numbers back as one text, a [`Proof`]. Since a key makes one account at most, so does a
//! proof. Searching for several small values instead of one that is smaller takes the same time on average,
//! and varies less. Pure: signatures and time are checked by the caller. See SPEC.md, "Proof of work".

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::limits::{PROOF_SEARCHES, PROOF_WORK_MAX};

/// How many numbers a proof has.
pub const SEARCHES: usize = PROOF_SEARCHES;

/// Length of a challenge in bytes, with its signature.
pub const CHALLENGE_BYTES: usize = 34;

/// Length of the part of a challenge that is signed.
pub const SIGNED_BYTES: usize = 18;

/// Length of the text of a challenge.
pub const CHALLENGE_CHARS: usize = chars(CHALLENGE_BYTES);

/// Length of the text of a proof: challenge, full stop, numbers.
pub const PROOF_CHARS: usize = CHALLENGE_CHARS + 1 + chars(4 * SEARCHES);

/// The only version of challenges.
const VERSION: u8 = 1;

/// Binary logarithm of scrypt's cost N.
const LOG_N: u8 = 5;

/// The block size r of scrypt: 32 blocks of 1,024 bytes are 32 KiB.
const BLOCK_SIZE: u32 = 8;

/// What a client has to search for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// How many numbers have to be tried for each one that is found, on average; 1 to
    /// [`PROOF_WORK_MAX`].
    pub work: u16,
    /// When it ends, in seconds since the Unix epoch.
    pub expires_s: u32,
    /// Makes it unlike all others.
    pub nonce: [u8; 11],
    /// The server's signature of the other fields and of the client's network.
    pub mac: [u8; 16],
}

/// A text is not a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a challenge and its numbers, as the server asks for them")]
pub struct NotAProof;

/// A challenge with its numbers, in the order of the searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The challenge that was solved.
    pub challenge: Challenge,
    /// The number that each search has found.
    pub numbers: [u32; SEARCHES],
}

impl Challenge {
    /// What the server signs: everything but the signature.
    pub fn signed(&self) -> [u8; SIGNED_BYTES] {
        let mut out = [0; SIGNED_BYTES];
        out[0] = VERSION;
        out[1..3].copy_from_slice(&self.work.to_be_bytes());
        out[3..7].copy_from_slice(&self.expires_s.to_be_bytes());
        out[7..].copy_from_slice(&self.nonce);
        out
    }

    /// The text that is sent to the client.
    pub fn to_text(&self) -> String {
        encode(&self.to_bytes())
    }

    /// The challenge with this text.
    ///
    /// # Errors
    /// [`NotAProof`].
    pub fn from_text(text: &str) -> Result<Self, NotAProof> {
        let bytes: [u8; CHALLENGE_BYTES] = decode(text)?;
        let (signed, mac) = bytes.split_at(SIGNED_BYTES);
        let work = u16::from_be_bytes([signed[1], signed[2]]);
        let expires_s = u32::from_be_bytes([signed[3], signed[4], signed[5], signed[6]]);
        let (Ok(nonce), Ok(mac)) = (signed[7..].try_into(), mac.try_into()) else {
            return Err(NotAProof);
        };
        if signed[0] != VERSION || !(1..=PROOF_WORK_MAX).contains(&work) {
            return Err(NotAProof);
        }
        Ok(Self {
            work,
            expires_s,
            nonce,
            mac,
        })
    }

    /// Searches for the numbers of a proof for `key`, one `search` after the other. Takes
    /// `SEARCHES` × `work` evaluations on average; `None` when a search finds nothing, which never happens
    /// in practice.
    pub fn solve(&self, key: &str) -> Option<Proof> {
        let mut numbers = [0; SEARCHES];
        for (search, number) in (0..).zip(&mut numbers) {
            *number = (0..=u32::MAX).find(|number| self.is_found(key, search, *number))?;
        }
        Some(Proof {
            challenge: *self,
            numbers,
        })
    }

    /// Whether `number` ends this `search`, which is below [`SEARCHES`]. Costs one evaluation.
    fn is_found(&self, key: &str, search: u8, number: u32) -> bool {
        let salt = [&self.to_bytes()[..], key.as_bytes(), &[search]].concat();
        digest(number, &salt) <= u32::MAX / u32::from(self.work)
    }

    fn to_bytes(self) -> [u8; CHALLENGE_BYTES] {
        let mut out = [0; CHALLENGE_BYTES];
        out[..SIGNED_BYTES].copy_from_slice(&self.signed());
        out[SIGNED_BYTES..].copy_from_slice(&self.mac);
        out
    }
}

impl Proof {
    /// The text that is sent to the server.
    pub fn to_text(&self) -> String {
        let numbers = self.numbers.map(u32::to_be_bytes).concat();
        format!("{}.{}", self.challenge.to_text(), encode(&numbers))
    }

    /// The proof with this text. Says nothing about its work yet.
    ///
    /// # Errors
    /// [`NotAProof`].
    pub fn from_text(text: &str) -> Result<Self, NotAProof> {
        if text.len() != PROOF_CHARS {
            return Err(NotAProof);
        }
        let (challenge, numbers) = text.split_once('.').ok_or(NotAProof)?;
        let challenge = Challenge::from_text(challenge)?;
        let bytes: [u8; 4 * SEARCHES] = decode(numbers)?;
        let mut numbers = [0; SEARCHES];
        for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
            *number = u32::from_be_bytes(bytes.try_into().map_err(|_| NotAProof)?);
        }
        Ok(Self { challenge, numbers })
    }

    /// Whether every number was found under this `key`. Costs one evaluation for each, and no more after
    /// the first wrong one: check everything that is cheaper before.
    pub fn is_solved(&self, key: &str) -> bool {
        let mut numbers = (0..).zip(self.numbers);
        numbers.all(|(search, number)| self.challenge.is_found(key, search, number))
    }
}

/// The first four bytes of scrypt (RFC 7914) with N = 32, r = 8, p = 1, as a number: big endian, as
/// `number` in the password. Memory that does not fit into the registers of a graphics card narrows what
/// hardware gains over a browser; more of it would make checking too dear.
fn digest(number: u32, salt: &[u8]) -> u32 {
    let mut out = [0; 4];
    // The parameters and the length are constants that scrypt allows: see the test of the vectors.
    if let Ok(params) = scrypt::Params::new(LOG_N, BLOCK_SIZE, 1) {
        let _ = scrypt::scrypt(&number.to_be_bytes(), salt, &params, &mut out);
    }
    u32::from_be_bytes(out)
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], NotAProof> {
    // Nothing is decoded that is longer than it may be.
    if text.len() != chars(N) {
        return Err(NotAProof);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotAProof)?;
    bytes.try_into().map_err(|_| NotAProof)
}

/// Characters of base64url without padding (RFC 4648 §5) for this many bytes.
const fn chars(bytes: usize) -> usize {
    (bytes * 8).div_ceil(6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "0123456789abcdef";

    fn challenge(work: u16) -> Challenge {
        Challenge {
            work,
            expires_s: 1_900_000_000,
            nonce: [7; 11],
            mac: [9; 16],
        }
    }

    #[test]
    fn a_solved_challenge_is_a_proof_for_its_key_alone() {
        let proof = challenge(24).solve(KEY).unwrap();
        assert!(proof.is_solved(KEY));
        assert!(!proof.is_solved("fedcba9876543210"));
        let other = Challenge {
            nonce: [8; 11],
            ..proof.challenge
        };
        assert!(
            !Proof {
                challenge: other,
                ..proof
            }
            .is_solved(KEY)
        );
        let [one, two] = proof.numbers;
        let mut turned = proof;
        (turned.numbers[0], turned.numbers[1]) = (two, one);
        assert!(
            one == two || !turned.is_solved(KEY),
            "each search has its own numbers"
        );
    }

    #[test]
    fn more_work_takes_more_numbers() {
        let tried = |work| -> u64 {
            let keys = (0..8).map(|key| format!("{KEY}{key}"));
            let proofs = keys.map(|key| challenge(work).solve(&key).unwrap());
            proofs.flat_map(|proof| proof.numbers).map(u64::from).sum()
        };
        assert_eq!(tried(1), 0);
        assert!(tried(64) > 4 * tried(4));
    }

    #[test]
    fn the_digest_is_that_of_rfc_7914() {
        // hashlib.scrypt(b"\0\0\0\5", salt=b"salt", n=32, r=8, p=1, dklen=4)
        assert_eq!(digest(5, b"salt"), 0x0633182a);
    }

    #[test]
    fn texts_have_one_form() {
        let proof = challenge(3).solve(KEY).unwrap();
        let text = proof.to_text();
        assert_eq!(text.len(), PROOF_CHARS);
        assert_eq!(Proof::from_text(&text), Ok(proof));
        let bad = [
            String::new(),
            text[1..].to_owned(),
            format!("{text}A"),
            text.replace('.', "A"),
            text.replace('.', "="),
            format!("{}é", &text[..text.len() - 2]),
            format!("B{}", &text[1..]),
            Challenge {
                work: 0,
                ..proof.challenge
            }
            .to_text(),
            Proof {
                challenge: Challenge {
                    work: 0,
                    ..proof.challenge
                },
                ..proof
            }
            .to_text(),
            Proof {
                challenge: Challenge {
                    work: u16::MAX,
                    ..proof.challenge
                },
                ..proof
            }
            .to_text(),
        ];
        for text in bad {
            assert_eq!(Proof::from_text(&text), Err(NotAProof), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_proof_or_is_refused(text in ".{0,80}") {
            if let Ok(proof) = Proof::from_text(&text) {
                prop_assert_eq!(proof.to_text(), text);
            }
        }

        #[test]
        fn a_proof_survives_its_text(
            work in 1..=PROOF_WORK_MAX, expires_s: u32, nonce: [u8; 11], mac: [u8; 16], numbers: [u32; SEARCHES],
        ) {
            let proof = Proof { challenge: Challenge { work, expires_s, nonce, mac }, numbers };
            prop_assert_eq!(Proof::from_text(&proof.to_text()), Ok(proof));
        }
    }
}
