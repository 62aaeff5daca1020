//! The TLS side of client certificates: the peer proves that it holds the key, and nothing more is decided here.
//!
//! Any well-formed certificate is taken, so that a holder with an expired one reads a clear `NO` instead of a TLS
//! alert. That is safe because taking a certificate grants nothing: a session begins without a holder, and only a
//! [`crate::Claim`] from [`crate::judge()`], asked after every handshake over the certificates the connection reports,
//! gives it one. A resumed session never passes through a verifier at all, so a check here would be skipped exactly
//! where it matters; the judgement is not. What must be decided here is: the handshake signature is checked by the
//! library's own algorithms, which know neither SHA-1 nor RSA below 2048 bits, in TLS 1.2 and 1.3 alike.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::certificate::{CERTIFICATE_BYTES_MAX, Certificate};
use crate::trust::Trust;

/// Most octets of authorities' names sent as hints. The field holds 65535 (RFC 8446 §4.2.4); past this much, clients
/// with small buffers fail, so no hint is sent and the client offers what it has.
const HINT_BYTES_MAX: usize = 16 * 1024;

/// Offers client authentication without demanding it, and verifies possession of the key.
#[derive(Debug)]
pub struct PossessionVerifier {
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PossessionVerifier {
    /// A verifier that hints at the anchors of `trusts` and checks handshakes with the algorithms of `provider`.
    pub fn new(trusts: &[Trust], provider: &CryptoProvider) -> Self {
        let subjects = trusts.iter().flat_map(Trust::anchor_subjects);
        let mut hints: Vec<DistinguishedName> =
            subjects.map(DistinguishedName::in_sequence).collect();
        hints.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
        hints.dedup_by(|a, b| a.as_ref() == b.as_ref());
        if hints
            .iter()
            .map(|hint| hint.as_ref().len() + 2)
            .sum::<usize>()
            > HINT_BYTES_MAX
        {
            hints.clear();
        }
        Self {
            hints,
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ClientCertVerifier for PossessionVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if end_entity.len() > CERTIFICATE_BYTES_MAX || Certificate::from_der(end_entity).is_err() {
            return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{Certificate, CertificateParams, CustomExtension, KeyPair};
    use rustls::client::ResolvesClientCert;
    use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::sign::CertifiedKey;
    use rustls::time_provider::TimeProvider;
    use rustls::version::{TLS12, TLS13};
    use rustls::{
        ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection,
        SupportedProtocolVersion,
    };

    use super::*;
    use crate::forge::{self, Ca, NOW};
    use crate::{Authority, Cause, HolderName, MapRule, judge};

    #[derive(Debug)]
    struct Still;

    impl TimeProvider for Still {
        fn current_time(&self) -> Option<UnixTime> {
            Some(UnixTime::since_unix_epoch(
                std::time::Duration::from_millis(NOW.as_millis() as u64),
            ))
        }
    }

    /// Shows a certificate and signs with whatever key it was given.
    #[derive(Debug)]
    struct Shown(Arc<CertifiedKey>);

    impl ResolvesClientCert for Shown {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            Some(self.0.clone())
        }

        fn has_certs(&self) -> bool {
            true
        }
    }

    fn server(
        trusts: &[Trust],
        version: &'static SupportedProtocolVersion,
    ) -> (Arc<ServerConfig>, rustls::RootCertStore) {
        let authority = Authority::create("Post", "e-post.test", NOW).unwrap();
        let issued = authority.server_certificate(&["localhost"], NOW).unwrap();
        let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes())
            .map(Result::unwrap)
            .collect();
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = Arc::new(PossessionVerifier::new(trusts, &provider));
        let builder = ServerConfig::builder_with_details(provider, Arc::new(Still));
        let builder = builder
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier);
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap())
            .unwrap();
        (
            Arc::new(builder.with_single_cert(chain, key).unwrap()),
            roots,
        )
    }

