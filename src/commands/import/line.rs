//! What one line of a register's file asks. An empty cell says nothing; `-` takes away what is there.

use csv::StringRecord;
use mail::{Address, Timestamp};
use store::register::Cause;
use store::register::change::Asked;
use store::register::wish::{Closing, Presence, Wish};

use crate::commands::dates::Day;

/// The headings that a file may have, in any order.
const HEADINGS: [&str; 12] = [
    "act",
    "address",
    "kind",
    "name",
    "lang",
    "active_from",
    "closes_on",
    "cause",
    "successor",
    "aliases",
    "postal",
    "ref",
];

/// What takes away.
const NONE: &str = "-";

/// Where the columns of a file are.
#[derive(Debug)]
pub struct Columns {
    at: [Option<usize>; HEADINGS.len()],
    delta: bool,
}

impl Columns {
    /// Reads the headings.
    ///
    /// # Errors
    /// Names the heading that is unknown, doubled or missing.
    pub fn of(headings: &StringRecord, delta: bool) -> Result<Self, String> {
        let mut at = [None; HEADINGS.len()];
        for (column, heading) in headings.iter().enumerate() {
            let heading = heading.trim().trim_start_matches('\u{feff}');
            let place = HEADINGS
                .iter()
                .position(|known| *known == heading)
                .and_then(|known| at.get_mut(known));
            match place {
                None => {
                    let known = HEADINGS.join(", ");
                    return Err(format!("no such column: \"{heading}\"; there are {known}"));
                }
                Some(Some(_)) => return Err(format!("column \"{heading}\" is there twice")),
                Some(place) => *place = Some(column),
            }
        }
        let columns = Self { at, delta };
        if columns.place("address").is_none() {
            return Err("the column \"address\" is missing".into());
        }
        match (delta, columns.place("act")) {
            (true, None) => Err("the column \"act\" is missing, which --delta needs".into()),
            (false, Some(_)) => Err("the column \"act\" is for --delta".into()),
            _ => Ok(columns),
        }
    }

    fn place(&self, heading: &str) -> Option<usize> {
        let known = HEADINGS.iter().position(|known| *known == heading)?;
        self.at.get(known).copied().flatten()
    }

    /// The cell under a heading; an empty one is none.
    fn cell<'r>(&self, record: &'r StringRecord, heading: &str) -> Option<&'r str> {
        let cell = record.get(self.place(heading)?)?.trim();
        (!cell.is_empty()).then_some(cell)
    }

    /// What the line asks; addresses without a domain are of `domain`.
    ///
    /// # Errors
    /// Names the column and what is wrong in it.
    pub fn read(&self, record: &StringRecord, domain: &str) -> Result<Asked, String> {
        let cell = |heading: &str| self.cell(record, heading);
        let named = cell("address").ok_or("address: is missing")?;
        let address = address(named, domain).map_err(|why| format!("address: {why}"))?;
        let act = match self.delta {
            true => cell("act").ok_or("act: is missing")?,
            false => "",
        };
        let wish = match act {
            "" | "add" | "change" => self.state(record, domain, act)?,
            "close" => Wish {
                closing: Some(Some(self.closing(record, domain)?)),
                ..Wish::default()
            },
            "reopen" => Wish {
                closing: Some(None),
                ..Wish::default()
            },
            "alias-add" => Wish {
                aliases_more: self.aliases(record, domain)?,
                ..Wish::default()
            },
            "alias-remove" => Wish {
                aliases_less: self.aliases(record, domain)?,
                ..Wish::default()
            },
            other => {
                return Err(format!(
                    "act: \"{other}\" is not add, change, close, reopen, alias-add or alias-remove"
                ));
            }
        };
        Ok(Asked {
            address,
            wish: wish.checked().map_err(|e| e.to_string())?,
            source: None,
        })
    }

    fn state(&self, record: &StringRecord, domain: &str, act: &str) -> Result<Wish, String> {
        let cell = |heading: &str| self.cell(record, heading);
        let text = |heading: &str| {
            cell(heading).map(|cell| (if cell == NONE { "" } else { cell }).to_owned())
        };
        let closing = match (cell("closes_on"), cell("cause"), cell("successor")) {
            (None, None, None) => None,
            (Some(NONE), None, None) => Some(None),
            _ => Some(Some(self.closing(record, domain)?)),
        };
        let aliases = match cell("aliases") {
            None => None,
            Some(NONE) => Some(Vec::new()),
            Some(_) => Some(self.aliases(record, domain)?),
        };
        Ok(Wish {
            presence: match act {
                "change" => Presence::There,
                _ => Presence::Either,
            },
            name: text("name"),
            kind: self.word(record, "kind")?,
            lang: self.word(record, "lang")?,
            active_from: match cell("active_from") {
                None => None,
                Some(NONE) => Some(None),
                Some(day) => Some(Some(begin("active_from", day)?)),
            },
            closing,
            aliases,
            postal: text("postal"),
            reference: text("ref"),
            ..Wish::default()
        })
    }

    fn closing(&self, record: &StringRecord, domain: &str) -> Result<Closing, String> {
        let cell = |heading: &str| self.cell(record, heading);
        let at = cell("closes_on")
            .map(|day| begin("closes_on", day))
            .transpose()?;
        if at.is_none() && !self.delta {
            return Err("closes_on: is missing, and there is a cause or a successor".into());
        }
        let successor = cell("successor")
            .map(|named| address(named, domain).map_err(|why| format!("successor: {why}")))
            .transpose()?;
        Ok(Closing {
            at,
            cause: self.word(record, "cause")?.unwrap_or(Cause::Other),
            successor,
            why: None,
        })
    }

    fn aliases(&self, record: &StringRecord, domain: &str) -> Result<Vec<Address>, String> {
        let cell = self.cell(record, "aliases").ok_or("aliases: is missing")?;
        cell.split_whitespace()
            .map(|named| address(named, domain).map_err(|why| format!("aliases: {why}")))
            .collect()
    }

    fn word<T: std::str::FromStr>(
        &self,
        record: &StringRecord,
        heading: &str,
    ) -> Result<Option<T>, String>
    where
        T::Err: std::fmt::Display,
    {
        self.cell(record, heading)
            .map(|word| word.parse().map_err(|e| format!("{heading}: {e}")))
            .transpose()
    }

    /// What no other line of the file may name too: the address (with the act, where lines have acts), and each other address.
    pub fn names(&self, asked: &Asked, record: &StringRecord) -> Vec<String> {
        let address = asked.address.canonical().to_string();
        let own = match self.cell(record, "act") {
            Some(act) => format!("{act} {address}"),
            None => address,
        };
        let wish = &asked.wish;
        let others = wish.aliases.iter().flatten().chain(&wish.aliases_more);
        let others = others.chain(&wish.aliases_less);
        let mut names: Vec<String> = others.map(|one| one.canonical().to_string()).collect();
        names.push(own);
        names
    }
}

