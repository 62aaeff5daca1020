//! TLS to the servers that the store leans on: whom it believes.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::StoreError;

/// A client that believes the authorities in `anchors`, a PEM file, and no others: a database or an object store is the
/// operator's own, and the public's authorities have no say about it.
///
/// # Errors
/// Names the file that cannot be read or holds no certificate.
pub(crate) fn client_config(anchors: &Path) -> Result<Arc<ClientConfig>, StoreError> {
    let unusable = |why: String| StoreError::Invalid(format!("{}: {why}", anchors.display()));
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(anchors).map_err(|e| unusable(e.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|e| unusable(e.to_string()))?;
        roots
            .add(certificate)
            .map_err(|e| unusable(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("holds no certificate".into()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchors.pem");
        std::fs::write(&path, "nothing here\n").unwrap();
        let refused = client_config(&path).unwrap_err().to_string();
        assert!(
            refused.contains("anchors.pem: holds no certificate"),
            "{refused}"
        );
        assert!(client_config(&dir.path().join("absent")).is_err());
    }
}
