//! What a session asks the store to do, and what comes back. [`mod@crate::perform`] does it.

use std::sync::Arc;

use mail::Address;
use store::Actor;
use store::StoreError;
use store::amend::Op;
use store::credentials::Credential;
use store::mailboxes::{Mailbox, MailboxId, Status};
use store::placements::Copied;
use store::reading::Acknowledged;
use store::register::delegates::Delegation;
use store::register::{Account, AccountId};
use store::view::{Changes, Entry, Flags, Snapshot};

use crate::{fetch, search};

/// One blocking piece of work.
pub enum Act {
    /// The holder has logged in, once per connection.
    LogIn {
        /// The holder.
        by: Actor,
        /// Whose mailbox.
        account: AccountId,
        /// What it leans on.
        credential: Arc<Credential>,
    },
    /// A delegate asks for the mailbox of somebody else, and has logged in there if it is open to them.
    LogInFor(Box<ForAnother>),
    /// All of a mailbox, to select it.
    Select {
        /// Whose.
        account: AccountId,
        /// Which.
        name: String,
    },
    /// What has changed in a selected mailbox.
    Changes {
        /// Which.
        mailbox: MailboxId,
        /// Since when.
        since: u64,
    },
    /// All mailboxes.
    Mailboxes(AccountId),
    /// All subscribed names.
    Subscriptions(AccountId),
    /// Counts of a mailbox that need not be selected.
    Status {
        /// Whose.
        account: AccountId,
        /// Which.
        name: String,
        /// Also count the messages from this UID on.
        recent: bool,
    },
    /// A new mailbox.
    Create {
        /// Whose.
        account: AccountId,
        /// Its name.
        name: String,
    },
    /// A mailbox taken away.
    Delete {
        /// The holder.
        by: Actor,
        /// Whose.
        account: AccountId,
        /// Its name.
        name: String,
    },
    /// A mailbox renamed.
    Rename {
        /// Whose.
        account: AccountId,
        /// Its name.
        from: String,
        /// Its new name.
        to: String,
    },
    /// A name subscribed or no longer.
    Subscribe {
        /// Whose.
        account: AccountId,
        /// The name.
        name: String,
        /// Which of the two.
        on: bool,
    },
    /// One window of a FETCH.
    Fetch(Box<fetch::Window>),
    /// One step of a SEARCH.
    Search(Box<search::Window>),
    /// Flags changed.
    Amend {
        /// The holder.
        by: Actor,
        /// Where.
        mailbox: MailboxId,
        /// On which messages.
        uids: Vec<u32>,
        /// How.
        op: Op,
        /// Which.
        flags: Flags,
    },
    /// Messages copied or moved.
    Copy {
        /// Whose.
        account: AccountId,
        /// From where.
        from: MailboxId,
        /// Which.
        uids: Vec<u32>,
        /// To where.
        to: String,
        /// Moved, not copied.
        relocate: bool,
    },
    /// Messages flagged \Deleted taken away.
    Expunge {
        /// The holder.
        by: Actor,
        /// Where.
        mailbox: MailboxId,
        /// Only these.
        only: Option<Vec<u32>>,
    },
    /// Disclosures whose octets the peer has acknowledged.
    HandOver {
        /// The holder.
        by: Actor,
        /// Which.
        acknowledged: Vec<Acknowledged>,
    },
}

/// A delegate's log-in.
pub struct ForAnother {
    /// The delegate.
    pub by: Actor,
    /// Whom their certificate names.
    pub delegate: AccountId,
    /// Whose mailbox.
    pub principal: Address,
    /// What the log-in leans on.
    pub credential: Arc<Credential>,
}

/// What an [`Act`] brought.
pub enum Done {
    /// It is done.
    Nothing,
    /// [`Act::LogInFor`]: by which delegation, and into which account.
    Delegated(Option<Box<(Delegation, Account)>>),
    /// [`Act::Select`]
    Selected(Snapshot),
    /// [`Act::Changes`]
    Changes(Changes),
    /// [`Act::Mailboxes`]
    Mailboxes(Vec<Mailbox>),
    /// [`Act::Subscriptions`]
    Subscriptions(Vec<String>),
    /// [`Act::Status`]: the mailbox, its counts, and the UIDs of its messages if they were to be counted.
    Status(MailboxId, Status, Vec<u32>),
    /// [`Act::Fetch`]
    Fetched(fetch::Fetched),
    /// [`Act::Search`]: the numbers that match, UIDs or sequence numbers as asked, and how far it came.
    Found(search::Judged),
    /// [`Act::Amend`]
    Amended(Vec<Entry>),
    /// [`Act::Copy`]
    Copied(Copied),
    /// [`Act::Expunge`]
    Expunged(Vec<u32>),
}

/// What came of an [`Act`].
pub type Outcome = Result<Done, StoreError>;
