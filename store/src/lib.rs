//! The one durable truth: contracts, accounts, messages and their placements, reading acts, the order of evidence.
//!
//! A daemon says what happened (`deposit`, `refuse`, `disclose`, …); what that means in law is minted in one file,
//! [`mint`]. Nothing here returns success before the sync that makes it true.
//!
//! | module | what |
//! |---|---|
//! | `house` | the store itself: opening it, its parts, its health |
//! | [`options`] | with what a store is opened |
//! | [`erasure`] | what is erased, and what stays |
//! | `error` | why the store could not do what it was asked |
//! | [`held`] | why a store takes no acts |
//! | [`sql`] | the SQL seam: what both engines must speak |
//! | [`sqlite`] | the embedded engine |
//! | [`postgres`] | PostgreSQL, shared by several nodes |
//! | [`schema`] | numbered migrations |
//! | [`content`] | the content seam: where message octets live |
//! | [`segments`] | content in local append-only segment files |
//! | [`disk`] | the disk seam: what content files ask of a file system |
//! | [`clock`] | event time and its clock state |
//! | [`commit`] | group commit: the writer thread and [`Ticket`] |
//! | [`mint`] | the only place where events are made |
//! | [`contracts`] | senders under contract |
//! | [`operators`] | who runs the post: operators, clerks, auditors |
//! | [`proposals`] | acts that wait for a second person |
//! | [`annulment`] | events that were mistakes |
//! | [`credentials`] | what log-ins leant on: certificates, CRLs, responders' answers |
//! | [`authority`] | certificates issued and revoked, and the list of these |
//! | [`links`] | one-time links with which a holder gets a certificate |
//! | [`register`] | holders' accounts and enrolled certificates |
//! | `placing` | letters' octets made durable ahead of the act that refers to them |
//! | `squeeze` | small octets kept small |
//! | [`reserve`] | room kept for reading when the disk is nearly full |
//! | [`staging`] | octets on their way in: [`Staging`], [`Sealed`] |
//! | [`deposit`] | a submission becomes placements and evidence |
//! | [`refuse`] | a submission turned away |
//! | [`notices`] | the first notice in every mailbox, and the post's own contract |
//! | [`mailboxes`] | a holder's folders |
//! | [`view`] | what a mailbox holds and what changed in it |
//! | [`reading`] | log-in, listing, disclosure, hand-over |
//! | [`search`] | the search index: searched texts and marks, per letter |
//! | [`objects`] | content in an S3-compatible object store |
//! | `originals` | the accepted octets of letters |
//! | [`amend`] | flags |
//! | [`placements`] | copy, move, expunge |
//! | `placement_row` | a placement's row, with its check value |
//! | [`agenda`] | what is owed to senders |
//! | [`outbound`] | letters on their way out |
//! | [`billing`] | what was accepted of senders, as it is billed |
//! | [`signing_keys`] | which keys of seal and log came into use when |
//! | [`stamps`] | checkpoints that an outside clock has dated |
//! | [`evidence`] | evidence looked up |
//! | [`log`] | pending → integrated → published |
//! | [`head`] | the newest signed checkpoint, for all nodes |
//! | [`lease`] | what only one node may do at a time |
//! | [`audit`] | the whole store against the laws and the log |
//! | `trusted` | TLS to the servers that the store leans on |
//! | [`migrate`] | a store moved to other engines |
//! | [`backup`] | a copy of the store in a folder, and back |
//! | [`resume`] | the log taken up again after an old backup |
//! | [`watch`] | who is told when an account changes |

pub mod agenda;
pub mod amend;
pub mod annulment;
pub mod audit;
pub mod authority;
pub mod backup;
pub mod billing;
pub mod clock;
pub mod commit;
pub mod content;
pub mod contracts;
pub mod credentials;
pub mod deposit;
pub mod disk;
pub mod erasure;
pub mod evidence;
pub mod head;
pub mod held;
pub mod lease;
pub mod links;
pub mod log;
pub mod mailboxes;
pub mod migrate;
pub mod mint;
pub mod notices;
pub mod objects;
pub mod operators;
pub mod options;
pub mod outbound;
pub mod placements;
pub mod postgres;
pub mod proposals;
pub mod reading;
pub mod refuse;
pub mod register;
pub mod reserve;
pub mod resume;
pub mod schema;
pub mod search;
pub mod segments;
pub mod signing_keys;
pub mod sql;
pub mod sqlite;
pub mod staging;
pub mod stamps;
pub mod view;
pub mod watch;

mod error;
mod house;
mod originals;
mod placement_row;
mod placing;
mod squeeze;
mod trusted;

pub use commit::Ticket;
pub use error::StoreError;
pub use house::Store;
pub use options::Options;
pub use receipts::actor::{Actor, ActorKind, Auth, Role};
pub use receipts::event::Reason;
pub use receipts::id::{ContractId, EvidenceId, MessageId, OperatorId, ProposalId};
pub use staging::{Sealed, Staging};
