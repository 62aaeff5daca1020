//! Verdicts: what may pass at connect, MAIL, RCPT and the end of data. Pure: facts in, verdict out; who asks writes the
//! reply and calls the store.
//!
//! | decided at | verdict table |
//! |---|---|
//! | MAIL | `tests/policy/mail.txt` |
//! | RCPT | `tests/policy/rcpt.txt` |
//! | end of data | `tests/policy/data.txt` |

use mail::address::AddressError;
use mail::data::Faults;
use mail::refusal::Code;
use mail::{Address, Digest, ReversePath};
use store::Reason;
use store::contracts::{Contract, Terms};
use store::register::{Account, AccountState, Cause};

use crate::command::{ForwardPath, Mail};
use crate::limits::RECEIVED_MAX;
use crate::reply::Reply;

/// A policy's no, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the client reads.
    pub reply: Reply,
    /// What the evidence says (EN 319 522-2 §8.3.3).
    pub reason: Reason,
}

impl Refusal {
    const fn new(reason: Reason, reply: Reply) -> Self {
        Self { reply, reason }
    }
}

/// The local part that every mail domain must take mail for (RFC 5321 §4.5.1).
pub const POSTMASTER: &str = "postmaster";

/// The largest message this contract may send, in octets.
pub fn message_bytes_max(terms: &Terms, house_bytes_max: u64) -> u64 {
    terms
        .size_bytes_max
        .map_or(house_bytes_max, |contract| contract.min(house_bytes_max))
}

/// May this contract's connection send this mail?
///
/// `tls` and `certificate` (SHA-256 of the client certificate's DER) are the connection's; `size_bytes_max` comes from
/// [`message_bytes_max`].
///
/// # Errors
/// The refusal; each is evidence against a contracted sender's submission.
pub fn mail(
    contract: &Contract,
    tls: bool,
    certificate: Option<&Digest>,
    mail: &Mail,
    size_bytes_max: u64,
) -> Result<(), Refusal> {
    let terms = &contract.terms;
    if !tls && (terms.require_tls || terms.client_certs.is_some()) {
        // RFC 3207 §4.
        return Err(Refusal::new(
            Reason::RA05,
            Reply::refusing(
                530,
                "5.7.0",
                "the contract asks for STARTTLS first",
                Code::StarttlsNeeded,
            ),
        ));
    }
    if let Some(pinned) = &terms.client_certs
        && !certificate.is_some_and(|shown| pinned.contains(shown))
    {
        return Err(Refusal::new(
            Reason::RA05,
            Reply::refusing(
                550,
                "5.7.1",
                "the contract asks for its client certificate",
                Code::SenderCertificate,
            ),
        ));
    }
    let ReversePath::Address(from) = &mail.from else {
        // A bounce or report is nobody's submission: holders cannot send, so there is nothing it could answer.
        return Err(Refusal::new(
            Reason::RA05,
            Reply::refusing(
                550,
                "5.7.1",
                "the null sender belongs to no contract",
                Code::NullSender,
            ),
        ));
    };
    // Exactly: a subdomain is another domain unless the contract lists it.
    if !contract
        .domains
        .iter()
        .any(|domain| domain.eq_ignore_ascii_case(from.domain()))
    {
        return Err(Refusal::new(
            Reason::RA05,
            Reply::refusing(
                550,
                "5.7.1",
                "the sender's domain is not in the contract",
                Code::SenderDomain,
            ),
        ));
    }
    if mail.size.is_some_and(|size| size > size_bytes_max) {
        return Err(too_large());
    }
    Ok(())
}

