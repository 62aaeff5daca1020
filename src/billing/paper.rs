//! Texts as PDF/A-3b: A4, one embedded font that has Armenian, Cyrillic and Latin. The same text gives the same octets.

use krilla::Document;
use krilla::SerializeSettings;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::geom::Point;
use krilla::metadata::{DateTime, Metadata};
use krilla::page::PageSettings;
use krilla::text::{Font, TextDirection};
use mail::Timestamp;
use ttf_parser::Face;

use super::page::{Block, Section};
use super::words::LANGS;
use crate::failure::{Failure, Outcome};

/// DejaVu Sans 2.37 (etc/fonts/LICENSE.txt).
const FONT: &[u8] = include_bytes!("../../etc/fonts/DejaVuSans.ttf");

/// A4 and its margins, points.
const PAGE: (f32, f32) = (595.28, 841.89);
const MARGIN: f32 = 56.0;

/// How a block is set: size, room above, indent; points.
const TITLE: Style = Style(15.0, 0.0, 0.0);
const HEADING: Style = Style(11.0, 10.0, 0.0);
const TEXT: Style = Style(9.5, 4.0, 0.0);
const ROW: Style = Style(8.5, 2.0, 0.0);
const ITEM: Style = Style(9.5, 2.0, 12.0);

/// Distance of lines, in sizes.
const LEADING: f32 = 1.35;

#[derive(Clone, Copy)]
struct Style(f32, f32, f32);

/// One line with its place.
struct Set {
    text: String,
    size: f32,
    at: (f32, f32),
}

/// The sections, each on a page of its own, dated so in the file's metadata.
///
/// # Errors
/// When the font lacks a character, or the file cannot be made.
pub fn render(sections: &[Section], date: Timestamp) -> Outcome<Vec<u8>> {
    let face = Face::parse(FONT, 0).map_err(|e| Failure::doing("the built-in font", &e))?;
    let font = Font::new(FONT.into(), 0);
    let font = font.ok_or_else(|| Failure::could_not("the built-in font cannot be used"))?;
    let mut document = Document::new_with(settings()?);
    document.set_metadata(metadata(sections, date)?);
    for section in sections {
        for lines in pages(section, &face)? {
            let page = PageSettings::from_wh(PAGE.0, PAGE.1);
            let page = page.ok_or_else(|| Failure::could_not("the size of a page"))?;
            let mut page = document.start_page_with(page);
            let mut surface = page.surface();
            for Set { text, size, at } in lines {
                let at = Point::from_xy(at.0, at.1);
                surface.draw_text(
                    at,
                    font.clone(),
                    size,
                    &text,
                    false,
                    TextDirection::LeftToRight,
                );
            }
            surface.finish();
            page.finish();
        }
    }
    document
        .finish()
        .map_err(|e| Failure::could_not(format!("the PDF: {e:?}")))
}

fn settings() -> Outcome<SerializeSettings> {
    let configuration = ConfigurationBuilder::new()
        .with_archival_validator(Archival::A3_B)
        .finish();
    Ok(SerializeSettings {
        configuration: configuration.map_err(|e| Failure::could_not(format!("PDF/A: {e:?}")))?,
        ..SerializeSettings::default()
    })
}

