//! Whether the connections of a server are encrypted.

/// Plain text, or TLS if the feature is there.
#[derive(Clone)]
pub(crate) enum Security {
    /// HTTP.
    Plain,
    /// HTTPS.
    #[cfg(feature = "tls")]
    Tls(tokio_rustls::TlsAcceptor),
}

impl Security {
    /// As URLs have it.
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::Plain => "http",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "https",
        }
    }
}
