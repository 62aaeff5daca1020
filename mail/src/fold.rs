//! The form in which texts are compared without regard to how they are written.
//!
//! 1. Compatibility composition (NFKC, Unicode TR15): one letter however it was typed; `ﬁ`, `ﬓ` and `№` as the letters
//!    they stand for, a no-break space as a space.
//! 2. Full case folding: capitals, small letters and title letters of every script are one; `ß` is `ss`, `ς` is `σ`.
//! 3. Armenian `և`, `եւ` and `եվ` are one: the ligature's capitals are written `ԵՒ` in one orthography and `ԵՎ` in the other.
//! 4. What is not seen falls away: soft hyphens, joiners, marks of direction, variation selectors.
//! 5. A run of white space, line ends and control characters is one space.
//!
//! RFC 5051 (i;unicode-casemap) maps single characters to title case and decomposes them; this finds all that it finds but
//! for a letter without the accent that it bears in the text, and more besides.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// A text in the form in which it is compared. It holds no control character: callers may use them as separators.
pub fn fold(text: &str) -> String {
    let mut folded = Folded(String::with_capacity(text.len()));
    if text.is_ascii() {
        text.chars().for_each(|character| folded.ascii(character));
    } else if is_nfkc_quick(text.chars()) == IsNormalized::Yes {
        text.chars().for_each(|character| folded.any(character));
    } else {
        text.nfkc().for_each(|character| folded.any(character));
    }
    folded.0
}

struct Folded(String);

impl Folded {
    fn ascii(&mut self, character: char) {
        if character.is_ascii_control() || character == ' ' {
            self.space();
        } else {
            self.0.push(character.to_ascii_lowercase());
        }
    }

    fn any(&mut self, character: char) {
        if character.is_ascii() {
            return self.ascii(character);
        }
        if character.is_whitespace() || character.is_control() {
            return self.space();
        }
        if is_unseen(character) {
            return;
        }
        // Up and down again is full case folding; down first, for `ẞ`, whose capital is itself.
        for lower in character.to_lowercase() {
            for upper in lower.to_uppercase() {
                for folded in upper.to_lowercase() {
                    self.letter(folded);
                }
            }
        }
    }

    fn letter(&mut self, letter: char) {
        let after_ech = letter == 'ւ' && self.0.ends_with('ե');
        self.0.push(if after_ech { 'վ' } else { letter });
    }

    fn space(&mut self) {
        if !self.0.ends_with(' ') {
            self.0.push(' ');
        }
    }
}

/// The default ignorable characters of Unicode that mail has.
fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A text to be looked for in folded texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    folded: String,
    /// A text that begins with `ւ` may stand after an `ե`, and then its first letter was folded with it.
    after_ech: Option<String>,
}

impl Needle {
    /// From the text as it was asked for.
    pub fn new(text: &str) -> Self {
        let folded = fold(text);
        let after_ech = folded.strip_prefix('ւ').map(|rest| format!("եվ{rest}"));
        Self { folded, after_ech }
    }

    /// Whether a folded text has it; an empty one is in every text.
    pub fn is_in(&self, folded: &str) -> bool {
        let found = |form: &str| memchr::memmem::find(folded.as_bytes(), form.as_bytes()).is_some();
        self.forms().any(found)
    }

    /// The folded texts of which one must be found: one, or two.
    pub fn forms(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.folded.as_str()).chain(self.after_ech.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    #[test]
    fn one_form_for_all_ways_to_write() {
        let vectors = [
            ("Straße STRASSE STRAẞE", "strasse strasse strasse"),
            ("ΣΑΣ σας", "σασ σασ"),
            ("ПРИВЕТ Ёлка Й", "привет ёлка й"),
            ("\u{435}\u{308}лка \u{418}\u{306}", "ёлка й"),
            ("ԾԱՆՈՒՑՈՒՄ", "ծանուցում"),
            ("Երևան ԵՐԵՎԱՆ ԵՐԵՒԱՆ Երեւան", "երեվան երեվան երեվան երեվան"),
            ("ﬓ ﬕ ﬁle № 5", "մն մի file no 5"),
            ("a\u{a0}b\r\n\t c\u{0}d", "a b c d"),
            ("soft\u{ad}hy\u{200b}phen\u{feff}", "softhyphen"),
            ("ＦＵＬＬ ｗｉｄｔｈ", "full width"),
            (" a ", " a "),
            ("", ""),
        ];
        for (text, want) in vectors {
            assert_eq!(fold(text), want, "{text}");
            assert_eq!(fold(&fold(text)), want, "{text}, twice");
        }
    }

    #[test]
    fn needles() {
        let vectors = [
            ("ւրոպա", "Եւրոպա", true),
            ("ւրոպա", "Եվրոպա", true),
            ("վան", "ԵՐԵՎԱՆ", true),
            ("և", "ԲԱՐԵՎ", true),
            ("և", "ու", false),
            ("ով", "ու", false),
            ("ու", "ՈՒ", true),
            ("е", "ё", false),
            ("two  words", "Two\r\n Words", true),
            ("", "anything", true),
            ("", "", true),
            ("a", "", false),
        ];
        for (needle, text, want) in vectors {
            assert_eq!(
                Needle::new(needle).is_in(&fold(text)),
                want,
                "{needle} in {text}"
            );
        }
    }

    fn text() -> impl Strategy<Value = String> {
        let pieces = vec![
            "ե", "ւ", "և", "վ", "ու", "Ե", "Ւ", "Վ", "ﬓ", "ﬔ", "ա", "Ա", "й", "Й", "ё", "ß", "ẞ",
            "ς", "Σ", "İ", "ı", "a", "A", " ", "\r\n", "\u{a0}", "\u{ad}", "№", "ﬁ", "0", "\t",
        ];
        vec(select(pieces), 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn every_piece_of_a_text_is_found_in_it(before in text(), piece in text(), after in text()) {
            let whole = fold(&format!("{before}{piece}{after}"));
            prop_assert!(Needle::new(&piece).is_in(&whole), "{:?} in {:?}", fold(&piece), whole);
            prop_assert!(Needle::new(&piece.to_uppercase()).is_in(&whole));
            prop_assert!(!whole.chars().any(char::is_control));
        }
    }
}
