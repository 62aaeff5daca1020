//! A submission becomes a message, placements and evidence, in one durable act.

use std::net::IpAddr;

use mail::address::{Address, ReversePath};
use mail::digest::Digest;
use mail::structure::Structure;
use mail::trace::Trace;
use receipts::actor::Actor;
use receipts::id::{ContractId, EvidenceId, MessageId};
use serde_json::json;

use crate::commit::{Act, Ticket};
use crate::content::Place;
use crate::contracts::words;
use crate::mailboxes::{INBOX, MailboxId, Room};
use crate::mint::{MessageFacts, Minted, RecipientFacts};
use crate::notices::OWN_CONTRACT;
use crate::placement_row::PlacementRow;
use crate::placing::Octets;
use crate::register::{Account, AccountId, AccountState, state_at};
use crate::sql::{Param, Sql};
use crate::squeeze::squeeze;
use crate::staging::Sealed;
use crate::view::Flags;
use crate::{Store, StoreError};

/// `$MDNSent` is set at deposit, so that the holder's own client sends no second, leaking read receipt (law 8,
/// RFC 3503 §3).
pub const DEPOSIT_KEYWORDS: &str = "$MDNSent";

/// Refused recipients kept with one transaction, at most (evidence.md §2).
pub const REFUSED_MAX: usize = 100;

/// Octets of a Message-ID field that is used: one line (RFC 5322 §2.1.1).
pub const MESSAGE_ID_BYTES_MAX: usize = 998;

/// The envelope of a transaction and where it came from.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// MAIL FROM.
    pub from: ReversePath,
    /// What the client called itself in EHLO or HELO: only its claim.
    pub helo: String,
    /// `SMTP`, `ESMTP` or `ESMTPS` (RFC 3848), for the trace field.
    pub protocol: &'static str,
    /// The socket's peer.
    pub peer: IpAddr,
    /// What the sender asked about reports (RFC 3461).
    pub dsn: DsnEnvelope,
}

/// What a sender asks about reports for the whole transaction (RFC 3461 §4.3, §4.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DsnEnvelope {
    /// How much of the message a report is to return.
    pub ret: Option<Ret>,
    /// The sender's own id of the transaction, decoded.
    pub envid: Option<String>,
}

words! {
    /// How much of the message a report returns.
    Ret, "RET" {
        /// All of it.
        Full = "FULL",
        /// Its header.
        Hdrs = "HDRS",
    }
}

/// On what a sender wants a report for one recipient (RFC 3461 §4.1). No bit at all is `NEVER`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notify(pub u8);

impl Notify {
    /// `SUCCESS`.
    pub const SUCCESS: u8 = 1;
    /// `FAILURE`.
    pub const FAILURE: u8 = 2;
    /// `DELAY`.
    pub const DELAY: u8 = 4;

    /// Whether any report is wanted.
    pub const fn asks(self) -> bool {
        self.0 != 0
    }

    /// Whether a report is wanted on `what`.
    pub const fn has(self, what: u8) -> bool {
        self.0 & what != 0
    }
}

/// An accepted recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressee {
    /// Whose mailbox.
    pub account: Account,
    /// The address by which the sender named it, where that is not the account's own.
    pub alias: Option<Address>,
    /// What the sender wants reported; `None`: what its contract's profile says.
    pub notify: Option<Notify>,
    /// The original recipient as the sender gave it, `type;address`, decoded (RFC 3461 §4.2).
    pub orcpt: Option<String>,
}

impl Addressee {
    /// The address as the sender named it.
    pub fn address(&self) -> &Address {
        self.alias.as_ref().unwrap_or(&self.account.address)
    }
}

/// A recipient that was refused inside the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecipient {
    /// As the client gave it, cut to a bounded length.
    pub address: String,
    /// The reply it got.
    pub reply: String,
}

/// A message whose data has ended and that policy lets in.
pub struct Submission {
    /// The sender's contract.
    pub contract: ContractId,
    /// How the sender was recognised.
    pub actor: Actor,
    /// The envelope.
    pub envelope: Envelope,
    /// The octets.
    pub sealed: Sealed,
    /// What was found in them, at ingress, once.
    pub structure: Structure,
    /// The accepted recipients; one named twice counts once, as first named.
    pub recipients: Vec<Addressee>,
    /// The refused ones, at most [`REFUSED_MAX`].
    pub refused: Vec<RefusedRecipient>,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The `submission-accepted` evidence: the new one, or the old one of a repeated submission.
    pub evidence: EvidenceId,
    /// The message.
    pub message: MessageId,
    /// Every recipient had this message already: nothing new was made (law 7).
    pub repeated: bool,
    /// Recipients in whose mailbox it was placed now.
    pub placed: u32,
}

