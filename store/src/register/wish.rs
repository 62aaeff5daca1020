//! What an operator or a line of an import wants of an account, and what differs from it. Pure: what is there goes in, what
//! has to be done comes out; so a dry run and the act itself cannot disagree.

use mail::address::Address;
use mail::digest::Digest;
use mail::time::Timestamp;

use super::{Account, AccountState, Cause, Kind, Lang, NewAccount};
use crate::StoreError;

/// Octets of a holder's name: the longest names of bodies have some 150 letters, two octets each in Armenian.
pub const NAME_BYTES_MAX: usize = 400;

/// Octets of a postal address: six lines of an envelope.
pub const POSTAL_BYTES_MAX: usize = 600;

/// Octets of the register's own id.
pub const REFERENCE_BYTES_MAX: usize = 100;

/// Other addresses of one account: an old number or two, and what entities bring along from mergers.
pub const ALIASES_MAX: usize = 20;

/// What is wanted of an account. What is `None` is left as it is, or has its default in a new account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Whether an account that is not there is to be added, must be new, or must be there.
    pub presence: Presence,
    /// The holder's name; may be empty.
    pub name: Option<String>,
    /// What the holder is; a new account must have it.
    pub kind: Option<Kind>,
    /// The language of notices.
    pub lang: Option<Lang>,
    /// From this instant on letters are taken; `Some(None)`: since it was added.
    pub active_from: Option<Option<Timestamp>>,
    /// Whether it closes; `Some(None)`: it does not, and one that is closed is opened again.
    pub closing: Option<Option<Closing>>,
    /// Exactly these other addresses.
    pub aliases: Option<Vec<Address>>,
    /// Also these.
    pub aliases_more: Vec<Address>,
    /// No longer these.
    pub aliases_less: Vec<Address>,
    /// The postal address; empty: none.
    pub postal: Option<String>,
    /// The register's own id; empty: none.
    pub reference: Option<String>,
}

/// Whether an account has to be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Presence {
    /// It must be there.
    #[default]
    There,
    /// It is added if it is not.
    Either,
    /// It must not be there.
    New,
}

/// An end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// From this instant on; `None`: from now on, or since it was closed.
    pub at: Option<Timestamp>,
    /// Why.
    pub cause: Cause,
    /// With which account it was merged.
    pub successor: Option<Address>,
    /// The operator's words, for the evidence.
    pub why: Option<String>,
}

/// Where a wish was written: part of the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// SHA-256 of the file.
    pub file: Digest,
    /// The line in it, from 1.
    pub line: u64,
}

/// What is known of an account, all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What sessions need of it.
    pub account: Account,
    /// Whether its end has been recorded; its dates may say so without.
    pub recorded_closed: bool,
    /// Its other addresses, canonical, in order.
    pub aliases: Vec<String>,
    /// The postal address; may be empty.
    pub postal: String,
    /// The register's own id; may be empty.
    pub reference: String,
    /// The address of the account with which it was merged.
    pub successor: Option<String>,
}

/// What a wish comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// The account is added.
    pub added: bool,
    /// The members that change, as they stand in the event.
    pub changed: Vec<&'static str>,
    /// The account is opened again.
    pub reopened: bool,
    /// It is closed at this very moment.
    pub closed: bool,
    /// Other addresses that it gets.
    pub aliases_more: Vec<String>,
    /// Other addresses that it loses.
    pub aliases_less: Vec<String>,
}

impl Difference {
    /// Whether there is nothing to do.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl From<NewAccount> for Wish {
    fn from(new: NewAccount) -> Self {
        Self {
            presence: Presence::New,
            name: Some(new.name),
            kind: Some(new.kind),
            lang: Some(new.lang),
            ..Self::default()
        }
    }
}

impl Wish {
    /// Texts as they are kept; what cannot be kept is named.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] names the text and its limit.
    pub fn checked(mut self) -> Result<Self, StoreError> {
        let texts = [
            ("the name", &mut self.name, NAME_BYTES_MAX),
            ("the postal address", &mut self.postal, POSTAL_BYTES_MAX),
            ("the reference", &mut self.reference, REFERENCE_BYTES_MAX),
        ];
        for (what, text, bytes_max) in texts {
            if let Some(text) = text {
                *text = line(what, text, bytes_max)?;
            }
        }
        if let Some(Some(closing)) = &mut self.closing {
            if let Some(why) = &mut closing.why {
                *why = line("the reason", why, NAME_BYTES_MAX)?;
            }
            if closing.successor.is_some() != (closing.cause == Cause::Merger) {
                return Err(StoreError::Invalid(
                    "a merger, and nothing else, names the account that goes on".into(),
                ));
            }
        }
        Ok(self)
    }

    /// What differs between the wish and what is there.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Exists`] and [`StoreError::Invalid`] name what is wrong with it.
    pub fn difference(
        &self,
        address: &Address,
        known: Option<&Known>,
        now: Timestamp,
    ) -> Result<Difference, StoreError> {
        match (known, self.presence) {
            (None, Presence::There) => Err(StoreError::NotFound(format!("account {address}"))),
            (Some(_), Presence::New) => Err(StoreError::Exists(format!("account {address}"))),
            (Some(known), _) if known.account.address != *address => {
                Err(StoreError::Exists(format!(
                    "{address}, as another address of {},",
                    known.account.address
                )))
            }
            (None, _) => self.of_new(address, now),
            (Some(known), _) => self.of_known(known, now),
        }
    }

