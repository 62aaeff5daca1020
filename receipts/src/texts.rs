//! What a receipt or report says to people, in Armenian, Russian and English: what was observed, when, what must not be
//! concluded from it, and how to check it. The words are in one table; values of others are neutralised.

use mail::Timestamp;
use mail::report::HumanText;
use serde_json::Value;

use crate::event::{Event, EventName};

mod table;

use table::{Said, Three};

/// A language of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// `hy`, the official language.
    Armenian,
    /// `ru`.
    Russian,
    /// `en`.
    English,
}

impl Language {
    /// All, in the order in which they stand in a text.
    pub const ALL: [Self; 3] = [Self::Armenian, Self::Russian, Self::English];

    /// The tag of BCP 47.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Armenian => "hy",
            Self::Russian => "ru",
            Self::English => "en",
        }
    }

    fn of(self, three: Three) -> &'static str {
        let [armenian, russian, english] = three;
        match self {
            Self::Armenian => armenian,
            Self::Russian => russian,
            Self::English => english,
        }
    }
}

/// What the text stands in: what it says of checking depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A sealed receipt with the evidence attached.
    Receipt,
    /// A report for mail programs, without a seal.
    Report,
}

/// Events described in one text, at most: a submission has one per recipient, and the text stands in three languages. The
/// others are in the attached evidence.
pub const DESCRIBED_MAX: usize = 50;

/// Recipients named in one line, at most, for the same reason.
const RECIPIENTS_MAX: usize = 50;

/// `Asia/Yerevan` is UTC+4 the whole year, since 2012.
const YEREVAN_MILLIS: i64 = 4 * 3_600_000;

/// One letter's events, to be told in one text: the outcome first.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The events; those of a kind that has no text are left out.
    pub events: &'a [&'a Event],
    /// The letter's subject as its sender wrote it, decoded, if it is to be repeated.
    pub subject: Option<&'a str>,
    /// What the text stands in.
    pub form: Form,
}

/// The title of an event in one language; `None` for a kind of event that is not told to senders.
#[must_use]
pub fn title(event: EventName, language: Language) -> Option<&'static str> {
    Some(language.of(said(event)?.title))
}

/// The subject of a mail about an event: its title in all languages, then the letter's own subject.
#[must_use]
pub fn subject(event: EventName, original: Option<&str>) -> Option<String> {
    let said = said(event)?;
    let titles = said.title.join(" / ");
    Some(match original.map(mail::report::field::free) {
        Some(original) if !original.is_empty() => format!("{titles}: {original}"),
        _ => titles,
    })
}

/// An instant as people in Armenia and elsewhere read it, to the second.
#[must_use]
pub fn time(instant: Timestamp, language: Language) -> String {
    let second = |millis: i64| {
        let text = Timestamp::from_millis(millis).to_string();
        text.get(..19).unwrap_or_default().replace('T', " ")
    };
    let millis = instant.as_millis();
    format!(
        "{} {} (UTC+4), {} UTC",
        second(millis + YEREVAN_MILLIS),
        language.of(table::YEREVAN),
        second(millis)
    )
}

/// The whole text as plain text, three languages one after the other, for a report.
#[must_use]
pub fn human(told: &Told<'_>) -> HumanText {
    HumanText {
        languages: Language::ALL.map(Language::tag).join(", "),
        text: plain(told),
    }
}

/// The whole text as plain text, three languages one after the other.
#[must_use]
pub fn plain(told: &Told<'_>) -> String {
    let mut text = String::new();
    for language in Language::ALL {
        if !text.is_empty() {
            text.push_str("\n----------------------------------------\n\n");
        }
        let page = Page::of(told, language);
        for block in &page.blocks {
            text.push_str(&format!(
                "{}\n\n{}\n{}\n\n",
                block.title, block.fact, block.limit
            ));
            for (label, value) in &block.values {
                text.push_str(&format!("{label}: {value}\n"));
            }
            text.push('\n');
        }
        if let Some(more) = &page.more {
            text.push_str(&format!("{more}\n\n"));
        }
        text.push_str(&format!("{}\n\n{}\n\n", page.check.0, page.check.1));
        for command in &page.commands {
            text.push_str(&format!("    {command}\n"));
        }
    }
    text
}

/// The whole text as HTML: nothing in it is fetched from anywhere.
#[must_use]
pub fn html(told: &Told<'_>) -> String {
    let mut text = String::from(
        "<!DOCTYPE html>\n<html lang=\"hy\">\n<head><meta charset=\"utf-8\"><title>Knik</title></head>\n<body>\n",
    );
    for language in Language::ALL {
        let page = Page::of(told, language);
        text.push_str(&format!("<section lang=\"{}\">\n", language.tag()));
        for block in &page.blocks {
            text.push_str(&format!(
                "<h1>{}</h1>\n<p>{}</p>\n<p>{}</p>\n<table>\n",
                escape(block.title),
                escape(&block.fact),
                escape(block.limit)
            ));
            for (label, value) in &block.values {
                let (label, value) = (escape(label), escape(value));
                text.push_str(&format!(
                    "<tr><th scope=\"row\">{label}</th><td>{value}</td></tr>\n"
                ));
            }
            text.push_str("</table>\n");
        }
        if let Some(more) = &page.more {
            text.push_str(&format!("<p>{}</p>\n", escape(more)));
        }
        text.push_str(&format!(
            "<h2>{}</h2>\n<p>{}</p>\n",
            escape(page.check.0),
            escape(page.check.1)
        ));
        for command in &page.commands {
            text.push_str(&format!("<pre>{}</pre>\n", escape(command)));
        }
        text.push_str("</section>\n<hr>\n");
    }
    text.push_str("</body>\n</html>\n");
    text
}