fn address(text: &str, domain: &str) -> Result<Address, String> {
    let parsed = match text.contains('@') {
        true => Address::parse(text),
        false => Address::parse(&format!("{text}@{domain}")),
    };
    parsed.map_err(|e| format!("{text}: {e}"))
}

fn begin(heading: &str, day: &str) -> Result<Timestamp, String> {
    day.parse::<Day>()
        .map_err(|why| format!("{heading}: {why}"))?
        .begin()
        .ok_or_else(|| format!("{heading}: {day} is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "post.test";

    fn read(headings: &str, row: &str, delta: bool) -> Result<Asked, String> {
        let record = |text: &str| StringRecord::from(text.split(',').collect::<Vec<_>>());
        Columns::of(&record(headings), delta)?.read(&record(row), DOMAIN)
    }

    #[test]
    fn headings_are_known_once_and_enough() {
        for (headings, delta, why) in [
            ("name", false, "address"),
            ("address,address", false, "twice"),
            ("address,sex", false, "sex"),
            ("address", true, "act"),
            ("address,act", false, "--delta"),
        ] {
            assert!(
                read(headings, "1", delta).unwrap_err().contains(why),
                "{headings}"
            );
        }
        assert!(read("\u{feff}address,kind", "1,person", false).is_ok());
    }

    #[test]
    fn good_and_bad_rows() {
        let headings =
            "address,kind,name,lang,active_from,closes_on,cause,successor,aliases,postal,ref";
        for (row, why) in [
            ("1,person,Ann,hy,2026-12-01,,,,2 3@post.test,Yerevan,r1", ""),
            ("1,body,,,,,,,,,", ""),
            ("1,,-,ru,-,-,,,-,-,-", ""),
            ("1,entity,,,,2026-12-01,merger,2,,,", ""),
            (",person,,,,,,,,,", "address: is missing"),
            ("a b,person,,,,,,,,,", "address: a b"),
            ("1,robot,,,,,,,,,", "kind:"),
            ("1,person,,xx,,,,,,,", "lang:"),
            ("1,person,,,2026-02-30,,,,,,", "active_from: \"2026-02-30\""),
            ("1,person,,,01.12.2026,,,,,,", "active_from:"),
            ("1,person,,,,,death,,,,", "closes_on: is missing"),
            ("1,person,,,,2026-12-01,gone,,,,", "cause:"),
            ("1,person,,,,2026-12-01,death,2,,,", "merger"),
            ("1,person,,,,2026-12-01,merger,,,,", "merger"),
            ("1,person,,,,,,,2 b@,,", "aliases: b@"),
        ] {
            let said = read(headings, row, false).err().unwrap_or_default();
            assert!(
                said.contains(why) && said.is_empty() == why.is_empty(),
                "{row}: {said}"
            );
        }
    }

    #[test]
    fn acts_of_a_delta() {
        let headings = "act,address,kind,closes_on,cause,successor,aliases";
        let wish = |row: &str| read(headings, row, true).map(|asked| asked.wish);
        assert_eq!(wish("add,1,person,,,,").unwrap().presence, Presence::Either);
        assert_eq!(wish("change,1,,,,,").unwrap().presence, Presence::There);
        let closing = wish("close,1,,,death,,").unwrap().closing;
        assert!(matches!(
            closing,
            Some(Some(Closing {
                at: None,
                cause: Cause::Death,
                ..
            }))
        ));
        assert_eq!(wish("reopen,1,,,,,").unwrap().closing, Some(None));
        assert_eq!(wish("alias-add,1,,,,,2 3").unwrap().aliases_more.len(), 2);
        assert_eq!(wish("alias-remove,1,,,,,2").unwrap().aliases_less.len(), 1);
        for (row, why) in [
            (",1,,,,,", "act: is missing"),
            ("erase,1,,,,,", "erase"),
            ("alias-add,1,,,,,", "aliases: is missing"),
        ] {
            assert!(wish(row).unwrap_err().contains(why), "{row}");
        }
    }
}
