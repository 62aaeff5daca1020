//! The parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), and those of DSN (RFC 3461). Each may be given
//! once; what is not known is 555, what is malformed 501 (RFC 5321 §4.1.1.11).

use mail::report::xtext::{self, XtextError};
use store::deposit::{Notify, Ret};

use crate::reply::Reply;

/// What MAIL was told besides its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// `SIZE=` in octets.
    pub size: Option<u64>,
    /// `BODY=`; true: 8BITMIME.
    pub eight_bit: Option<bool>,
    /// `RET=`.
    pub ret: Option<Ret>,
    /// `ENVID=`, decoded: printable ASCII.
    pub envid: Option<String>,
}

/// What RCPT was told besides its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// `NOTIFY=`.
    pub notify: Option<Notify>,
    /// `ORCPT=`, the type and the decoded address: printable ASCII.
    pub orcpt: Option<String>,
}

const MALFORMED: Reply = Reply::new(501, "5.5.4", "a parameter is malformed");
const TWICE: Reply = Reply::new(501, "5.5.4", "a parameter is given twice");

impl MailParameters {
    /// Reads what stands behind MAIL's address.
    ///
    /// # Errors
    /// The reply to give.
    pub fn parse(rest: &[u8]) -> Result<Self, Reply> {
        let mut said = Self::default();
        for parameter in Words::of(rest)? {
            let (keyword, value) = parameter?;
            match keyword.to_ascii_uppercase().as_str() {
                "SIZE" => once(&mut said.size, size(value)?)?,
                "BODY" => once(&mut said.eight_bit, body(value)?)?,
                "RET" => once(&mut said.ret, ret(value)?)?,
                "ENVID" => once(&mut said.envid, envid(value)?)?,
                _ => return Err(Reply::new(555, "5.5.4", "a parameter of MAIL is not known")),
            }
        }
        Ok(said)
    }
}

impl RcptParameters {
    /// Reads what stands behind RCPT's address.
    ///
    /// # Errors
    /// The reply to give.
    pub fn parse(rest: &[u8]) -> Result<Self, Reply> {
        let mut said = Self::default();
        for parameter in Words::of(rest)? {
            let (keyword, value) = parameter?;
            match keyword.to_ascii_uppercase().as_str() {
                "NOTIFY" => once(&mut said.notify, notify(value)?)?,
                "ORCPT" => once(&mut said.orcpt, orcpt(value)?)?,
                _ => return Err(Reply::new(555, "5.5.4", "a parameter of RCPT is not known")),
            }
        }
        Ok(said)
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Reply> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(TWICE),
    }
}

/// RFC 1870 §3: up to 20 digits. A number beyond 64 bits is as good as the greatest one.
fn size(value: Option<&str>) -> Result<u64, Reply> {
    let digits = value.unwrap_or_default();
    if !(1..=20).contains(&digits.len()) || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(Reply::new(501, "5.5.4", "SIZE wants a number"));
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

/// RFC 6152 §2. BINARYMIME (RFC 3030) is not offered.
fn body(value: Option<&str>) -> Result<bool, Reply> {
    let value = value.unwrap_or_default();
    if value.eq_ignore_ascii_case("8BITMIME") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("7BIT") {
        Ok(false)
    } else {
        Err(Reply::new(555, "5.5.4", "BODY is 7BIT or 8BITMIME"))
    }
}

/// RFC 3461 §4.3.
fn ret(value: Option<&str>) -> Result<Ret, Reply> {
    let value = value.unwrap_or_default();
    if value.eq_ignore_ascii_case("FULL") {
        Ok(Ret::Full)
    } else if value.eq_ignore_ascii_case("HDRS") {
        Ok(Ret::Hdrs)
    } else {
        Err(Reply::new(501, "5.5.4", "RET is FULL or HDRS"))
    }
}

/// RFC 3461 §4.4: at most 100 characters of xtext that decode to printable ASCII.
fn envid(value: Option<&str>) -> Result<String, Reply> {
    let refused = |error| refused("ENVID", error);
    let id = xtext::envelope_id(value.unwrap_or_default()).map_err(refused)?;
    not_blank(&id).map_err(refused)?;
    Ok(id)
}

/// RFC 3461 §4.1: NEVER alone, or any of the others.
fn notify(value: Option<&str>) -> Result<Notify, Reply> {
    const WANTED: Reply = Reply::new(
        501,
        "5.5.4",
        "NOTIFY is NEVER, or a list of SUCCESS, FAILURE, DELAY",
    );
    let value = value.unwrap_or_default();
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(Notify::default());
    }
    let mut bits = 0;
    for word in value.split(',') {
        bits |= match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => Notify::SUCCESS,
            "FAILURE" => Notify::FAILURE,
            "DELAY" => Notify::DELAY,
            _ => return Err(WANTED),
        };
    }
    Ok(Notify(bits))
}

/// RFC 3461 §4.2: at most 500 characters: an address type, `;`, and the address as xtext. The type need not be one we know.
fn orcpt(value: Option<&str>) -> Result<String, Reply> {
    let refused = |error| refused("ORCPT", error);
    let recipient = xtext::original_recipient(value.unwrap_or_default()).map_err(refused)?;
    let address = recipient.split_once(';').map(|(_, address)| address);
    not_blank(address.unwrap_or_default()).map_err(refused)?;
    Ok(recipient)
}

fn refused(keyword: &str, error: XtextError) -> Reply {
    Reply::with(501, "5.5.4", format!("{keyword}: {error}"))
}

