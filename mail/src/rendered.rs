//! The text of HTML as a reader sees it, nearly: tags taken off, character references decoded, scripts, styles and comments
//! left out. An element within a line leaves no gap in a word; any other, and `<br>`, is a line end.
//!
//! There is no style sheet here: what a style hides is text all the same. Never slower than linear.

use mail_parser::decoders::html::add_html_token;
use memchr::{memchr, memchr2, memmem};

/// Elements within a line (HTML §4.5 and what mail programs add); sorted.
const WITHIN_A_LINE: [&str; 36] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em",
    "font", "i", "ins", "kbd", "label", "mark", "nobr", "o:p", "q", "ruby", "s", "samp", "small",
    "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
];
/// Elements of which nothing is seen; their inside is no markup.
const UNSEEN: [&str; 4] = ["script", "style", "template", "title"];
/// The longest name of a character reference is `&CounterClockwiseContourIntegral;`.
const REFERENCE_OCTETS_MAX: usize = 40;

/// See the module's words.
pub(crate) fn rendered(html: &str) -> String {
    let mut text = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = memchr2(b'<', b'&', rest.as_bytes()) {
        let (before, here) = rest.split_at(at);
        text.push_str(before);
        rest = if here.starts_with('&') {
            reference(here, &mut text)
        } else {
            markup(here, &mut text)
        };
    }
    text.push_str(rest);
    text
}

/// Goes past what begins with `<`.
fn markup<'a>(here: &'a str, text: &mut String) -> &'a str {
    let behind = |at: Option<usize>, length: usize| {
        at.and_then(|at| here.get(at + length..))
            .unwrap_or_default()
    };
    let after = here.get(1..).unwrap_or_default();
    if let Some(comment) = after.strip_prefix("!--") {
        // `<!-->` and `<!--->` are whole comments.
        let short = ["->", ">"].iter().find_map(|end| comment.strip_prefix(end));
        return short.unwrap_or_else(|| behind(memmem::find(here.as_bytes(), b"-->"), 3));
    }
    if after.starts_with(['!', '?']) {
        return behind(memchr(b'>', here.as_bytes()), 1);
    }
    let closing = after.starts_with('/');
    let inside = after.strip_prefix('/').unwrap_or(after);
    if !inside.starts_with(|first: char| first.is_ascii_alphabetic()) {
        text.push('<');
        return after;
    }
    let length = inside
        .find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'))
        .unwrap_or(inside.len());
    let (name, attributes) = inside.split_at(length);
    let name = name.to_ascii_lowercase();
    if WITHIN_A_LINE.binary_search(&name.as_str()).is_err() {
        text.push('\n');
    }
    let content = past_attributes(attributes);
    if !closing && UNSEEN.contains(&name.as_str()) {
        return past_unseen(content, &name);
    }
    content
}

/// Goes past the `>` that ends a tag; one within quotes does not.
fn past_attributes(attributes: &str) -> &str {
    let mut quote = None;
    let mut after_equals = false;
    for (at, octet) in attributes.bytes().enumerate() {
        match (octet, quote) {
            (octet, Some(open)) if octet == open => quote = None,
            (_, Some(_)) => {}
            (b'"' | b'\'', None) if after_equals => quote = Some(octet),
            (b'>', None) => return attributes.get(at + 1..).unwrap_or_default(),
            _ => {}
        }
        after_equals = octet == b'=' || (after_equals && octet.is_ascii_whitespace());
    }
    ""
}

/// Goes on at the element's end tag; without one, nothing more is seen.
fn past_unseen<'a>(content: &'a str, name: &str) -> &'a str {
    let mut from = 0;
    while let Some(found) = memmem::find(content.as_bytes().get(from..).unwrap_or_default(), b"</")
    {
        let at = from + found;
        let is_end = content
            .as_bytes()
            .get(at + 2..at + 2 + name.len())
            .is_some_and(|end| end.eq_ignore_ascii_case(name.as_bytes()));
        if is_end {
            return content.get(at..).unwrap_or_default();
        }
        from = at + 2;
    }
    ""
}

/// Decodes what begins with `&`.
fn reference<'a>(here: &'a str, text: &mut String) -> &'a str {
    let window = here.as_bytes();
    let window = window.get(..REFERENCE_OCTETS_MAX).unwrap_or(window);
    let length = 1 + window
        .iter()
        .skip(1)
        .take_while(|octet| octet.is_ascii_alphanumeric() || **octet == b'#')
        .count();
    // Invariant: what stands before `length` is ASCII.
    let (name, rest) = here.split_at(length);
    if let Some(after) = rest.strip_prefix(';') {
        match number(name) {
            Some(character) => text.push(character),
            None => add_html_token(text, format!("{name};").as_bytes(), false),
        }
        return after;
    }
    // Old pages leave the semicolon out.
    match name {
        "&nbsp" | "&amp" | "&lt" | "&gt" | "&quot" => {
            add_html_token(text, format!("{name};").as_bytes(), false)
        }
        _ => match number(name) {
            Some(character) => text.push(character),
            None => text.push_str(name),
        },
    }
    rest
}

/// A numeric reference; numbers 128 to 159 mean windows-1252 (HTML §13.2.5.80).
fn number(name: &str) -> Option<char> {
    let digits = name.strip_prefix("&#")?;
    let number = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    match u8::try_from(number) {
        Ok(octet @ 128..=159) => crate::charset::decode(&[octet], Some("windows-1252"))
            .chars()
            .next(),
        _ => Some(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_as_it_is_seen() {
        assert!(WITHIN_A_LINE.is_sorted());
        let vectors = [
            ("<p>Հա<b>յտ</b>արար</p>", "\nՀայտարար\n"),
            ("a<br>b<br/>c<div>d</div>", "a\nb\nc\nd\n"),
            ("<a title='x > y' href=z>in</a>", "in"),
            ("a<script>var b = '<p>';</script>c", "a\n\nc"),
            ("<STYLE type=x>p { }</Style >a", "\n\na"),
            ("a<script>never closed", "a\n"),
            (
                "<!-- x > y -->a<!--[if mso]>b<![endif]-->c<!-->d<!doctype html>e",
                "acde",
            ),
            (
                "&amp;&lt;&#1344;&#x561;&nbsp;&#150;&eacute;&bogus;&",
                "&<Հա\u{a0}–é&bogus;&",
            ),
            ("a&nbsp b &ampc", "a\u{a0} b &ampc"),
            ("1 < 2 <3", "1 < 2 <3"),
            ("a<", "a<"),
            ("a<b", "a"),
            ("a<b c=\"d", "a"),
            ("don<i title=it's>'t</i>", "don't"),
            ("&#xd800;&#99999999999;", "\u{fffd}&#99999999999;"),
            ("", ""),
        ];
        for (html, want) in vectors {
            assert_eq!(rendered(html), want, "{html}");
        }
    }
}
