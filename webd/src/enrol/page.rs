//! The pages as HTML: one column, no script, readable at 320 pixels.

use mail::Timestamp;
use store::links::Link;
use store::register::Lang;

use super::texts::{Texts, texts};

/// The sheet of all pages.
pub(super) const SHEET: &str = "\
:root{color-scheme:light dark}
body{margin:0 auto;padding:1rem;max-width:38rem;font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.4rem;line-height:1.25}
nav{display:flex;flex-wrap:wrap;gap:1rem}
form,section{margin:1.5rem 0;padding-top:.5rem;border-top:1px solid}
button,.file{display:block;box-sizing:border-box;width:100%;margin:.75rem 0;padding:.75rem;border:2px solid;border-radius:.25rem;font:inherit;text-align:center}
textarea{box-sizing:border-box;width:100%;min-height:8rem;font:.8rem/1.3 ui-monospace,monospace}
code,pre{font:1.1rem/1.4 ui-monospace,monospace}
pre{font-size:.7rem;overflow-x:auto}
.fault{border-inline-start:.35rem solid;padding-inline-start:.75rem}
";

/// One page.
pub(super) struct Page<'a> {
    pub(super) lang: Lang,
    pub(super) token: &'a str,
    pub(super) link: Option<&'a Link>,
    pub(super) shown: Shown<'a>,
}

