//! The seal and the log's key on a token. What the token gives is verified before it is given out.

use aws_lc_rs::digest::{SHA256, digest};
use receipts::note::{NoteError, NoteSigner, Signature as Line, VerifierKey};
use receipts::seal::{Seal, SealError, Signature, Statement, public_key_octets};
use rustls_pki_types::CertificateDer;

use super::Token;
use super::refused::Refused;
use super::session::Scheme;
use crate::config::key_place::TokenKey;
use crate::failure::{Failure, Outcome};

/// The seal, its key on a token.
pub struct TokenSeal {
    token: Token,
    certificate: CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
}

impl TokenSeal {
    /// Finds the key; it must be that of the first certificate.
    ///
    /// # Errors
    /// Names the key and what is wrong with it.
    pub fn open(
        key: &TokenKey,
        chain: Vec<CertificateDer<'static>>,
        refused: Refused,
    ) -> Outcome<Self> {
        let token = Token::of(key, refused)?;
        let public = token.public(Scheme::P256).map_err(Failure::could_not)?;
        let certificate = chain.first().cloned();
        let certificate = certificate.ok_or_else(|| {
            Failure::could_not("the seal's certificate file holds no certificate")
        })?;
        if public_key_octets(&certificate).as_ref() != Some(&public) {
            return Err(Failure::could_not(format!(
                "{}: the seal's first certificate is for another key",
                key.uri
            )));
        }
        Ok(Self {
            token,
            certificate,
            chain,
        })
    }
}

impl Seal for TokenSeal {
    fn seal(&self, statement: &Statement) -> Result<Signature, SealError> {
        let octets = statement.octets(&self.chain)?;
        let hashed = digest(&SHA256, &octets).as_ref().to_vec();
        let signed = self.token.sign(Scheme::P256, hashed);
        let signature = Signature::from_fixed(signed.map_err(SealError::Refused)?);
        if signature.holds_for(statement, &self.chain) {
            Ok(signature)
        } else {
            Err(SealError::Refused(
                "the token's signature does not hold".into(),
            ))
        }
    }

    fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

/// The log's key on a token.
pub struct TokenLogKey {
    token: Token,
    verifier: VerifierKey,
}

impl TokenLogKey {
    /// Finds the key, under the log's name.
    ///
    /// # Errors
    /// Names the key and what is wrong with it.
    pub fn open(key: &TokenKey, origin: &str, refused: Refused) -> Outcome<Self> {
        let token = Token::of(key, refused)?;
        let public = token.public(Scheme::Ed25519).map_err(Failure::could_not)?;
        let public = public
            .try_into()
            .map_err(|_| Failure::could_not("no Ed25519 key"))?;
        let verifier = VerifierKey::new(origin, public);
        let verifier = verifier.map_err(|e| Failure::doing("log.origin", &e))?;
        Ok(Self { token, verifier })
    }
}

impl NoteSigner for TokenLogKey {
    fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign(&self, text: &str) -> Result<Line, NoteError> {
        let signed = self.token.sign(Scheme::Ed25519, text.as_bytes().to_vec());
        self.verifier
            .line(text, &signed.map_err(NoteError::Device)?)
    }
}
