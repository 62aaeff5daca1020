//! Evidence and its mathematics: the events this system observes, the log that holds them, the seals and proofs that
//! let a stranger check them. Pure: no file, no network, no clock; imports only `mail`.
//!
//! | module | what |
//! |---|---|
//! | [`id`] | the ids of events, messages and contracts (monotonic ULIDs) |
//! | [`event`] | one observed fact, its ETSI name and its canonical octets (RFC 8785) |
//! | [`actor`] | who did it and how they were recognised |
//! | [`leaf`] | the salted commitment to an event: the log's entry |
//! | [`collection`] | all of one holder's bundles, with pages that list them |
//! | [`coverage`] | which octets of a message were acknowledged, and when that is all of them |
//! | [`merkle`] | RFC 6962 trees: roots, inclusion and consistency, proved and verified |
//! | [`tiles`] | the tree as C2SP tlog-tiles: static files of 256 hashes |
//! | [`note`] | C2SP signed notes: text under Ed25519 signatures |
//! | [`checkpoint`] | C2SP tlog-checkpoint: the log's size and root, signed |
//! | [`proof`] | C2SP tlog-proof: one event's inclusion, checked offline |
//! | [`monitor`] | a log watched from outside: grown, never rewritten |
//! | [`seal`] | the operator's sealing key and certificate |
//! | [`token_uri`] | where a key on a token is (RFC 7512) |
//! | [`signing`] | what is asked of a signer in another process, as octets |
//! | [`evidence_xml`] | the event as ETSI evidence XML (EN 319 522-3) |
//! | [`xades`] | the enveloped XAdES signature of the evidence XML |
//! | [`cms`] | detached CMS signatures (CAdES) of receipt mails |
//! | [`smime`] | a receipt mail as multipart/signed: made, split, verified |
//! | [`timestamp`] | RFC 3161: requests, tokens, a built-in test authority |
//! | [`tenure`] | what a contract held at an instant, from its events alone |
//! | [`texts`] | what a receipt says to people, in Armenian, Russian and English |
//! | [`receipt_mail`] | the sealed receipt as mail (EN 319 532-3) |
//! | [`anchors`] | what a verifier trusts: certificates and log keys |
//! | [`bundle`] | the court bundle: everything about one event in one file |
//! | [`verify`] | the verifier: what was proved, by whom, when, or the one way in which it is false |

#![forbid(unsafe_code)]

pub mod actor;
pub mod anchors;
pub mod bundle;
pub mod checkpoint;
pub mod cms;
pub mod collection;
pub mod coverage;
pub mod event;
pub mod evidence_xml;
pub mod id;
pub mod leaf;
pub mod merkle;
pub mod monitor;
pub mod note;
pub mod proof;
pub mod receipt_mail;
pub mod seal;
pub mod signing;
pub mod smime;
pub mod tenure;
pub mod texts;
pub mod tiles;
pub mod timestamp;
pub mod token_uri;
pub mod verify;
pub mod xades;
