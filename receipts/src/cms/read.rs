//! `SignedData` (RFC 5652 §5) of one signer, read in place.

use der::oid::ObjectIdentifier;
use mail::Timestamp;
use rustls_pki_types::CertificateDer;

use super::algorithm::{HashAlgorithm, Refused, Scheme};
use super::asn1::{
    self, Cursor, INTEGER, NotDer, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, Tlv,
};
use super::{CERTIFICATES_MAX, CMS_OCTETS_MAX, CmsRefutation, DATA, SIGNED_DATA};
use super::{
    CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2, SIGNING_TIME,
};

/// Signed attributes of one signer: the standards have some twenty.
const ATTRIBUTES_MAX: usize = 64;

/// `CMSAlgorithmProtection` (RFC 6211).
const ALGORITHM_PROTECTION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.52");

/// What is read of `SignedData`.
pub(crate) struct SignedData<'a> {
    /// The OID of the content's type.
    pub content_type: Tlv<'a>,
    /// The content, if it is enclosed.
    pub content: Option<&'a [u8]>,
    pub certificates: Vec<CertificateDer<'static>>,
    pub signer: SignerInfo<'a>,
    /// Octets no signature covers and no rule determines: CRLs, unsigned attributes.
    pub unsigned: bool,
}

pub(crate) struct SignerInfo<'a> {
    pub name: SignerName<'a>,
    pub hash: HashAlgorithm,
    pub scheme: Scheme,
    pub signature: &'a [u8],
    pub attributes: Attributes<'a>,
}

/// `SignerIdentifier`.
pub(crate) enum SignerName<'a> {
    IssuerAndSerial { issuer: &'a [u8], serial: &'a [u8] },
    KeyIdentifier(&'a [u8]),
}

pub(crate) struct Attributes<'a> {
    /// What the signature is over: the attributes' own octets under the tag of a SET (RFC 5652 §5.4).
    pub signed: Vec<u8>,
    pub content_type: Tlv<'a>,
    pub message_digest: &'a [u8],
    pub signing_time: Option<Timestamp>,
    pub certificate: Option<Tlv<'a>>,
    pub certificate_v2: Option<Tlv<'a>>,
}

impl<'a> SignedData<'a> {
    /// Reads a `ContentInfo` that holds `SignedData`.
    pub fn read(cms: &'a [u8]) -> Result<Self, CmsRefutation> {
        if cms.len() > CMS_OCTETS_MAX {
            return Err(CmsRefutation::TooLarge);
        }
        let bad = |_| CmsRefutation::Part("ContentInfo");
        let mut info = asn1::only(cms, SEQUENCE)
            .and_then(|info| info.inside())
            .map_err(bad)?;
        let kind = info.expect(OBJECT_IDENTIFIER).map_err(bad)?;
        let data = info
            .expect(asn1::context(0))
            .and_then(|data| data.only(SEQUENCE))
            .map_err(bad)?;
        info.finish().map_err(bad)?;
        if !kind.is(&SIGNED_DATA) {
            return Err(CmsRefutation::Part("ContentInfo"));
        }
        Self::read_inside(&data)
    }

