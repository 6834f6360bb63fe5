//! Access tokens: JWT (RFC 7519) signed with Ed25519 (RFC 8037). Pure, except for the keys.

use std::{
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use nowrong_base::privacy::Redacted;
use nowrong_core::record::{Generation, UnixMs};
use serde::{Deserialize, Serialize};

use super::{
    AuthError, Holder,
    keys::{SigningKeys, is_kid, shared::SharedKeys},
};

/// Lifetime of an access token. Each request compares it with the account, so it counts no longer than
/// the account or its generation.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(10 * 60);

const ISSUER: &str = "nowrong";
const AUDIENCE: &str = "nowrong-api";

/// Longest access token that is examined, in bytes; ours have about 300.
const TOKEN_BYTES_MAX: usize = 1_024;

/// Least time between two reads of the shared keys that are caused by tokens with an unknown key,
/// in milliseconds: anybody can send such a token.
const UNKNOWN_KEY_PAUSE_MS: u64 = 1_000;

/// Issues and checks access tokens.
pub struct AccessTokens {
    keys: RwLock<Arc<SigningKeys>>,
    source: Source,
    /// When an unknown key was last searched for.
    looked_at: AtomicU64,
    validation: Validation,
}

/// Where the keys are read again.
enum Source {
    /// Nowhere: they are of this process alone.
    Process,
    /// The data folder, where a command may have put a new one.
    Folder(PathBuf),
    /// The store that all nodes share.
    Shared(SharedKeys),
}

/// Why a token is not valid.
enum Flaw {
    /// It names a key that is unknown here.
    UnknownKey,
    Other,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    exp: u64,
    /// The generation of the account; an older server wrote none.
    #[serde(default, rename = "gen")]
    generation: Generation,
}

impl std::fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AccessTokens").field(&self.keys()).finish()
    }
}

impl AccessTokens {
    /// Tokens signed with these keys.
    pub fn new(keys: SigningKeys) -> Self {
        Self::over(keys, Source::Process)
    }

    /// Tokens signed with the keys kept in `folder`; `keys` were read from there.
    pub fn in_folder(keys: SigningKeys, folder: PathBuf) -> Self {
        Self::over(keys, Source::Folder(folder))
    }

    /// Tokens signed with keys that other nodes share; `keys` were read from the shared ones.
    pub fn shared(keys: SigningKeys, shared: SharedKeys) -> Self {
        Self::over(keys, Source::Shared(shared))
    }

    fn over(keys: SigningKeys, source: Source) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The library uses the system's clock; we use ours, below.
        validation.validate_exp = false;
        Self {
            keys: RwLock::new(Arc::new(keys)),
            source,
            looked_at: AtomicU64::new(0),
            validation,
        }
    }

    fn keys(&self) -> Arc<SigningKeys> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys)
    }

    /// Reads the keys again, and publishes the next shared one when it is due. Call it regularly.
    ///
    /// # Errors
    /// [`AuthError`] when the store does not reply, or the file cannot be read: the known keys stay in use.
    pub async fn reread(&self, now: UnixMs) -> Result<(), AuthError> {
        let read = match &self.source {
            Source::Process => return Ok(()),
            Source::Folder(folder) => match SigningKeys::read_folder(folder, now)? {
                Some(read) => read,
                None => return Ok(()),
            },
            Source::Shared(shared) => shared.read(now).await?.0,
        };
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        // Of two simultaneous reads, the older one may end last.
        if read.revision >= keys.revision {
            *keys = Arc::new(read);
        }
        Ok(())
    }

    /// A token for an account, valid for [`ACCESS_LIFETIME`].
    ///
    /// # Errors
    /// [`AuthError::Keys`] when the key cannot sign.
    pub fn issue(&self, holder: Holder, now: UnixMs) -> Result<Redacted<String>, AuthError> {
        let issued = now / 1_000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: holder.user.to_string(),
            iat: issued,
            exp: issued + ACCESS_LIFETIME.as_secs(),
            generation: holder.generation,
        };
        let keys = self.keys();
        let key = keys.current(now);
        let header = Header {
            kid: Some(key.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        let token = encode(&header, &claims, &key.encoding);
        token
            .map(Redacted::new)
            .map_err(|error| AuthError::Keys(error.to_string()))
    }

    /// Whom the token speaks for, by the keys that are known here.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for any fault of the token.
    pub fn verify(&self, token: &str, now: UnixMs) -> Result<Holder, AuthError> {
        self.claims(token, now).map_err(|_| AuthError::Refused)
    }

    /// As [`Self::verify`], but also looks for an unknown key among the shared ones, at most once a
    /// second.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for any fault of the token; [`AuthError::Store`] when the keys could
    /// not be read, so that no client discards a valid token.
    pub async fn authenticate(&self, token: &str, now: UnixMs) -> Result<Holder, AuthError> {
        match self.claims(token, now) {
            Err(Flaw::UnknownKey) if self.may_look(now) => {
                self.reread(now).await?;
                self.verify(token, now)
            }
            outcome => outcome.map_err(|_| AuthError::Refused),
        }
    }

    fn may_look(&self, now: UnixMs) -> bool {
        let next = |at: u64| (now >= at.saturating_add(UNKNOWN_KEY_PAUSE_MS)).then_some(now);
        let relaxed = Ordering::Relaxed;
        let is_shared = matches!(self.source, Source::Shared(_));
        is_shared && self.looked_at.fetch_update(relaxed, relaxed, next).is_ok()
    }

    fn claims(&self, token: &str, now: UnixMs) -> Result<Holder, Flaw> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Flaw::Other);
        }
        let header = decode_header(token).map_err(|_| Flaw::Other)?;
        let kid = header.kid.filter(|kid| is_kid(kid)).ok_or(Flaw::Other)?;
        let keys = self.keys();
        let key = keys.find(&kid, now).ok_or(Flaw::UnknownKey)?;
        let decoded = decode::<Claims>(token, &key.decoding, &self.validation);
        let claims = decoded.map_err(|_| Flaw::Other)?.claims;
        let is_alive = now / 1_000 < claims.exp;
        let user = is_alive.then(|| claims.sub.parse().ok()).flatten();
        let generation = claims.generation;
        let holder = user.map(|user| Holder { user, generation });
        holder.ok_or(Flaw::Other)
    }
}

/// The signing key itself, for tests that forge.
#[cfg(test)]
pub(super) fn tests_only_key(tokens: &AccessTokens) -> jsonwebtoken::EncodingKey {
    tokens.keys().current(u64::MAX).encoding.clone()
}

/// The public key, for tests that confuse algorithms.
#[cfg(test)]
pub(super) fn tests_only_public(tokens: &AccessTokens) -> Vec<u8> {
    let keys = tokens.keys();
    let decoding = &keys.current(u64::MAX).decoding;
    decoding
        .try_get_as_bytes()
        .map(<[u8]>::to_vec)
        .unwrap_or_default()
}
