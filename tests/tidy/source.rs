//! One Rust source file as the rules look at it: what is code, what is test, where the functions are.
//!
//! This is no parser: comments and literals are blanked, then brackets are matched. That is all the rules need.

use std::ops::RangeInclusive;

/// A source file, by its path from the root of the repository.
pub struct Source {
    pub path: String,
    pub text: String,
    /// The text with comments and the insides of literals blanked; same length, same lines.
    code: String,
    /// Line numbers under `#[cfg(test)]` or `#[test]`.
    tests: Vec<RangeInclusive<usize>>,
    /// The whole file is test code.
    pub is_test: bool,
}

/// One line, counted from 1.
pub struct Line<'a> {
    pub number: usize,
    pub text: &'a str,
    pub code: &'a str,
    pub is_test: bool,
}

/// One function with a body.
pub struct Function {
    pub name: String,
    pub lines: usize,
    pub is_test: bool,
}

impl Source {
    pub fn new(path: String, text: String) -> Self {
        let code = blank(&text);
        let tests = test_items(&code);
        let is_test = ["tests/", "benches/", "examples/", "fuzz/"]
            .iter()
            .any(|folder| path.starts_with(folder) || path.contains(&format!("/{folder}")));
        Self {
            path,
            text,
            code,
            tests,
            is_test,
        }
    }

    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let pairs = self.text.lines().zip(self.code.lines());
        (1..).zip(pairs).map(|(number, (text, code))| Line {
            number,
            text,
            code,
            is_test: self.is_test_line(number),
        })
    }

    fn is_test_line(&self, number: usize) -> bool {
        self.is_test || self.tests.iter().any(|range| range.contains(&number))
    }

    /// The code that ships: neither comment nor literal nor test.
    pub fn shipped(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines().filter(|line| !line.is_test)
    }

    pub fn functions(&self) -> Vec<Function> {
        words(&self.code, "fn")
            .filter_map(|at| {
                let rest = self.code[at + 2..].trim_start();
                let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
                let body = item_end(&self.code, at)?;
                let is_bodied = self.code[..=body].ends_with('}');
                (is_bodied && !name.is_empty()).then(|| Function {
                    name,
                    lines: self.code[at..=body].lines().count(),
                    is_test: self.is_test_line(line_of(&self.code, at)),
                })
            })
            .collect()
    }

    /// Names of the modules declared here in files of their own: (name, only for tests).
    pub fn modules(&self) -> Vec<(String, bool)> {
        self.lines()
            .filter_map(|line| {
                let declared = line.code.trim().strip_suffix(';')?;
                let declared = declared.rsplit_once("mod ").filter(|(before, _)| {
                    before.is_empty() || before.ends_with("pub ") || before.ends_with(") ")
                })?;
                Some((declared.1.trim().to_owned(), line.is_test))
            })
            .collect()
    }

    /// Where the files of this file's modules are.
    pub fn module_folder(&self) -> &str {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        match file {
            "lib.rs" | "main.rs" | "mod.rs" | "it.rs" => folder,
            _ => self.path.trim_end_matches(".rs"),
        }
    }

    /// The constants declared here outside tests: (name, value as written).
    pub fn constants(&self) -> Vec<(String, String)> {
        words(&self.code, "const")
            .filter(|at| !self.is_test_line(line_of(&self.code, *at)))
            .filter_map(|at| {
                let statement = &self.text[at..item_end(&self.code, at)?];
                let (name, rest) = statement.strip_prefix("const ")?.split_once(':')?;
                let (_, value) = rest.split_once(" = ")?;
                let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
                Some((name.trim().to_owned(), value))
            })
            .collect()
    }
}

/// The line, counted from 1, in which the octet at `at` stands.
fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Every place where `word` stands alone.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            !code[..*at].chars().next_back().is_some_and(is_word)
                && !code[at + word.len()..].chars().next().is_some_and(is_word)
        })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Lines of the items that exist only for tests.
fn test_items(code: &str) -> Vec<RangeInclusive<usize>> {
    ["#[cfg(test)]", "#[test]"]
        .iter()
        .flat_map(|attribute| code.match_indices(attribute))
        .filter_map(|(at, attribute)| {
            let end = item_end(code, at + attribute.len())?;
            Some(line_of(code, at)..=line_of(code, end))
        })
        .collect()
}

