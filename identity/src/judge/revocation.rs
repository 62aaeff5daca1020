//! What CRLs and responders say of a path that was found.
//!
//! CRLs cover the whole path: a revoked intermediate refuses too. Responders are asked about the holder's own certificate.
//! `hard` demands that one fresh source says good of that one; an intermediate is the operator's to withdraw, by its
//! authority's CRL or from the table. Any *revoked* wins, also that of a stale source.

use std::sync::Arc;

use mail::{Digest, Timestamp};
use rustls_pki_types::CertificateDer;
use webpki::{
    EndEntityCert, ExpirationPolicy, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy, VerifiedPath,
};

use super::{ClientPurpose, Shown, unix_time};
use crate::crl::Crl;
use crate::ocsp::{Question, Status};
use crate::refusal::{Cause, Refusal};
use crate::signed::ALGORITHMS;
use crate::trust::{Responder, Revocation, Trust};

/// Most URLs of one certificate that are asked: the second is for when the first is not there.
const NAMED_RESPONDERS_MAX: usize = 2;

/// Where a statement about a certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A CRL.
    Crl,
    /// A responder's answer.
    Ocsp,
}

/// What a source says of a certificate that was let in, for the evidence of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which kind of source.
    pub source: Source,
    /// SHA-256 of the CRL or the response, DER.
    pub digest: Digest,
    /// What it says. A fresh CRL that does not list a certificate says good.
    pub status: Status,
    /// When that was known to be right.
    pub this_update: Timestamp,
    /// Its octets, unless they are too many to be kept ([`crate::crl::KEPT_BYTES_MAX`]).
    pub octets: Option<Arc<[u8]>>,
}

impl Source {
    /// The word in evidence, and the ending of a file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Crl => "crl",
            Self::Ocsp => "ocsp",
        }
    }
}

impl Shown<'_> {
    /// Holds a path against the table's CRLs and what responders answered, and says what more could be asked.
    pub(super) fn revocation(
        &self,
        end_entity: &EndEntityCert<'_>,
        path: &VerifiedPath<'_>,
        trust: &Trust,
        questions: &mut Vec<Question>,
    ) -> Result<Vec<Standing>, Refusal> {
        if trust.revocation() == Revocation::Off {
            return Ok(Vec::new());
        }
        let mut good = self.answered(path, trust, questions)?;
        good.extend(self.listed(end_entity, path, trust)?);
        if trust.revocation() == Revocation::Hard && good.is_empty() {
            let detail = format!(
                "no fresh answer, and none of {} CRLs is fresh and covers the certificate",
                trust.crls().len()
            );
            return Err(Refusal::new(Cause::RevocationUnknown, detail));
        }
        Ok(good)
    }

    /// What a responder answered about the certificate, and what one can be asked.
    fn answered(
        &self,
        path: &VerifiedPath<'_>,
        trust: &Trust,
        questions: &mut Vec<Question>,
    ) -> Result<Vec<Standing>, Refusal> {
        let urls = match trust.responder() {
            Responder::Off => return Ok(Vec::new()),
            Responder::At(url) => vec![url.clone()],
            Responder::Named => {
                // One that cannot be read names nobody.
                let mut urls = self.certificate.ocsp_urls().unwrap_or_default();
                urls.truncate(NAMED_RESPONDERS_MAX);
                urls
            }
        };
        let Some(question) = Question::about(self.certificate, path.issuer_spki().as_ref()) else {
            return Ok(Vec::new());
        };
        let answer = self.answers.about(&question.key());
        let is_named = *trust.responder() == Responder::Named;
        questions.extend(urls.into_iter().map(|url| {
            let question = question.clone();
            question.to(url, is_named, trust.name())
        }));
        match answer {
            Some(answer) if answer.status == Status::Revoked => Err(Refusal::new(
                Cause::Revoked,
                "a responder says that the certificate is revoked",
            )),
            Some(answer) if answer.status == Status::Good && answer.is_fresh(self.now) => {
                Ok(vec![Standing {
                    source: Source::Ocsp,
                    digest: answer.digest,
                    status: Status::Good,
                    this_update: answer.this_update,
                    octets: Some(Arc::clone(&answer.octets)),
                }])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Holds the path that was found, and no other, against each CRL by itself, so that one list never hides another.
    fn listed(
        &self,
        end_entity: &EndEntityCert<'_>,
        path: &VerifiedPath<'_>,
        trust: &Trust,
    ) -> Result<Vec<Standing>, Refusal> {
        let pinned: Vec<CertificateDer<'_>> = path
            .intermediate_certificates()
            .map(|issuer| issuer.der())
            .collect();
        let issuers: Vec<&[u8]> = path
            .intermediate_certificates()
            .map(|issuer| issuer.issuer())
            .collect();
        let anchors = [path.anchor().clone()];
        let check = |crl: &Crl, demand: Demand| {
            let lists = [&crl.list];
            // Invariant: the builder refuses an empty list of CRLs only, and this one has one.
            let Ok(options) = RevocationOptionsBuilder::new(&lists) else {
                return Err(webpki::Error::UnknownRevocationStatus);
            };
            let options = demand.options(options).build();
            end_entity
                .verify_for_usage(
                    ALGORITHMS,
                    &anchors,
                    &pinned,
                    unix_time(self.now),
                    ClientPurpose,
                    Some(options),
                    None,
                )
                .map(|_| ())
        };
        let mut good = Vec::new();
        for crl in trust.crls() {
            let issuer = crl.list.issuer();
            if end_entity.issuer() != issuer && !issuers.contains(&issuer) {
                continue;
            }
            // A list that cannot be used (a signature by another key of the same name, say) proves nothing either way.
            if check(crl, Demand::NotRevoked) == Err(webpki::Error::CertRevoked) {
                return Err(Refusal::new(
                    Cause::Revoked,
                    "a CRL lists the certificate or one of its issuers",
                ));
            }
            if crl.is_fresh(self.now) && check(crl, Demand::Good).is_ok() {
                good.push(Standing {
                    source: Source::Crl,
                    digest: crl.digest(),
                    status: Status::Good,
                    this_update: crl.this_update,
                    octets: crl.octets().cloned(),
                });
            }
        }
        Ok(good)
    }
}

/// What is asked of one CRL.
#[derive(Clone, Copy)]
enum Demand {
    /// It must not list any certificate of the path, however old it is.
    NotRevoked,
    /// It must be fresh, cover the holder's certificate and not list it.
    Good,
}

impl Demand {
    fn options(self, builder: RevocationOptionsBuilder<'_>) -> RevocationOptionsBuilder<'_> {
        match self {
            Self::NotRevoked => builder
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Allow)
                .with_expiration_policy(ExpirationPolicy::Ignore),
            Self::Good => builder
                .with_depth(RevocationCheckDepth::EndEntity)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce),
        }
    }
}
