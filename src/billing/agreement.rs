//! The text of one contract: the template's clauses with the contract's data in them. A word in braces that is unknown, or
//! for which the contract has nothing, is an error that names it.

use std::collections::BTreeMap;

use mail::Timestamp;
use receipts::id::ContractId;
use store::contracts::Contract;
use store::register::Lang;

use super::library::{Library, Said};
use super::month::{Month, ZONE};
use super::page::{Block, Section};
use crate::config::Config;
use crate::failure::{Failure, Outcome};

/// The operator, as contracts name it.
pub struct Operator<'a> {
    /// Its name.
    pub name: &'a str,
    /// The domain of the official addresses.
    pub domain: &'a str,
}

impl<'a> Operator<'a> {
    /// As the configuration has it.
    pub fn of(config: &'a Config) -> Self {
        Self {
            name: &config.seal.issuer,
            domain: &config.domain,
        }
    }
}

/// The text of a contract in these languages; the same data give the same text.
///
/// # Errors
/// Names the word in braces that cannot be filled in, and why.
pub fn sections(
    contract: &Contract,
    operator: &Operator<'_>,
    library: &Library,
    langs: &[Lang],
) -> Outcome<Vec<Section>> {
    langs
        .iter()
        .map(|lang| section(contract, operator, library, *lang))
        .collect()
}

fn section(
    contract: &Contract,
    operator: &Operator<'_>,
    library: &Library,
    lang: Lang,
) -> Outcome<Section> {
    let (template, digest) = &library.template;
    let wording = template.of(lang);
    let values = values(contract, operator, library, (lang, &wording.words));
    let filled = |text: &str| {
        fill(text, &values)
            .map_err(|what| Failure::could_not(format!("contract {}: {lang}: {what}", contract.id)))
    };
    let mut blocks = vec![Block::Title(filled(&wording.title)?)];
    for clause in &wording.clause {
        blocks.push(Block::Heading(filled(&clause.heading)?));
        let text = filled(&clause.text)?;
        blocks.extend(text.split('\n').map(|line| Block::Text(line.to_owned())));
    }
    // Which text this was: it is looked for in this version, whatever the file says by then.
    let mark = format!("{} {} {}", template.id, template.version, digest.tagged());
    blocks.push(Block::Text(mark));
    Ok(Section {
        lang: Some(lang),
        blocks,
    })
}

/// A value, or what to do so that there is one.
type Value = Result<String, &'static str>;

fn values(
    contract: &Contract,
    operator: &Operator<'_>,
    library: &Library,
    (lang, said): (Lang, &Said),
) -> BTreeMap<&'static str, Value> {
    let mut values = of_kind(contract, library, lang);
    let addresses = contract.addresses.iter().map(ToString::to_string);
    values.extend([
        ("contract", Ok(contract.id.to_string())),
        ("operator", Ok(operator.name.to_owned())),
        ("domain", Ok(operator.domain.to_owned())),
        ("sender", Ok(contract.name.clone())),
        ("addresses", listed(addresses.collect())),
        ("domains", listed(contract.domains.clone())),
        ("profile", Ok(contract.profile.to_string())),
        ("prices", prices(contract, library, lang)),
    ]);
    values.extend(of_terms(contract, said));
    values
}

/// An applicant may have none yet.
fn listed(list: Vec<String>) -> Value {
    match list.is_empty() {
        true => Err("the contract has none yet"),
        false => Ok(list.join(", ")),
    }
}

/// What the data say of the contract's kind of sender.
fn of_kind(contract: &Contract, library: &Library, lang: Lang) -> BTreeMap<&'static str, Value> {
    let word = contract.terms.sender_kind.as_deref();
    let kind = word.and_then(|word| library.kind(word));
    let said = |text: Option<String>| {
        text.ok_or(match word {
            None => "the contract has no kind of sender; give it one with --kind",
            Some(_) => "the contract's kind of sender is not in the data",
        })
    };
    let documents = kind.map(|kind| {
        let titles = library.documents(kind);
        let titles = titles.map(|one| format!("– {}", one.title.of(lang)));
        titles.collect::<Vec<_>>().join("\n")
    });
    BTreeMap::from([
        (
            "kind",
            said(kind.map(|kind| kind.title.of(lang).to_owned())),
        ),
        (
            "legal_basis",
            said(kind.map(|kind| kind.legal_basis.of(lang).to_owned())),
        ),
        ("documents", said(documents)),
    ])
}

