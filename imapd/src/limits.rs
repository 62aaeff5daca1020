//! What a peer may make this server hold or do, each with its reason.

use std::time::Duration;

/// One command with its literals, before log-in: LOGIN, AUTHENTICATE and ID (30 fields of at most 1 KiB are RFC 2971's
/// outer bound, real ones have 200 octets) fit; a stranger can make us hold no more.
pub const COMMAND_OCTETS_STRANGER_MAX: usize = 8 * 1024;
/// One command with its literals, after log-in: a sequence set of 100 000 elements of nine octets fits, which clients
/// with sparse caches do send; RFC 7162 §4 asks for at least 8192.
pub const COMMAND_OCTETS_MAX: usize = 1024 * 1024;
/// One literal before log-in: a user name or a password.
pub const LITERAL_OCTETS_STRANGER_MAX: u64 = 4 * 1024;
/// One literal after log-in: mailbox names and search texts; there is no APPEND that would carry a message.
pub const LITERAL_OCTETS_MAX: u64 = 64 * 1024;
/// RFC 7888 §5: the most a client may send without being asked when LITERAL- is advertised.
pub const LITERAL_MINUS_OCTETS_MAX: u64 = 4096;
/// A refused literal that came without being asked is read and thrown away up to here, so that the connection stays in
/// step (a client that takes us for LITERAL+ and APPENDs a letter); beyond it the connection ends, which is cheaper for
/// both.
pub const LITERAL_OCTETS_SWALLOWED_MAX: u64 = 64 * 1024 * 1024;
/// Commands in a row that were refused as BAD: no client that works sends so many, a scanner or a lost one does.
pub const BAD_COMMANDS_IN_A_ROW_MAX: u32 = 50;
/// Refused log-ins on one connection: enough for a client that tries each mechanism it knows for two names.
pub const LOGIN_FAILURES_MAX: u32 = 10;
/// The delay before the first refusal is answered; it doubles with each failure on this connection, and on this
/// connection only: who shares an address with a guesser does not wait for him.
pub const LOGIN_DELAY: Duration = Duration::from_millis(100);
/// The longest delay: a guesser gets nothing from holding the connection, and a person does not give up.
pub const LOGIN_DELAY_MAX: Duration = Duration::from_secs(5);

/// Search keys nested in each other: people's clients nest about five, the parser and the evaluator recurse once per
/// level, and a worker's stack of 2 MiB holds this many hundred times over.
pub const SEARCH_DEPTH_MAX: usize = 64;
/// Search keys in one command: each is tried on every message.
pub const SEARCH_KEYS_MAX: usize = 512;
/// Data items in one FETCH: all that exist fit several times; each is rendered for every message.
pub const FETCH_ITEMS_MAX: usize = 128;
/// Field names in one HEADER.FIELDS, compared with every field of every header.
pub const HEADER_FIELDS_MAX: usize = 128;
/// Levels in a part number such as `1.2.3`: a message's structure is indexed no deeper.
pub const PART_LEVELS_MAX: usize = 128;
/// Items in one STATUS: there are five.
pub const STATUS_ITEMS_MAX: usize = 32;
/// RFC 2971 §3.3: no more than 30 field-value pairs.
pub const ID_FIELDS_MAX: usize = 30;

/// One keyword: room for any in the IANA registry; it is kept with each message and sent with each FLAGS.
pub const KEYWORD_OCTETS_MAX: usize = 64;
/// Keywords on one message, for the same reason.
pub const KEYWORDS_MAX: usize = 64;

/// A mailbox name in UTF-8: what file systems and other servers take.
pub const NAME_OCTETS_MAX: usize = 255;
/// Levels of hierarchy in a name: LIST walks a name's ancestors.
pub const NAME_DEPTH_MAX: usize = 16;
/// A LIST pattern: twice the longest name, for wildcards between its characters; the work is this times the names.
pub const PATTERN_OCTETS_MAX: usize = 2 * NAME_OCTETS_MAX;
/// Subscriptions of one account; a name need not exist to be subscribed (RFC 3501 §6.3.6).
pub const SUBSCRIPTIONS_MAX: usize = 1000;

/// Messages served by one step of a FETCH: bounds what is rendered before the client has taken it.
pub const FETCH_WINDOW_MESSAGES_MAX: usize = 128;
/// Octets of messages opened by one step of a FETCH (one larger message makes a step of its own).
pub const FETCH_WINDOW_OCTETS_MAX: u64 = 4 * 1024 * 1024;
/// How long one step of a SEARCH goes on before other work gets its turn; a letter that is at hand is judged to its end.
pub const SEARCH_STEP_TIME: Duration = Duration::from_millis(50);
/// Messages judged together by a SEARCH: their marks of at most 16 KiB each are in memory at the same moment.
pub const SEARCH_CHUNK_MESSAGES_MAX: usize = 512;
/// Messages whose texts are read from the index in one go; some 300 KiB as letters are, and 4 MiB at most.
pub const SEARCH_TEXTS_MAX: usize = 64;
/// Disclosures that wait for their acknowledgement on one connection; a client that pipelines more must let its TCP
/// acknowledge first.
pub const UNACKNOWLEDGED_MAX: usize = 1024;
/// Output gathered before it is written out, so that small answers to pipelined commands share a TLS record.
pub const OUTPUT_OCTETS_GATHERED: usize = 32 * 1024;
/// Octets taken from the socket at a time; nothing more is read while a command is at work.
pub const READ_OCTETS: usize = 16 * 1024;
/// Disclosures kept until their FETCH is complete and acknowledged: each holds a letter's structure, about 3 KiB. Letters
/// beyond are served; that they were is claimed when they are fetched again.
pub const DISCLOSED_BY_ONE_FETCH_MAX: usize = 20_000;
