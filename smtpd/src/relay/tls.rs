//! TLS towards other hosts: how much it is asked for, and what of the peer is checked.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::session::TlsWish;

/// How TLS is used with a peer.
#[derive(Debug, Clone)]
pub enum TlsPolicy {
    /// Not at all.
    Never,
    /// When it is offered, with whatever certificate: it keeps listeners out and does not say who the peer is. Whoever can
    /// change what passes on the line can take the offer away, so nothing is lost by not checking (RFC 7435). If the
    /// handshake fails the letter goes in plain text over a new connection.
    Opportunistic(Arc<ClientConfig>),
    /// Always, and the certificate must be the host's by the configuration's anchors; else nothing is sent.
    Verified(Arc<ClientConfig>),
}

impl TlsPolicy {
    /// TLS when it is offered, certificates unchecked.
    ///
    /// # Errors
    /// None with the provider that is built in: it speaks TLS 1.2 and 1.3.
    pub fn opportunistic() -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(AnyServer {
            provider: Arc::clone(&provider),
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self::Opportunistic(Arc::new(config)))
    }

    /// TLS always, with a certificate that one of these anchors stands for.
    ///
    /// # Errors
    /// None with the provider that is built in: it speaks TLS 1.2 and 1.3.
    pub fn verified(anchors: RootCertStore) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(anchors)
            .with_no_client_auth();
        Ok(Self::Verified(Arc::new(config)))
    }

    /// What a session is to ask for.
    pub(super) const fn wish(&self) -> TlsWish {
        match self {
            Self::Never => TlsWish::Never,
            Self::Opportunistic(_) => TlsWish::IfOffered,
            Self::Verified(_) => TlsWish::Required,
        }
    }

    pub(super) fn config(&self) -> Option<Arc<ClientConfig>> {
        match self {
            Self::Never => None,
            Self::Opportunistic(config) | Self::Verified(config) => Some(Arc::clone(config)),
        }
    }
}

/// Takes any certificate, and checks that the peer holds its key.
#[derive(Debug)]
struct AnyServer {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
