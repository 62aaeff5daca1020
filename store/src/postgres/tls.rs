//! TLS to the server: rustls over the wire, and the binding of the password exchange to the channel.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as RustlsStream;

use super::wire::Wire;

/// Makes one TLS connection to a named server.
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) server: ServerName<'static>,
}

/// The wire under TLS.
pub(super) struct Sealed(RustlsStream<Wire>);

impl TlsConnect<Wire> for Tls {
    type Stream = Sealed;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Sealed>> + Send>>;

    fn connect(self, wire: Wire) -> Self::Future {
        let connecting = TlsConnector::from(self.config).connect(self.server, wire);
        Box::pin(async move { connecting.await.map(Sealed) })
    }
}

impl TlsStream for Sealed {
    /// `tls-server-end-point` (RFC 5929 §4): a server in the middle, even one with a certificate that we believe, cannot
    /// pass the password exchange on.
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        session
            .peer_certificates()
            .and_then(|chain| end_point(chain.first()?))
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl AsyncRead for Sealed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Sealed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// The certificate's hash with the hash function of its own signature, SHA-256 in place of anything weaker; `None` for a
/// signature that names no single hash (RSASSA-PSS, Ed25519), for which RFC 5929 defines no binding.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    /// 1.2.840.113549.1.1: the signatures of PKCS #1 (RFC 8017).
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    /// 1.2.840.10045.4.3: ECDSA with a hash of the SHA-2 family (RFC 5758).
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    let (whole, _) = value(certificate, 0x30)?;
    let (_, after_tbs) = value(whole, 0x30)?;
    let (algorithm, _) = value(after_tbs, 0x30)?;
    let (oid, _) = value(algorithm, 0x06)?;
    let (last, family) = oid.split_last()?;
    let hash = match (family, last) {
        (RSA, 4 | 5 | 11) | (ECDSA, 2) => &SHA256,
        (RSA, 12) | (ECDSA, 3) => &SHA384,
        (RSA, 13) | (ECDSA, 4) => &SHA512,
        _ => return None,
    };
    Some(digest(hash, certificate).as_ref().to_vec())
}

/// A DER value of this tag (X.690 §8.1), and what follows it.
fn value(octets: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, first, rest @ ..] = octets else {
        return None;
    };
    if *found != tag {
        return None;
    }
    let (len, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let len = octets.iter().try_fold(0_usize, |len, octet| {
            len.checked_mul(256)?.checked_add(usize::from(*octet))
        })?;
        (len, rest)
    };
    rest.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate's shape: SEQUENCE { tbs, SEQUENCE { OID }, signature }.
    fn shaped(oid: &[u8]) -> Vec<u8> {
        let mut algorithm = vec![0x06, oid.len() as u8];
        algorithm.extend_from_slice(oid);
        let mut inner = vec![0x30, 0x81, 0x80];
        inner.extend([7; 0x80]);
        inner.extend([0x30, algorithm.len() as u8]);
        inner.extend(algorithm);
        inner.extend([0x03, 0x01, 0x00]);
        let mut whole = vec![0x30, 0x82, 0, inner.len() as u8];
        whole.extend(inner);
        whole
    }

    #[test]
    fn the_binding_uses_the_hash_of_the_signature() {
        let rsa = |last| [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last][..]].concat();
        let ecdsa = |last| [&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last][..]].concat();
        for (oid, len) in [
            (rsa(5), Some(32)),
            (rsa(11), Some(32)),
            (rsa(12), Some(48)),
            (rsa(13), Some(64)),
            (ecdsa(2), Some(32)),
            (ecdsa(3), Some(48)),
            (ecdsa(4), Some(64)),
            (rsa(10), None),
            (vec![0x2b, 0x65, 0x70], None),
        ] {
            let found = end_point(&shaped(&oid)).map(|hash| hash.len());
            assert_eq!(found, len, "{oid:02x?}");
        }
        assert_eq!(end_point(&[0x30, 0x82, 0xff, 0xff, 0x30]), None);
        assert_eq!(end_point(&[]), None);
    }
}
