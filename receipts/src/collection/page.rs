//! The pages of a collection: what the events of its bundles say, and nothing besides. No script, nothing from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::bundle::Item;

const STYLE: &str = "body{font:1rem/1.5 sans-serif;max-width:60rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}\
                     article,section{border-top:1px solid;padding:.5rem 0}ul{margin:.25rem 0}h1{font-size:1.3rem}h2{font-size:1.1rem}";

/// What an event means, in Armenian, Russian and English; the rest have their names alone.
const MEANINGS: &[(&str, [&str; 3])] = &[
    (
        "deposited",
        [
            "նամակը դրվել է փոստարկղում",
            "письмо помещено в ящик",
            "the letter was put into the mailbox",
        ],
    ),
    (
        "listed",
        [
            "ծրագրին ուղարկվել են վերնագրի տվյալները",
            "программе переданы данные заголовка",
            "header data was sent to the mail program",
        ],
    ),
    (
        "disclosed",
        [
            "բովանդակությունը սկսվել է ուղարկվել ծրագրին",
            "содержание начали передавать программе",
            "the content began to be sent to the mail program",
        ],
    ),
    (
        "handed-over",
        [
            "ծրագիրը հաստատել է ամբողջ բովանդակության ստացումը",
            "программа подтвердила получение всего содержания",
            "the mail program acknowledged all of the content",
        ],
    ),
    (
        "marked-read",
        [
            "նամակը նշվել է որպես ընթերցված",
            "письмо отмечено как прочитанное",
            "the letter was marked as read",
        ],
    ),
    (
        "removed",
        [
            "նամակը հեռացվել է",
            "письмо удалено",
            "the letter was removed",
        ],
    ),
    (
        "logged-in",
        [
            "առաջին մուտքը նամակի տեղադրումից հետո",
            "первый вход после помещения письма",
            "the first log-in after a letter was deposited",
        ],
    ),
    (
        "account-added",
        [
            "հաշիվը բացվել է",
            "учётная запись открыта",
            "the account was opened",
        ],
    ),
    (
        "account-enrolled",
        [
            "հաշվի համար սարքի հավաստագիր է տրվել",
            "для учётной записи выдан сертификат устройства",
            "a device certificate was enrolled for the account",
        ],
    ),
];

const LANGUAGES: [&str; 3] = ["hy", "ru", "en"];
const TITLES: [&str; 3] = [
    "Ձեր փոստի ապացույցները",
    "Доказательства о вашей почте",
    "The evidence about your mail",
];
const INTRODUCTIONS: [&str; 3] = [
    "Այստեղ է ամեն ինչ, ինչ գրանցվել է Ձեր նամակների և Ձեր հաշվի մասին։ Յուրաքանչյուր նամակ իր առանձին փաթեթն ունի, և Դուք կարող եք տալ դրանցից մեկը՝ առանց մյուսների։ Ժամերը UTC են։ Էջերը միայն տեղեկացնում են. ապացույցը փաթեթն է, և այն ստուգում է «knik verify» հրամանը կամ փաթեթի VERIFY.txt-ը։",
    "Здесь всё, что зарегистрировано о ваших письмах и вашей учётной записи. У каждого письма свой пакет, и вы можете отдать один из них без остальных. Время указано по UTC. Страницы лишь сообщают: доказательством служит пакет, его проверяет команда «knik verify» или VERIFY.txt внутри пакета.",
    "Here is everything that was recorded about your letters and your account. Each letter has a bundle of its own, and you can hand out one without the others. Times are UTC. The pages only inform: the proof is the bundle, and the command \"knik verify\" or the bundle's VERIFY.txt checks it.",
];
const LETTERS: [&str; 3] = ["Նամակներ", "Письма", "Letters"];
const ACCOUNT: [&str; 3] = ["Հաշիվ", "Учётная запись", "Account"];
const MEANING: [&str; 3] = [
    "Ի՞նչ են նշանակում գրառումները",
    "Что означают записи",
    "What the entries mean",
];

/// A page of letters that is being filled.
#[derive(Default)]
pub(super) struct Letters {
    articles: String,
    count: usize,
    first: String,
    last: String,
}

