//! The checks of a CMS signature, in their order: readable, algorithms, content, certificate named, signature value; trust
//! is the caller's last step, because the time it is judged at may stand in the content.

use der::oid::ObjectIdentifier;
use mail::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_cert::ext::pkix::SubjectKeyIdentifier;

use super::algorithm::{self, HashAlgorithm};
use super::asn1::{self, INTEGER, NotDer, OCTET_STRING, SEQUENCE, Tlv};
use super::read::{SignedData, SignerInfo, SignerName};
use super::{CmsRefutation, DATA};
use crate::seal;

/// Where the signed content is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content<'a> {
    /// Elsewhere: these octets, of type `id-data`.
    Detached(&'a [u8]),
    /// Inside, of this type.
    Enclosed(&'a ObjectIdentifier),
}

/// A signature whose value holds; whether its certificate is trusted is still open.
pub(crate) struct Checked<'a> {
    /// The signed content.
    pub content: &'a [u8],
    /// The signing certificate, then the others in their order.
    pub certificates: Vec<CertificateDer<'static>>,
    pub signing_time: Option<Timestamp>,
    pub signature: Vec<u8>,
    pub unsigned: bool,
}

pub(crate) fn check<'a>(cms: &'a [u8], content: Content<'a>) -> Result<Checked<'a>, CmsRefutation> {
    let data = SignedData::read(cms)?;
    let signer = &data.signer;
    let (kind, content) = match (content, data.content) {
        (Content::Detached(content), None) => (&DATA, content),
        (Content::Enclosed(kind), Some(content)) => (kind, content),
        _ => return Err(CmsRefutation::Part("encapContentInfo")),
    };
    if !data.content_type.is(kind) {
        return Err(CmsRefutation::Part("encapContentInfo"));
    }
    if !signer.attributes.content_type.is(kind) {
        return Err(CmsRefutation::Attribute("contentType"));
    }
    if signer.hash.digest(content) != signer.attributes.message_digest {
        return Err(CmsRefutation::ContentAltered);
    }
    let certificates = signing_first(data.certificates, signer)?;
    let leaf = certificates
        .first()
        .ok_or(CmsRefutation::SigningCertificate)?;
    let signed = &signer.attributes.signed;
    if !signer
        .scheme
        .holds(signer.hash, leaf, signed, signer.signature)
    {
        return Err(CmsRefutation::SignatureValue);
    }
    Ok(Checked {
        content,
        signing_time: signer.attributes.signing_time,
        signature: signer.signature.to_vec(),
        unsigned: data.unsigned,
        certificates,
    })
}

/// Moves the signing certificate to the front: the one that both the signer's name and the signed attribute name.
fn signing_first(
    mut certificates: Vec<CertificateDer<'static>>,
    signer: &SignerInfo<'_>,
) -> Result<Vec<CertificateDer<'static>>, CmsRefutation> {
    let at = certificates
        .iter()
        .position(|der| is_named(der, &signer.name));
    let leaf = certificates.remove(at.ok_or(CmsRefutation::SigningCertificate)?);
    let attributes = &signer.attributes;
    if attributes.certificate.is_none() && attributes.certificate_v2.is_none() {
        return Err(CmsRefutation::Attribute("signingCertificateV2"));
    }
    for (attribute, second, name) in [
        (attributes.certificate, false, "signingCertificate"),
        (attributes.certificate_v2, true, "signingCertificateV2"),
    ] {
        let Some(attribute) = attribute else { continue };
        let same = names(&attribute, &leaf, second).map_err(|_| CmsRefutation::Attribute(name))?;
        if !same {
            return Err(CmsRefutation::SigningCertificate);
        }
    }
    certificates.insert(0, leaf);
    Ok(certificates)
}

fn is_named(der: &CertificateDer<'_>, name: &SignerName<'_>) -> bool {
    match name {
        SignerName::IssuerAndSerial { issuer, serial } => {
            Names::read(der).is_ok_and(|names| names.issuer == *issuer && names.serial == *serial)
        }
        SignerName::KeyIdentifier(identifier) => seal::parse(der).is_some_and(|certificate| {
            let extension = certificate
                .tbs_certificate()
                .get_extension::<SubjectKeyIdentifier>();
            matches!(extension, Ok(Some((_, found))) if found.0.as_bytes() == *identifier)
        }),
    }
}

/// Names in a certificate, as they are encoded in it.
pub(crate) struct Names<'a> {
    pub issuer: &'a [u8],
    pub serial: &'a [u8],
    pub subject: &'a [u8],
}

impl<'a> Names<'a> {
    /// RFC 5280 §4.1.
    pub fn read(der: &'a CertificateDer<'_>) -> Result<Self, NotDer> {
        let mut certificate = asn1::only(der, SEQUENCE)?.inside()?;
        let mut inside = certificate.expect(SEQUENCE)?.inside()?;
        inside.optional(asn1::context(0))?;
        let serial = inside.expect(INTEGER)?.content;
        inside.expect(SEQUENCE)?;
        let issuer = inside.expect(SEQUENCE)?.whole;
        inside.expect(SEQUENCE)?;
        let subject = inside.expect(SEQUENCE)?.whole;
        Ok(Self {
            issuer,
            serial,
            subject,
        })
    }
}

/// Whether the attribute's first entry, which is the signing certificate's (RFC 5035 §4, §5), names `leaf`; in the second
/// version by any digest of SHA-2, in the first by SHA-1.
fn names(attribute: &Tlv<'_>, leaf: &CertificateDer<'_>, second: bool) -> Result<bool, NotDer> {
    let mut certs = attribute
        .tagged(SEQUENCE)?
        .inside()?
        .expect(SEQUENCE)?
        .inside()?;
    let mut cert = certs.expect(SEQUENCE)?.inside()?;
    let named = if second {
        cert.optional(SEQUENCE)?
    } else {
        None
    };
    let value = cert.expect(OCTET_STRING)?.content;
    let issuer_serial = cert.optional(SEQUENCE)?;
    cert.finish()?;
    let same = match named {
        Some(named) => HashAlgorithm::read(&named)?.is_ok_and(|hash| hash.digest(leaf) == value),
        // The default is SHA-256.
        None if second => HashAlgorithm::Sha256.digest(leaf) == value,
        None => algorithm::sha1(leaf) == value,
    };
    let Some(issuer_serial) = issuer_serial else {
        return Ok(same);
    };
    let mut inside = issuer_serial.inside()?;
    let issuer = inside
        .expect(SEQUENCE)?
        .only(asn1::context(4))?
        .only(SEQUENCE)?;
    let serial = inside.expect(INTEGER)?;
    inside.finish()?;
    let names = Names::read(leaf)?;
    Ok(same && names.issuer == issuer.whole && names.serial == serial.content)
}
