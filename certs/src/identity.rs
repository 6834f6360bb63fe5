//! The identity in use, and how a newer one replaces it.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
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
    fault::{self, Fault},
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
    /// Its lock also makes refreshes take turns.
    tried: Mutex<Tried>,
}

/// The files that were tried last.
struct Tried {
    /// Their fingerprint; `None` when they could not be read.
    files: Option<[u8; 32]>,
    /// They were worse than the chain in force. This changes with time: it may become valid, or the
    /// one in force may expire.
    is_worse: bool,
}

struct Current {
    key: Arc<CertifiedKey>,
    inspection: Inspection,
}

enum Source {
    Development(Development),
    Pem {
        certificate: PathBuf,
        key: PathBuf,
        /// The host that clients are told, which the certificate must cover.
        host: Option<String>,
    },
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
    /// key (PKCS #8, SEC1 or PKCS #1). Whatever [`Self::fault`] it has, it is taken.
    ///
    /// # Errors
    /// A [`CertError`] that names the file when one of them cannot be used.
    pub fn pem(certificate: &Path, key: &Path) -> Result<Self, CertError> {
        Self::pem_for(certificate, key, None)
    }

    /// As [`Self::pem`], for clients who connect to `host`: a DNS name, or an address as in a URL.
    ///
    /// # Errors
    /// As above.
    pub fn pem_for(certificate: &Path, key: &Path, host: Option<&str>) -> Result<Self, CertError> {
        let pair = files::read_pair(certificate, key)?;
        let source = Source::Pem {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            host: host.map(str::to_owned),
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

    /// The worst fault of the chain in use, at `now`; `None` when it is good as far as a node can see.
    pub fn fault(&self, now: SystemTime) -> Option<Fault> {
        let current = self.shared.current.load();
        current.fault(self.host(), now).ok().flatten()
    }

    /// Seconds until the certificate in use expires; negative when it has.
    pub fn seconds_left(&self, now: SystemTime) -> i64 {
        let end = self.shared.current.load().inspection.not_after;
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        match end.duration_since(now) {
            Ok(left) => seconds(left),
            Err(over) => -seconds(over.duration()),
        }
    }

    /// Looks for a newer identity: changed PEM files, or a development certificate that expires
    /// soon. Reads files, so it may block for as long as the disk does. On an error the current
    /// identity stays in use; so it does when the new chain has a worse [`Fault`]. Files that fail are
    /// reported as an error once; while they stay the same, the result is `Unchanged`, until they are
    /// no longer worse than the chain in use.
    ///
    /// # Errors
    /// [`CertError`] as for the constructors, and [`CertError::Worse`].
    pub fn refresh(&self, now: SystemTime) -> Result<Refreshed, CertError> {
        let mut tried = self
            .shared
            .tried
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &self.shared.source {
            Source::Development(development) => self.renew(development, now),
            Source::Pem {
                certificate, key, ..
            } => self.reload(certificate, key, &mut tried, now),
        }
    }

    fn host(&self) -> Option<&str> {
        match &self.shared.source {
            Source::Development(_) => None,
            Source::Pem { host, .. } => host.as_deref(),
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
                tried: Mutex::new(Tried {
                    files: Some(pair.fingerprint()),
                    is_worse: false,
                }),
            }),
        })
    }

    fn renew(&self, development: &Development, now: SystemTime) -> Result<Refreshed, CertError> {
        if !development::is_due(self.shared.current.load().inspection.remaining(now)) {
            return Ok(Refreshed::Unchanged);
        }
        let current = Current::parse(&self.shared.source, &development.make(now)?)?;
        Ok(self.replace(current))
    }

    fn reload(
        &self,
        certificate: &Path,
        key: &Path,
        tried: &mut Tried,
        now: SystemTime,
    ) -> Result<Refreshed, CertError> {
        let pair = match files::read_pair(certificate, key) {
            Ok(pair) => pair,
            Err(_) if tried.files.is_none() => return Ok(Refreshed::Unchanged),
            Err(error) => {
                tried.files = None;
                return Err(error);
            }
        };
        let files = Some(pair.fingerprint());
        let is_news = tried.files != files;
        if !is_news && !tried.is_worse {
            return Ok(Refreshed::Unchanged);
        }
        (tried.files, tried.is_worse) = (files, false);
        let current = Current::parse(&self.shared.source, &pair)?;
        match current.fault(self.host(), now)? {
            Some(fault) if Some(fault) > self.fault(now) => {
                tried.is_worse = true;
                let path = certificate.to_owned();
                let error = CertError::Worse { path, fault };
                if is_news {
                    Err(error)
                } else {
                    Ok(Refreshed::Unchanged)
                }
            }
            _ => Ok(self.replace(current)),
        }
    }

    fn replace(&self, current: Current) -> Refreshed {
        let hash = current.inspection.hash;
        self.shared.current.store(Arc::new(current));
        Refreshed::Replaced(hash)
    }
}

impl Current {
    fn parse(source: &Source, pair: &PemPair) -> Result<Self, CertError> {
        let (certificate, key) = match source {
            Source::Development(_) => (Path::new("development"), Path::new("development")),
            Source::Pem {
                certificate, key, ..
            } => (certificate.as_path(), key.as_path()),
        };
        let key = pair.parse(certificate, key)?;
        let inspection = inspect(key.end_entity_cert()?)?;
        Ok(Self {
            key: Arc::new(key),
            inspection,
        })
    }

    fn fault(&self, host: Option<&str>, now: SystemTime) -> Result<Option<Fault>, CertError> {
        fault::worst(&self.key.cert, host, now)
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
