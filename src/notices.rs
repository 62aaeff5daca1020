//! The text of the first notice in a mailbox, and the letter that is made of it: data under `etc/notices/`, three languages
//! in one letter, the holder's own first.

use mail::address::Address;
use mail::report::{AutoSubmitted, Mailbox, MsgId, Part, field, heading};
use mail::time::Timestamp;
use serde::Deserialize;
use store::register::Lang;

use crate::config::Config;
use crate::failure::{Failure, Outcome};

/// The texts that are built in, by name. One that was ever sent is never edited.
const TEXTS: &[(&str, &str)] = &[("first-1", include_str!("../etc/notices/first-1.toml"))];

/// The notice that is sent unless the operator says otherwise.
pub const FIRST: &str = "first-1";

/// Between two languages of one letter.
const RULE: &str = "\n----------------------------------------------------------------\n\n";

/// A notice's text in all languages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Its name.
    pub id: String,
    hy: Told,
    ru: Told,
    en: Told,
}

/// One language's part.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    subject: String,
    body: String,
}

impl Text {
    /// The built-in text of this name; `None`: there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (_, text) = TEXTS.iter().find(|(known, _)| *known == name)?;
        // Invariant: a test parses each of them.
        toml::from_str(text).ok()
    }

    /// The names of the built-in texts.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TEXTS.iter().map(|(name, _)| *name)
    }

    fn told(&self, lang: Lang) -> &Told {
        match lang {
            Lang::Hy => &self.hy,
            Lang::Ru => &self.ru,
            Lang::En => &self.en,
        }
    }

    /// The letter for holders of one language: the same octets for the same arguments, always. It names no recipient: one
    /// letter is many holders'.
    ///
    /// # Errors
    /// An operator's name, domain or host that no header field may hold.
    pub fn letter(&self, config: &Config, lang: Lang, now: Timestamp) -> Outcome<Vec<u8>> {
        let wrong = |e: &dyn std::error::Error| Failure::doing(format!("notice {}", self.id), e);
        let from = from(config)?;
        let name = format!("{}.{lang}.{}", self.id, now.as_millis());
        let msg_id = MsgId::new(&name, &config.hostname).map_err(|e| wrong(&e))?;
        let order = order(lang);
        let fill = |text: &str| filled(text, config);
        let parts: Vec<String> = order
            .iter()
            .map(|lang| fill(self.told(*lang).body.trim_start()))
            .collect();
        let languages: Vec<&str> = order.iter().map(|lang| lang.as_str()).collect();
        let body = Part::text("plain", &languages.join(", "), &parts.join(RULE));
        let mut octets = Vec::new();
        let write = || {
            let mailbox = Mailbox {
                name: Some(config.seal.issuer.clone()),
                address: from,
            };
            heading::mailbox(&mut octets, "From", &mailbox);
            // RFC 5322 §3.4: a group without members; each holder has this letter, and none is told of the others.
            field::exact(&mut octets, "To", "undisclosed-recipients:;")?;
            field::text(&mut octets, "Subject", &fill(&self.told(lang).subject))?;
            field::exact(&mut octets, "Date", &now.rfc5322())?;
            field::exact(&mut octets, "Message-ID", msg_id.as_str())?;
            let automatic = AutoSubmitted::Generated.as_str();
            field::exact(&mut octets, "Auto-Submitted", automatic)?;
            field::exact(&mut octets, "MIME-Version", "1.0")
        };
        write().map_err(|e| wrong(&e))?;
        octets.extend_from_slice(body.octets());
        if !octets.ends_with(b"\r\n") {
            octets.extend_from_slice(b"\r\n");
        }
        Ok(octets)
    }
}

/// From whom: the address that every mail domain has (RFC 5321 §4.5.1).
///
/// # Errors
/// A configured domain that is none.
pub fn from(config: &Config) -> Outcome<Address> {
    let address = format!("{}@{}", smtpd::policy::POSTMASTER, config.domain);
    Address::parse(&address).map_err(|e| Failure::doing("domain", &e))
}