    fn read_inside(data: &Tlv<'a>) -> Result<Self, CmsRefutation> {
        let bad = |_| CmsRefutation::Part("SignedData");
        let mut inside = data.inside().map_err(bad)?;
        let version = inside
            .expect(INTEGER)
            .and_then(|version| version.number())
            .map_err(bad)?;
        let digests = inside.expect(SET).map_err(bad)?;
        let mut content_info = inside
            .expect(SEQUENCE)
            .and_then(|info| info.inside())
            .map_err(bad)?;
        let content_type = content_info.expect(OBJECT_IDENTIFIER).map_err(bad)?;
        let content = content_info.optional(asn1::context(0)).map_err(bad)?;
        let content = content
            .map(|content| content.only(OCTET_STRING))
            .transpose()
            .map_err(bad)?;
        content_info.finish().map_err(bad)?;
        let certificates = inside.optional(asn1::context(0)).map_err(bad)?;
        let crls = inside.optional(asn1::context(1)).map_err(bad)?;
        let signers = inside
            .expect(SET)
            .and_then(|signers| signers.inside())
            .map_err(bad)?;
        inside.finish().map_err(bad)?;
        let signers = signers.all(CERTIFICATES_MAX).map_err(bad)?;
        let [signer] = signers.as_slice() else {
            return Err(CmsRefutation::NotOneSigner);
        };
        let (signer, unsigned) = signer_info(signer)?;
        // RFC 5652 §5.1: 1 for data signed by issuer and serial number, else 3.
        let by_name = matches!(signer.name, SignerName::IssuerAndSerial { .. });
        let due = if by_name && content_type.is(&DATA) {
            1
        } else {
            3
        };
        if version != due {
            return Err(CmsRefutation::Part("SignedData version"));
        }
        let digests = digests
            .only(SEQUENCE)
            .map_err(|_| CmsRefutation::Part("digestAlgorithms"))?;
        if algorithm(HashAlgorithm::read(&digests), "digestAlgorithms")? != signer.hash {
            return Err(CmsRefutation::Part("digestAlgorithms"));
        }
        Ok(Self {
            content_type,
            content: content.map(|content| content.content),
            certificates: certificates_of(certificates)?,
            signer,
            unsigned: unsigned || crls.is_some(),
        })
    }
}

/// The certificates, in their order; attribute certificates and older forms are refused.
fn certificates_of(set: Option<Tlv<'_>>) -> Result<Vec<CertificateDer<'static>>, CmsRefutation> {
    let bad = |_| CmsRefutation::Part("certificates");
    let Some(set) = set else {
        return Ok(Vec::new());
    };
    let all = set
        .inside()
        .and_then(|inside| inside.all(CERTIFICATES_MAX))
        .map_err(bad)?;
    let certificate = |tlv: Tlv<'_>| {
        let plain = tlv.tagged(SEQUENCE).map_err(bad)?;
        Ok(CertificateDer::from(plain.whole.to_vec()))
    };
    all.into_iter().map(certificate).collect()
}

/// `SignerInfo` (RFC 5652 §5.3), and whether it has unsigned attributes.
fn signer_info<'a>(signer: &Tlv<'a>) -> Result<(SignerInfo<'a>, bool), CmsRefutation> {
    let bad = |_| CmsRefutation::Part("SignerInfo");
    let mut inside = signer
        .tagged(SEQUENCE)
        .and_then(|signer| signer.inside())
        .map_err(bad)?;
    let version = inside
        .expect(INTEGER)
        .and_then(|version| version.number())
        .map_err(bad)?;
    let name = inside.next().and_then(signer_name).map_err(bad)?;
    let due = if matches!(name, SignerName::IssuerAndSerial { .. }) {
        1
    } else {
        3
    };
    if version != due {
        return Err(CmsRefutation::Part("SignerInfo version"));
    }
    let digest = inside.expect(SEQUENCE).map_err(bad)?;
    let attributes = inside.optional(asn1::context(0)).map_err(bad)?;
    let signature_algorithm = inside.expect(SEQUENCE).map_err(bad)?;
    let signature = inside.expect(OCTET_STRING).map_err(bad)?;
    let unsigned = inside.optional(asn1::context(1)).map_err(bad)?;
    inside.finish().map_err(bad)?;
    let hash = algorithm(HashAlgorithm::read(&digest), "digestAlgorithm")?;
    let scheme = algorithm(Scheme::read(&signature_algorithm), "signatureAlgorithm")?;
    if scheme.hash().is_some_and(|named| named != hash) {
        return Err(CmsRefutation::Part("signatureAlgorithm"));
    }
    // Without signed attributes nothing names the certificate (EN 319 122-1 §5.2.2).
    let attributes = attributes.ok_or(CmsRefutation::Part("signedAttrs"))?;
    let attributes = read_attributes(&attributes, &digest, &signature_algorithm)?;
    let signer = SignerInfo {
        name,
        hash,
        scheme,
        signature: signature.content,
        attributes,
    };
    Ok((signer, unsigned.is_some()))
}

