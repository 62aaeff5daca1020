//! Usual forms of local parts, per kind of holder: data of a country. A doubt is said, and refuses nothing.

use std::path::Path;

use serde::Deserialize;
use store::register::Kind;

use crate::failure::{Failure, Outcome};
use crate::psn;

/// What is used when the configuration names no file.
const BUILT_IN: &str = include_str!("../etc/register/am.toml");

/// Octets of a file of forms: some dozens of them.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The usual forms of one country.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grammar {
    /// Its name.
    #[allow(dead_code, reason = "names the file for people")]
    id: String,
    form: Vec<Form>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    kind: String,
    form: String,
    what: String,
    check: String,
}

impl Grammar {
    /// The forms of `file`, or the built-in ones.
    ///
    /// # Errors
    /// Names the file and what is wrong in it.
    pub fn read(file: Option<&Path>) -> Outcome<Self> {
        let Some(path) = file else {
            return Self::parse(BUILT_IN).map_err(Failure::could_not);
        };
        let size = std::fs::metadata(path).map_err(|e| Failure::file(path, &e))?;
        if size.len() > FILE_BYTES_MAX {
            let what = format!("{}: larger than {FILE_BYTES_MAX} octets", path.display());
            return Err(Failure::could_not(what));
        }
        let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))?;
        Self::parse(&text).map_err(|why| Failure::could_not(format!("{}: {why}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let grammar: Self = toml::from_str(text).map_err(|e| e.to_string().replace('\n', " "))?;
        for form in &grammar.form {
            form.kind.parse::<Kind>().map_err(|e| e.to_string())?;
            if !["", "am-psn"].contains(&form.check.as_str()) {
                return Err(format!("check \"{}\" is not am-psn", form.check));
            }
        }
        Ok(grammar)
    }

    /// What is unusual about a local part, if anything is.
    pub fn doubt(&self, kind: Kind, local: &str) -> Option<String> {
        let forms = || self.form.iter().filter(|form| form.kind == kind.as_str());
        if let Some(form) = forms().find(|form| form.takes(local)) {
            let check = (form.check == "am-psn")
                .then(|| psn::doubt(local))
                .flatten();
            return check.map(str::to_owned);
        }
        let usual: Vec<&str> = forms().map(|form| form.what.as_str()).collect();
        let usual = usual.join(" nor ");
        (!usual.is_empty()).then(|| format!("it is not {usual}"))
    }
}

impl Form {
    fn takes(&self, local: &str) -> bool {
        let (form, local) = (self.form.as_bytes(), local.as_bytes());
        form.len() == local.len()
            && form.iter().zip(local).all(|(form, octet)| match form {
                b'#' => octet.is_ascii_digit(),
                literal => literal.eq_ignore_ascii_case(octet),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_decides_what_is_usual() {
        let grammar = Grammar::read(None).unwrap();
        for (kind, local, doubt) in [
            (Kind::Person, "2503851234", ""),
            (Kind::Person, "S123A45678", ""),
            (Kind::Person, "s123a45678", ""),
            (
                Kind::Person,
                "S123B45678",
                "nor the number of a certificate",
            ),
            (Kind::Person, "250385123", "ten digits"),
            (Kind::Person, "25038512345", "ten digits"),
            (Kind::Person, "2503851２34", "ten digits"),
            (Kind::Person, "0103851234", "no day of birth"),
            (Kind::Person, "39000001", "ten digits"),
            (Kind::Entity, "39000001", ""),
            (Kind::Body, "39000001", ""),
            (Kind::Entity, "2503851234", "eight digits"),
            (Kind::Body, "3900000a", "eight digits"),
        ] {
            let said = grammar.doubt(kind, local).unwrap_or_default();
            assert!(
                said.contains(doubt) && said.is_empty() == doubt.is_empty(),
                "{local}: {said}"
            );
        }
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named() {
        for (text, why) in [
            (
                "id = 'x'\n[[form]]\nkind = 'robot'\nform = '#'\nwhat = 'x'\ncheck = ''",
                "robot",
            ),
            (
                "id = 'x'\n[[form]]\nkind = 'body'\nform = '#'\nwhat = 'x'\ncheck = 'luhn'",
                "luhn",
            ),
            ("form = []", "id"),
        ] {
            let said = Grammar::parse(text).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
