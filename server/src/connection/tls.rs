//! HTTPS: a certificate that is given, or one that the server signs itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flag_scenario::file::read_bytes_limited;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

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
    #[error("{path}: {reason}; give {expected} in PEM form")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
        /// What it should hold.
        expected: &'static str,
    },
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
            Self::Files { certificates, key } => (read_chain(certificates)?, read_key(key)?),
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
    let error = |reason: String| file_error(path, reason, "a chain of certificates");
    let pem = read_bytes_limited(path, MAX_PEM).map_err(|reason| error(reason.to_string()))?;
    let chain: Result<Chain, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|reason| error(reason.to_string()))?;
    if chain.is_empty() {
        Err(error("holds no certificate".to_owned()))
    } else {
        Ok(chain)
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let error = |reason: String| file_error(path, reason, "a private key");
    let pem = read_bytes_limited(path, MAX_PEM).map_err(|reason| error(reason.to_string()))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|reason| error(reason.to_string()))
}

fn file_error(path: &Path, reason: String, expected: &'static str) -> TlsError {
    TlsError::File {
        path: path.display().to_string(),
        reason,
        expected,
    }
}