fn order(first: Lang) -> [Lang; 3] {
    match first {
        Lang::Hy => [Lang::Hy, Lang::Ru, Lang::En],
        Lang::Ru => [Lang::Ru, Lang::Hy, Lang::En],
        Lang::En => [Lang::En, Lang::Hy, Lang::Ru],
    }
}

/// With what the configuration says in its place; without the lines about what this post does not have.
fn filled(text: &str, config: &Config) -> String {
    let help = config.help_url();
    let lines = text.split_inclusive('\n');
    let kept = lines.filter(|line| help.is_some() || !line.contains("{help}"));
    kept.collect::<String>()
        .replace("{operator}", &config.seal.issuer)
        .replace("{domain}", &config.domain)
        .replace("{help}", help.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mail::structure::Structure;

    use super::*;
    use crate::config::file::parse;

    fn config(more: &str) -> Config {
        parse(
            Path::new("knik.toml"),
            &format!("domain = 'a.test'\n{more}"),
        )
        .unwrap()
    }

    #[test]
    fn every_text_says_all_in_three_languages() {
        for name in Text::names() {
            let text = Text::named(name).unwrap();
            assert_eq!(text.id, name);
            assert!(store::notices::is_name(name));
            let acts = |body: &str| body.lines().filter(|line| line.starts_with("* ")).count();
            let count = acts(&text.en.body);
            for lang in order(Lang::Hy) {
                let told = text.told(lang);
                assert_eq!(acts(&told.body), count, "{name} {lang}");
                for stand_in in ["{operator}", "{domain}", "{help}"] {
                    assert!(told.body.contains(stand_in), "{name} {lang} {stand_in}");
                }
            }
            // The acts of evidence.md that a holder brings about, by the names they have in a list of evidence.
            for lang in [Lang::Hy, Lang::Ru] {
                for act in [
                    "deposited",
                    "logged-in",
                    "listed",
                    "disclosed",
                    "handed-over",
                    "marked-read",
                    "removed",
                ] {
                    let named = format!("({act})");
                    assert!(text.told(lang).body.contains(&named), "{name} {lang} {act}");
                }
            }
        }
        assert!(Text::named("first-0").is_none());
    }

    #[test]
    fn a_letter_is_the_same_octets_for_the_same_arguments_and_begins_in_the_holders_language() {
        let text = Text::named(FIRST).unwrap();
        let config = config("");
        let now = Timestamp::from_millis(1_795_338_000_000);
        for (lang, first, second) in [
            (Lang::Hy, "սա ձեր", "это ваш"),
            (Lang::Ru, "это ваш", "սա ձեր"),
            (Lang::En, "this is your", "սա ձեր"),
        ] {
            let octets = text.letter(&config, lang, now).unwrap();
            assert_eq!(octets, text.letter(&config, lang, now).unwrap());
            assert!(octets.is_ascii());
            assert!(octets.split(|o| *o == b'\n').all(|line| line.len() <= 78));
            let structure = Structure::examine(&octets);
            assert!(structure.notes.is_empty(), "{:?}", structure.notes);
            // As SEARCH sees it: in small letters.
            let body = mail::searched::searched_text(b"", &octets, &structure).body;
            let at = |what: &str| body.find(what).unwrap_or_else(|| panic!("{lang} {what}"));
            assert!(at(first) < at(second), "{lang}");
            assert!(!body.contains('{') && body.contains("a.test"));
        }
    }

    #[test]
    fn what_the_post_does_not_have_is_not_spoken_of() {
        let told = "one\ntwo {help}\nthree {operator}\n";
        let without = filled(told, &config("[listen]\nhttps = ''\n"));
        assert_eq!(without, "one\nthree Official electronic post a.test\n");
        let with = filled(told, &config("hostname = 'h.test'\n"));
        assert!(with.contains("two https://h.test:8443/help\n"), "{with}");
    }
}
