//! HTTPS: a certificate that is given, or one that the server signs itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

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
    let error = |reason: String| TlsError::File {
        option: "--tls-cert",
        path: path.display().to_string(),
        reason,
        expected: "a chain of certificates",
    };
    let chain: Chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|reason| error(in_words(&reason)))?;
    if chain.is_empty() {
        Err(error("holds no certificate".to_owned()))
    } else {
        Ok(chain)
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|reason| TlsError::File {
        option: "--tls-key",
        path: path.display().to_string(),
        reason: in_words(&reason),
        expected: "a private key",
    })
}

fn in_words(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(reason) => format!("cannot be read ({reason})"),
        pem::Error::NoItemsFound => "holds none".to_owned(),
        other => other.to_string(),
    }
}
