//! HTTPS: a certificate that is given, or one that the server signs itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flag_scenario::file::read_bytes_limited;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tracing::warn;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

/// The largest file of certificates or of a key that is read, in bytes.
const MAX_PEM: u64 = 1 << 20;

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Made at the start for `localhost`, `127.0.0.1` and `::1`, and trusted by no client.
    SelfSigned,
    /// PEM files: a chain of certificates, and the key of the first.
    Files {
        /// The chain.
        certificates: PathBuf,
        /// The key.
        key: PathBuf,
    },
}

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file that cannot be read, or holds something else.
    #[error("{option} {path}: {reason}; give {expected} in PEM form")]
    File {
        /// The option of flag-server that names it.
        option: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A key that needs a password.
    #[error(
        "{0}: the key is encrypted; give it without its password, as \"openssl pkey -in {0}\" prints it"
    )]
    EncryptedKey(String),
    /// Certificate and key do not belong together, or are of a kind that is not known.
    #[error(
        "the certificate cannot be used ({0}); give a chain and the key of its first certificate"
    )]
    Unusable(rustls::Error),
    /// No certificate could be made.
    #[error("no certificate could be made ({0}); give one with --tls-cert and --tls-key")]
    SelfSigning(rcgen::Error),
}

impl Tls {
    /// An acceptor that offers HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// When a file is missing or wrong, or certificate and key do not match.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let (chain, key) = match self {
            Self::SelfSigned => self_signed().map_err(TlsError::SelfSigning)?,
            Self::Files { certificates, key } => {
                let chain = read_chain(certificates)?;
                warn_of_dates(certificates, &chain);
                (chain, read_key(key)?)
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

type Chain = Vec<CertificateDer<'static>>;

fn self_signed() -> Result<(Chain, PrivateKeyDer<'static>), rcgen::Error> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    Ok((vec![made.cert.into()], key))
}

fn read_chain(path: &Path) -> Result<Chain, TlsError> {
    let error = |reason| file_error("--tls-cert", path, reason, "a chain of certificates");
    let pem = read_bytes_limited(path, MAX_PEM).map_err(|reason| error(reason.to_string()))?;
    let chain: Result<Chain, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|reason| error(in_words(&reason)))?;
    if chain.is_empty() {
        Err(error("holds no certificate".to_owned()))
    } else {
        Ok(chain)
    }
}

/// A certificate that is not valid now is served all the same: a client may be tested with it.
fn warn_of_dates(path: &Path, chain: &Chain) {
    let now = ASN1Time::now();
    for certificate in chain {
        // One that cannot be read is refused elsewhere.
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
            continue;
        };
        let validity = certificate.validity();
        let (path, subject) = (path.display(), certificate.subject());
        if validity.not_after < now {
            warn!(
                "{path}: the certificate of {subject} expired on {}, and clients will refuse it",
                validity.not_after
            );
        } else if now < validity.not_before {
            warn!(
                "{path}: the certificate of {subject} is not valid before {}, and clients will refuse it",
                validity.not_before
            );
        }
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let error = |reason| file_error("--tls-key", path, reason, "a private key");
    let pem = read_bytes_limited(path, MAX_PEM).map_err(|reason| error(reason.to_string()))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|reason| {
        if is_encrypted(&pem) {
            TlsError::EncryptedKey(path.display().to_string())
        } else {
            error(in_words(&reason))
        }
    })
}

/// Whether this is a key with a password, in the form of PKCS #8 or in that of OpenSSL before it.
fn is_encrypted(pem: &[u8]) -> bool {
    const LABELS: [&str; 2] = [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "Proc-Type: 4,ENCRYPTED",
    ];
    let text = String::from_utf8_lossy(pem);
    let mut lines = text.lines().map(str::trim_end);
    lines.any(|line| LABELS.contains(&line))
}

fn file_error(
    option: &'static str,
    path: &Path,
    reason: String,
    expected: &'static str,
) -> TlsError {
    TlsError::File {
        option,
        path: path.display().to_string(),
        reason,
        expected,
    }
}

fn in_words(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "holds none".to_owned(),
        other => other.to_string(),
    }
}
