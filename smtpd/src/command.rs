//! One command line read: the verb table, paths and parameters (RFC 5321 §4.1.1, §4.1.2).
//!
//! What comes out is borrowed from the line and is well-formed; whether it may pass is [`crate::policy`]'s to say.

use mail::address::{self, AddressError};
use mail::{Address, ReversePath};
use store::deposit::{DsnEnvelope, Notify};

use crate::parameters::{MailParameters, RcptParameters};
use crate::reply::Reply;
use crate::session::Phase;

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// `HELO` with the client's own name for itself.
    Helo(&'a str),
    /// `EHLO` with the same.
    Ehlo(&'a str),
    /// `MAIL FROM:`.
    Mail(Mail),
    /// `RCPT TO:`.
    Rcpt(Rcpt<'a>),
    /// `DATA`.
    Data,
    /// `RSET`.
    Rset,
    /// `NOOP`, with whatever it carries.
    Noop,
    /// `VRFY`.
    Vrfy,
    /// `EXPN`.
    Expn,
    /// `HELP`.
    Help,
    /// `QUIT`.
    Quit,
    /// `STARTTLS` (RFC 3207).
    StartTls,
}

/// The arguments of MAIL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Who sends.
    pub from: ReversePath,
    /// `SIZE=` in octets (RFC 1870); 0 or absent: not said.
    pub size: Option<u64>,
    /// `BODY=8BITMIME` was said (RFC 6152).
    pub eight_bit: bool,
    /// `RET=` and `ENVID=` (RFC 3461).
    pub dsn: DsnEnvelope,
}

/// The arguments of RCPT. A path that is no mailbox of ours is still kept: policy words the refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt<'a> {
    /// The path as it was given, without its brackets.
    pub given: &'a [u8],
    /// What it says.
    pub to: ForwardPath,
    /// `NOTIFY=` (RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// `ORCPT=`, decoded (RFC 3461 §4.2).
    pub orcpt: Option<String>,
}

/// What RCPT names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain (RFC 5321 §4.1.1.3).
    Postmaster,
    /// `<local@domain>`.
    Address(Address),
    /// Good grammar that asks for relaying: a source route, an address literal, or octets that need SMTPUTF8.
    Foreign(AddressError),
}

/// One row of the verb table.
pub struct Verb {
    /// The verb in upper case.
    pub name: &'static str,
    /// Where the command is allowed.
    pub allowed: &'static [Phase],
    /// The answer elsewhere.
    pub elsewhere: Reply,
    /// Reads the arguments.
    pub check: for<'a> fn(&'a [u8]) -> Result<Command<'a>, Reply>,
}

const ANYWHERE: &[Phase] = &[Phase::Greeted, Phase::Ready, Phase::Mailing];
const NESTED: Reply = Reply::new(503, "5.5.1", "a transaction is open, RSET it first");
const HELLO_FIRST: Reply = Reply::new(503, "5.5.1", "send EHLO first");
const MAIL_FIRST: Reply = Reply::new(503, "5.5.1", "send MAIL first");
/// For rows that are allowed wherever commands are read at all.
const NOWHERE_ELSE: Reply = Reply::new(503, "5.5.1", "not now");

/// Every verb there is.
pub static VERBS: [Verb; 12] = [
    Verb {
        name: "EHLO",
        allowed: ANYWHERE,
        elsewhere: NOWHERE_ELSE,
        check: |rest| Ok(Command::Ehlo(hello(rest)?)),
    },
    Verb {
        name: "HELO",
        allowed: ANYWHERE,
        elsewhere: NOWHERE_ELSE,
        check: |rest| Ok(Command::Helo(hello(rest)?)),
    },
    Verb {
        name: "MAIL",
        allowed: &[Phase::Ready],
        elsewhere: HELLO_FIRST,
        check: mail,
    },
    Verb {
        name: "RCPT",
        allowed: &[Phase::Mailing],
        elsewhere: MAIL_FIRST,
        check: rcpt,
    },
    Verb {
        name: "DATA",
        allowed: &[Phase::Mailing],
        elsewhere: MAIL_FIRST,
        check: |rest| bare(rest, Command::Data),
    },
    Verb {
        name: "RSET",
        allowed: ANYWHERE,
        elsewhere: NOWHERE_ELSE,
        check: |rest| bare(rest, Command::Rset),
    },
    Verb {
        name: "NOOP",
        allowed: ANYWHERE,
        elsewhere: NOWHERE_ELSE,
        check: |_| Ok(Command::Noop),
    },
    Verb {
        name: "VRFY",
        allowed: ANYWHERE,
        elsewhere: NOWHERE_ELSE,
        check: |rest| with_argument(rest, Command::Vrfy),
    },
    Verb {
        name: "EXPN",
        allowed: ANYWHERE,
        elsewhere: NOWHERE_ELSE,
        check: |rest| with_argument(rest, Command::Expn),
    },
    Verb {
        name: "HELP",
        allowed: ANYWHERE,
        elsewhere: NOWHERE_ELSE,
        check: |_| Ok(Command::Help),
    },
    Verb {
        name: "QUIT",
        allowed: ANYWHERE,
        elsewhere: NOWHERE_ELSE,
        check: |rest| bare(rest, Command::Quit),
    },
    Verb {
        name: "STARTTLS",
        allowed: &[Phase::Greeted, Phase::Ready],
        elsewhere: NESTED,
        check: |rest| bare(rest, Command::StartTls),
    },
];

