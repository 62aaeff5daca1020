//! Header values as people read them: encoded words (RFC 2047) and extended parameters (RFC 2231), also badly made ones.

use std::borrow::Cow;

use memchr::memmem;

use crate::charset;
use crate::header::unfold;
use crate::mime::{Parameter, VALUE_OCTETS_MAX};
use crate::transfer::{base64, hexadecimal, q};

/// How far the end of an encoded word is looked for. RFC 2047 §2 allows 75 octets; programs that put a whole subject into
/// one are met, and the limit keeps work linear.
const WORD_OCTETS_MAX: usize = 4096;
/// The highest number of a parameter's section that counts (RFC 2231 §3).
const SECTIONS_MAX: usize = 1000;

/// The text of a field's value. White space between encoded words falls away (RFC 2047 §6.2); octets of neighbours in one
/// charset are put together first, because many programs cut within a character. What is no encoded word stays.
pub(crate) fn decoded(value: &[u8]) -> String {
    let value = unfold(value.get(..VALUE_OCTETS_MAX).unwrap_or(value));
    let mut text = String::with_capacity(value.len());
    let mut words = Words::default();
    let (mut plain_from, mut at) = (0, 0);
    while let Some(found) = memmem::find(value.get(at..).unwrap_or_default(), b"=?") {
        let start = at + found;
        let Some(word) = Word::parse(value.get(start..).unwrap_or_default()) else {
            at = start + 2;
            continue;
        };
        let between = value.get(plain_from..start).unwrap_or_default();
        if !(words.some && between.trim_ascii().is_empty()) {
            words.end(&mut text);
            text.push_str(&charset::decode(between, None));
        }
        at = start + word.length;
        plain_from = at;
        words.add(word, &mut text);
    }
    words.end(&mut text);
    text.push_str(&charset::decode(
        value.get(plain_from..).unwrap_or_default(),
        None,
    ));
    text
}

/// Neighbouring encoded words in one charset.
#[derive(Default)]
struct Words<'a> {
    charset: &'a [u8],
    octets: Vec<u8>,
    some: bool,
}

impl<'a> Words<'a> {
    fn add(&mut self, word: Word<'a>, text: &mut String) {
        if !word.charset.eq_ignore_ascii_case(self.charset) {
            self.end(text);
            self.charset = word.charset;
        }
        self.octets.extend(word.octets);
        self.some = true;
    }

    fn end(&mut self, text: &mut String) {
        let charset = String::from_utf8_lossy(self.charset);
        text.push_str(&charset::decode(&self.octets, Some(&charset)));
        self.octets.clear();
        self.some = false;
    }
}

/// One encoded word.
struct Word<'a> {
    charset: &'a [u8],
    octets: Vec<u8>,
    length: usize,
}

impl<'a> Word<'a> {
    /// `octets` begin with `=?`.
    fn parse(octets: &'a [u8]) -> Option<Self> {
        let octets = octets.get(..WORD_OCTETS_MAX).unwrap_or(octets);
        let mut pieces = octets.get(2..)?.splitn(3, |octet| *octet == b'?');
        let (charset, encoding, rest) = (pieces.next()?, pieces.next()?, pieces.next()?);
        let is_name = !charset.is_empty() && charset.iter().all(u8::is_ascii_graphic);
        let end = memmem::find(rest, b"?=")?;
        let encoded = rest.get(..end)?;
        let octets = match encoding {
            b"B" | b"b" => base64(encoded),
            b"Q" | b"q" => q(encoded),
            _ => return None,
        };
        is_name.then_some(Self {
            charset,
            octets,
            length: 2 + charset.len() + 1 + encoding.len() + 1 + end + 2,
        })
    }
}

/// The text of the parameter called `name`: plain, with encoded words, or in sections and charsets (RFC 2231 §3, §4).
pub(crate) fn parameter(parameters: &[Parameter], name: &str) -> Option<String> {
    extended(parameters, name).or_else(|| {
        let named = |(key, _): &&Parameter| key.eq_ignore_ascii_case(name.as_bytes());
        parameters
            .iter()
            .find(named)
            .map(|(_, value)| decoded(value))
    })
}

