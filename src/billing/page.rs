//! Texts as HTML to be shown or printed. Whatever comes from outside is escaped; there is no script and nothing is fetched.

use store::register::Lang;

use super::words::LANGS;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// The title.
    Title(String),
    /// A heading.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A name and its value.
    Row(String, String),
    /// One of a list.
    Item(String),
}

/// A text in one language, or in all at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The language; `None`: several.
    pub lang: Option<Lang>,
    /// Its pieces.
    pub blocks: Vec<Block>,
}

/// A page with all sections, one after another. Made twice, it has the same octets twice.
pub fn render(sections: &[Section]) -> String {
    let lang = |section: &Section| section.lang.unwrap_or(LANGS[0]);
    let title = sections
        .iter()
        .flat_map(|section| &section.blocks)
        .find_map(|block| match block {
            Block::Title(title) => Some(escape(title)),
            _ => None,
        });
    let body: String = sections
        .iter()
        .map(|section| self::section(section, lang(section)))
        .collect();
    let first = sections.first().map_or(LANGS[0], lang);
    format!(
        "<!DOCTYPE html>\n<html lang=\"{first}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
         </head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        title.unwrap_or_default()
    )
}

fn section(section: &Section, lang: Lang) -> String {
    let mut html = format!("<section lang=\"{lang}\">\n");
    let mut open = "";
    for block in &section.blocks {
        let wanted = match block {
            Block::Row(..) => "dl",
            Block::Item(_) => "ul",
            _ => "",
        };
        if wanted != open {
            html.push_str(&closing(open));
            if !wanted.is_empty() {
                html.push_str(&format!("<{wanted}>\n"));
            }
            open = wanted;
        }
        html.push_str(&match block {
            Block::Title(text) => format!("<h1>{}</h1>\n", escape(text)),
            Block::Heading(text) => format!("<h2>{}</h2>\n", escape(text)),
            Block::Text(text) => format!("<p>{}</p>\n", escape(text)),
            Block::Row(name, value) => {
                format!("<dt>{}</dt>\n<dd>{}</dd>\n", escape(name), escape(value))
            }
            Block::Item(text) => format!("<li>{}</li>\n", escape(text)),
        });
    }
    html + &closing(open) + "</section>\n"
}

fn closing(open: &str) -> String {
    match open {
        "" => String::new(),
        open => format!("</{open}>\n"),
    }
}

fn escape(text: &str) -> String {
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
    fn nothing_from_outside_becomes_markup_and_lists_are_closed() {
        let hostile = || "<script>\"a\"&'b'</script>".to_owned();
        let blocks = vec![
            Block::Title(hostile()),
            Block::Row(hostile(), hostile()),
            Block::Row("a".into(), "b".into()),
            Block::Item(hostile()),
            Block::Heading(hostile()),
            Block::Text(hostile()),
            Block::Item("c".into()),
        ];
        let html = render(&[Section {
            lang: Some(Lang::Ru),
            blocks,
        }]);
        assert!(
            !html.contains("<script")
                && html.contains("&lt;script&gt;&quot;a&quot;&amp;&#39;b&#39;")
        );
        assert!(html.contains("<html lang=\"ru\">") && html.contains("<section lang=\"ru\">"));
        for tag in ["dl", "ul", "section", "main"] {
            let count = |text: &str| html.matches(text).count();
            assert_eq!(
                count(&format!("<{tag}")),
                count(&format!("</{tag}>")),
                "{tag}"
            );
        }
        assert_eq!(html.matches("<dl>").count(), 1);
    }
}