/// One language's text before it is plain text or HTML.
struct Page {
    blocks: Vec<Block>,
    more: Option<String>,
    check: (&'static str, &'static str),
    commands: Vec<String>,
}

struct Block {
    title: &'static str,
    fact: String,
    limit: &'static str,
    values: Vec<(&'static str, String)>,
}

impl Page {
    fn of(told: &Told<'_>, language: Language) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        for event in told.events.iter().take(DESCRIBED_MAX) {
            let Some(said) = said(event.event) else {
                continue;
            };
            let mut values = values(event, told.subject, language);
            // What the first block says already is not said again for each recipient.
            if let Some(first) = blocks.first() {
                values.retain(|value| !first.values.contains(value));
            }
            blocks.push(Block {
                title: language.of(said.title),
                fact: fill(language.of(said.fact), event),
                limit: language.of(said.limit),
                values,
            });
        }
        let count = told.events.len();
        let id = told.events.first().map(|event| event.id.to_string());
        let (check, commands) = match told.form {
            Form::Receipt => (
                table::CHECK_SEALED,
                table::COMMANDS_SEALED.map(str::to_owned).to_vec(),
            ),
            Form::Report => {
                let command = table::COMMAND_REPORT.replace("{evidence}", &id.unwrap_or_default());
                (table::CHECK_REPORT, vec![command])
            }
        };
        Self {
            blocks,
            more: (count > DESCRIBED_MAX).then(|| format!("{} {count}", language.of(table::MORE))),
            check: (language.of(table::CHECK), language.of(check)),
            commands,
        }
    }
}

fn said(event: EventName) -> Option<&'static Said> {
    table::EVENTS.iter().find(|said| said.event == event)
}

/// The values of an event that people look for, with their labels.
fn values(
    event: &Event,
    original: Option<&str>,
    language: Language,
) -> Vec<(&'static str, String)> {
    let subject = &event.subject;
    let name = match event.etsi() {
        Some(etsi) => format!(
            "{}, ETSI {} {}",
            event.event,
            etsi.code.unwrap_or(""),
            etsi.name
        ),
        None => event.event.to_string(),
    };
    let reason = subject
        .reason
        .map(|reason| format!("{reason} {}", reason.name()));
    let sender = subject.from.as_deref().map(|from| match from {
        // RFC 5321 §4.5.5.
        "" => "<>",
        from => from,
    });
    let detail = |name: &str| event.details.get(name).and_then(Value::as_str);
    let listed: [(Three, Option<String>); 13] = [
        (table::TIME, Some(time(event.time, language))),
        (table::EVENT, Some(name)),
        (table::EVIDENCE, Some(event.id.to_string())),
        (table::MESSAGE, subject.message.map(|id| id.to_string())),
        (table::SENDER, sender.map(str::to_owned)),
        (table::RECIPIENTS, recipients(event)),
        (table::SUBJECT, original.map(str::to_owned)),
        (table::SENDERS_ID, subject.message_id_field.clone()),
        (
            table::DIGEST,
            subject.digest.map(|digest| digest.to_string()),
        ),
        (table::SIZE, subject.size.map(|size| size.to_string())),
        (table::REASON, reason),
        (table::REPLY, detail("reply").map(str::to_owned)),
        (
            table::CAUSE,
            detail("why").or_else(|| detail("cause")).map(str::to_owned),
        ),
    ];
    let extent = (table::EXTENT, detail("extent").map(str::to_owned));
    listed
        .into_iter()
        .chain([extent])
        .filter_map(|(label, value)| Some((language.of(label), mail::report::field::free(&value?))))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// The recipient, or all those of a submission.
fn recipients(event: &Event) -> Option<String> {
    if let Some(recipient) = &event.subject.recipient {
        return Some(recipient.address.clone());
    }
    if let Some(account) = &event.subject.account {
        return Some(account.clone());
    }
    let list = event.details.get("recipients")?.as_array()?;
    let address = |item: &Value| {
        let text = item.as_str().or_else(|| item.get("address")?.as_str())?;
        Some(text.to_owned())
    };
    let named: Vec<String> = list
        .iter()
        .take(RECIPIENTS_MAX)
        .filter_map(address)
        .collect();
    let more = if list.len() > RECIPIENTS_MAX {
        format!(", … ({})", list.len())
    } else {
        String::new()
    };
    Some(format!("{}{more}", named.join(", ")))
}

/// A sentence with its addresses.
fn fill(sentence: &str, event: &Event) -> String {
    let recipient = event.subject.recipient.as_ref();
    let address = recipient.map(|recipient| recipient.address.as_str());
    let free = |text: Option<&str>| mail::report::field::free(text.unwrap_or("–"));
    // Each sentence has at most one of the two: what was filled in is not looked through again.
    if sentence.contains("{account}") {
        sentence.replace("{account}", &free(event.subject.account.as_deref()))
    } else {
        sentence.replace("{recipient}", &free(address))
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests;