/// The texts of all parameters that RFC 2231 encodes, each once.
pub(crate) fn extended_parameters(parameters: &[Parameter]) -> Vec<String> {
    let mut names: Vec<String> = parameters
        .iter()
        .filter_map(|(key, _)| {
            let star = key.iter().position(|octet| *octet == b'*')?;
            Some(String::from_utf8_lossy(key.get(..star)?).to_ascii_lowercase())
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let text = |name: &String| extended(parameters, name);
    names.iter().filter_map(text).collect()
}

fn extended(parameters: &[Parameter], name: &str) -> Option<String> {
    let mut sections: Vec<(usize, bool, &[u8])> = parameters
        .iter()
        .filter_map(|(key, value)| {
            let (own, rest) = key.split_at_checked(name.len())?;
            let rest = rest.strip_prefix(b"*")?;
            let encoded = rest.is_empty() || rest.ends_with(b"*");
            let number = rest.strip_suffix(b"*").unwrap_or(rest);
            let number = match number {
                b"" => 0,
                digits => std::str::from_utf8(digits).ok()?.parse().ok()?,
            };
            let counts = own.eq_ignore_ascii_case(name.as_bytes()) && number <= SECTIONS_MAX;
            counts.then_some((number, encoded, value.as_slice()))
        })
        .collect();
    if sections.is_empty() {
        return None;
    }
    sections.sort_by_key(|(number, ..)| *number);
    let mut charset = Cow::Borrowed("");
    let mut octets = Vec::new();
    for (number, encoded, value) in sections {
        let mut value = value;
        let mut pieces = value.splitn(3, |octet| *octet == b'\'');
        if number == 0
            && encoded
            && let (Some(name), Some(_language), Some(rest)) =
                (pieces.next(), pieces.next(), pieces.next())
        {
            charset = String::from_utf8_lossy(name);
            value = rest;
        }
        if encoded {
            percent(value, &mut octets);
        } else {
            octets.extend_from_slice(value);
        }
    }
    Some(charset::decode(&octets, Some(&charset)).into_owned())
}

fn percent(value: &[u8], octets: &mut Vec<u8>) {
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', [high, low, behind @ ..]) if let Some(octet) = hexadecimal(*high, *low) => {
                octets.push(octet);
                rest = behind;
            }
            _ => octets.push(*first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::ContentType;

    #[test]
    fn encoded_words() {
        let vectors = [
            (
                " =?utf-8?Q?=D5=80=D5=A1?=\r\n =?utf-8?Q?=D5=B5?= x\r\n",
                "Հայ x",
            ),
            // Cut within a character.
            ("=?utf-8?Q?=D5=80=D5?= =?UTF-8?B?oQ==?=", "Հա"),
            ("a =?koi8-r?B?8NLJ18XU?= b", "a Привет b"),
            ("=?windows-1251?Q?=CF=F0?= =?koi8-r?Q?=C9?=", "При"),
            ("\"=?utf-8?Q?=D5=80=5F_x?=\" <a@b>", "\"Հ_ x\" <a@b>"),
            ("(=?utf-8*hy?Q?=D5=80?=)", "(Հ)"),
            ("=?utf-8?Q?with space?=", "with space"),
            (
                "=?utf-8?X?abc?= =?utf-8?Q?open",
                "=?utf-8?X?abc?= =?utf-8?Q?open",
            ),
            ("=??Q?a?= =?u v?Q?a?=", "=??Q?a?= =?u v?Q?a?="),
            ("=?=?utf-8?Q?=D5=80?=", "=?Հ"),
            ("=?klingon?Q?=D5=80?=", "Հ"),
            ("=?armscii-8?B?0LPb?=", "Հայ"),
            ("raw Հայ", "raw Հայ"),
            ("", ""),
        ];
        for (value, want) in vectors {
            assert_eq!(decoded(value.as_bytes()), want, "{value}");
        }
        assert_eq!(decoded(b"\xcf\xf0\xe8\xe2\xe5\xf2"), "Привет");
    }

    #[test]
    fn parameters() {
        let vectors = [
            ("a/b; name*=utf-8'hy'%D5%80%D5%A1.pdf", "Հա.pdf"),
            (
                "a/b; name*1*=%A1; name*0*=utf-8''%D5%80%D5; name*2=\".p%20df\"",
                "Հա.p%20df",
            ),
            ("a/b; name=\"=?utf-8?Q?=D5=80?=.pdf\"", "Հ.pdf"),
            ("a/b; name=plain.pdf; NAME*=koi8-r''%F0", "П"),
            ("a/b; name*0=two; name*1=parts", "twoparts"),
            ("a/b; name*=no-quotes%41", "no-quotesA"),
        ];
        for (value, want) in vectors {
            let parameters = ContentType::parse(value.as_bytes()).unwrap().parameters;
            assert_eq!(
                parameter(&parameters, "name").as_deref(),
                Some(want),
                "{value}"
            );
            assert_eq!(parameter(&parameters, "nam"), None);
        }
        let parameters = ContentType::parse(b"a/b; x=1; name*=utf-8''%41; y*0=2")
            .unwrap()
            .parameters;
        assert_eq!(extended_parameters(&parameters), ["A", "2"]);
    }
}