fn of_terms(contract: &Contract, said: &Said) -> [(&'static str, Value); 5] {
    let terms = &contract.terms;
    let none = || said.none.clone();
    let receipts_to = contract.receipts_to.as_ref().map(ToString::to_string);
    let size = terms
        .size_bytes_max
        .map(|size| format!("{size} {}", said.octets));
    let tls = if terms.require_tls {
        &said.yes
    } else {
        &said.no
    };
    let from = terms.valid_from.and_then(first_day);
    let until = terms.valid_until.and_then(last_day);
    [
        (
            "receipts_to",
            Ok(receipts_to.unwrap_or_else(|| said.envelope.clone())),
        ),
        ("tls", Ok(tls.clone())),
        ("max_size", Ok(size.unwrap_or_else(none))),
        ("from", Ok(from.unwrap_or_else(none))),
        ("until", Ok(until.unwrap_or_else(none))),
    ]
}

fn prices(contract: &Contract, library: &Library, lang: Lang) -> Value {
    let terms = &contract.terms;
    let id = library.tariff(terms.tariff.as_deref(), terms.sender_kind.as_deref());
    let begins = terms.valid_from.unwrap_or_else(|| made(contract.id));
    let month =
        Month::of(begins).ok_or("the contract begins outside the years that can be written")?;
    match library.prices(id, month) {
        Ok(list) => Ok(format!(
            "{} ({}, {})",
            list.title.of(lang),
            list.id,
            list.version
        )),
        Err(_) => Err("the contract's price list has no version for the month it begins in"),
    }
}

/// When a contract was made: its id says so.
pub fn made(id: ContractId) -> Timestamp {
    Timestamp::from_millis(i64::try_from(id.millis()).unwrap_or(i64::MAX))
}

/// The day in Yerevan that begins at this instant, or in which it lies.
pub fn first_day(instant: Timestamp) -> Option<String> {
    let zone = jiff::tz::TimeZone::get(ZONE).ok()?;
    let instant = jiff::Timestamp::from_millisecond(instant.as_millis()).ok()?;
    Some(instant.to_zoned(zone).date().to_string())
}

fn last_day(until: Timestamp) -> Option<String> {
    first_day(Timestamp::from_millis(until.as_millis() - 1))
}

/// Fills in what stands in braces.
fn fill(text: &str, values: &BTreeMap<&'static str, Value>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let unclosed = || "a brace in the text is not closed".to_owned();
        let (word, after) = after.split_once('}').ok_or_else(unclosed)?;
        let value = values
            .get(word)
            .ok_or_else(|| format!("{{{word}}} is no word that can be filled in"))?;
        let value = value
            .as_ref()
            .map_err(|why| format!("{{{word}}} cannot be filled in: {why}"))?;
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    if rest.contains('}') {
        return Err("a brace in the text is closed and was not opened".into());
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use store::contracts::{ContractState, Profile, Terms};

    use super::*;
    use crate::billing::words::LANGS;

    fn contract(kind: Option<&str>) -> Contract {
        Contract {
            id: "01JD9YV0000000000000000001".parse().unwrap(),
            name: "Tax <Service>".into(),
            state: ContractState::Active,
            addresses: vec!["192.0.2.1/32".parse().unwrap()],
            domains: vec!["tax.test".into()],
            receipts_to: None,
            profile: Profile::Both,
            terms: Terms {
                sender_kind: kind.map(str::to_owned),
                valid_from: Some("2026-10-31T20:00:00.000Z".parse().unwrap()),
                valid_until: Some("2027-10-31T20:00:00.000Z".parse().unwrap()),
                ..Terms::default()
            },
            open_until: None,
        }
    }

    const OPERATOR: Operator<'static> = Operator {
        name: "The Post",
        domain: "post.test",
    };

    #[test]
    fn a_contract_is_written_in_every_language_with_nothing_left_in_braces() {
        let library = Library::load(None).unwrap();
        for kind in library.kinds() {
            let contract = contract(Some(&kind.word));
            let sections = sections(&contract, &OPERATOR, &library, &LANGS).unwrap();
            let html = crate::billing::page::render(&sections);
            assert!(!html.contains('{') && !html.contains('}'), "{html}");
            for wanted in [
                "Պայմանագիր պաշտոնական",
                "Договор об отправке",
                "Contract on sending",
                "01JD9YV0000000000000000001",
                "Tax &lt;Service&gt;",
                "192.0.2.1/32",
                "2026-11-01",
                "2027-10-31",
            ] {
                assert!(html.contains(wanted), "{} {wanted}", kind.word);
            }
            // Its digest is kept with the draft: the same data give the same octets.
            let again = super::sections(&contract, &OPERATOR, &library, &LANGS).unwrap();
            assert_eq!(crate::billing::page::render(&again), html);
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_named() {
        let library = Library::load(None).unwrap();
        let mut nowhere = contract(Some("court"));
        nowhere.addresses.clear();
        for (contract, fault) in [
            (
                contract(None),
                "{kind} cannot be filled in: the contract has no kind",
            ),
            (
                contract(Some("guild")),
                "{kind} cannot be filled in: the contract's kind",
            ),
            (
                nowhere,
                "{addresses} cannot be filled in: the contract has none",
            ),
        ] {
            let found = sections(&contract, &OPERATOR, &library, &LANGS)
                .unwrap_err()
                .to_string();
            assert!(found.contains(fault), "{found}");
        }
        let values = BTreeMap::from([("a", Ok("{b}".to_owned()))]);
        for (text, filled) in [
            ("x {a} y", Ok("x {b} y")),
            ("", Ok("")),
            ("{b}", Err("{b} is no word that can be filled in")),
            ("{a", Err("a brace in the text is not closed")),
            (
                "a}",
                Err("a brace in the text is closed and was not opened"),
            ),
        ] {
            let found = fill(text, &values);
            assert_eq!(found.as_deref().map_err(String::as_str), filled, "{text}");
        }
    }
}
