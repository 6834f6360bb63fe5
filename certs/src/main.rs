//! `nowrong-certs`: makes development certificates and describes certificates.

#![forbid(unsafe_code)]

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use nowrong_base::files::read;
use nowrong_certs::{Identity, Inspection, inspect};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use time::OffsetDateTime;

/// Certificates for NoWrong.
#[derive(Parser)]
#[command(name = "nowrong-certs", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a development certificate (ECDSA P-256, 13 days), or keeps the existing one while it
    /// is good.
    Dev {
        /// Folder for certificate.pem and key.pem.
        #[arg(long)]
        out: PathBuf,
        /// Another host name or address that it covers, besides localhost, 127.0.0.1 and ::1.
        #[arg(long = "name")]
        names: Vec<String>,
    },
    /// Prints hash, validity and names of a PEM or DER certificate.
    Inspect {
        /// The certificate.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If even stderr is closed, there is nowhere left to report to.
            let _ = writeln!(std::io::stderr(), "nowrong-certs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let inspection = match command {
        Command::Dev { out, names } => {
            Identity::development_in(&out, &names, SystemTime::now())?.inspection()
        }
        Command::Inspect { file } => inspect_file(&file)?,
    };
    Ok(print(&mut std::io::stdout().lock(), &inspection)?)
}

fn inspect_file(path: &Path) -> anyhow::Result<Inspection> {
    let bytes = read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let certificate =
        CertificateDer::from_pem_slice(&bytes).unwrap_or_else(|_| CertificateDer::from(bytes));
    inspect(&certificate).with_context(|| path.display().to_string())
}

fn print(out: &mut impl Write, inspection: &Inspection) -> std::io::Result<()> {
    writeln!(out, "sha256 hex     {}", inspection.hash)?;
    writeln!(out, "sha256 base64  {}", inspection.hash.to_base64())?;
    writeln!(out, "not before     {}", rfc3339(inspection.not_before))?;
    writeln!(out, "not after      {}", rfc3339(inspection.not_after))?;
    writeln!(out, "names          {}", inspection.names.join(", "))
}

fn rfc3339(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let (hour, minute, second) = at.to_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", at.date())
}