/// What a page shows.
pub(super) enum Shown<'a> {
    /// The choice, after a request that could not be taken.
    Form { fault: Option<&'a str> },
    /// The files; with the password, the one time it is shown.
    Files {
        password: Option<(&'a str, Timestamp)>,
    },
    /// The certificate over the holder's own key.
    Certificate { pem: &'a str },
    /// The link was used.
    Used,
    /// The link's time is over.
    Over,
    /// There is no such link.
    NoLink,
}

impl Page<'_> {
    /// The page.
    pub(super) fn render(&self) -> String {
        let texts = texts(self.lang);
        let body = match &self.shown {
            Shown::Form { fault } => self.form(texts, *fault),
            Shown::Files { password } => self.files(texts, *password),
            Shown::Certificate { pem } => format!(
                "<p>{}</p>\n<pre>{}</pre>\n",
                texts.certificate,
                escaped(pem)
            ),
            Shown::Used => paragraph(texts.used),
            Shown::Over => paragraph(texts.over),
            Shown::NoLink => paragraph(texts.no_link),
        };
        let address = self.link.map_or_else(String::new, |link| {
            let address = escaped(&link.account.address.to_string());
            format!("<p>{}: <strong>{address}</strong></p>\n", texts.address)
        });
        format!(
            "<!DOCTYPE html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n\
             <link rel=\"stylesheet\" href=\"/enrol.css\">\n</head>\n<body>\n{nav}\
             <main>\n<h1>{title}</h1>\n{address}{body}</main>\n</body>\n</html>\n",
            lang = self.lang,
            title = texts.title,
            nav = self.languages(),
        )
    }

    /// The other languages. The page after a POST has none: going there would look at a link that is used.
    fn languages(&self) -> String {
        if matches!(
            self.shown,
            Shown::Certificate { .. } | Shown::Files { password: Some(_) }
        ) {
            return String::new();
        }
        let token = escaped(self.token);
        let one = |(lang, name): (Lang, &str)| {
            format!(
                "<a href=\"/enrol/{token}?lang={lang}\" hreflang=\"{lang}\" lang=\"{lang}\">{name}</a>\n"
            )
        };
        let all = [
            (Lang::Hy, "Հայերեն"),
            (Lang::Ru, "Русский"),
            (Lang::En, "English"),
        ];
        let others = all.into_iter().filter(|(lang, _)| *lang != self.lang);
        format!("<nav>\n{}</nav>\n", others.map(one).collect::<String>())
    }

    fn form(&self, texts: &Texts, fault: Option<&str>) -> String {
        let action = format!("/enrol/{}?lang={}", escaped(self.token), self.lang);
        let fault = fault.map_or_else(String::new, |fault| {
            format!(
                "<p class=\"fault\" role=\"alert\">{} <span lang=\"en\">{}</span></p>\n",
                texts.request_fault,
                escaped(fault)
            )
        });
        let until = self.link.map_or_else(String::new, |link| {
            format!("<p>{}: {}</p>\n", texts.valid_until, moment(link.expires))
        });
        format!(
            "{fault}<p>{intro}</p>\n{until}\
             <form method=\"post\" action=\"{action}\">\n<h2>{key_title}</h2>\n<p>{key}</p>\n\
             <input type=\"hidden\" name=\"do\" value=\"key\">\n<button>{key_button}</button>\n</form>\n\
             <form method=\"post\" action=\"{action}\">\n<h2>{own_title}</h2>\n<p>{own}</p>\n\
             <input type=\"hidden\" name=\"do\" value=\"request\">\n\
             <label for=\"request\">{own_label}</label>\n\
             <textarea id=\"request\" name=\"request\" required spellcheck=\"false\"></textarea>\n\
             <button>{own_button}</button>\n</form>\n",
            intro = texts.intro,
            key_title = texts.key_title,
            key = texts.key,
            key_button = texts.key_button,
            own_title = texts.own_title,
            own = texts.own,
            own_label = texts.own_label,
            own_button = texts.own_button,
        )
    }

    fn files(&self, texts: &Texts, password: Option<(&str, Timestamp)>) -> String {
        let token = escaped(self.token);
        let secret = match password {
            Some((password, until)) => format!(
                "<section>\n<h2>{}</h2>\n<p><code>{}</code></p>\n<p>{}</p>\n<p>{}: {}</p>\n</section>\n",
                texts.password,
                escaped(password),
                texts.password_once,
                texts.files_until,
                moment(until)
            ),
            None => paragraph(texts.password_shown),
        };
        format!(
            "<p>{made}</p>\n{secret}\
             <a class=\"file\" href=\"/enrol/{token}/bundle.p12\" download>{p12}</a>\n\
             <a class=\"file\" href=\"/enrol/{token}/post.mobileconfig\">{profile}</a>\n<p>{next}</p>\n",
            made = texts.made,
            p12 = texts.p12,
            profile = texts.profile,
            next = texts.next,
        )
    }
}

fn paragraph(text: &str) -> String {
    format!("<p>{text}</p>\n")
}

/// A moment for people: to the minute, in UTC, and machines can read it too.
fn moment(time: Timestamp) -> String {
    let text = time.to_string();
    // Invariant: `2026-11-22T09:00:00.000Z` has 24 octets of ASCII.
    let shown = text.get(..16).unwrap_or(&text).replace('T', " ");
    format!("<time datetime=\"{text}\">{shown} UTC</time>")
}

/// Text as it may stand in HTML and XML, attributes too.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_visitor_becomes_markup() {
        let page = Page {
            lang: Lang::En,
            token: "\"><script>alert(1)</script>",
            link: None,
            shown: Shown::Form {
                fault: Some("<b>&'\""),
            },
        };
        let html = page.render();
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(html.contains("&lt;b&gt;&amp;&#39;&quot;"), "{html}");
    }

    #[test]
    fn each_page_is_in_each_language() {
        for lang in [Lang::Hy, Lang::Ru, Lang::En] {
            for shown in [
                Shown::Form { fault: None },
                Shown::Files { password: None },
                Shown::Certificate { pem: "-" },
                Shown::Used,
                Shown::Over,
                Shown::NoLink,
            ] {
                let token = "t";
                let html = Page {
                    lang,
                    token,
                    link: None,
                    shown,
                }
                .render();
                assert!(html.contains(&format!("<html lang=\"{lang}\">")), "{html}");
                assert!(
                    !html.contains("<p></p>") && !html.contains("<script"),
                    "{html}"
                );
            }
        }
    }
}