/// Why a line was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It could not be read.
    Syntax(Reply),
    /// It came at the wrong moment.
    Sequence(Reply),
    /// It is another protocol's, and so is what follows: none of it may be read as commands.
    Alien(Reply),
}

/// A browser on a contracted host can be made to post a form to this port, with commands in its body: after its first
/// line nothing is read.
const HTTP_METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

/// Reads one line (without CRLF) as a command that is allowed in `phase`.
///
/// # Errors
/// The reply to give, sorted by what was wrong.
pub fn parse(line: &[u8], phase: Phase) -> Result<Command<'_>, Fault> {
    // RFC 5321 §2.3.8 leaves CR and LF to the line's end; NUL and other controls belong to no command (§4.1.2).
    if line.iter().any(|&octet| matches!(octet, b'\r' | b'\n' | 0)) {
        return Err(Fault::Syntax(Reply::new(
            500,
            "5.5.2",
            "CR, LF or NUL inside a command",
        )));
    }
    // RFC 5321 §4.1.1: white space before the line's end should be tolerated.
    let line = line.trim_ascii_end();
    let end = line
        .iter()
        .position(|&octet| octet == b' ')
        .unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let Some(verb) = VERBS
        .iter()
        .find(|verb| verb.name.as_bytes().eq_ignore_ascii_case(word))
    else {
        if HTTP_METHODS
            .iter()
            .any(|method| method.as_bytes().eq_ignore_ascii_case(word))
        {
            return Err(Fault::Alien(Reply::new(500, "5.5.2", "this is not HTTP")));
        }
        return Err(Fault::Syntax(unknown(word)));
    };
    if !verb.allowed.contains(&phase) {
        return Err(Fault::Sequence(match (verb.name, phase) {
            ("MAIL", Phase::Mailing) => NESTED,
            (_, Phase::Greeted) if verb.name != "STARTTLS" => HELLO_FIRST,
            _ => verb.elsewhere.clone(),
        }));
    }
    (verb.check)(rest.trim_ascii_start()).map_err(Fault::Syntax)
}

fn unknown(word: &[u8]) -> Reply {
    // RFC 3463 X.5.1 is a command that is not known or not in place; X.5.2 a line that is no command at all.
    if !word.is_empty() && word.iter().all(u8::is_ascii_alphanumeric) {
        Reply::new(500, "5.5.1", "command not known")
    } else {
        Reply::new(500, "5.5.2", "not a command")
    }
}

fn bare<'a>(rest: &[u8], command: Command<'a>) -> Result<Command<'a>, Reply> {
    if rest.is_empty() {
        Ok(command)
    } else {
        Err(Reply::new(501, "5.5.4", "this command takes no argument"))
    }
}

fn with_argument<'a>(rest: &[u8], command: Command<'a>) -> Result<Command<'a>, Reply> {
    if rest.is_empty() {
        Err(Reply::new(501, "5.5.4", "an argument is missing"))
    } else {
        Ok(command)
    }
}

/// RFC 5321 §4.1.4: what the client calls itself is never a reason to refuse it, so only its form is looked at; it
/// enters the evidence, so its length is bounded like a domain's (§4.5.3.1.2).
fn hello(rest: &[u8]) -> Result<&str, Reply> {
    let good = (1..=255).contains(&rest.len()) && rest.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(rest)
        .ok()
        .filter(|_| good)
        .ok_or(Reply::new(
            501,
            "5.5.4",
            "a domain or an address literal is wanted",
        ))
}