/// The numbers that the next rows get.
struct NextRows {
    message: i64,
    recipient: i64,
}

/// A recipient who has the same message from an earlier submission.
struct Earlier {
    account: AccountId,
    message: MessageId,
}

impl Store {
    /// Deposits a submission: message, placements, `submission-accepted` and one `deposited` per recipient commit
    /// together (law 2), after the content is synced.
    ///
    /// Re-submission is judged per recipient by (contract, Message-ID, digest, account) (law 7).
    ///
    /// # Errors
    /// [`StoreError::Full`] (answer 452) or [`StoreError::Failed`] (answer 451): nothing was deposited.
    pub fn deposit(&self, submission: Submission) -> Ticket<Accepted> {
        self.deposit_after(submission, |_, _| Ok(()))
    }

    /// As [`deposit`](Self::deposit), with something done before it in the same transaction, which may leave recipients
    /// out. If that fails nothing is deposited.
    pub(crate) fn deposit_after(
        &self,
        mut submission: Submission,
        before: impl FnOnce(&mut Act<'_>, &mut Submission) -> Result<(), StoreError> + Send + 'static,
    ) -> Ticket<Accepted> {
        let host = self.host().to_owned();
        let structure = submission.structure.to_bytes();
        let held = submission.sealed.take_held();
        let key = EarlierKey::of(&submission);
        let wanted: Vec<AccountId> = submission
            .recipients
            .iter()
            .map(|to| to.account.id)
            .collect();
        let act = move |act: &mut Act<'_>, place: Option<Place>| {
            before(act, &mut submission)?;
            let accepted = act.deposit(&submission, place, &structure, &host)?;
            if accepted.repeated
                && let Some(place) = place
            {
                act.leave_stray(place, submission.sealed.size())?;
            }
            if !accepted.repeated {
                // Kept before the commit: if the commit fails the file stays, unreferenced, for the next sweep.
                submission.sealed.keep();
            }
            Ok(accepted)
        };
        match held {
            Some(held) => {
                let store = self.clone();
                let digest = key.digest;
                let needed = Box::new(move || store.read(|sql| key.any_lacks(sql, &wanted)));
                let octets = Octets {
                    held,
                    digest,
                    needed,
                };
                self.act_with_letter(octets, act)
            }
            None => self.act(move |scene| act(scene, None)),
        }
    }
}

/// By what an earlier submission of the same message is found (law 7).
struct EarlierKey {
    contract: ContractId,
    field: Option<String>,
    digest: Digest,
}

impl EarlierKey {
    fn of(submission: &Submission) -> Self {
        Self {
            contract: submission.contract,
            field: message_id_field(&submission.structure).cloned(),
            digest: submission.sealed.digest(),
        }
    }

    /// Who has this very message from an earlier submission under the same contract. No Message-ID: nobody (law 7).
    fn earlier(&self, sql: &mut dyn Sql) -> Result<Vec<Earlier>, StoreError> {
        let Some(field) = &self.field else {
            return Ok(Vec::new());
        };
        sql.all(
            "SELECT recipient.account, message.ulid FROM message JOIN recipient ON recipient.message = message.id \
             WHERE message.message_id_field = $1 AND message.digest = $2 AND message.contract = $3 \
             ORDER BY message.id",
            &[
                field.into(),
                self.digest.as_bytes().into(),
                (&self.contract.to_bytes()).into(),
            ],
            |row| {
                Ok(Earlier {
                    account: AccountId(row.int(0)?),
                    message: MessageId::from_bytes(row.array(1)?),
                })
            },
        )
    }

    /// Whether any of these accounts does not have it yet.
    fn any_lacks(&self, sql: &mut dyn Sql, wanted: &[AccountId]) -> Result<bool, StoreError> {
        let earlier = self.earlier(sql)?;
        Ok(wanted
            .iter()
            .any(|account| earlier.iter().all(|one| one.account != *account)))
    }
}