/// Is this path a mailbox of `domain`, and which address is to be looked up?
///
/// # Errors
/// The reply that refuses it: every historic form of relaying, and every other domain.
pub fn recipient(to: &ForwardPath, domain: &str) -> Result<Address, Reply> {
    let address = match to {
        ForwardPath::Postmaster => match Address::parse(&format!("{POSTMASTER}@{domain}")) {
            Ok(address) => address,
            // A configured domain that is no domain has no mailboxes.
            Err(_) => {
                return Err(Reply::refusing(
                    550,
                    "5.1.2",
                    "no such domain here",
                    Code::Relaying,
                ));
            }
        },
        ForwardPath::Address(address) => address.clone(),
        // RFC 6531 §3.5; SMTPUTF8 is not offered.
        ForwardPath::Foreign(AddressError::NotAscii) => {
            return Err(Reply::refusing(
                553,
                "5.6.7",
                "an address outside ASCII is not taken",
                Code::AddressNotAscii,
            ));
        }
        ForwardPath::Foreign(_) => return Err(RELAYING),
    };
    // Official addresses are dot-strings, so a quoted local part can only be an attempt at something else.
    if address.is_relay_form()
        || address.is_quoted()
        || !address.domain().eq_ignore_ascii_case(domain)
    {
        return Err(RELAYING);
    }
    Ok(address)
}

const RELAYING: Reply = Reply::refusing(550, "5.7.1", "relaying denied", Code::Relaying);

/// May mail go to what the register holds for the address?
///
/// # Errors
/// The reply that refuses it.
pub fn account(found: Option<Account>) -> Result<Account, Reply> {
    let account = found.ok_or(Reply::refusing(
        550,
        "5.1.1",
        "no such mailbox",
        Code::NoMailbox,
    ))?;
    match account.state {
        AccountState::Active => Ok(account),
        // RFC 3463 X.2.1: a transient error where the mailbox will take letters at another time …
        AccountState::Pending => Err(Reply::refusing(
            450,
            "4.2.1",
            "the mailbox is not open yet",
            Code::MailboxPending,
        )),
        // … X.1.6: it is one with another, whose address is not the sender's to learn here …
        AccountState::Closed if account.life.cause == Some(Cause::Merger) => Err(Reply::refusing(
            550,
            "5.1.6",
            "the mailbox is closed, its holder has another address",
            Code::MailboxMerged,
        )),
        // … and a permanent one where it never will again.
        AccountState::Closed => Err(Reply::refusing(
            550,
            "5.2.1",
            "the mailbox is closed",
            Code::MailboxClosed,
        )),
    }
}

/// May one more recipient be answered on its merits after so many?
///
/// # Errors
/// The reply (RFC 5321 §4.5.3.1.10): the client sends the rest in another transaction.
pub fn recipient_count(attempts: usize, recipients_max: usize) -> Result<(), Reply> {
    if attempts < recipients_max {
        return Ok(());
    }
    Err(Reply::refusing(
        452,
        "4.5.3",
        "too many recipients for one transaction",
        Code::TooManyRecipients,
    ))
}

/// What is known of a message at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// What the data had in it that it must not.
    pub faults: Faults,
    /// Octets after decoding.
    pub size: u64,
    /// Whether it begins with a header field at all.
    pub has_header: bool,
    /// How many Received fields it has.
    pub received: usize,
}

/// May this message be deposited? A missing Date, From or Message-ID is no reason: nothing is repaired, and the sender
/// may have meant it.
///
/// # Errors
/// The refusal.
pub fn data(content: &Content, size_bytes_max: u64) -> Result<(), Refusal> {
    if content.size > size_bytes_max {
        return Err(too_large());
    }
    if let Some(fault) = content.faults.first() {
        // RFC 5321 §2.3.8, RFC 5322 §2.3. X.6.0: a problem of the content.
        let reply = Reply::with(554, "5.6.0", fault.to_string()).because(Code::BadOctets);
        return Err(Refusal {
            reply,
            reason: Reason::RA02,
        });
    }
    if !content.has_header {
        return Err(Refusal::new(
            Reason::RA02,
            Reply::refusing(554, "5.6.0", "the message has no header", Code::NoHeader),
        ));
    }
    if content.received > RECEIVED_MAX {
        // RFC 5321 §6.3; RFC 3463 X.4.6.
        return Err(Refusal::new(
            Reason::RA05,
            Reply::refusing(
                554,
                "5.4.6",
                "the message goes round in circles: too many Received fields",
                Code::MailLoop,
            ),
        ));
    }
    Ok(())
}

/// RFC 1870 §6: for SIZE at MAIL and for what came.
pub const fn too_large() -> Refusal {
    Refusal::new(
        Reason::RA05,
        Reply::refusing(
            552,
            "5.3.4",
            "the message is larger than the contract allows",
            Code::TooLarge,
        ),
    )
}
