//! The log and the seal whose keys another process holds. Nothing it says is taken on trust: every signature is verified
//! before it is used.

use std::error::Error;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
use receipts::merkle::Hash;
use receipts::seal::{Seal, SealError, Signature, Statement};
use receipts::signing::{Answer, Refused, Request, Why};
use rustls_pki_types::CertificateDer;
use store::log::CheckpointSigner;

use super::Refusal;
use super::line::{Fault, Line, found};
use crate::config::Config;
use crate::failure::Outcome;

/// The log's signer in another process.
pub struct RemoteSigner {
    line: Line,
    last: Option<SignedCheckpoint>,
}

/// The seal in another process.
pub struct RemoteSeal {
    line: Mutex<Line>,
    chain: Vec<CertificateDer<'static>>,
    certificate: CertificateDer<'static>,
}

impl RemoteSigner {
    /// Connects, and asks what was signed last.
    ///
    /// # Errors
    /// As [`Line::open`], or what is wrong with the signer's answer.
    pub fn open(config: &Config, socket: &Path) -> Outcome<Self> {
        let line = Line::open(config, socket)?;
        let mut signer = Self { line, last: None };
        found(|| signer.read_last())?;
        Ok(signer)
    }

    fn read_last(&mut self) -> Result<(), Fault> {
        self.last = match self.line.ask(&Request::Last)? {
            Answer::Last(None) => None,
            Answer::Last(Some(note)) => Some(self.verified(&note)?),
            other => return Err(self.line.wrong(unexpected(&other))),
        };
        Ok(())
    }

    fn verified(&self, note: &str) -> Result<SignedCheckpoint, Fault> {
        SignedCheckpoint::open(note.as_bytes(), self.line.logs()).map_err(|e| self.line.wrong(e))
    }

    /// Asks once. Where it was asked before and the connection was lost, its memory says whether it was done.
    fn sign_once(
        &mut self,
        request: &Request,
        next: &Checkpoint,
        asked: bool,
    ) -> Result<Result<SignedCheckpoint, Refused>, Fault> {
        if asked {
            self.read_last()?;
            if let Some(last) = &self.last
                && last.checkpoint() == next
            {
                return Ok(Ok(last.clone()));
            }
        }
        match self.line.ask(request)? {
            Answer::Signed(note) => {
                let signed = self.verified(&note)?;
                if signed.checkpoint() != next {
                    return Err(self
                        .line
                        .wrong("it signed another checkpoint than it was asked for"));
                }
                Ok(Ok(signed))
            }
            Answer::Refused(refused) => Ok(Err(refused)),
            other => Err(self.line.wrong(unexpected(&other))),
        }
    }
}

impl CheckpointSigner for RemoteSigner {
    fn origin(&self) -> &str {
        self.line.logs().first().map_or("", |log| log.name())
    }

    fn last(&self) -> Option<&SignedCheckpoint> {
        self.last.as_ref()
    }

    fn sign(
        &mut self,
        next: &Checkpoint,
        proof: &[Hash],
    ) -> Result<SignedCheckpoint, Box<dyn Error + Send + Sync>> {
        let request = Request::Extend {
            next: next.clone(),
            proof: proof.to_vec(),
        };
        let mut asked = false;
        let signed = found(|| {
            let before = std::mem::replace(&mut asked, true);
            self.sign_once(&request, next, before)
        });
        match signed.map_err(|fault| Refusal::Failed(fault.to_string()))? {
            Ok(signed) => {
                self.last = Some(signed.clone());
                Ok(signed)
            }
            Err(refused) => {
                // Another node may have had one signed since: the next try begins from there. A fault is met again then.
                let _ = self.read_last();
                Err(refusal(refused).into())
            }
        }
    }
}

impl RemoteSeal {
    /// Connects.
    ///
    /// # Errors
    /// As [`Line::open`].
    pub fn open(config: &Config, socket: &Path) -> Outcome<Self> {
        let line = Line::open(config, socket)?;
        let chain = line.chain().to_vec();
        let certificate = chain.first().cloned();
        Ok(Self {
            certificate: certificate.ok_or_else(|| line.wrong("it has no certificate"))?,
            chain,
            line: Mutex::new(line),
        })
    }

    fn ask(&self, statement: &Statement) -> Result<Signature, Fault> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        // A seal that was put and lost harms nobody: it is asked for again.
        let answer = found(|| line.ask(&Request::Seal(*statement)))?;
        if line.chain() != self.chain.as_slice() {
            return Err(line.wrong("it seals under another certificate since; it is asked again"));
        }
        match answer {
            Answer::Sealed(signature) if signature.holds_for(statement, &self.chain) => {
                Ok(signature)
            }
            Answer::Sealed(_) => Err(line.wrong("its signature does not hold")),
            Answer::Refused(refused) => Err(line.wrong(refused.reason)),
            other => Err(line.wrong(unexpected(&other))),
        }
    }
}

impl Seal for RemoteSeal {
    fn seal(&self, statement: &Statement) -> Result<Signature, SealError> {
        self.ask(statement)
            .map_err(|fault| SealError::Refused(fault.to_string()))
    }

    fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

fn refusal(refused: Refused) -> Refusal {
    match refused.why {
        Why::Origin => Refusal::Origin,
        Why::NotExtending => Refusal::NotExtending(refused.reason),
        Why::Time | Why::Failed => Refusal::Failed(refused.reason),
    }
}

fn unexpected(answer: &Answer) -> String {
    match answer {
        Answer::Refused(refused) => refused.reason.clone(),
        _ => "it answered another question than it was asked".to_owned(),
    }
}
