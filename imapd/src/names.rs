//! Mailbox names between the wire and the store: modified UTF-7 outside, UTF-8 inside, `/` between levels.

use crate::codec::utf7;
use crate::limits::{NAME_DEPTH_MAX, NAME_OCTETS_MAX};
use crate::session::reply::Reply;

/// Between levels of hierarchy.
pub const SEPARATOR: char = '/';
/// The mailbox that everybody has.
pub const INBOX: &str = "INBOX";

/// A name that exists or may come to exist. INBOX is one in any case, also as the first level (RFC 3501 §5.1).
///
/// # Errors
/// The answer to a name that cannot be one.
pub fn read(octets: &[u8]) -> Result<String, Reply> {
    let refuse = |text: &'static str| Reply::no("CANNOT", text);
    let name =
        utf7::decode(octets).ok_or_else(|| refuse("A mailbox name must be in modified UTF-7"))?;
    if name.is_empty() {
        return Err(refuse("A mailbox name must not be empty"));
    }
    if name.len() > NAME_OCTETS_MAX {
        return Err(refuse("A mailbox name may have 255 octets"));
    }
    if name.chars().any(char::is_control) || name.chars().any(is_invisible) {
        return Err(refuse("A mailbox name must not have control characters"));
    }
    let levels: Vec<&str> = name
        .strip_suffix(SEPARATOR)
        .unwrap_or(&name)
        .split(SEPARATOR)
        .collect();
    if levels.len() > NAME_DEPTH_MAX {
        return Err(refuse("A mailbox name may have 16 levels"));
    }
    if levels
        .iter()
        .any(|level| level.is_empty() || matches!(*level, "." | ".."))
    {
        return Err(refuse(
            "A mailbox name must not have empty levels, \".\" or \"..\"",
        ));
    }
    Ok(canonical(&levels.join("/")))
}

/// A name that CREATE or RENAME may make: wildcards in it would make LIST ambiguous (RFC 3501 §5.1).
///
/// # Errors
/// The answer to a name that cannot be one.
pub fn read_new(octets: &[u8]) -> Result<String, Reply> {
    let name = read(octets)?;
    if name.contains(['%', '*']) {
        return Err(Reply::no("CANNOT", "A mailbox name must not have % or *"));
    }
    Ok(name)
}

/// As the wire wants it.
#[must_use]
pub fn written(name: &str) -> String {
    utf7::encode(name)
}

/// INBOX in its one spelling.
fn canonical(name: &str) -> String {
    let (first, rest) = name.split_at(name.find(SEPARATOR).unwrap_or(name.len()));
    if first.eq_ignore_ascii_case(INBOX) {
        format!("{INBOX}{rest}")
    } else {
        name.to_owned()
    }
}

/// Characters that make one name look like another: directional marks and zero-width ones but for the joiners that
/// scripts need.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Whether `name` matches a LIST pattern: `*` any run of characters, `%` any run without the separator
/// (RFC 3501 §6.3.8). Takes at most the product of both lengths, whatever the pattern.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut pattern: Vec<char> = pattern.chars().collect();
    pattern.dedup_by(|next, before| next == before && matches!(next, '*' | '%'));
    // `here[p]`: the characters so far match the first p of the pattern.
    let mut here = vec![false; pattern.len() + 1];
    here[0] = true;
    skip_wildcards(&pattern, &mut here);
    for character in name.chars() {
        let mut next = vec![false; pattern.len() + 1];
        for (at, wanted) in pattern.iter().enumerate() {
            // Invariant: both are one longer than the pattern.
            if !here[at] {
                continue;
            }
            match wanted {
                '*' => next[at] = true,
                '%' if character != SEPARATOR => next[at] = true,
                '%' => {}
                wanted if *wanted == character => next[at + 1] = true,
                _ => {}
            }
        }
        skip_wildcards(&pattern, &mut next);
        here = next;
    }
    here.last().copied().unwrap_or(false)
}

/// A wildcard also matches nothing.
fn skip_wildcards(pattern: &[char], here: &mut [bool]) {
    for (at, wanted) in pattern.iter().enumerate() {
        // Invariant: `here` is one longer than the pattern.
        if here[at] && matches!(wanted, '*' | '%') {
            here[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let of = |octets: &str| read(octets.as_bytes()).ok();
        assert_eq!(of("inbox").as_deref(), Some("INBOX"));
        assert_eq!(of("iNBOX/Old").as_deref(), Some("INBOX/Old"));
        assert_eq!(of("Inboxes").as_deref(), Some("Inboxes"));
        assert_eq!(of("a/b/").as_deref(), Some("a/b"));
        assert_eq!(of("&BUAFXQVF-").as_deref(), Some("\u{540}\u{55d}\u{545}"));
        for bad in [
            "", "/", "/a", "a//b", "..", "a/../b", "./a", "&AAA-", "&AA0ACg-", "a&", "\u{e9}",
            "&IC4-",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(of(&"x".repeat(256)), None);
        assert_eq!(of(&vec!["x"; 17].join("/")), None);
        assert!(read_new(b"a*b").is_err() && read(b"a*b").is_ok());
    }

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("%/%", "a/b", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("", "", true),
            ("*%*%*", "x", true),
            ("INBOX", "INBOX", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn wildcards_do_not_explode() {
        let pattern = "*%".repeat(5000) + "x";
        let began = std::time::Instant::now();
        assert!(!matches(&pattern, &"a".repeat(255)));
        assert!(began.elapsed() < std::time::Duration::from_secs(2));
    }
}
