//! `TSTInfo` (RFC 3161 §2.4.2): what a token says, read in place.

use std::fmt;

use mail::{Digest, Timestamp};

use crate::cms::HashAlgorithm;
use crate::cms::asn1::{
    self, BOOLEAN, GENERALIZED_TIME, INTEGER, NotDer, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE,
    Tlv,
};

/// Extensions of one token: nobody is known to write more than one.
const EXTENSIONS_MAX: usize = 16;
/// Octets of a serial number: 160 bits at least must be taken (RFC 3161 §2.4.2).
const SERIAL_OCTETS_MAX: usize = 32;

/// `MessageImprint`: the digest that is stamped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imprint {
    pub(super) hash: HashAlgorithm,
    pub(super) digest: Vec<u8>,
}

/// How far a time may be off, to either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accuracy {
    /// Seconds.
    pub seconds: u32,
    /// Milliseconds, below 1000.
    pub millis: u16,
    /// Microseconds, below 1000.
    pub micros: u16,
}

/// What is read of a `TSTInfo`.
pub(super) struct Info<'a> {
    pub policy: String,
    pub imprint: Imprint,
    pub serial: &'a [u8],
    pub time: Timestamp,
    pub accuracy: Option<Accuracy>,
    pub nonce: Option<&'a [u8]>,
    /// The authority's name, if it is a directoryName.
    pub directory_name: Option<&'a [u8]>,
}

impl Imprint {
    /// Of a SHA-256 digest.
    #[must_use]
    pub fn sha256(digest: &Digest) -> Self {
        Self {
            hash: HashAlgorithm::Sha256,
            digest: digest.as_bytes().to_vec(),
        }
    }

    /// Of octets, by any of the digests.
    #[must_use]
    pub fn of(hash: HashAlgorithm, octets: &[u8]) -> Self {
        Self {
            hash,
            digest: hash.digest(octets),
        }
    }

    /// The digest's algorithm.
    #[must_use]
    pub const fn hash(&self) -> HashAlgorithm {
        self.hash
    }

    pub(super) fn to_der(&self) -> Vec<u8> {
        let digest = asn1::tlv(OCTET_STRING, &[&self.digest]);
        asn1::sequence(&[&self.hash.identifier(), &digest])
    }

    /// `None` for an algorithm that is not accepted.
    pub(super) fn read(imprint: &Tlv<'_>) -> Result<Option<Self>, NotDer> {
        let mut inside = imprint.tagged(SEQUENCE)?.inside()?;
        let hash = HashAlgorithm::read(&inside.expect(SEQUENCE)?)?;
        let digest = inside.expect(OCTET_STRING)?.content.to_vec();
        inside.finish()?;
        match hash {
            Ok(hash) if digest.len() == hash.octets() => Ok(Some(Self { hash, digest })),
            Ok(_) => Err(NotDer),
            Err(_) => Ok(None),
        }
    }
}

impl<'a> Info<'a> {
    pub fn read(octets: &'a [u8]) -> Result<Self, NotDer> {
        let mut inside = asn1::only(octets, SEQUENCE)?.inside()?;
        if inside.expect(INTEGER)?.number()? != 1 {
            return Err(NotDer);
        }
        let policy = asn1::dotted(inside.expect(OBJECT_IDENTIFIER)?.content)?;
        let imprint = Imprint::read(&inside.expect(SEQUENCE)?)?.ok_or(NotDer)?;
        let serial = asn1::unsigned(inside.expect(INTEGER)?.content)?;
        if serial.len() > SERIAL_OCTETS_MAX {
            return Err(NotDer);
        }
        let time = inside.expect(GENERALIZED_TIME)?.time()?;
        let accuracy = inside
            .optional(SEQUENCE)?
            .map(|found| read_accuracy(&found));
        // `ordering` says how tokens of one authority compare: nothing here does that.
        inside.optional(BOOLEAN)?;
        let nonce = inside
            .optional(INTEGER)?
            .map(|nonce| asn1::unsigned(nonce.content));
        let name = inside.optional(asn1::context(0))?;
        if let Some(extensions) = inside.optional(asn1::context(1))? {
            none_critical(&extensions)?;
        }
        inside.finish()?;
        let name = name.map(|name| name.inside()?.next()).transpose()?;
        let directory_name = name
            .filter(|name| name.tag == asn1::context(4))
            .map(|name| name.only(SEQUENCE))
            .transpose()?;
        Ok(Self {
            policy,
            imprint,
            serial,
            time,
            accuracy: accuracy.transpose()?,
            nonce: nonce.transpose()?,
            directory_name: directory_name.map(|name| name.whole),
        })
    }
}

/// `Accuracy`: any of its parts may be absent.
fn read_accuracy(found: &Tlv<'_>) -> Result<Accuracy, NotDer> {
    let mut inside = found.inside()?;
    let seconds = inside.optional(INTEGER)?;
    let millis = inside.optional(asn1::context_primitive(0))?;
    let micros = inside.optional(asn1::context_primitive(1))?;
    inside.finish()?;
    let number = |part: Option<Tlv<'_>>| part.map_or(Ok(0), |part| part.number());
    let below_thousand = |part: Option<Tlv<'_>>| {
        let number = u16::try_from(number(part)?).map_err(|_| NotDer)?;
        if number < 1000 {
            Ok(number)
        } else {
            Err(NotDer)
        }
    };
    Ok(Accuracy {
        seconds: number(seconds)?,
        millis: below_thousand(millis)?,
        micros: below_thousand(micros)?,
    })
}

/// An extension that is critical must be understood, and none is (RFC 3161 §2.4.2).
fn none_critical(extensions: &Tlv<'_>) -> Result<(), NotDer> {
    for extension in extensions.inside()?.all(EXTENSIONS_MAX)? {
        let mut inside = extension.tagged(SEQUENCE)?.inside()?;
        inside.expect(OBJECT_IDENTIFIER)?;
        if inside
            .optional(BOOLEAN)?
            .is_some_and(|critical| critical.content != [0])
        {
            return Err(NotDer);
        }
    }
    Ok(())
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:03}{:03}", self.millis, self.micros);
        let fraction = fraction.trim_end_matches('0');
        let dot = if fraction.is_empty() { "" } else { "." };
        write!(f, "{}{dot}{fraction} s", self.seconds)
    }
}
