//! What can be asked of the program, one file per command.
//!
//! | module | what |
//! |---|---|
//! | [`import`] | a register brought in from a file |
//! | [`init`] | a new post: configuration, keys, authority, anchors |
//! | [`contract`] | senders under contract |
//! | [`agreement`] | the text of a contract, the documents it needs, who is entitled |
//! | [`statement`] | what a month costs, and that computed again |
//! | [`account`] | holders' accounts |
//! | [`enrol`] | a device certificate for a holder |
//! | [`enrol_link`] | a one-time link to a device certificate |
//! | [`revoke`] | a device certificate revoked |
//! | [`evidence`] | evidence listed and shown |
//! | [`export`] | the bundle |
//! | [`page`] | one event as a page to print |
//! | [`key`] | the keys of seal and log |
//! | [`key_approval`] | a change of keys that two persons make |
//! | [`log`] | the log: key, status, checkpoint, proofs |
//! | [`erase`] | a letter destroyed with its evidence |
//! | [`hold`] | legal holds |
//! | [`queue`] | letters on their way out |
//! | [`monitor`] | a log looked at from outside |
//! | [`stamped`] | a kept time-stamp as a stranger sees it |
//! | [`verify`] | bundles, evidence and proofs, checked offline |
//! | [`audit`] | the whole store against its log |
//! | [`backup`] | a copy of the store in a folder |
//! | [`restore`] | a backup becomes the store |
//! | [`store`] | the store moved to other engines |
//! | [`trust`] | sources of holders' certificates, and what they say of one |
//! | [`resume`] | the log taken up again after an old backup |
//! | [`people`] | who runs the post |
//! | [`pending`] | acts that wait for a second person |
//! | [`annul`] | an event was a mistake |
//! | [`operator`] | who gives the commands |
//! | [`dates`] | days and moments as operators write them |

pub mod account;
pub mod agreement;
pub mod annul;
pub mod audit;
pub mod backup;
pub mod contract;
pub mod dates;
pub mod enrol;
pub mod enrol_link;
pub mod erase;
pub mod evidence;
pub mod export;
pub mod hold;
pub mod import;
pub mod init;
pub mod key;
pub mod key_approval;
pub mod log;
pub mod monitor;
pub mod operator;
pub mod page;
pub mod pending;
pub mod people;
pub mod queue;
pub mod restore;
pub mod resume;
pub mod revoke;
pub mod stamped;
pub mod statement;
pub mod store;
pub mod trust;
pub mod verify;
