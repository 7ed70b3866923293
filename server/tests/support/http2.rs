//! An HTTP/2 client, over TCP or TLS.

#![allow(
    dead_code,
    reason = "each test program uses a part of it, and is compiled with all of it"
)]

use std::sync::Arc;

use axum::http::{Request, Response};
use bytes::Bytes;
use flag_server::FlagServer;
use flags_data::Catalogue;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use crate::support::{SAFETY, authority, image};

/// The result of a stream: its head if there was one, its bytes, and the reason if it was reset.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) head: Option<Response<()>>,
    pub(crate) body: Vec<u8>,
    pub(crate) reset: Option<Reason>,
}

/// One HTTP/2 connection, over TCP or TLS.
pub(crate) struct Connection {
    pub(crate) send: SendRequest<Bytes>,
    pub(crate) driver: JoinHandle<Result<(), h2::Error>>,
}

impl Connection {
    pub(crate) async fn plain(server: &FlagServer) -> Self {
        let stream = tokio::net::TcpStream::connect(authority(server.endpoints())).await;
        Self::over(stream.unwrap()).await
    }

    pub(crate) async fn tls(server: &FlagServer) -> Self {
        let connector = tokio_rustls::TlsConnector::from(client_config(&[b"h2", b"http/1.1"]));
        let stream = tokio::net::TcpStream::connect(authority(server.endpoints()))
            .await
            .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::over(stream).await
    }

    pub(crate) async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        stream: S,
    ) -> Self {
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        let driver = tokio::spawn(connection);
        Self { send, driver }
    }

    /// Opens a stream, and returns its result.
    pub(crate) async fn send_request(&self, method: &str, path: &str) -> JoinHandle<Outcome> {
        self.send_request_with(method, path, ("accept", "*/*"))
            .await
    }

    /// Like [`send_request`](Self::send_request), with a header.
    pub(crate) async fn send_request_with(
        &self,
        method: &str,
        path: &str,
        header: (&str, &str),
    ) -> JoinHandle<Outcome> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://x{path}"))
            .header(header.0, header.1)
            .body(())
            .unwrap();
        let mut send = self.send.clone().ready().await.unwrap();
        let (response, _) = send.send_request(request, true).unwrap();
        tokio::spawn(async move {
            let mut outcome = Outcome {
                head: None,
                body: Vec::new(),
                reset: None,
            };
            let failed = match response.await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    outcome.head = Some(Response::from_parts(head, ()));
                    read(body, &mut outcome.body).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = failed {
                assert!(error.is_reset() && error.is_remote(), "{error}");
                outcome.reset = error.reason();
            }
            outcome
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Outcome {
        within(self.send_request("GET", path).await).await.unwrap()
    }

    /// Asserts that the connection can still be used.
    pub(crate) async fn assert_usable(&self) {
        let outcome = self.get("/flags/jp/jp.gif").await;
        assert_eq!((outcome.status(), outcome.reset), (Some(200), None));
        assert_eq!(outcome.body, image(&Catalogue::embedded(), "JP"));
    }

    /// Asserts that the server has closed the connection gracefully.
    pub(crate) async fn assert_closed_gracefully(self) {
        within(self.driver).await.unwrap().unwrap();
    }

    /// Asserts that the server has neither closed nor broken the connection, and that it ends when
    /// the client closes it.
    pub(crate) async fn assert_open_until_closed(self) {
        assert!(!self.driver.is_finished(), "the connection has ended");
        drop(self.send);
        within(self.driver).await.unwrap().unwrap();
    }
}

impl Outcome {
    pub(crate) fn status(&self) -> Option<u16> {
        self.head.as_ref().map(|head| head.status().as_u16())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.as_ref()?.headers().get(name)?.to_str().ok()
    }
}

async fn read(mut body: RecvStream, into: &mut Vec<u8>) -> Result<(), h2::Error> {
    while let Some(data) = body.data().await {
        let data = data?;
        into.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len())?;
    }
    Ok(())
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SAFETY, future).await.expect("in time")
}

/// Trusts every certificate: signatures are not under test.
#[derive(Debug)]
struct TrustAll;

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

pub(crate) fn client_config(alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}