/// Where the item that begins at `from` ends: at its `;`, or at the bracket that closes its first `{`.
fn item_end(code: &str, from: usize) -> Option<usize> {
    let (mut round, mut curly) = (0_i32, 0_i32);
    for (at, octet) in (from..).zip(code[from..].bytes()) {
        match octet {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b'{' => curly += 1,
            b'}' => curly -= 1,
            _ => {}
        }
        let is_end = (octet == b';' && round == 0 && curly == 0) || (octet == b'}' && curly <= 0);
        if is_end {
            return Some(at);
        }
    }
    None
}

/// Blanks comments and the insides of literals, octet for octet, so that offsets and lines stay.
fn blank(text: &str) -> String {
    let octets = text.as_bytes();
    let mut out = octets.to_vec();
    let mut at = 0;
    while at < octets.len() {
        let (keep, end) = match &octets[at..] {
            [b'/', b'/', ..] => (0, find(text, at, "\n", 0)),
            [b'/', b'*', ..] => (0, comment_end(octets, at)),
            [b'r', b'"' | b'#', ..] if raw_hashes(octets, at).is_some() => {
                let hashes = raw_hashes(octets, at).unwrap_or(0);
                let closing = format!("\"{}", "#".repeat(hashes));
                (1, find(text, at + 2 + hashes, &closing, closing.len()))
            }
            [b'"', ..] => (1, string_end(octets, at)),
            [b'\'', ..] => (1, char_end(text, at)),
            _ => (0, at),
        };
        for octet in out[at..end].iter_mut().skip(keep) {
            if *octet != b'\n' {
                *octet = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Behind the next `needle` from `from`, or the end of the text.
fn find(text: &str, from: usize, needle: &str, behind: usize) -> usize {
    let found = text.get(from..).and_then(|rest| rest.find(needle));
    found.map_or(text.len(), |found| from + found + behind)
}

fn comment_end(octets: &[u8], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at < octets.len() {
        match &octets[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// How many `#` a raw string that begins at this `r` has; `None` if none begins here.
fn raw_hashes(octets: &[u8], at: usize) -> Option<usize> {
    let before = octets[..at].iter().rev();
    let prefix: Vec<u8> = before
        .take_while(|o| is_word(**o as char))
        .copied()
        .collect();
    let hashes = octets[at + 1..].iter().take_while(|o| **o == b'#').count();
    let is_raw = matches!(prefix[..], [] | [b'b'] | [b'c']);
    (is_raw && octets.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn string_end(octets: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < octets.len() && octets[at] != b'"' {
        at += if octets[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(octets.len())
}

/// Behind a character literal; a lifetime is none and ends where it begins.
fn char_end(text: &str, from: usize) -> usize {
    let rest = &text[from + 1..];
    let mut chars = rest.char_indices();
    match chars.next() {
        Some((_, '\\')) => {
            let escaped = chars.nth(1).map_or(rest.len(), |(at, _)| at);
            find(text, from + 1 + escaped, "'", 1)
        }
        Some(_) if chars.next().is_some_and(|(_, c)| c == '\'') => {
            from + 2 + rest.chars().next().map_or(0, char::len_utf8)
        }
        _ => from,
    }
}

#[test]
fn blanked_is_what_does_not_run() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("x\"y", 'z', '\'', 'a)"#, r#"f("     , '  , '   , 'a)"#),
        ("r#\"a\"b\"# c", "r        c"),
        ("br\"a\" c", "br    c"),
        ("x<'a> 'é' y", "x<'a> '    y"),
    ];
    for (text, want) in cases {
        let got = blank(text);
        assert_eq!(got.len(), text.len(), "{text}");
        assert!(got.starts_with(want), "{text}\n{got}");
    }
}

#[test]
fn functions_and_tests_are_found_where_they_are() {
    let text = "fn a(x: [u8; 2]) -> u8 {\n    1\n}\ntrait T { fn b(); }\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n\
                fn d() {}\n";
    let source = Source::new("x/src/y.rs".into(), text.into());
    let found: Vec<_> = source
        .functions()
        .into_iter()
        .map(|f| (f.name, f.lines))
        .collect();
    assert_eq!(found, [("a".into(), 3), ("c".into(), 1), ("d".into(), 1)]);
    let tests: Vec<usize> = source
        .lines()
        .filter(|l| l.is_test)
        .map(|l| l.number)
        .collect();
    assert_eq!(tests, [5, 6, 7, 8]);
    assert_eq!(source.module_folder(), "x/src/y");
}