impl Act<'_> {
    fn deposit(
        &mut self,
        submission: &Submission,
        place: Option<Place>,
        structure: &[u8],
        host: &str,
    ) -> Result<Accepted, StoreError> {
        let addressees = once_each(&submission.recipients);
        let earlier = EarlierKey::of(submission).earlier(self.sql)?;
        let (already, fresh): (Vec<&Addressee>, Vec<&Addressee>) = addressees
            .into_iter()
            .partition(|to| earlier.iter().any(|one| one.account == to.account.id));
        if fresh.is_empty()
            && let Some(old) = already
                .first()
                .and_then(|to| earlier.iter().find(|one| one.account == to.account.id))
        {
            return self.repeat(old.message);
        }
        let place = place.or(submission.sealed.place()).ok_or_else(|| {
            StoreError::Unavailable("the same letter, deposited earlier, has just gone".into())
        })?;

        let facts = self.facts(submission)?;
        let mut next = self.next_rows()?;
        self.insert_message(submission, (next.message, &facts), (place, structure), host)?;
        let placed = numbered(&fresh);
        let minted = self.submission_accepted(
            &submission.actor,
            &facts,
            &placed,
            json!({
                "helo": submission.envelope.helo,
                "protocol": submission.envelope.protocol,
                "envid": submission.envelope.dsn.envid,
                "already_deposited": addresses(&already),
                "notes": notes(&submission.structure),
            }),
        )?;
        let mut count = 0;
        for (to, (ordinal, address)) in fresh.iter().zip(placed) {
            let own = to.alias.is_some().then(|| to.account.address.to_string());
            let who = RecipientFacts {
                message: facts.clone(),
                address,
                account: own,
                ordinal,
            };
            count += u32::from(self.place(submission, &mut next, to, &who, minted)?);
        }
        let next = fresh.len() as u32 + 1;
        self.refuse_recipients(&submission.actor, &facts, &submission.refused, next, minted)?;
        let asked = fresh.iter().any(|to| to.notify.is_some_and(Notify::asks));
        self.owe_outcome(submission.contract, minted, asked)?;
        Ok(Accepted {
            evidence: minted.id,
            message: facts.message,
            repeated: false,
            placed: count,
        })
    }

    fn repeat(&mut self, message: MessageId) -> Result<Accepted, StoreError> {
        let chain = crate::mint::Chain::message(message, 0);
        let evidence = self
            .sql
            .first(
                "SELECT id FROM evidence WHERE chain_kind = $1 AND chain_subject = $2 AND chain_ordinal = $3 \
                 ORDER BY seq LIMIT 1",
                &chain.params(),
                |row| Ok(EvidenceId::from_bytes(row.array(0)?)),
            )?
            .ok_or_else(|| StoreError::damaged(format!("message {message} has no evidence")))?;
        Ok(Accepted {
            evidence,
            message,
            repeated: true,
            placed: 0,
        })
    }

    fn facts(&mut self, submission: &Submission) -> Result<MessageFacts, StoreError> {
        Ok(MessageFacts {
            message: self.minter.message_id()?,
            contract: submission.contract,
            message_id_field: message_id_field(&submission.structure).cloned(),
            sender: sender_text(&submission.envelope.from),
            submitted: self.minter.now(),
            digest: Some(submission.sealed.digest()),
            size: Some(submission.sealed.size()),
        })
    }

    fn next_rows(&mut self) -> Result<NextRows, StoreError> {
        let last = self.sql.first(
            "SELECT (SELECT COALESCE(MAX(id), 0) FROM message), (SELECT COALESCE(MAX(id), 0) FROM recipient)",
            &[],
            |row| Ok((row.int(0)?, row.int(1)?)),
        )?;
        let (message, recipient) = last.unwrap_or_default();
        Ok(NextRows {
            message: message + 1,
            recipient: recipient + 1,
        })
    }

    fn insert_message(
        &mut self,
        submission: &Submission,
        (row, facts): (i64, &MessageFacts),
        (Place { file, offset }, structure): (Place, &[u8]),
        host: &str,
    ) -> Result<(), StoreError> {
        let trace = Trace {
            return_path: &submission.envelope.from,
            helo: &submission.envelope.helo,
            peer: (submission.contract != OWN_CONTRACT).then_some(submission.envelope.peer),
            host,
            tls: submission.envelope.protocol == "ESMTPS",
            id: &facts.message.to_string(),
            time: facts.submitted,
            digest: submission.sealed.digest(),
            octets: submission.sealed.size(),
        }
        .to_octets();
        self.sql.put(
            "INSERT INTO message (id, ulid, contract, digest, size, message_id_field, sender, submitted, sent, trace, \
             structure, content_file, content_offset, ret, envid, served) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            &[
                row.into(),
                (&facts.message.to_bytes()).into(),
                (&facts.contract.to_bytes()).into(),
                submission.sealed.digest().as_bytes().into(),
                Param::Int(submission.sealed.size() as i64),
                facts.message_id_field.as_deref().into(),
                (&facts.sender).into(),
                facts.submitted.as_millis().into(),
                submission.structure.date.map(|date| date.as_millis()).into(),
                (&squeeze(&trace)).into(),
                (&squeeze(structure)).into(),
                file.into(),
                Param::Int(offset as i64),
                submission.envelope.dsn.ret.map(Ret::as_str).into(),
                submission.envelope.dsn.envid.as_deref().into(),
                Param::Int((submission.sealed.size() + trace.len() as u64) as i64),
            ],
        )
    }

    /// Places the message into one INBOX; `false` if the account was closed since RCPT (D.2).
    fn place(
        &mut self,
        submission: &Submission,
        next: &mut NextRows,
        to: &Addressee,
        who: &RecipientFacts,
        minted: Minted,
    ) -> Result<bool, StoreError> {
        let account = &to.account;
        let Some(inbox) = self.open_inbox(account.id)? else {
            self.deposit_failed(&submission.actor, who, "the account is closed", minted)?;
            return Ok(false);
        };
        let recipient = next.recipient;
        next.recipient += 1;
        self.sql.put(
            "INSERT INTO recipient (id, message, ordinal, account, facts, notify, orcpt, alias) \
             VALUES ($1, $2, $3, $4, 0, $5, $6, $7)",
            &[
                recipient.into(),
                next.message.into(),
                who.ordinal.into(),
                account.id.0.into(),
                to.notify.map(|notify| i64::from(notify.0)).into(),
                to.orcpt.as_deref().into(),
                to.alias.as_ref().map(ToString::to_string).as_deref().into(),
            ],
        )?;
        let (uid, modseq) = self.take_uids(&inbox, 1)?;
        let row = PlacementRow {
            mailbox: inbox.id.0,
            uid,
            message: next.message,
            recipient,
            modseq,
            flags: Flags::new(0, [DEPOSIT_KEYWORDS]),
        };
        row.insert(self.sql)?;
        self.told.accounts.push(account.id);
        self.deposited(&submission.actor, who, minted)?;
        Ok(true)
    }

    /// The INBOX of an account, if letters are taken for it.
    fn open_inbox(&mut self, account: AccountId) -> Result<Option<Room>, StoreError> {
        let now = self.minter.now();
        let found = self.sql.first(
            "SELECT account.state, mailbox.id, mailbox.uid_next, mailbox.modseq, account.active_from, account.closes_at FROM account \
             LEFT JOIN mailbox ON mailbox.account = account.id AND mailbox.name = $2 WHERE account.id = $1",
            &[account.0.into(), INBOX.into()],
            |row| {
                let state = state_at(now, row, 0, 4)?;
                let id = row.optional(1, |row, column| row.int(column))?;
                let Some(id) = id else {
                    return Err(StoreError::damaged("an account without INBOX"));
                };
                let room = Room {
                    id: MailboxId(id),
                    uid_next: row.number(2)?,
                    modseq: row.number(3)?,
                };
                Ok((state == AccountState::Active).then_some(room))
            },
        )?;
        Ok(found.flatten())
    }

    /// Records the refused recipients with the outcome; their numbers follow the accepted ones'.
    pub(crate) fn refuse_recipients(
        &mut self,
        by: &Actor,
        facts: &MessageFacts,
        refused: &[RefusedRecipient],
        first: u32,
        submission: Minted,
    ) -> Result<(), StoreError> {
        for (ordinal, one) in (first..).zip(refused.iter().take(REFUSED_MAX)) {
            let who = RecipientFacts {
                message: facts.clone(),
                address: one.address.clone(),
                account: None,
                ordinal,
            };
            self.recipient_refused(by, &who, &one.reply, submission)?;
        }
        Ok(())
    }
}

