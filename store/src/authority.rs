//! What the operator's authority has issued and revoked, and its newest list of what is revoked.
//!
//! A certificate is here before anybody has it; a serial number that is not here was never issued.

use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::event::EventName;
use receipts::id::EvidenceId;
use serde_json::{Value, json};

use crate::commit::{Act, Ticket};
use crate::contracts::{one_line, words};
use crate::register::{AccountId, Enrolment, account_by_id};
use crate::sql::{Param, Row};
use crate::{Store, StoreError};

words! {
    /// How a device came to its certificate.
    How, "way of enrolment" {
        /// By the operator's command, with a key made there.
        Command = "command",
        /// By the operator's command, in place of another certificate.
        Renewal = "renewal",
        /// By the holder with a one-time link, with a key made here.
        LinkKey = "link-key",
        /// By the holder with a one-time link, over a key of their own.
        LinkRequest = "link-request",
    }
}

/// A device's certificate with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The certificate and its key.
    pub enrolment: Enrolment,
    /// When it was enrolled; unknown of those from before this was kept.
    pub issued: Option<Timestamp>,
    /// Why it was revoked, if it was.
    pub reason: Option<String>,
}

/// A device's certificate to be enrolled.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// The certificate and its key.
    pub enrolment: Enrolment,
    /// How the device came to it.
    pub how: How,
    /// The serial number of the certificate that it will replace.
    pub renews: Option<String>,
}

/// A certificate of the authority that is no holder's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Its serial number, octets.
    pub serial: Vec<u8>,
    /// What it is for, in a word.
    pub purpose: &'static str,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// A revoked certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: Option<String>,
}

/// What the authority says of a serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Issued and not revoked.
    Good,
    /// Revoked.
    Revoked(Revoked),
    /// Never issued.
    Unknown,
}

/// A signed list of what is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// Its number; each list's is greater than those before.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// By when the next is there.
    pub next_update: Timestamp,
    /// How many revocations there had been when it was made.
    pub covers: u64,
    /// DER.
    pub octets: Vec<u8>,
}

const REVOCATIONS: &str = "SELECT COUNT(*) FROM enrolment WHERE revoked IS NOT NULL";

impl Store {
    /// All certificates enrolled for an account with what became of them, oldest first.
    pub fn devices(&self, account: AccountId) -> Result<Vec<Device>, StoreError> {
        self.read(|sql| {
            sql.all(
                "SELECT spki, serial, fingerprint, not_after, revoked, issued, reason FROM enrolment \
                 WHERE account = $1 ORDER BY not_after, serial",
                &[account.0.into()],
                device_from_row,
            )
        })
    }

    /// Enrols a device's certificate.
    ///
    /// # Errors
    /// As [`Store::enrol`]; [`StoreError::NotFound`] when the certificate to be renewed is not the account's.
    pub fn enrol_device(
        &self,
        by: Actor,
        account: AccountId,
        device: NewDevice,
    ) -> Ticket<EvidenceId> {
        self.act(move |act| act.enrol_device(&by, account, &device, None))
    }

    /// Revokes a certificate of an account, for a reason in a word of RFC 5280 §5.3.1. Sessions that it opened end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the account has no such certificate; [`StoreError::Invalid`] when it was revoked before.
    pub fn revoke(
        &self,
        by: Actor,
        account: AccountId,
        serial: String,
        reason: String,
    ) -> Ticket<(Timestamp, EvidenceId)> {
        self.act(move |act| act.revoke(&by, account, &serial, &reason))
    }

    /// Notes certificates that are no holder's; one that is noted already stays as it is.
    pub fn note_issued(&self, certificates: Vec<Issued>) -> Ticket<()> {
        self.act(move |act| {
            for issued in &certificates {
                let serial: Param<'_> = (&issued.serial).into();
                let there = "SELECT COUNT(*) FROM issued WHERE serial = $1";
                if act.sql.integer(there, &[serial])? == 0 {
                    act.sql.put(
                        "INSERT INTO issued (serial, purpose, not_after) VALUES ($1, $2, $3)",
                        &[
                            serial,
                            issued.purpose.into(),
                            issued.not_after.as_millis().into(),
                        ],
                    )?;
                }
            }
            Ok(())
        })
    }

    /// What the authority says of a serial number (octets without a sign octet, and the same in hexadecimal).
    pub fn standing(&self, octets: &[u8], serial: &str) -> Result<Standing, StoreError> {
        self.read(|sql| {
            let device = sql.first(
                "SELECT serial, revoked, reason FROM enrolment WHERE serial = $1 ORDER BY revoked",
                &[serial.into()],
                |row| {
                    let revoked = row.optional(1, |row, column| row.int(column))?;
                    Ok(match revoked {
                        Some(_) => Standing::Revoked(revoked_from_row(row)?),
                        None => Standing::Good,
                    })
                },
            )?;
            if let Some(standing) = device {
                return Ok(standing);
            }
            let noted = "SELECT COUNT(*) FROM issued WHERE serial = $1";
            Ok(match sql.integer(noted, &[octets.into()])? {
                0 => Standing::Unknown,
                _ => Standing::Good,
            })
        })
    }

    /// Everything that is revoked and that was still valid at `expired_before`, in the order of its revocation; and how
    /// many revocations there are in all at that moment.
    pub fn revoked(&self, expired_before: Timestamp) -> Result<(Vec<Revoked>, u64), StoreError> {
        self.read(|sql| {
            let revoked = sql.all(
                "SELECT serial, revoked, reason FROM enrolment WHERE revoked IS NOT NULL AND not_after >= $1 \
                 ORDER BY revoked, serial",
                &[expired_before.as_millis().into()],
                revoked_from_row,
            )?;
            let count = sql.integer(REVOCATIONS, &[])?;
            Ok((revoked, u64::try_from(count).unwrap_or(0)))
        })
    }

