//! One version of a price list, as its file has it. What is invalid is refused with the key at fault; a list that was read
//! can price any message.

use std::collections::BTreeMap;

use jiff::civil::Date;
use mail::Digest;
use serde::Deserialize;

use super::charge::Rounding;
use super::month::Month;
use super::words::Text;

/// An amount in a list, at most: with [`UNITS_MAX`] units no sum leaves what every reader of JSON keeps exactly.
const AMOUNT_MAX: u64 = 1_000_000_000;

/// A number of units in a list, at most: more than the letters of a whole country in a month.
const UNITS_MAX: u64 = 1_000_000_000;

/// Tax, at most: as much again as the net amount.
const VAT_BASIS_POINTS_MAX: u64 = 10_000;

/// Digits of the smallest unit, at most: no currency has more.
const MINOR_DIGITS_MAX: u32 = 4;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Each accepted message is one.
    Message,
    /// Each recipient of each accepted message is one.
    Recipient,
}

/// Of what a share is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watched {
    /// The units that cost nothing.
    FreeUnits,
    /// The net amount at which the sender is to be told.
    Ceiling,
}

impl Watched {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FreeUnits => "free-units",
            Self::Ceiling => "ceiling",
        }
    }
}

/// When a sender is told how much of a month's allowance is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Of what.
    pub of: Watched,
    /// From this share of it on.
    pub percent: u32,
}

/// A size class.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Its word in statements.
    pub word: String,
    /// The largest message of it, octets; `None` for the last class alone.
    pub max_bytes: Option<u64>,
    /// What people call it.
    pub title: Text,
}

/// A tier: what a unit costs from so many on, by size class.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierTable {
    from: u64,
    price: BTreeMap<String, u64>,
}

/// A tier with its prices in the order of the classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// The first unit that it prices; units count from 1, after the free ones.
    pub from: u64,
    /// The price of one unit of each class.
    pub prices: Vec<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: String,
    version: u32,
    source: String,
    note: String,
    currency: String,
    minor_digits: u32,
    valid_from: String,
    valid_until: String,
    unit: Unit,
    free_units: u64,
    minimum_fee: u64,
    vat_basis_points: u64,
    rounding: Rounding,
    round_to: u64,
    ceiling: u64,
    title: Text,
    class: Vec<Class>,
    tier: Vec<TierTable>,
    #[serde(default)]
    alert: Vec<Alert>,
}

/// One version of a price list. Amounts are in the currency's smallest unit, without tax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceList {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its file.
    pub digest: Digest,
    /// What people call it.
    pub title: Text,
    /// The currency's code (ISO 4217).
    pub currency: String,
    /// How many digits of an amount stand behind the decimal point.
    pub minor_digits: u32,
    /// The first month that it applies to.
    pub valid_from: Month,
    /// The first month that it does not apply to any more.
    pub valid_until: Option<Month>,
    /// What is counted.
    pub unit: Unit,
    /// Units of a month that cost nothing.
    pub free_units: u64,
    /// What a month costs at least.
    pub minimum_fee: u64,
    /// Tax, in hundredths of a percent.
    pub vat_basis_points: u64,
    /// How tax and the amount payable are rounded.
    pub rounding: Rounding,
    /// The amount payable is a multiple of this.
    pub round_to: u64,
    /// The net amount at which the sender is to be told; 0: none.
    pub ceiling: u64,
    /// Size classes, smallest first.
    pub classes: Vec<Class>,
    /// Tiers, first units first.
    pub tiers: Vec<Tier>,
    /// When the sender is told, least first.
    pub alerts: Vec<Alert>,
}