impl Letters {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// One letter by its bundle.
    pub(super) fn add(&mut self, name: &str, events: &[&Item]) {
        let Some(first) = events.first().map(|item| &item.event) else {
            return;
        };
        let subject = &first.subject;
        let date = subject.submitted.unwrap_or(first.time).to_string();
        let from = subject.from.as_deref().unwrap_or_default();
        let field = subject.message_id_field.as_deref().unwrap_or_default();
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            self.articles,
            "<article><h2>{} · {}</h2>\n<p><code>{}</code><br><a href=\"../{name}\">{name}</a></p>\n{}</article>\n",
            escaped(&date),
            escaped(from),
            escaped(field),
            list(events)
        );
        self.count += 1;
        if self.first.is_empty() {
            self.first.clone_from(&date);
        }
        self.last = date;
    }

    pub(super) fn render(&self) -> String {
        let back = "<p><a href=\"../index.html\">index.html</a></p>\n";
        let body = format!("<h1>{}</h1>\n{back}{}", joined(&LETTERS), self.articles);
        document(&joined(&LETTERS), &body)
    }
}

/// The page that people begin with.
#[derive(Default)]
pub(super) struct Index {
    pages: String,
    pages_count: u64,
    account: String,
    /// How many events of each name are in the account's part.
    letters: u64,
    names: BTreeMap<String, u64>,
}

impl Index {
    /// A page is full; its name.
    pub(super) fn add_page(&mut self, page: &Letters) -> String {
        self.pages_count += 1;
        self.letters += page.count as u64;
        let name = format!("pages/{:06}.html", self.pages_count);
        let _ = writeln!(
            self.pages,
            "<li><a href=\"{name}\">{} – {}</a> ({})</li>",
            escaped(&page.first),
            escaped(&page.last),
            page.count
        );
        name
    }

    /// A bundle of the account's own events: where it is and from when to when; the events themselves are in it.
    pub(super) fn add_account(&mut self, name: &str, events: &[&Item]) {
        for item in events {
            *self.names.entry(item.event.event.to_string()).or_default() += 1;
        }
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            let _ = writeln!(
                self.account,
                "<li><a href=\"{name}\">{} – {}</a> ({})</li>",
                escaped(&first.event.time.to_string()),
                escaped(&last.event.time.to_string()),
                events.len()
            );
        }
    }

    pub(super) fn render(&self) -> String {
        let mut body = format!("<h1>{}</h1>\n", joined(&TITLES));
        for (lang, text) in LANGUAGES.iter().zip(INTRODUCTIONS) {
            let _ = writeln!(body, "<p lang=\"{lang}\">{}</p>", escaped(text));
        }
        let _ = write!(
            body,
            "<section><h2>{} ({})</h2>\n<ul>\n{}</ul></section>\n<section><h2>{}</h2>\n<ul>\n{}</ul>\n<p>",
            joined(&LETTERS),
            self.letters,
            self.pages,
            joined(&ACCOUNT),
            self.account
        );
        for (name, count) in &self.names {
            let _ = writeln!(body, "<code>{}</code>: {count}<br>", escaped(name));
        }
        let _ = write!(
            body,
            "</p></section>\n<section><h2>{}</h2>\n<dl>\n",
            joined(&MEANING)
        );
        for (name, texts) in MEANINGS {
            let _ = write!(body, "<dt><code>{name}</code></dt>");
            for (lang, text) in LANGUAGES.iter().zip(texts) {
                let _ = write!(body, "<dd lang=\"{lang}\">{}</dd>", escaped(text));
            }
            body.push('\n');
        }
        body.push_str("</dl></section>\n");
        document(&joined(&TITLES), &body)
    }
}

fn list(events: &[&Item]) -> String {
    let mut list = "<ul>\n".to_owned();
    for item in events {
        let _ = writeln!(
            list,
            "<li><code>{}</code> {}</li>",
            escaped(&item.event.event.to_string()),
            escaped(&item.event.time.to_string())
        );
    }
    list.push_str("</ul>");
    list
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"hy\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n"
    )
}

fn joined(words: &[&str]) -> String {
    words.join(" / ")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventName;

    #[test]
    fn every_meaning_is_that_of_an_event_and_is_told_in_three_languages() {
        for (name, texts) in MEANINGS {
            assert!(name.parse::<EventName>().is_ok(), "{name}");
            assert!(texts.iter().all(|text| !text.is_empty()), "{name}");
        }
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        assert_eq!(escaped("<a\"b&c@d>"), "&lt;a&quot;b&amp;c@d&gt;");
    }
}