    /// How many certificates were ever revoked.
    pub fn revocations(&self) -> Result<u64, StoreError> {
        let count = self.read(|sql| sql.integer(REVOCATIONS, &[]))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The newest list.
    pub fn revocation_list(&self) -> Result<Option<RevocationList>, StoreError> {
        self.read(|sql| {
            sql.first(
                "SELECT number, this_update, next_update, covers, octets FROM revocation_list ORDER BY number DESC LIMIT 1",
                &[],
                |row| {
                    Ok(RevocationList {
                        number: row.number(0)?,
                        this_update: Timestamp::from_millis(row.int(1)?),
                        next_update: Timestamp::from_millis(row.int(2)?),
                        covers: row.number(3)?,
                        octets: row.blob(4)?.to_vec(),
                    })
                },
            )
        })
    }

    /// Publishes a list in place of the one before.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when another node was quicker: the list in force has this number or a greater one.
    pub fn publish_revocation_list(&self, list: RevocationList) -> Ticket<()> {
        self.act(move |act| {
            let number = Param::Int(list.number as i64);
            let later = "SELECT COUNT(*) FROM revocation_list WHERE number >= $1";
            if act.sql.integer(later, &[number])? > 0 {
                return Err(StoreError::Exists(format!(
                    "list {} of what is revoked",
                    list.number
                )));
            }
            act.sql.put("DELETE FROM revocation_list", &[])?;
            act.sql.put(
                "INSERT INTO revocation_list (number, this_update, next_update, covers, octets) \
                 VALUES ($1, $2, $3, $4, $5)",
                &[
                    number,
                    list.this_update.as_millis().into(),
                    list.next_update.as_millis().into(),
                    Param::Int(list.covers as i64),
                    (&list.octets).into(),
                ],
            )
        })
    }
}

impl Act<'_> {
    /// Enrols a device; `link` is the digest of the link's token, if one was used.
    pub(crate) fn enrol_device(
        &mut self,
        by: &Actor,
        account: AccountId,
        device: &NewDevice,
        link: Option<&Digest>,
    ) -> Result<EvidenceId, StoreError> {
        if let Some(serial) = &device.renews {
            self.enrolment_of(account, serial)?;
        }
        let mut more = json!({ "how": device.how.as_str() });
        for (key, value) in [
            ("renews", device.renews.clone()),
            ("link", link.map(Digest::tagged)),
        ] {
            if let Some(value) = value {
                more[key] = Value::String(value);
            }
        }
        let evidence = self.enrol(by, account, &device.enrolment, more)?;
        let now = self.minter.now().as_millis();
        self.sql.put(
            "UPDATE enrolment SET issued = $2 WHERE spki = $1",
            &[device.enrolment.spki.as_bytes().into(), now.into()],
        )?;
        Ok(evidence)
    }

    fn revoke(
        &mut self,
        by: &Actor,
        id: AccountId,
        serial: &str,
        reason: &str,
    ) -> Result<(Timestamp, EvidenceId), StoreError> {
        let account = account_by_id(self.sql, self.minter.now(), id)?
            .ok_or_else(|| StoreError::NotFound("account".into()))?;
        let reason = one_line("the reason", reason)?;
        let enrolment = self.enrolment_of(id, serial)?;
        if let Some(since) = enrolment.revoked {
            return Err(StoreError::Invalid(format!(
                "certificate {serial} is revoked since {since}"
            )));
        }
        let more = json!({
            "serial": enrolment.serial,
            "certificate": enrolment.fingerprint.tagged(),
            "key": enrolment.spki.tagged(),
            "why": reason,
        });
        let minted = self.account_event(by, EventName::AccountRevoked, &account, more)?;
        self.sql.put(
            "UPDATE enrolment SET revoked = $2, reason = $3 WHERE spki = $1",
            &[
                enrolment.spki.as_bytes().into(),
                minted.time.as_millis().into(),
                (&reason).into(),
            ],
        )?;
        self.revise()?;
        Ok((minted.time, minted.id))
    }

    fn enrolment_of(&mut self, account: AccountId, serial: &str) -> Result<Enrolment, StoreError> {
        let found = self.sql.first(
            "SELECT spki, serial, fingerprint, not_after, revoked, issued, reason FROM enrolment \
             WHERE account = $1 AND serial = $2",
            &[account.0.into(), serial.into()],
            device_from_row,
        )?;
        found
            .map(|device| device.enrolment)
            .ok_or_else(|| StoreError::NotFound(format!("certificate {serial} of this account")))
    }
}

fn device_from_row(row: &dyn Row) -> Result<Device, StoreError> {
    let time = |column| {
        row.optional(column, |row, column| {
            Ok(Timestamp::from_millis(row.int(column)?))
        })
    };
    Ok(Device {
        enrolment: Enrolment {
            spki: Digest::from_bytes(row.array(0)?),
            serial: row.string(1)?,
            fingerprint: Digest::from_bytes(row.array(2)?),
            not_after: Timestamp::from_millis(row.int(3)?),
            revoked: time(4)?,
        },
        issued: time(5)?,
        reason: row.optional(6, |row, column| row.string(column))?,
    })
}

/// Serial number, time, reason.
fn revoked_from_row(row: &dyn Row) -> Result<Revoked, StoreError> {
    Ok(Revoked {
        serial: row.string(0)?,
        since: Timestamp::from_millis(row.int(1)?),
        reason: row.optional(2, |row, column| row.string(column))?,
    })
}
