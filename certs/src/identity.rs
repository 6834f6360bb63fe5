//! The identity in use, and how a newer one replaces it.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{
    CertError, CertificateHash, Inspection,
    certificate::inspect,
    development::{self, Development},
    files::{self, PemPair},
};

/// A certificate and its key, shared by every listener of a node. Clones are the same identity.
///
/// It is a rustls certificate resolver: every listener with a clone shows the newest certificate at
/// each new handshake. [`Identity::refresh`] looks for a newer one; a [`crate::Watch`] calls it
/// regularly.
#[derive(Clone)]
pub struct Identity {
    shared: Arc<Shared>,
}

struct Shared {
    current: ArcSwap<Current>,
    source: Source,
    /// Fingerprint of the files that were tried last; `None` when they could not be read. Its lock
    /// also makes refreshes take turns.
    tried: Mutex<Option<[u8; 32]>>,
}

struct Current {
    key: Arc<CertifiedKey>,
    inspection: Inspection,
}

enum Source {
    Development(Development),
    Pem { certificate: PathBuf, key: PathBuf },
}

/// The result of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The identity is still the newest.
    Unchanged,
    /// New handshakes show the certificate with this hash from now on.
    Replaced(CertificateHash),
}

impl Identity {
    /// A self-signed identity for `localhost`, `127.0.0.1`, `::1` and `names`, made now and kept in
    /// memory only: each start has another hash.
    ///
    /// # Errors
    /// [`CertError::Generate`] when a name is not a DNS name or address.
    pub fn development(names: &[String], now: SystemTime) -> Result<Self, CertError> {
        Self::of_development(Development::new(names, None), now)
    }

    /// Like [`Self::development`], kept in `folder` so that restarts keep the hash until it is
    /// renewed, when less than 3 of its 13 days are left.
    ///
    /// # Errors
    /// As above, and [`CertError::Write`] when the folder cannot be written.
    pub fn development_in(
        folder: &Path,
        names: &[String],
        now: SystemTime,
    ) -> Result<Self, CertError> {
        Self::of_development(Development::new(names, Some(folder.to_owned())), now)
    }

    /// The identity in two PEM files: a chain that begins with the node's own certificate, and its
    /// key (PKCS #8, SEC1 or PKCS #1).
    ///
    /// # Errors
    /// A [`CertError`] that names the file when one of them cannot be used.
    pub fn pem(certificate: &Path, key: &Path) -> Result<Self, CertError> {
        let pair = files::read_pair(certificate, key)?;
        let source = Source::Pem {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        Self::new(source, &pair)
    }

    /// SHA-256 of the certificate in use.
    pub fn hash(&self) -> CertificateHash {
        self.shared.current.load().inspection.hash
    }

    /// The hash that clients must be told because no authority vouches for the certificate; `None`
    /// for PEM files, which browsers check like any other certificate.
    pub fn pinned_hash(&self) -> Option<CertificateHash> {
        matches!(self.shared.source, Source::Development(_)).then(|| self.hash())
    }

    /// The hash, validity and names of the certificate in use.
    pub fn inspection(&self) -> Inspection {
        self.shared.current.load().inspection.clone()
    }

    /// Looks for a newer identity: changed PEM files, or a development certificate that expires
    /// soon. Reads files, so it may block for as long as the disk does. On an error the current
    /// identity stays in use. Files that fail are reported as an error once; while they stay the
    /// same, the result is `Unchanged`.
    ///
    /// # Errors
    /// [`CertError`] as for the constructors.
    pub fn refresh(&self, now: SystemTime) -> Result<Refreshed, CertError> {
        let mut tried = self
            .shared
            .tried
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &self.shared.source {
            Source::Development(development) => self.renew(development, now),
            Source::Pem { certificate, key } => self.reload(certificate, key, &mut tried),
        }
    }

    fn of_development(development: Development, now: SystemTime) -> Result<Self, CertError> {
        let pair = development.load_or_make(now)?;
        Self::new(Source::Development(development), &pair)
    }

    fn new(source: Source, pair: &PemPair) -> Result<Self, CertError> {
        let current = Current::parse(&source, pair)?;
        Ok(Self {
            shared: Arc::new(Shared {
                current: ArcSwap::from_pointee(current),
                source,
                tried: Mutex::new(Some(pair.fingerprint())),
            }),
        })
    }

    fn renew(&self, development: &Development, now: SystemTime) -> Result<Refreshed, CertError> {
        if !development::is_due(self.shared.current.load().inspection.remaining(now)) {
            return Ok(Refreshed::Unchanged);
        }
        self.replace(&development.make(now)?)
    }

    fn reload(
        &self,
        certificate: &Path,
        key: &Path,
        tried: &mut Option<[u8; 32]>,
    ) -> Result<Refreshed, CertError> {
        let pair = match files::read_pair(certificate, key) {
            Ok(pair) => pair,
            Err(_) if tried.is_none() => return Ok(Refreshed::Unchanged),
            Err(error) => {
                *tried = None;
                return Err(error);
            }
        };
        if tried.replace(pair.fingerprint()) == Some(pair.fingerprint()) {
            return Ok(Refreshed::Unchanged);
        }
        self.replace(&pair)
    }

    fn replace(&self, pair: &PemPair) -> Result<Refreshed, CertError> {
        let current = Current::parse(&self.shared.source, pair)?;
        let hash = current.inspection.hash;
        self.shared.current.store(Arc::new(current));
        Ok(Refreshed::Replaced(hash))
    }
}

impl Current {
    fn parse(source: &Source, pair: &PemPair) -> Result<Self, CertError> {
        let (certificate, key) = match source {
            Source::Development(_) => (Path::new("development"), Path::new("development")),
            Source::Pem { certificate, key } => (certificate.as_path(), key.as_path()),
        };
        let key = pair.parse(certificate, key)?;
        let inspection = inspect(key.end_entity_cert()?)?;
        Ok(Self {
            key: Arc::new(key),
            inspection,
        })
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shared.current.load().key))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.hash()).finish()
    }
}
