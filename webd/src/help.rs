//! Pages that say what a refusal means and what can be done: `/help` has all codes, `/help/CODE` one. Public, without
//! scripts, all three languages on each page, the reader's first.

use std::fmt::Write as _;

use mail::refusal::{Audience, Code, LANGUAGES};

/// Where the style sheet is: a policy that allows no inline style needs one of its own.
pub const STYLE_PATH: &str = "/help.css";

/// Readable from 320 CSS pixels on (WCAG 2.2 §1.4.10), in the reader's own colours.
pub const STYLE: &str = "\
:root{color-scheme:light dark}
body{font:1rem/1.5 system-ui,sans-serif;max-width:42rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}
h1{font-size:1.4rem}h2{font-size:1.15rem}h3{font-size:1rem}
section{border-top:1px solid;padding-top:.5rem;margin-top:1.5rem}
dt{font-weight:600;margin-top:.75rem}dd{margin:0}
";

/// What stands around the texts, in one language.
struct Frame {
    name: &'static str,
    title: &'static str,
    remedy: &'static str,
    holders: &'static str,
    agencies: &'static str,
    all: &'static str,
}

/// In the order of [`LANGUAGES`].
const FRAMES: [Frame; 3] = [
    Frame {
        name: "Հայերեն",
        title: "Ինչու է մերժվել",
        remedy: "Ի՞նչ անել",
        holders: "Փոստարկղերի տերերին",
        agencies: "Պայմանագրով ուղարկողներին",
        all: "Բոլոր պատճառները",
    },
    Frame {
        name: "Русский",
        title: "Почему отказано",
        remedy: "Что делать",
        holders: "Владельцам ящиков",
        agencies: "Отправителям по договору",
        all: "Все причины",
    },
    Frame {
        name: "English",
        title: "Why it was refused",
        remedy: "What to do",
        holders: "For holders of mailboxes",
        agencies: "For senders under contract",
        all: "All reasons",
    },
];

/// The languages' order for a reader: indexes of [`LANGUAGES`], the one of the greatest weight in `accepted`
/// (Accept-Language, RFC 9110 §12.5.4) first, Armenian where none is named.
#[must_use]
pub fn order(accepted: &str) -> [usize; 3] {
    let mut best = (0, 0);
    for range in accepted.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(1000, thousandths);
        let known = |language: &&str| tag.split('-').next() == Some(*language);
        if let Some(at) = LANGUAGES.iter().position(known)
            && weight > best.0
        {
            best = (weight, at);
        }
    }
    match best.1 {
        1 => [1, 0, 2],
        2 => [2, 0, 1],
        _ => [0, 1, 2],
    }
}

/// A weight of at most three decimals; one that is none counts as none.
fn thousandths(weight: &str) -> u32 {
    weight
        .parse::<f32>()
        .ok()
        .filter(|weight| (0.0..=1.0).contains(weight))
        .map_or(0, |weight| (weight * 1000.0) as u32)
}

/// The page of one code.
#[must_use]
pub fn page(code: Code, order: [usize; 3]) -> String {
    let told = code.told();
    let mut body = format!("<h1><code>{code}</code></h1>\n");
    // Writing to a String cannot fail, here and below. Invariant: `order` has indexes of three.
    for at in order {
        let (frame, told, lang) = (&FRAMES[at], &told[at], LANGUAGES[at]);
        let _ = write!(
            body,
            "<section lang=\"{lang}\"><h2>{}</h2>\n<p>{}</p>\n<h3>{}</h3>\n<p>{}</p>\n\
             <p><a href=\"/help\">{}</a></p></section>\n",
            frame.name,
            escaped(told.what),
            frame.remedy,
            escaped(told.remedy),
            frame.all,
        );
    }
    document(order, &code.to_string(), &body)
}

/// All codes, for holders and for senders.
#[must_use]
pub fn index(order: [usize; 3]) -> String {
    let mut body = String::new();
    for at in order {
        let (frame, lang) = (&FRAMES[at], LANGUAGES[at]);
        let _ = write!(
            body,
            "<section lang=\"{lang}\"><h1>{}</h1>\n<p>{}</p>\n",
            frame.title, frame.name
        );
        for (audience, heading) in [
            (Audience::Holder, frame.holders),
            (Audience::Agency, frame.agencies),
        ] {
            let _ = write!(body, "<h2>{heading}</h2>\n<dl>\n");
            for code in Code::ALL.iter().filter(|code| code.audience() == audience) {
                let _ = writeln!(
                    body,
                    "<dt><a href=\"/help/{code}\"><code>{code}</code></a></dt><dd>{}</dd>",
                    escaped(code.told()[at].what)
                );
            }
            body.push_str("</dl>\n");
        }
        body.push_str("</section>\n");
    }
    document(order, FRAMES[order[0]].title, &body)
}

fn document(order: [usize; 3], title: &str, body: &str) -> String {
    let lang = LANGUAGES[order[0]];
    format!(
        "<!DOCTYPE html>\n<html lang=\"{lang}\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"{STYLE_PATH}\"></head>\n<body><main>\n{body}</main></body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_s_language_comes_first() {
        for (accepted, first) in [
            ("", "hy"),
            ("fr", "hy"),
            ("ru", "ru"),
            ("en-GB,en;q=0.9,ru;q=0.8", "en"),
            ("fr, en;q=0.2, ru-RU;q=0.7", "ru"),
            ("RU;q=0, en;q=0.1", "en"),
            ("en;q=2, ru;q=x, *", "hy"),
        ] {
            let order = order(accepted);
            assert_eq!(LANGUAGES[order[0]], first, "{accepted}");
            let mut sorted = order;
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
        }
    }

    #[test]
    fn every_code_has_a_page_and_stands_in_the_list() {
        let index = index([0, 1, 2]);
        for code in Code::ALL {
            let page = page(*code, [2, 0, 1]);
            assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
            for (lang, told) in LANGUAGES.iter().zip(code.told()) {
                assert!(page.contains(&format!("<section lang=\"{lang}\">")));
                assert!(page.contains(&escaped(told.remedy)), "{code} {lang}");
                assert!(index.contains(&escaped(told.what)), "{code} {lang}");
            }
            let link = format!("<a href=\"/help/{code}\">");
            assert_eq!(index.matches(&link).count(), 3, "{code}");
        }
    }
}