    fn of_new(&self, address: &Address, now: Timestamp) -> Result<Difference, StoreError> {
        if self.kind.is_none() {
            return Err(StoreError::Invalid(format!(
                "the kind of {address} is missing: it is never taken from the address"
            )));
        }
        let aliases = self.aliases.iter().flatten().chain(&self.aliases_more);
        let mut aliases: Vec<String> = aliases.map(canonical).collect();
        aliases.sort_unstable();
        aliases.dedup();
        self.check_aliases(address, &aliases)?;
        let closing = self.closing.as_ref().and_then(Option::as_ref);
        let end = closing.map(|closing| closing.at.unwrap_or(now));
        let dated = closing.and_then(|closing| closing.at);
        check_order(self.active_from.flatten(), dated)?;
        Ok(Difference {
            added: true,
            closed: end.is_some_and(|end| end <= now),
            aliases_more: aliases,
            ..Difference::default()
        })
    }

    fn of_known(&self, known: &Known, now: Timestamp) -> Result<Difference, StoreError> {
        let (account, life) = (&known.account, &known.account.life);
        let mut found = Difference::default();
        let mut differs = |what, differs: bool| {
            if differs {
                found.changed.push(what);
            }
        };
        differs("name", differs_from(&self.name, &account.name));
        differs("kind", differs_from(&self.kind, &account.kind));
        differs("lang", differs_from(&self.lang, &account.lang));
        differs(
            "active_from",
            differs_from(&self.active_from, &life.active_from),
        );
        differs("postal", differs_from(&self.postal, &known.postal));
        differs("reference", differs_from(&self.reference, &known.reference));
        let is_closed = known.recorded_closed || account.state == AccountState::Closed;
        match &self.closing {
            None => {}
            Some(None) => {
                found.reopened = is_closed;
                if !is_closed && life.closes_at.is_some() {
                    found.changed.push("closes_at");
                }
            }
            Some(Some(closing)) => {
                let successor = closing.successor.as_ref().map(canonical);
                let same_why = life.cause == Some(closing.cause) && known.successor == successor;
                let same_end = match closing.at {
                    None => is_closed,
                    Some(at) => life.closes_at == Some(at),
                };
                let end = closing.at.unwrap_or(now);
                if is_closed && (!same_end || !same_why) {
                    return Err(StoreError::Invalid(format!(
                        "account {} is closed already, and otherwise: open it again first",
                        account.address
                    )));
                }
                let is_as_wished = same_end && same_why;
                if !is_closed && !is_as_wished {
                    check_order(self.active_from.unwrap_or(life.active_from), closing.at)?;
                    if end <= now {
                        found.closed = true;
                    } else {
                        found.changed.push("closes_at");
                    }
                }
            }
        }
        self.difference_of_aliases(known, &mut found)?;
        Ok(found)
    }

    fn difference_of_aliases(
        &self,
        known: &Known,
        found: &mut Difference,
    ) -> Result<(), StoreError> {
        let mut wanted: Vec<String> = match &self.aliases {
            Some(exactly) => exactly.iter().map(canonical).collect(),
            None => known.aliases.clone(),
        };
        wanted.extend(self.aliases_more.iter().map(canonical));
        let less: Vec<String> = self.aliases_less.iter().map(canonical).collect();
        wanted.retain(|alias| !less.contains(alias));
        wanted.sort_unstable();
        wanted.dedup();
        self.check_aliases(&known.account.address, &wanted)?;
        let lacks = |all: &[String], one: &String| !all.contains(one);
        found.aliases_more = wanted.clone();
        found.aliases_more.retain(|one| lacks(&known.aliases, one));
        found.aliases_less = known.aliases.clone();
        found.aliases_less.retain(|one| lacks(&wanted, one));
        Ok(())
    }

    fn check_aliases(&self, address: &Address, aliases: &[String]) -> Result<(), StoreError> {
        let wrong = if aliases.len() > ALIASES_MAX {
            format!("an account has at most {ALIASES_MAX} other addresses")
        } else if aliases.contains(&address.to_string()) {
            format!("{address} is the account's own address and cannot be another of it")
        } else {
            return Ok(());
        };
        Err(StoreError::Invalid(wrong))
    }
}

fn differs_from<T: PartialEq>(wanted: &Option<T>, there: &T) -> bool {
    wanted.as_ref().is_some_and(|wanted| wanted != there)
}

pub(super) fn canonical(address: &Address) -> String {
    address.canonical().to_string()
}

fn check_order(begin: Option<Timestamp>, end: Option<Timestamp>) -> Result<(), StoreError> {
    if let (Some(begin), Some(end)) = (begin, end)
        && end < begin
    {
        return Err(StoreError::Invalid(format!(
            "it would close at {end}, before it begins at {begin}"
        )));
    }
    Ok(())
}

/// A text that is kept, on one line; it may be empty.
fn line(what: &str, text: &str, bytes_max: usize) -> Result<String, StoreError> {
    let text = text.trim();
    if text.len() > bytes_max || text.chars().any(char::is_control) {
        return Err(StoreError::Invalid(format!(
            "{what} may have {bytes_max} octets of text on one line"
        )));
    }
    Ok(text.to_owned())
}
