//! Texts of a script with their escapes and variables, and the patterns that lines must match.

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Octets(Vec<u8>),
    /// `${name}`.
    Variable(String),
    /// `<num>`, `…`, or a capture of the same.
    Any(Kind, Option<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Id,
    Number,
    Word,
    Whatever,
}

/// Octets to send, with variables to fill in.
#[derive(Debug, Clone)]
pub struct Text(Vec<Piece>);

/// What a line must look like.
#[derive(Debug, Clone)]
pub struct Pattern {
    pieces: Vec<Piece>,
    pub source: String,
}

pub type Variables = BTreeMap<String, Vec<u8>>;

impl Text {
    pub fn parse(source: &str) -> Result<Self, String> {
        let pieces = pieces(source, false)?;
        if pieces.iter().any(|piece| matches!(piece, Piece::Any(..))) {
            return Err("a capture in what is sent".into());
        }
        Ok(Self(pieces))
    }

    /// Adds CRLF.
    pub fn end_line(&mut self) {
        self.0.push(Piece::Octets(b"\r\n".to_vec()));
    }

    /// The octets, with the variables in their places.
    pub fn fill(&self, variables: &Variables) -> Result<Vec<u8>, String> {
        let mut octets = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Octets(more) => octets.extend(more),
                Piece::Variable(name) => octets.extend(
                    variables
                        .get(name)
                        .ok_or_else(|| format!("${{{name}}} was never captured"))?,
                ),
                Piece::Any(..) => return Err("a capture in what is sent".into()),
            }
        }
        Ok(octets)
    }
}

impl Pattern {
    pub fn parse(source: &str) -> Result<Self, String> {
        Ok(Self {
            pieces: pieces(source, true)?,
            source: source.to_owned(),
        })
    }

    /// The variables as they are after the match, or None.
    pub fn matches(&self, line: &[u8], variables: &Variables) -> Option<Variables> {
        let mut met = variables.clone();
        fits(&self.pieces, line, &mut met).then_some(met)
    }
}

/// Whether all of `line` is what `pieces` say; captures go to `met`.
fn fits(pieces: &[Piece], line: &[u8], met: &mut Variables) -> bool {
    let Some((first, later)) = pieces.split_first() else {
        return line.is_empty();
    };
    match first {
        Piece::Octets(octets) => line
            .strip_prefix(octets.as_slice())
            .is_some_and(|rest| fits(later, rest, met)),
        Piece::Variable(name) => {
            let Some(value) = met.get(name).cloned() else {
                return false;
            };
            line.strip_prefix(value.as_slice())
                .is_some_and(|rest| fits(later, rest, met))
        }
        Piece::Any(kind, name) => {
            let (least, most) = kind.reach(line);
            // The longest run first, so that `<num>` never stops in the middle of a number.
            for length in (least..=most).rev() {
                let (run, rest) = line.split_at(length);
                let mut trial = met.clone();
                if let Some(name) = name {
                    trial.insert(name.clone(), run.to_vec());
                }
                if fits(later, rest, &mut trial) {
                    *met = trial;
                    return true;
                }
            }
            false
        }
    }
}

impl Kind {
    fn of(text: &str) -> Option<Self> {
        match text {
            "id" => Some(Self::Id),
            "num" => Some(Self::Number),
            "word" => Some(Self::Word),
            "…" => Some(Self::Whatever),
            _ => None,
        }
    }

    /// The shortest and longest run at the beginning of `line`; shortest > longest: none.
    fn reach(self, line: &[u8]) -> (usize, usize) {
        let run = |good: &dyn Fn(&u8) -> bool| line.iter().take_while(|octet| good(octet)).count();
        match self {
            Self::Id => {
                let length = run(&|o| o.is_ascii_digit() || o.is_ascii_uppercase());
                if length == 26 { (26, 26) } else { (1, 0) }
            }
            Self::Number => {
                let length = run(&u8::is_ascii_digit);
                (length.max(1), length)
            }
            Self::Word => (1, run(&|o| !b" ()[]<>{}".contains(o))),
            Self::Whatever => (0, line.len()),
        }
    }
}

fn pieces(source: &str, pattern: bool) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut octets = Vec::new();
    let mut rest = source;
    while let Some(character) = rest.chars().next() {
        let special = special_piece(rest, pattern)?;
        if let Some((piece, length)) = special {
            if !octets.is_empty() {
                pieces.push(Piece::Octets(std::mem::take(&mut octets)));
            }
            pieces.push(piece);
            rest = &rest[length..];
        } else if character == '\\' {
            rest = escape(rest, &mut octets)?;
        } else {
            let length = character.len_utf8();
            octets.extend(&rest.as_bytes()[..length]);
            rest = &rest[length..];
        }
    }
    if !octets.is_empty() {
        pieces.push(Piece::Octets(octets));
    }
    Ok(pieces)
}