fn mail(rest: &[u8]) -> Result<Command<'_>, Reply> {
    let argument = after_keyword(rest, b"FROM:").ok_or(Reply::new(
        501,
        "5.5.4",
        "MAIL FROM:<address> is wanted",
    ))?;
    let (from, rest) = address::parse_path(argument).map_err(|error| match error {
        // RFC 6531 §3.5; SMTPUTF8 is not offered.
        AddressError::NotAscii => Reply::new(
            553,
            "5.6.7",
            "a sender's address outside ASCII is not taken",
        ),
        error => Reply::with(501, "5.1.7", format!("sender's address: {error}")),
    })?;
    let MailParameters {
        size,
        eight_bit,
        ret,
        envid,
    } = MailParameters::parse(rest)?;
    Ok(Command::Mail(Mail {
        from,
        size,
        eight_bit: eight_bit.unwrap_or(false),
        dsn: DsnEnvelope { ret, envid },
    }))
}

fn rcpt(rest: &[u8]) -> Result<Command<'_>, Reply> {
    let argument = after_keyword(rest, b"TO:").ok_or(Reply::new(
        501,
        "5.5.4",
        "RCPT TO:<address> is wanted",
    ))?;
    let (to, rest) = forward_path(argument)?;
    // Without its brackets, as evidence writes an address.
    let given = argument
        .get(1..argument.len() - rest.len())
        .unwrap_or_default();
    let given = given.strip_suffix(b">").unwrap_or(given);
    let rest = match to {
        // Refused whatever is asked for besides.
        ForwardPath::Foreign(_) => b"",
        _ => rest,
    };
    let RcptParameters { notify, orcpt } = RcptParameters::parse(rest)?;
    Ok(Command::Rcpt(Rcpt {
        given,
        to,
        notify,
        orcpt,
    }))
}

fn forward_path(argument: &[u8]) -> Result<(ForwardPath, &[u8]), Reply> {
    const POSTMASTER: usize = "<postmaster>".len();
    if address::is_bare_postmaster(argument) {
        return Ok((
            ForwardPath::Postmaster,
            argument.get(POSTMASTER..).unwrap_or_default(),
        ));
    }
    match address::parse_path(argument) {
        Ok((ReversePath::Address(to), rest)) => Ok((ForwardPath::Address(to), rest)),
        Ok((ReversePath::Null, _)) => Err(Reply::new(501, "5.1.3", "a recipient cannot be empty")),
        Err(
            error @ (AddressError::SourceRoute
            | AddressError::AddressLiteral
            | AddressError::NotAscii),
        ) => {
            let end = argument.iter().position(|&octet| octet == b'>');
            let end = end.map_or(argument.len(), |end| end + 1);
            let rest = argument.get(end..).unwrap_or_default();
            Ok((ForwardPath::Foreign(error), rest))
        }
        Err(error) => Err(Reply::with(
            501,
            "5.1.3",
            format!("recipient's address: {error}"),
        )),
    }
}

