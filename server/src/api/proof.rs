//! The proof of work that a new account costs its device.
//!
//! A challenge is signed for the network that asks and kept nowhere; its proof is made for one
//! `Idempotency-Key`, and one key makes one account, on all nodes together: so a proof is used once, although
//! no node remembers it. What is wrong with a proof is found in the order of its cost: its length and form, the
//! signature, the time, and only then the work.

use std::sync::{Arc, Mutex};

use nowrong_base::{lock::lock, privacy::ClientIp, random};
use nowrong_core::proof::Pressure;
use nowrong_protocol::{
    ErrorCode,
    limits::PROOF_SEARCHES,
    proof::{Challenge, Proof},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    ApiState,
    problem::{FieldError, Problem},
};
use crate::auth::{AuthError, registration::KEY_LIFETIME};

/// How long a challenge can be solved, in seconds: longer than the slowest device takes, shorter than a key
/// makes one account.
const LIFETIME_S: u32 = 600;

const _: () = assert!(LIFETIME_S as u64 <= KEY_LIFETIME.as_secs());

/// How many accounts this node has made lately.
pub type Crowd = Arc<Mutex<Pressure>>;

/// What a client has to solve before it gets an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Challenge)]
pub(super) struct ChallengeView {
    /// The challenge: the proof begins with it.
    #[schema(min_length = 46, max_length = 46, pattern = "^[A-Za-z0-9_-]{46}$")]
    text: String,
    /// How many numbers have to be found.
    #[schema(minimum = 1, maximum = 16)]
    searches: usize,
    /// How many numbers have to be tried for each of them, on average.
    #[schema(minimum = 1, maximum = 16_000)]
    work: u16,
    /// How long the challenge is good, in milliseconds from now.
    expires_in_ms: u64,
}

impl ApiState {
    /// Whether the client has done the work for this key; if not, the problem has a challenge.
    pub(super) fn check_proof(
        &self,
        ip: ClientIp,
        key: Option<&str>,
        proof: Option<&str>,
    ) -> Result<(), Problem> {
        if self.limits.proof.work == 0 {
            return Ok(());
        }
        let Some(key) = key else {
            return Err(Problem::fields(vec![FieldError {
                field: "Idempotency-Key".to_owned(),
                detail: "is missing: the proof of work is made for it".to_owned(),
            }]));
        };
        let Some(proof) = proof else {
            return Err(self.ask_for_proof(ip)?);
        };
        match self.is_good(ip, key, proof) {
            Ok(()) => Ok(()),
            Err(reason) => {
                self.env.metrics.count_refusal("proof");
                Err(self.ask_for_proof(ip)?.detail(reason))
            }
        }
    }

    /// Notes a new account, which makes the next ones dearer when there are many.
    pub(super) fn count_account(&self) {
        lock(&self.crowd).add(self.limits.proof, self.env.clock.now());
    }

    fn is_good(&self, ip: ClientIp, key: &str, proof: &str) -> Result<(), &'static str> {
        let proof = Proof::from_text(proof)
            .map_err(|_| "The proof is not one of the server's challenges with its numbers.")?;
        let Challenge { expires_s, mac, .. } = proof.challenge;
        if !ip.is_signed(&self.pseudonyms, &proof.challenge.signed(), &mac) {
            return Err("The challenge is not this server's, or was given to another network.");
        }
        if u64::from(expires_s) <= self.env.clock.now() / 1_000 {
            return Err("The challenge has expired.");
        }
        match proof.is_solved(key) {
            true => Ok(()),
            false => Err("The numbers do not solve the challenge for this Idempotency-Key."),
        }
    }

    /// The problem that says what to solve.
    fn ask_for_proof(&self, ip: ClientIp) -> Result<Problem, Problem> {
        let now = self.env.clock.now();
        let mut challenge = Challenge {
            work: lock(&self.crowd).work(self.limits.proof, now),
            expires_s: u32::try_from(now / 1_000)
                .unwrap_or(u32::MAX)
                .saturating_add(LIFETIME_S),
            nonce: random::try_bytes().map_err(AuthError::from)?,
            mac: [0; 16],
        };
        challenge.mac = ip.sign(&self.pseudonyms, &challenge.signed());
        let problem = Problem::new(ErrorCode::PROOF_NEEDED);
        Ok(problem.challenge(ChallengeView {
            text: challenge.to_text(),
            searches: PROOF_SEARCHES,
            work: challenge.work,
            expires_in_ms: u64::from(LIFETIME_S) * 1_000,
        }))
    }
}