fn signer_name(name: Tlv<'_>) -> Result<SignerName<'_>, NotDer> {
    if name.tag == asn1::context_primitive(0) {
        return Ok(SignerName::KeyIdentifier(name.content));
    }
    let mut inside = name.tagged(SEQUENCE)?.inside()?;
    let issuer = inside.expect(SEQUENCE)?.whole;
    let serial = inside.expect(INTEGER)?.content;
    inside.finish()?;
    Ok(SignerName::IssuerAndSerial { issuer, serial })
}

fn algorithm<T>(
    read: Result<Result<T, Refused>, NotDer>,
    part: &'static str,
) -> Result<T, CmsRefutation> {
    read.map_err(|_| CmsRefutation::Part(part))?
        .map_err(|(what, name)| CmsRefutation::Algorithm { what, name })
}

/// The attributes by their types, each at most once and with one value (RFC 5652 §11).
fn read_attributes<'a>(
    set: &Tlv<'a>,
    digest: &Tlv<'a>,
    signature: &Tlv<'a>,
) -> Result<Attributes<'a>, CmsRefutation> {
    let bad = |_| CmsRefutation::Part("signedAttrs");
    let all = set
        .inside()
        .and_then(|inside| inside.all(ATTRIBUTES_MAX))
        .map_err(bad)?;
    let all = all
        .iter()
        .map(attribute)
        .collect::<Result<Vec<_>, _>>()
        .map_err(bad)?;
    let value = |oid: &ObjectIdentifier, name: &'static str| {
        let mut found = all.iter().filter(|(kind, _)| kind.is(oid));
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some((_, values)), None) => {
                let one = Cursor::over(values.content).and_then(|cursor| cursor.all(1));
                let one = one.ok().and_then(|one| one.first().copied());
                one.map(Some).ok_or(CmsRefutation::Attribute(name))
            }
            (Some(_), Some(_)) => Err(CmsRefutation::Attribute(name)),
        }
    };
    let due = |found: Option<Tlv<'a>>, tag: u8, name: &'static str| {
        found
            .and_then(|found| found.tagged(tag).ok())
            .ok_or(CmsRefutation::Attribute(name))
    };
    if let Some(protected) = value(&ALGORITHM_PROTECTION, "CMSAlgorithmProtection")? {
        protects(&protected, digest, signature)
            .map_err(|_| CmsRefutation::Attribute("CMSAlgorithmProtection"))?;
    }
    let time = value(&SIGNING_TIME, "signingTime")?
        .map(|time| time.time())
        .transpose();
    let [_, content @ ..] = set.whole else {
        return Err(CmsRefutation::Part("signedAttrs"));
    };
    Ok(Attributes {
        signed: [&[SET], content].concat(),
        content_type: due(
            value(&CONTENT_TYPE, "contentType")?,
            OBJECT_IDENTIFIER,
            "contentType",
        )?,
        message_digest: due(
            value(&MESSAGE_DIGEST, "messageDigest")?,
            OCTET_STRING,
            "messageDigest",
        )?
        .content,
        signing_time: time.map_err(|_| CmsRefutation::Attribute("signingTime"))?,
        certificate: value(&SIGNING_CERTIFICATE, "signingCertificate")?,
        certificate_v2: value(&SIGNING_CERTIFICATE_V2, "signingCertificateV2")?,
    })
}

/// An attribute's type and the set of its values.
fn attribute<'a>(attribute: &Tlv<'a>) -> Result<(Tlv<'a>, Tlv<'a>), NotDer> {
    let mut inside = attribute.tagged(SEQUENCE)?.inside()?;
    let pair = (inside.expect(OBJECT_IDENTIFIER)?, inside.expect(SET)?);
    inside.finish()?;
    Ok(pair)
}

/// RFC 6211 §2: the algorithms protected are those outside.
fn protects(value: &Tlv<'_>, digest: &Tlv<'_>, signature: &Tlv<'_>) -> Result<(), NotDer> {
    let mut inside = value.tagged(SEQUENCE)?.inside()?;
    let same_digest = inside.expect(SEQUENCE)?.whole == digest.whole;
    let same_signature = inside.expect(asn1::context(1))?.content == signature.content;
    inside.finish()?;
    if same_digest && same_signature {
        Ok(())
    } else {
        Err(NotDer)
    }
}