/// What stands after `FROM:` or `TO:`. RFC 5321 §3.3 allows no space after the colon; many scripts send one and nothing
/// else could be meant.
fn after_keyword<'a>(rest: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let (start, argument) = rest.split_at_checked(keyword.len())?;
    start
        .eq_ignore_ascii_case(keyword)
        .then(|| argument.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(line: &[u8], phase: Phase) -> String {
        match parse(line, phase) {
            Ok(command) => format!("{command:?}"),
            Err(Fault::Syntax(reply) | Fault::Sequence(reply) | Fault::Alien(reply)) => {
                format!("{} {}", reply.code, reply.status)
            }
        }
    }

    #[test]
    fn faults_have_their_codes() {
        use Phase::{Greeted, Mailing, Ready};
        let table: [(&[u8], Phase, &str); 44] = [
            (b"", Ready, "500 5.5.2"),
            (b"FROB", Ready, "500 5.5.1"),
            (b"MAILFROM:<a@b.example>", Ready, "500 5.5.2"),
            (b"GET / HTTP/1.1", Ready, "500 5.5.2"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2", Ready, "500 5.5.1"),
            (b"XCLIENT ADDR=192.0.2.1", Ready, "500 5.5.1"),
            (b"XFORWARD ADDR=192.0.2.1", Ready, "500 5.5.1"),
            (b"BDAT 4 LAST", Mailing, "500 5.5.1"),
            (b"NOOP\0", Ready, "500 5.5.2"),
            (b"NOOP\rMAIL", Ready, "500 5.5.2"),
            (b"\xff\xfe", Ready, "500 5.5.2"),
            (b"EHLO", Greeted, "501 5.5.4"),
            (b"EHLO a b", Greeted, "501 5.5.4"),
            (b"HELO \xd5\x80", Greeted, "501 5.5.4"),
            (b"MAIL FROM:<a@b.example>", Greeted, "503 5.5.1"),
            (b"MAIL FROM:<a@b.example>", Mailing, "503 5.5.1"),
            (b"RCPT TO:<a@b.example>", Ready, "503 5.5.1"),
            (b"RCPT TO:<a@b.example>", Greeted, "503 5.5.1"),
            (b"DATA", Ready, "503 5.5.1"),
            (b"DATA now", Mailing, "501 5.5.4"),
            (b"STARTTLS", Mailing, "503 5.5.1"),
            (b"STARTTLS now", Ready, "501 5.5.4"),
            (b"QUIT now", Ready, "501 5.5.4"),
            (b"RSET now", Ready, "501 5.5.4"),
            (b"VRFY", Ready, "501 5.5.4"),
            (b"MAIL", Ready, "501 5.5.4"),
            (b"MAIL FROM", Ready, "501 5.5.4"),
            (b"MAIL FROM:", Ready, "501 5.1.7"),
            (b"MAIL FROM:a@b.example", Ready, "501 5.1.7"),
            (b"MAIL FROM:<a@b.example", Ready, "501 5.1.7"),
            (b"MAIL FROM:<a@[192.0.2.1]>", Ready, "501 5.1.7"),
            (b"MAIL FROM:<@x:a@b.example>", Ready, "501 5.1.7"),
            (b"MAIL FROM:<\xd5\x80@b.example>", Ready, "553 5.6.7"),
            (b"MAIL FROM:<a@b.example>SIZE=1", Ready, "501 5.5.4"),
            (b"MAIL FROM:<a@b.example> SIZE", Ready, "501 5.5.4"),
            (b"MAIL FROM:<a@b.example> SIZE=-1", Ready, "501 5.5.4"),
            (b"MAIL FROM:<a@b.example> SIZE=1 SIZE=1", Ready, "501 5.5.4"),
            (b"MAIL FROM:<a@b.example> =1", Ready, "501 5.5.4"),
            (
                b"MAIL FROM:<a@b.example> BODY=BINARYMIME",
                Ready,
                "555 5.5.4",
            ),
            (b"MAIL FROM:<a@b.example> SMTPUTF8", Ready, "555 5.5.4"),
            (b"MAIL FROM:<a@b.example> AUTH=<>", Ready, "555 5.5.4"),
            (b"RCPT TO:<>", Mailing, "501 5.1.3"),
            (b"RCPT TO:<a..b@c.example>", Mailing, "501 5.1.3"),
            (b"RCPT TO:<a@b.example> X=1", Mailing, "555 5.5.4"),
        ];
        for (line, phase, want) in table {
            assert_eq!(reply(line, phase), want, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn what_is_well_formed_is_read() {
        let from = |text: &str| ReversePath::Address(Address::parse(text).unwrap());
        let mail = |from, size, eight_bit| {
            Ok(Command::Mail(Mail {
                from,
                size,
                eight_bit,
                dsn: DsnEnvelope::default(),
            }))
        };
        let ready = Phase::Ready;
        assert_eq!(
            parse(b"mail from:<a@b.example>", ready),
            mail(from("a@b.example"), None, false)
        );
        assert_eq!(
            parse(
                b"MAIL FROM: <a@b.example>  size=99999999999999999999 body=8bitmime \t",
                ready
            ),
            mail(from("a@b.example"), Some(u64::MAX), true)
        );
        assert_eq!(
            parse(b"MAIL FROM:<> BODY=7bit SIZE=0", ready),
            mail(ReversePath::Null, Some(0), false)
        );
        assert_eq!(
            parse(b"ehlo [192.0.2.1]", Phase::Mailing),
            Ok(Command::Ehlo("[192.0.2.1]"))
        );
        assert_eq!(parse(b"NOOP whatever", Phase::Greeted), Ok(Command::Noop));
        let rcpt = |line| match parse(line, Phase::Mailing) {
            Ok(Command::Rcpt(rcpt)) => (rcpt.given.escape_ascii().to_string(), rcpt.to),
            other => panic!("{other:?}"),
        };
        let postmaster = (String::from("PostMaster"), ForwardPath::Postmaster);
        assert_eq!(rcpt(b"RCPT TO:<PostMaster>"), postmaster);
        let route = (
            String::from("@relay.example:a@b.example"),
            ForwardPath::Foreign(AddressError::SourceRoute),
        );
        assert_eq!(rcpt(b"RCPT TO:<@relay.example:a@b.example> X=1"), route);
        assert_eq!(rcpt(b"RCPT TO:<a%b@c.example>").0, "a%b@c.example");
    }
}