fn metadata(sections: &[Section], date: Timestamp) -> Outcome<Metadata> {
    let date = jiff::Timestamp::from_millisecond(date.as_millis())
        .map_err(|e| Failure::doing("the paper's date", &e))?
        .to_zoned(jiff::tz::TimeZone::UTC);
    let number = |number: i8| u8::try_from(number).unwrap_or(0);
    let date = DateTime::new(u16::try_from(date.year()).unwrap_or(0))
        .month(number(date.month()))
        .day(number(date.day()))
        .hour(number(date.hour()))
        .minute(number(date.minute()))
        .second(number(date.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0);
    let title = sections
        .iter()
        .flat_map(|section| &section.blocks)
        .find_map(|block| match block {
            Block::Title(title) => Some(title.clone()),
            _ => None,
        });
    let lang = sections
        .first()
        .and_then(|section| section.lang)
        .unwrap_or(LANGS[0]);
    Ok(Metadata::new()
        .title(title.unwrap_or_default())
        .language(lang.to_string())
        .creation_date(date)
        .producer("Knik".to_owned())
        .document_id(document_id(sections)))
}

/// Named by what is in it.
fn document_id(sections: &[Section]) -> String {
    mail::Digest::of(super::page::render(sections).as_bytes()).to_string()
}

/// The lines of a section, page by page.
fn pages(section: &Section, face: &Face<'_>) -> Outcome<Vec<Vec<Set>>> {
    let mut pages = vec![Vec::new()];
    let mut y = MARGIN;
    for block in &section.blocks {
        let (text, style) = match block {
            Block::Title(text) => (text.clone(), TITLE),
            Block::Heading(text) => (text.clone(), HEADING),
            Block::Text(text) => (text.clone(), TEXT),
            Block::Row(name, value) => (format!("{name}: {value}"), ROW),
            Block::Item(text) => (format!("– {text}"), ITEM),
        };
        let Style(size, above, indent) = style;
        y += above;
        for text in wrap(&text, PAGE.0 - 2.0 * MARGIN - indent, size, face)? {
            y += size * LEADING;
            if y > PAGE.1 - MARGIN {
                pages.push(Vec::new());
                y = MARGIN + size * LEADING;
            }
            let at = (MARGIN + indent, y);
            if let Some(page) = pages.last_mut() {
                page.push(Set { text, size, at });
            }
        }
    }
    Ok(pages)
}

/// The text in lines no wider than `width` points. A word that is wider is broken where it must be.
fn wrap(text: &str, width: f32, size: f32, face: &Face<'_>) -> Outcome<Vec<String>> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = match line.is_empty() {
            true => word.to_owned(),
            false => format!("{line} {word}"),
        };
        if measure(&longer, size, face)? <= width {
            line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            line.push(c);
            if measure(&line, size, face)? > width {
                line.pop();
                lines.push(std::mem::replace(&mut line, c.to_string()));
            }
        }
    }
    lines.push(line);
    Ok(lines)
}

/// The width of a text, points.
fn measure(text: &str, size: f32, face: &Face<'_>) -> Outcome<f32> {
    let mut units = 0.0;
    for c in text.chars() {
        let glyph = face.glyph_index(c).ok_or_else(|| {
            Failure::could_not(format!(
                "the built-in font has no character U+{:04X}",
                u32::from(c)
            ))
        })?;
        units += f32::from(face.glyph_hor_advance(glyph).unwrap_or(0));
    }
    Ok(units * size / f32::from(face.units_per_em()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(blocks: Vec<Block>) -> Vec<Section> {
        vec![Section { lang: None, blocks }]
    }

    #[test]
    fn the_same_text_gives_the_same_octets() {
        let text = section(vec![
            Block::Title("Պայմանագիր / Договор".into()),
            Block::Text("Մեկ և երկու".into()),
        ]);
        let date = Timestamp::from_millis(1_795_000_000_000);
        let made = render(&text, date).unwrap();
        assert!(made.starts_with(b"%PDF-1."));
        assert_eq!(render(&text, date).unwrap(), made);
    }

    #[test]
    fn every_word_is_on_some_line_and_no_line_is_too_wide() {
        let face = Face::parse(FONT, 0).unwrap();
        let long = "ա".repeat(500);
        let text = format!("Մեկ {long} երկու three {}", "слово ".repeat(300));
        let lines = wrap(&text, 300.0, 10.0, &face).unwrap();
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(bare(&lines.concat()), bare(&text));
        for line in &lines {
            assert!(measure(line, 10.0, &face).unwrap() <= 300.0, "{line}");
        }
        assert_eq!(wrap("", 300.0, 10.0, &face).unwrap(), [""]);
    }

    #[test]
    fn a_long_text_goes_on_overleaf_and_an_unknown_character_is_named() {
        let face = Face::parse(FONT, 0).unwrap();
        let blocks = vec![Block::Row("a".into(), "b".into()); 500];
        let pages = pages(&section(blocks)[0], &face).unwrap();
        assert!(pages.len() > 5);
        assert_eq!(pages.iter().map(Vec::len).sum::<usize>(), 500);
        let lowest = pages
            .iter()
            .flatten()
            .map(|set| set.at.1)
            .fold(0.0, f32::max);
        assert!(lowest <= PAGE.1 - MARGIN, "{lowest}");
        let unknown = render(
            &section(vec![Block::Text("\u{4e2d}".into())]),
            Timestamp::from_millis(0),
        );
        assert!(unknown.unwrap_err().to_string().contains("U+4E2D"));
    }
}
