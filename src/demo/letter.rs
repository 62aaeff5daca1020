//! The letter that is sent: Armenian subject and text, one attachment.

use mail_builder::MessageBuilder;

use crate::failure::{Failure, Outcome};

/// Its subject.
pub const SUBJECT: &str = "Ծանուցում եկամտային հարկի վերահաշվարկի մասին";

const TEXT: &str = "Հարգելի՛ քաղաքացի,\r\n\r\nԿից ներկայացվում է 2025 թվականի եկամտային հարկի վերահաշվարկը։\r\n\
.Այս տողը սկսվում է կետով։\r\n\r\nՀարկային ծառայություն\r\n";

const ATTACHMENT: &str = "տարի,ամիս,գումար (֏)\r\n2025,11,48200\r\n2025,12,48200\r\n";

/// Who it is from and to.
pub struct Parties<'a> {
    /// The envelope and header sender.
    pub from: &'a str,
    /// The recipients.
    pub to: &'a [&'a str],
    /// The Message-ID without its angle brackets.
    pub message_id: &'a str,
}

/// The letter's octets, lines ended by CRLF.
///
/// # Errors
/// When it cannot be written.
pub fn write(parties: &Parties<'_>, now: jiff::Timestamp) -> Outcome<Vec<u8>> {
    let built = MessageBuilder::new()
        .from(("Հարկային ծառայություն", parties.from))
        .to(parties.to.to_vec())
        .subject(SUBJECT)
        .date(now.as_second())
        .message_id(parties.message_id)
        .text_body(TEXT)
        .attachment(
            "text/csv; charset=utf-8",
            "վերահաշվարկ.csv",
            ATTACHMENT.as_bytes(),
        )
        .write_to_vec();
    let mut octets = built.map_err(|e| Failure::doing("writing the letter", &e))?;
    if !octets.ends_with(b"\r\n") {
        octets.extend_from_slice(b"\r\n");
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letter_is_what_a_sender_may_send() {
        let parties = Parties {
            from: "a@b.test",
            to: &["c@d.test", "e@d.test"],
            message_id: "1@b.test",
        };
        let octets = write(&parties, jiff::Timestamp::UNIX_EPOCH).unwrap();
        assert!(octets.is_ascii() && octets.ends_with(b"\r\n"));
        let text = String::from_utf8(octets).unwrap();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
        assert!(text.contains("Message-ID: <1@b.test>\r\n") && text.contains("e@d.test"));
        assert!(text.lines().all(|line| line.len() <= 998));
    }
}
