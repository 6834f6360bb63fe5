//! PEM files: reading a pair, and writing one so that no half-written file is ever seen and only
//! the owner can read them.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _};

use crate::{CertError, certificate::sha256};

/// A certificate chain and its key, as PEM.
pub(crate) struct PemPair {
    pub(crate) certificates: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl PemPair {
    /// The pair in the form that rustls uses; the paths are for the errors.
    pub(crate) fn parse(&self, certificate: &Path, key: &Path) -> Result<CertifiedKey, CertError> {
        let chain = chain(&self.certificates)
            .map_err(|error| unusable(certificate, "certificate", &error))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| unusable(key, "private key", &error))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Ok(CertifiedKey::from_der(chain, key, &provider)?)
    }

    /// Changes whenever a byte of either file does.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let halves = [sha256(&self.certificates), sha256(&self.key)].concat();
        sha256(&halves)
    }
}

/// The certificate file of a folder.
pub(crate) fn certificate_in(folder: &Path) -> PathBuf {
    folder.join("certificate.pem")
}

/// The key file of a folder.
pub(crate) fn key_in(folder: &Path) -> PathBuf {
    folder.join("key.pem")
}

pub(crate) fn read_pair(certificate: &Path, key: &Path) -> Result<PemPair, CertError> {
    Ok(PemPair {
        certificates: read(certificate)?,
        key: read(key)?,
    })
}

/// Makes the folder if needed and replaces both files. The key is written first: a crash in between
/// leaves a pair that does not match, which counts as no pair.
pub(crate) fn write_pair(folder: &Path, pair: &PemPair) -> Result<(), CertError> {
    fs::create_dir_all(folder).map_err(|source| write_error(folder, source))?;
    replace(&key_in(folder), &pair.key)?;
    replace(&certificate_in(folder), &pair.certificates)
}

fn read(path: &Path) -> Result<Vec<u8>, CertError> {
    nowrong_base::files::read(path).map_err(|source| CertError::Read {
        path: path.to_owned(),
        source,
    })
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() {
        return Err(pem::Error::NoItemsFound);
    }
    Ok(chain)
}

fn unusable(path: &Path, what: &'static str, error: &pem::Error) -> CertError {
    CertError::Pem {
        path: path.to_owned(),
        what,
        detail: error.to_string(),
    }
}

/// Writes a new file beside the old one and renames it over the old one.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), CertError> {
    let beside = path.with_extension("pem.new");
    let written = match fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => create(&beside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&beside, path)
        }),
    };
    written.map_err(|source| write_error(path, source))
}

fn create(path: &Path) -> std::io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn write_error(path: &Path, source: std::io::Error) -> CertError {
    CertError::Write {
        path: path.to_owned(),
        source,
    }
}
