//! The log's keys as they are now: the one in use, and while it takes the place of another that one too.

use std::fs::File;

use receipts::note::{NoteSigner, VerifierKey};
use store::signing_keys::KeyPurpose;

use super::ring::{Ring, State};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys;

/// The keys that sign checkpoints.
pub struct LogKeys {
    /// `None` in tests, whose key never changes.
    source: Option<(Config, Ring)>,
    /// Never empty: the one in use first.
    signers: Vec<Box<dyn NoteSigner>>,
}

impl LogKeys {
    /// Opens them.
    ///
    /// # Errors
    /// Names the key that cannot be used.
    pub fn load(config: &Config) -> Outcome<Self> {
        let ring = Ring::load(config)?;
        Ok(Self {
            signers: open(config, &ring)?,
            source: Some((config.clone(), ring)),
        })
    }

    /// One key for ever.
    #[cfg(test)]
    pub fn fixed(key: receipts::note::SigningKey) -> Self {
        Self {
            source: None,
            signers: vec![Box::new(key)],
        }
    }

    /// Takes up what was changed since.
    ///
    /// # Errors
    /// Names the key that cannot be used; nothing is changed then, and nothing is to be signed.
    pub fn refresh(&mut self) -> Outcome {
        let Some((config, ring)) = &mut self.source else {
            return Ok(());
        };
        if ring.is_fresh()? {
            return Ok(());
        }
        let new = Ring::load(config)?;
        self.signers = open(config, &new)?;
        *ring = new;
        let keys: Vec<String> = self.verifiers().iter().map(ToString::to_string).collect();
        tracing::info!(
            keys = keys.join(", "),
            "the log is signed by other keys from now on"
        );
        Ok(())
    }

    /// While a signature is made and remembered.
    ///
    /// # Errors
    /// Names the lock's file.
    pub fn hold(&self) -> Outcome<Option<File>> {
        let ring = self.source.as_ref().map(|(_, ring)| ring);
        ring.map(Ring::hold).transpose()
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        self.signers
            .first()
            .map_or("", |signer| signer.verifier().name())
    }

    /// All that sign.
    pub fn signers(&self) -> Vec<&dyn NoteSigner> {
        self.signers.iter().map(AsRef::as_ref).collect()
    }

    /// Their public halves.
    pub fn verifiers(&self) -> Vec<VerifierKey> {
        let signers = self.signers.iter();
        signers.map(|signer| signer.verifier().clone()).collect()
    }

    /// Those, and those that signed before them.
    pub fn known(&self) -> Vec<VerifierKey> {
        let mut known = self.verifiers();
        let ring = self.source.iter().flat_map(|(_, ring)| &ring.entries);
        for key in ring.filter_map(|entry| entry.verifier.clone()) {
            if !known.contains(&key) {
                known.push(key);
            }
        }
        known
    }
}

fn open(config: &Config, ring: &Ring) -> Outcome<Vec<Box<dyn NoteSigner>>> {
    let mut signers = vec![keys::log_signer(config, ring.current(KeyPurpose::Log)?)?];
    if let Some(before) = ring.one(KeyPurpose::Log, State::Overlap) {
        signers.push(keys::log_signer(config, before)?);
    }
    let strange = signers.iter().zip(&ring.entries).find(|(signer, _)| {
        let key = signer.verifier();
        let listed = ring
            .entries
            .iter()
            .filter_map(|entry| entry.verifier.as_ref());
        let mut listed = listed.peekable();
        listed.peek().is_some() && !listed.any(|other| other == key)
    });
    match strange {
        Some((signer, _)) => Err(Failure::could_not(format!(
            "{}: the key that is there is {}, which it does not list",
            ring.path().display(),
            signer.verifier()
        ))),
        None => Ok(signers),
    }
}