impl PriceList {
    /// Reads a list.
    ///
    /// # Errors
    /// `key: what is wrong`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string().replace('\n', " "))?;
        file.check()?;
        let valid_from = first_day("valid_from", &file.valid_from)?;
        let valid_until = match file.valid_until.as_str() {
            "" => None,
            day => Some(first_day("valid_until", day)?),
        };
        if valid_until.is_some_and(|until| until <= valid_from) {
            return Err("valid_until: is not after valid_from".into());
        }
        let tiers = tiers(&file.tier, &file.class)?;
        let mut alerts = file.alert;
        alerts.sort_unstable();
        alerts.dedup();
        Ok(Self {
            digest: Digest::of(text.as_bytes()),
            id: file.id,
            version: file.version,
            title: file.title,
            currency: file.currency,
            minor_digits: file.minor_digits,
            valid_from,
            valid_until,
            unit: file.unit,
            free_units: file.free_units,
            minimum_fee: file.minimum_fee,
            vat_basis_points: file.vat_basis_points,
            rounding: file.rounding,
            round_to: file.round_to,
            ceiling: file.ceiling,
            classes: file.class,
            tiers,
            alerts,
        })
    }

    /// Whether a month is billed by this version.
    pub fn applies_to(&self, month: Month) -> bool {
        self.valid_from <= month && self.valid_until.is_none_or(|until| month < until)
    }

    /// The place of the class that a message of this size is of.
    pub fn class_of(&self, size: u64) -> usize {
        // Invariant: the last class has no limit, so one is found.
        let fits = |class: &Class| class.max_bytes.is_none_or(|max| size <= max);
        self.classes.iter().position(fits).unwrap_or(0)
    }

    /// An amount as people read it: `1234.50 AMD`.
    pub fn money(&self, amount: u64) -> String {
        let digits = self.minor_digits as usize;
        if digits == 0 {
            return format!("{amount} {}", self.currency);
        }
        let text = format!("{amount:0>width$}", width = digits + 1);
        let (whole, minor) = text.split_at(text.len() - digits);
        format!("{whole}.{minor} {}", self.currency)
    }
}

impl File {
    fn check(&self) -> Result<(), String> {
        for (key, text) in [
            ("id", &self.id),
            ("source", &self.source),
            ("note", &self.note),
        ] {
            if text.is_empty() {
                return Err(format!("{key}: is empty"));
            }
        }
        is_word("id", &self.id)?;
        let code = |text: &str| text.len() == 3 && text.bytes().all(|c| c.is_ascii_uppercase());
        if !code(&self.currency) {
            return Err("currency: must be a code of three capitals, such as AMD".into());
        }
        for (key, value, max) in [
            (
                "minor_digits",
                u64::from(self.minor_digits),
                u64::from(MINOR_DIGITS_MAX),
            ),
            ("free_units", self.free_units, UNITS_MAX),
            ("minimum_fee", self.minimum_fee, AMOUNT_MAX),
            (
                "vat_basis_points",
                self.vat_basis_points,
                VAT_BASIS_POINTS_MAX,
            ),
            ("round_to", self.round_to, AMOUNT_MAX),
        ] {
            if value > max {
                return Err(format!("{key}: must be at most {max}"));
            }
        }
        for (key, value) in [
            ("version", u64::from(self.version)),
            ("round_to", self.round_to),
        ] {
            if value == 0 {
                return Err(format!("{key}: must be at least 1"));
            }
        }
        self.check_classes()?;
        for alert in &self.alert {
            if !(1..=1000).contains(&alert.percent) {
                return Err("alert.percent: must be 1 to 1000".into());
            }
            let nothing = match alert.of {
                Watched::FreeUnits => self.free_units == 0,
                Watched::Ceiling => self.ceiling == 0,
            };
            if nothing {
                let of = alert.of.as_str();
                return Err(format!("alert.of: there is no {of} to be a part of"));
            }
        }
        Ok(())
    }

    fn check_classes(&self) -> Result<(), String> {
        let mut before = None;
        for (at, class) in self.class.iter().enumerate() {
            is_word("class.word", &class.word)?;
            if self.class[..at]
                .iter()
                .any(|other| other.word == class.word)
            {
                return Err(format!("class.word: there are two {:?}", class.word));
            }
            let is_last = at + 1 == self.class.len();
            match class.max_bytes {
                None if is_last => {}
                None => return Err("class.max_bytes: only the last class has no limit".into()),
                Some(_) if is_last => {
                    return Err("class.max_bytes: the last class must have no limit".into());
                }
                Some(max) if before.is_some_and(|before| max <= before) => {
                    return Err(format!(
                        "class.max_bytes: that of {:?} is not above the one before",
                        class.word
                    ));
                }
                Some(max) => before = Some(max),
            }
        }
        match self.class.is_empty() {
            true => Err("class: there is none".into()),
            false => Ok(()),
        }
    }
}

