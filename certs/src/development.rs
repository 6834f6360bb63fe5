//! Certificates for development, as browsers accept them by hash: self-signed, ECDSA P-256, valid
//! for at most 14 days (W3C WebTransport, "custom certificate requirements").

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{CertificateParams, DnType, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};
use time::OffsetDateTime;

use crate::{CertError, certificate::inspect, files, files::PemPair};

/// How long a development certificate is valid from the moment it is made. With [`BACKDATED`] it
/// stays below the 14 days that browsers allow.
const VALIDITY: Duration = Duration::from_secs(13 * DAY);

/// How far in the past the validity begins, for clients whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

/// With less validity left than this, a new certificate is made.
const RENEW_BEFORE: Duration = Duration::from_secs(3 * DAY);

const DAY: u64 = 24 * 60 * 60;

/// Names that every development certificate covers.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How development certificates are made, and where they are kept.
#[derive(Debug)]
pub(crate) struct Development {
    names: Vec<String>,
    folder: Option<PathBuf>,
}

impl Development {
    /// For this machine and `names`; kept in `folder`, or in memory only.
    pub(crate) fn new(names: &[String], folder: Option<PathBuf>) -> Self {
        let mut all: Vec<String> = LOCAL_NAMES.map(str::to_owned).to_vec();
        for name in names {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        Self { names: all, folder }
    }

    /// The kept certificate if it is still suitable, otherwise a new one, which is kept.
    pub(crate) fn load_or_make(&self, now: SystemTime) -> Result<PemPair, CertError> {
        let kept = self
            .folder
            .as_deref()
            .and_then(|folder| self.kept(folder, now));
        kept.map_or_else(|| self.make(now), Ok)
    }

    /// Makes and keeps a new certificate and key.
    pub(crate) fn make(&self, now: SystemTime) -> Result<PemPair, CertError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = self.params(now)?.self_signed(&key)?;
        let pair = PemPair {
            certificates: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
        };
        if let Some(folder) = &self.folder {
            files::write_pair(folder, &pair)?;
        }
        Ok(pair)
    }

    /// A kept pair that cannot be read, is for other names or expires soon counts as missing: a
    /// development certificate has no value of its own.
    fn kept(&self, folder: &Path, now: SystemTime) -> Option<PemPair> {
        let pair = files::read_pair(&files::certificate_in(folder), &files::key_in(folder)).ok()?;
        let seen = inspect(pair.parse(folder, folder).ok()?.end_entity_cert().ok()?).ok()?;
        let fits =
            seen.names == self.names && seen.not_before <= now && !is_due(seen.remaining(now));
        fits.then_some(pair)
    }

    fn params(&self, now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(self.names.clone())?;
        params.not_before = OffsetDateTime::from(now - BACKDATED);
        params.not_after = OffsetDateTime::from(now + VALIDITY);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "NoWrong development");
        Ok(params)
    }
}

/// Whether a development certificate with this much validity left should be renewed.
pub(crate) fn is_due(remaining: Duration) -> bool {
    remaining < RENEW_BEFORE
}