fn special_piece(rest: &str, pattern: bool) -> Result<Option<(Piece, usize)>, String> {
    if let Some(inside) = rest.strip_prefix("${") {
        let end = inside.find('}').ok_or("${ without }")?;
        let length = end + 3;
        let piece = match inside[..end].split_once(':') {
            None => Piece::Variable(inside[..end].to_owned()),
            Some((name, kind)) => {
                let kind = Kind::of(kind).ok_or_else(|| format!("no such kind: {kind}"))?;
                Piece::Any(kind, Some(name.to_owned()))
            }
        };
        return Ok(Some((piece, length)));
    }
    if !pattern {
        return Ok(None);
    }
    if rest.starts_with('…') {
        return Ok(Some((Piece::Any(Kind::Whatever, None), '…'.len_utf8())));
    }
    if let Some((word, _)) = rest
        .strip_prefix('<')
        .and_then(|inside| inside.split_once('>'))
        && let Some(kind) = Kind::of(word)
    {
        return Ok(Some((Piece::Any(kind, None), word.len() + 2)));
    }
    Ok(None)
}

/// Takes one escape from the front of `rest`.
fn escape<'a>(rest: &'a str, octets: &mut Vec<u8>) -> Result<&'a str, String> {
    let after = &rest[1..];
    let Some(character) = after.chars().next() else {
        return Err("a backslash at the end".into());
    };
    let plain = match character {
        'r' => Some(b'\r'),
        'n' => Some(b'\n'),
        't' => Some(b'\t'),
        's' => Some(b' '),
        '0' => Some(0),
        '\\' => Some(b'\\'),
        _ => None,
    };
    if let Some(octet) = plain {
        octets.push(octet);
        return Ok(&after[1..]);
    }
    match character {
        'x' => {
            let digits = after.get(1..3).ok_or("\\x needs two digits")?;
            octets.push(
                u8::from_str_radix(digits, 16).map_err(|_| format!("not hexadecimal: {digits}"))?,
            );
            Ok(&after[3..])
        }
        '{' => {
            let end = after.find('}').ok_or("\\{ without }")?;
            let (text, count) = after[1..end].rsplit_once('*').ok_or("\\{text*count}")?;
            let count: usize = count.parse().map_err(|_| format!("not a count: {count}"))?;
            let once = Text::parse(text)?.fill(&BTreeMap::new())?;
            octets.extend(once.repeat(count));
            Ok(&after[end + 1..])
        }
        other => Err(format!("no such escape: \\{other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_and_capture() {
        let ulid = "01JD9YV0000000000000000001";
        let none = Variables::new();
        let yes = [
            ("250 2.0.0 <id> …", format!("250 2.0.0 {ulid} accepted")),
            ("* <num> EXISTS", "* 12 EXISTS".into()),
            ("…[<id>]", format!("550 5.7.1 no [{ulid}]")),
            ("<word> OK…", "a1 OK".into()),
            ("a\\tb\\x00", "a\tb\0".into()),
            ("<a@b> <num>", "<a@b> 7".into()),
            ("\\{ab*3}c", "abababc".into()),
        ];
        for (pattern, line) in yes {
            assert!(
                Pattern::parse(pattern)
                    .unwrap()
                    .matches(line.as_bytes(), &none)
                    .is_some(),
                "{pattern}"
            );
        }
        let no = [
            ("250 <id>", "250 01JD9YV000000000000000000"),
            ("<num>", "12a"),
            ("<num>", ""),
            ("a", "ab"),
            ("${x}", "x"),
            ("<word>", "a b"),
        ];
        for (pattern, line) in no {
            assert!(
                Pattern::parse(pattern)
                    .unwrap()
                    .matches(line.as_bytes(), &none)
                    .is_none(),
                "{pattern}"
            );
        }
        let met = Pattern::parse("UID ${uid:num})")
            .unwrap()
            .matches(b"UID 42)", &none)
            .unwrap();
        assert_eq!(met["uid"], b"42");
        assert!(
            Pattern::parse("x ${uid}")
                .unwrap()
                .matches(b"x 42", &met)
                .is_some()
        );
        assert!(
            Pattern::parse("x ${uid}")
                .unwrap()
                .matches(b"x 43", &met)
                .is_none()
        );
        assert_eq!(
            Text::parse("FETCH ${uid}\\r").unwrap().fill(&met).unwrap(),
            b"FETCH 42\r"
        );
    }
}