pub(crate) fn sender_text(from: &ReversePath) -> String {
    match from {
        ReversePath::Null => String::new(),
        ReversePath::Address(address) => address.to_string(),
    }
}

/// The same account twice in one transaction: one placement (law 7).
fn once_each(all: &[Addressee]) -> Vec<&Addressee> {
    let mut seen = std::collections::HashSet::new();
    all.iter().filter(|to| seen.insert(to.account.id)).collect()
}

fn numbered(all: &[&Addressee]) -> Vec<(u32, String)> {
    (1..)
        .zip(all)
        .map(|(ordinal, to)| (ordinal, to.address().to_string()))
        .collect()
}

fn addresses(all: &[&Addressee]) -> Option<Vec<String>> {
    let list: Vec<String> = all.iter().map(|to| to.address().to_string()).collect();
    (!list.is_empty()).then_some(list)
}

/// What was odd about the message and is accepted all the same (law 6): noted, never mended.
fn notes(structure: &Structure) -> Option<Vec<String>> {
    let list: Vec<String> = structure
        .notes
        .iter()
        .map(|note| note.as_str().to_owned())
        .collect();
    (!list.is_empty()).then_some(list)
}

/// The Message-ID by which a submission is found again. A field longer than a line may be (RFC 5322 §2.1.1) is not
/// used: it would not fit into evidence, and no client makes one. Nor is one with NUL, which no text of a database holds.
fn message_id_field(structure: &Structure) -> Option<&String> {
    structure
        .message_id
        .as_ref()
        .filter(|field| is_usable_field(field))
}

/// Whether a Message-ID field may stand in a row.
pub(crate) fn is_usable_field(field: &str) -> bool {
    field.len() <= MESSAGE_ID_BYTES_MAX && !field.contains('\0')
}
