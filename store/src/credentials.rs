//! What log-ins leaned on: the certificates of their paths, and what sources of revocation said at the time. Each is kept
//! once, under its digest, by which `logged-in` names it.

use std::sync::Arc;

use mail::digest::Digest;
use mail::time::Timestamp;
use serde_json::{Value, json};

use crate::audit::AuditFinding;
use crate::commit::Act;
use crate::contracts::words;
use crate::register::AccountId;
use crate::sql::{Param, Sql};
use crate::{Store, StoreError};

/// Most certificates of one path and most statements that an event names: a path has four at most, and a table few sources.
const NAMED_MAX: usize = 8;

words! {
    /// What kind of paper it is.
    CredentialKind, "kind of credential" {
        /// A certificate.
        Certificate = "certificate",
        /// A certificate revocation list.
        Crl = "crl",
        /// An OCSP response.
        Ocsp = "ocsp",
    }
}

/// What a log-in leans on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// The certificates of the path, DER: the holder's own, its issuers, the anchor.
    pub path: Vec<Vec<u8>>,
    /// What sources of revocation said.
    pub statements: Vec<Statement>,
}

/// What one source of revocation said of the holder's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// A CRL or a response.
    pub kind: CredentialKind,
    /// SHA-256 of its DER.
    pub digest: Digest,
    /// `good`.
    pub status: &'static str,
    /// When that was known to be right.
    pub this_update: Timestamp,
    /// Its DER; absent: too large to be kept.
    pub octets: Option<Arc<[u8]>>,
}

impl Credential {
    /// What the event says of it.
    pub(crate) fn details(&self) -> Value {
        let issuers = self.path.iter().skip(1).take(NAMED_MAX);
        let issuers: Vec<String> = issuers.map(|der| Digest::of(der).tagged()).collect();
        let statements = self.statements.iter().take(NAMED_MAX).map(|one| {
            json!({
                "source": one.kind.as_str(),
                "digest": one.digest.tagged(),
                "status": one.status,
                "this_update": one.this_update.to_string(),
            })
        });
        let statements: Vec<Value> = statements.collect();
        let mut details = json!({});
        if !issuers.is_empty() {
            details["issuers"] = json!(issuers);
        }
        if !statements.is_empty() {
            details["revocation"] = json!(statements);
        }
        details
    }
}

impl Store {
    /// What is kept under a digest that an event names.
    pub fn credential(
        &self,
        digest: &Digest,
    ) -> Result<Option<(CredentialKind, Vec<u8>)>, StoreError> {
        self.read(|sql| {
            sql.first(
                "SELECT kind, octets FROM credential WHERE digest = $1",
                &[digest.as_bytes().into()],
                |row| Ok((row.text(0)?.parse()?, row.blob(1)?.to_vec())),
            )
        })
    }

    /// Holds every kept paper against its digest.
    ///
    /// # Errors
    /// The first that has another.
    pub(crate) fn audit_credentials(&self) -> Result<(), AuditFinding> {
        let mut after = Vec::new();
        loop {
            let page = self.read(|sql| {
                sql.all(
                    "SELECT digest, octets FROM credential WHERE digest > $1 ORDER BY digest LIMIT 100",
                    &[(&after).into()],
                    |row| Ok((row.array::<32>(0)?, row.blob(1)?.to_vec())),
                )
            })?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = last.to_vec();
            for (digest, octets) in &page {
                let digest = Digest::from_bytes(*digest);
                if Digest::of(octets) != digest {
                    return Err(AuditFinding::Credential { digest });
                }
            }
        }
    }
}

impl Act<'_> {
    /// Keeps what is not kept yet.
    pub(crate) fn keep_credential(
        &mut self,
        account: AccountId,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        for (at, der) in credential.path.iter().take(NAMED_MAX + 1).enumerate() {
            let whose = (at == 0).then_some(account);
            keep(self.sql, CredentialKind::Certificate, whose, der)?;
        }
        for statement in credential.statements.iter().take(NAMED_MAX) {
            let whose = (statement.kind == CredentialKind::Ocsp).then_some(account);
            if let Some(octets) = &statement.octets {
                keep(self.sql, statement.kind, whose, octets)?;
            }
        }
        Ok(())
    }
}

fn keep(
    sql: &mut dyn Sql,
    kind: CredentialKind,
    whose: Option<AccountId>,
    octets: &[u8],
) -> Result<(), StoreError> {
    let digest = Digest::of(octets);
    sql.run(
        "INSERT INTO credential (digest, kind, account, octets) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING",
        &[
            digest.as_bytes().into(),
            kind.as_str().into(),
            whose.map_or(Param::Null, |account| account.0.into()),
            octets.into(),
        ],
    )
    .map(drop)
}