    fn client(roots: rustls::RootCertStore, shown: Option<CertifiedKey>) -> Arc<ClientConfig> {
        let builder =
            ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(Still));
        let builder = builder
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match shown {
            Some(shown) => builder.with_client_cert_resolver(Arc::new(Shown(Arc::new(shown)))),
            None => builder.with_no_client_auth(),
        })
    }

    fn shown(certificate: &Certificate, key: &KeyPair) -> CertifiedKey {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        CertifiedKey::new(
            vec![certificate.der().clone()],
            any_supported_type(&key).unwrap(),
        )
    }

    /// Lets both ends talk until neither has anything to say; the server's error if it refuses.
    fn shake(
        server: Arc<ServerConfig>,
        client: Arc<ClientConfig>,
    ) -> Result<ServerConnection, Error> {
        let name = ServerName::try_from("localhost").unwrap();
        let (mut server, mut client) = (
            ServerConnection::new(server).unwrap(),
            ClientConnection::new(client, name).unwrap(),
        );
        loop {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            let mut quiet = wire.is_empty();
            let mut unread = &wire[..];
            while !unread.is_empty() {
                server.read_tls(&mut unread).unwrap();
                server.process_new_packets()?;
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            quiet &= wire.is_empty();
            let mut unread = &wire[..];
            while !unread.is_empty() {
                client.read_tls(&mut unread).unwrap();
                client.process_new_packets().unwrap();
            }
            if quiet {
                return Ok(server);
            }
        }
    }

    fn verdict(server: &ServerConnection, trusts: &[Trust]) -> Result<Vec<HolderName>, Cause> {
        let claim = judge(
            server.peer_certificates().unwrap_or_default(),
            trusts,
            "e-post.test",
            NOW,
        );
        claim
            .map(|claim| claim.names.into_iter().collect())
            .map_err(|refusal| refusal.cause)
    }

    fn trusts(ca: &Ca) -> Vec<Trust> {
        vec![Trust::new("outside", &ca.pem(), vec![MapRule::SerialNumber]).unwrap()]
    }

    #[test]
    fn every_certificate_gets_a_session_and_a_verdict() {
        let (ca, other) = (forge::ca("Citizen CA"), forge::ca("Other CA"));
        let of = |issuer: &Ca, change: fn(&mut CertificateParams)| {
            let mut params = forge::holder();
            change(&mut params);
            forge::leaf_with_key(issuer, &params)
        };
        let big = |p: &mut CertificateParams| {
            p.custom_extensions = vec![CustomExtension::from_oid_content(
                &[1, 3, 6, 1, 4, 1, 99999, 1],
                vec![5; 60_000],
            )];
        };
        let table = [
            (
                "valid",
                of(&ca, |_| {}),
                Ok(vec![HolderName::Local("2503851234".to_owned())]),
            ),
            (
                "60 kB",
                of(&ca, big),
                Ok(vec![HolderName::Local("2503851234".to_owned())]),
            ),
            (
                "expired",
                of(&ca, |p| forge::valid(p, -30, -1)),
                Err(Cause::Expired),
            ),
            (
                "another authority",
                of(&other, |_| {}),
                Err(Cause::UnknownIssuer),
            ),
            (
                "no purpose",
                of(&ca, |p| p.extended_key_usages.clear()),
                Err(Cause::WrongPurpose),
            ),
        ];
        let trusts = trusts(&ca);
        for version in [&TLS12, &TLS13] {
            let (server, roots) = server(&trusts, version);
            for (row, (certificate, key), expected) in &table {
                let session = shake(
                    server.clone(),
                    client(roots.clone(), Some(shown(certificate, key))),
                )
                .unwrap();
                assert!(!session.is_handshaking());
                assert_eq!(session.protocol_version(), Some(version.version));
                assert_eq!(&verdict(&session, &trusts), expected, "{row}");
            }
            let session = shake(server, client(roots, None)).unwrap();
            assert!(!session.is_handshaking());
            assert_eq!(verdict(&session, &trusts), Err(Cause::NoCertificate));
        }
    }

    #[test]
    fn without_the_key_there_is_no_session() {
        let ca = forge::ca("Citizen CA");
        let (certificate, _) = forge::leaf_with_key(&ca, &forge::holder());
        let (_, thief) = forge::leaf_with_key(&ca, &forge::holder());
        for version in [&TLS12, &TLS13] {
            let (server, roots) = server(&trusts(&ca), version);
            let refused =
                shake(server, client(roots, Some(shown(&certificate, &thief)))).map(|_| ());
            assert_eq!(
                refused,
                Err(Error::InvalidCertificate(CertificateError::BadSignature))
            );
        }
    }

    #[test]
    fn a_resumed_session_has_the_first_identity_and_the_present_verdict() {
        let ca = forge::ca("Citizen CA");
        let (certificate, key) = forge::leaf_with_key(&ca, &forge::holder());
        for version in [&TLS12, &TLS13] {
            let trusts = trusts(&ca);
            let (server, roots) = server(&trusts, version);
            let client = client(roots, Some(shown(&certificate, &key)));
            let first = shake(server.clone(), client.clone()).unwrap();
            assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
            let second = shake(server, client).unwrap();
            assert_eq!(
                second.handshake_kind(),
                Some(HandshakeKind::Resumed),
                "{version:?}"
            );
            assert_eq!(second.peer_certificates(), first.peer_certificates());
            assert!(verdict(&second, &trusts).is_ok());
            let later = mail::Timestamp::from_millis(NOW.as_millis() + 31 * 86_400_000);
            let refusal = judge(
                second.peer_certificates().unwrap(),
                &trusts,
                "e-post.test",
                later,
            )
            .unwrap_err();
            assert_eq!(refusal.cause, Cause::Expired);
        }
    }

    #[test]
    fn hints_name_each_anchor_once_and_not_without_end() {
        let provider = default_provider();
        let ca = forge::ca("Citizen CA");
        let twice: Vec<Trust> = trusts(&ca).into_iter().chain(trusts(&ca)).collect();
        assert_eq!(
            PossessionVerifier::new(&twice, &provider)
                .root_hint_subjects()
                .len(),
            1
        );
        let pem: String = (0..200)
            .map(|n| forge::ca(&format!("{} {n}", "A".repeat(100))).pem())
            .collect();
        let many = [Trust::new("many", &pem, vec![MapRule::SerialNumber]).unwrap()];
        assert!(
            PossessionVerifier::new(&many, &provider)
                .root_hint_subjects()
                .is_empty()
        );
    }
}