/// Encoded spaces alone would be a field without a value in the report.
fn not_blank(value: &str) -> Result<(), XtextError> {
    if value.trim().is_empty() {
        Err(XtextError::Empty)
    } else {
        Ok(())
    }
}

/// `SP keyword [= value]` again and again (RFC 5321 §4.1.2 Mail-parameters).
struct Words<'a> {
    words: std::slice::Split<'a, u8, fn(&u8) -> bool>,
}

impl<'a> Words<'a> {
    fn of(rest: &'a [u8]) -> Result<Self, Reply> {
        if rest.first().is_some_and(|&octet| octet != b' ') {
            return Err(Reply::new(
                501,
                "5.5.4",
                "something stands after the address",
            ));
        }
        Ok(Self {
            words: rest.split(|&octet| octet == b' '),
        })
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Result<(&'a str, Option<&'a str>), Reply>;

    fn next(&mut self) -> Option<Self::Item> {
        let word = self.words.find(|word| !word.is_empty())?;
        let Ok(text) = std::str::from_utf8(word) else {
            return Some(Err(MALFORMED));
        };
        let (keyword, value) = match text.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (text, None),
        };
        let good_keyword = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        let good_value = value.is_none_or(|value| {
            !value.is_empty()
                && value
                    .bytes()
                    .all(|octet| octet.is_ascii_graphic() && octet != b'=')
        });
        Some(if good_keyword && good_value {
            Ok((keyword, value))
        } else {
            Err(MALFORMED)
        })
    }
}

#[cfg(test)]
mod tests {
    use mail::report::xtext::{ENVID_CHARS_MAX, ORCPT_CHARS_MAX};

    use super::*;

    fn mail(rest: &str) -> Result<MailParameters, u16> {
        MailParameters::parse(rest.as_bytes()).map_err(|reply| reply.code)
    }

    fn rcpt(rest: &str) -> Result<RcptParameters, u16> {
        RcptParameters::parse(rest.as_bytes()).map_err(|reply| reply.code)
    }

    #[test]
    fn what_dsn_says_at_mail() {
        let said = mail(" ret=full ENVID=QQ314159+2B+20x SIZE=7 BODY=8BITMIME").unwrap();
        assert_eq!(said.ret, Some(Ret::Full));
        assert_eq!(said.envid.as_deref(), Some("QQ314159+ x"));
        assert_eq!((said.size, said.eight_bit), (Some(7), Some(true)));
        assert_eq!(mail(" RET=HDRS").unwrap().ret, Some(Ret::Hdrs));
        assert_eq!(mail(" ENVID=a;+20").unwrap().envid.as_deref(), Some("a; "));
        assert_eq!(mail("").unwrap(), MailParameters::default());
        let longest = "x".repeat(ENVID_CHARS_MAX);
        assert_eq!(
            mail(&format!(" ENVID={longest}")).unwrap().envid,
            Some(longest.clone())
        );
        let faults = [
            " RET",
            " RET=ALL",
            " RET=FULL RET=FULL",
            " RET=FULL RET=HDRS",
            " ENVID",
            " ENVID=",
            " ENVID=a ENVID=a",
            " ENVID=+0D+0Ax",
            " ENVID=+4",
            " ENVID=+4g",
            " ENVID=+4a",
            " ENVID=+",
            " ENVID=+80",
            " ENVID=a=b",
            " ENVID=+20",
            &format!(" ENVID={longest}x"),
        ];
        for fault in faults {
            assert_eq!(mail(fault), Err(501), "{fault}");
        }
        assert_eq!(mail(" NOTIFY=NEVER"), Err(555));
    }

    #[test]
    fn what_dsn_says_at_rcpt() {
        let notify = |text: &str| rcpt(&format!(" NOTIFY={text}")).unwrap().notify.unwrap().0;
        assert_eq!(notify("NEVER"), 0);
        assert_eq!(notify("success"), Notify::SUCCESS);
        assert_eq!(notify("FAILURE,Delay"), Notify::FAILURE | Notify::DELAY);
        assert_eq!(notify("SUCCESS,FAILURE,DELAY"), 7);
        let orcpt = |text: &str| rcpt(&format!(" ORCPT={text}")).map(|said| said.orcpt.unwrap());
        assert_eq!(
            orcpt("rfc822;Carol+2Bx@Ivory.EDU").unwrap(),
            "rfc822;Carol+x@Ivory.EDU"
        );
        assert_eq!(orcpt("x-a;+20b").unwrap(), "x-a; b");
        let longest = format!("rfc822;{}", "x".repeat(ORCPT_CHARS_MAX - 7));
        assert_eq!(orcpt(&longest), Ok(longest.clone()));
        let faults = [
            " NOTIFY",
            " NOTIFY=",
            " NOTIFY=ALL",
            " NOTIFY=NEVER,SUCCESS",
            " NOTIFY=SUCCESS,",
            " NOTIFY=,SUCCESS",
            " NOTIFY=SUCCESS,NEVER",
            " NOTIFY=NEVER NOTIFY=NEVER",
            " ORCPT",
            " ORCPT=a@b",
            " ORCPT=;a@b",
            " ORCPT=rfc822;",
            " ORCPT=rfc(822;a@b",
            " ORCPT=rfc822;a+0D+0Ab",
            " ORCPT=rfc822;+e9",
            " ORCPT=rfc822;+20",
            " ORCPT=rfc822;a ORCPT=rfc822;a",
            &format!(" ORCPT={longest}x"),
        ];
        for fault in faults {
            assert_eq!(rcpt(fault), Err(501), "{fault}");
        }
        assert_eq!(rcpt(" RET=FULL"), Err(555));
    }
}