fn tiers(tables: &[TierTable], classes: &[Class]) -> Result<Vec<Tier>, String> {
    if tables.first().is_none_or(|first| first.from != 1) {
        return Err("tier.from: the first tier must begin at 1".into());
    }
    let mut tiers: Vec<Tier> = Vec::with_capacity(tables.len());
    for table in tables {
        if tiers.last().is_some_and(|before| table.from <= before.from) || table.from > UNITS_MAX {
            return Err(format!("tier.from: {} is out of order", table.from));
        }
        let of = |class: &Class| {
            let price = table.price.get(&class.word).copied();
            price.filter(|price| *price <= AMOUNT_MAX).ok_or_else(|| {
                format!(
                    "tier.price: that from {} has no price for {:?}, at most {AMOUNT_MAX}",
                    table.from, class.word
                )
            })
        };
        let prices = classes.iter().map(of).collect::<Result<Vec<u64>, _>>()?;
        if prices.len() != table.price.len() {
            return Err(format!(
                "tier.price: that from {} prices a class that is not there",
                table.from
            ));
        }
        tiers.push(Tier {
            from: table.from,
            prices,
        });
    }
    Ok(tiers)
}

fn first_day(key: &str, text: &str) -> Result<Month, String> {
    let day: Option<Date> = text.parse().ok();
    let first = day.filter(|day| day.day() == 1).map(Month::with);
    first.ok_or_else(|| {
        format!("{key}: {text:?} is not the first day of a month, such as 2026-11-01")
    })
}

/// Words stand in file names, statements and on the command line.
pub fn is_word(key: &str, word: &str) -> Result<(), String> {
    let safe = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    match (1..=40).contains(&word.len()) && word.bytes().all(safe) {
        true => Ok(()),
        false => Err(format!(
            "{key}: {word:?} must be a word of 1 to 40 small letters a-z, digits and hyphens"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../etc/contracts/prices/am-sample-1.toml");

    #[test]
    fn every_fault_names_its_key() {
        for (old, new, fault) in [
            ("id = \"am-sample\"", "id = \"A B\"", "id: "),
            ("version = 1", "version = 0", "version: "),
            ("minor_digits = 2", "minor_digits = 9", "minor_digits: "),
            ("currency = \"AMD\"", "currency = \"dram\"", "currency: "),
            ("\"2020-01-01\"", "\"2020-01-02\"", "valid_from: "),
            ("\"2027-01-01\"", "\"2019-01-01\"", "valid_until: "),
            ("round_to = 100", "round_to = 0", "round_to: "),
            (
                "vat_basis_points = 2000",
                "vat_basis_points = 20000",
                "vat_basis_points: ",
            ),
            ("free_units = 100", "free_units = 0", "alert.of: "),
            ("max_bytes = 10485760", "max_bytes = 1", "class.max_bytes: "),
            ("max_bytes = 10485760", "", "class.max_bytes: "),
            ("word = \"packet\"", "word = \"letter\"", "class.word: "),
            ("from = 1\n", "from = 2\n", "tier.from: "),
            ("from = 10001", "from = 1", "tier.from: "),
            ("letter = 3500, ", "", "tier.price: "),
            (
                "letter = 3500, ",
                "letter = 3500, post = 1, ",
                "tier.price: ",
            ),
            ("percent = 80", "percent = 0", "alert.percent: "),
        ] {
            assert!(SAMPLE.contains(old), "{old}");
            let found = PriceList::parse(&SAMPLE.replacen(old, new, 1)).unwrap_err();
            assert!(found.starts_with(fault), "{new}: {found}");
        }
        // Keys that are not known, kinds that are not one, and fractions are named by the reader of the format.
        for (old, new) in [
            ("free_units = 100", "free_units = 1.5"),
            ("unit = \"recipient\"", "unit = \"page\""),
            ("ceiling", "cieling"),
            ("rounding = \"half-up\"", "rounding = \"near\""),
        ] {
            assert!(
                PriceList::parse(&SAMPLE.replacen(old, new, 1)).is_err(),
                "{new}"
            );
        }
    }

    #[test]
    fn amounts_are_written_with_their_digits() {
        let mut list = PriceList::parse(SAMPLE).unwrap();
        for (digits, amount, text) in [
            (2, 0, "0.00 AMD"),
            (2, 5, "0.05 AMD"),
            (2, 123_450, "1234.50 AMD"),
            (0, 7, "7 AMD"),
            (3, 1, "0.001 AMD"),
        ] {
            list.minor_digits = digits;
            assert_eq!(list.money(amount), text);
        }
    }

    #[test]
    fn a_size_has_one_class() {
        let list = PriceList::parse(SAMPLE).unwrap();
        for (size, class) in [
            (0, 0),
            (1_048_576, 0),
            (1_048_577, 1),
            (10_485_760, 1),
            (10_485_761, 2),
            (u64::MAX, 2),
        ] {
            assert_eq!(list.class_of(size), class, "{size}");
        }
    }
}
