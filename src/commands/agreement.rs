//! `knik contract document`, `requirements`, `entitled`, `statement`: the papers around a contract.

use std::path::Path;

use mail::Digest;
use serde_json::{Value, json};
use store::Store;
use store::register::Lang;

use super::statement;
use crate::billing::agreement::{self, Operator, made};
use crate::billing::entitled;
use crate::billing::library::{Kind, Library};
use crate::billing::page::{self, Block, Section};
use crate::billing::paper;
use crate::billing::words::{self, LANGS};
use crate::cli::billing::PaperFormat;
use crate::cli::{Billing, ContractDocument};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output, properties};

const COLUMNS: [Column; 4] = [
    Column("SINCE", 10),
    Column("KIND", 14),
    Column("DOMAINS", 24),
    Column("NAME", 0),
];

/// Runs one of its commands.
///
/// # Errors
/// Names what is wrong.
pub fn run(config: &Config, store: &Store, command: Billing, out: &mut Output) -> Outcome {
    let library = Library::load(config.billing.as_deref())?;
    match command {
        Billing::Document(wanted) => document(config, store, &wanted, (&library, out)),
        Billing::Requirements { kind, lang, html } => {
            requirements(&library, (kind.as_deref(), lang), html.as_deref(), out)
        }
        Billing::Entitled { html } => list_entitled(store, &library, html.as_deref(), out),
        Billing::Statement(wanted) => statement::make(store, &wanted, &library, out),
    }
}

fn document(
    config: &Config,
    store: &Store,
    wanted: &ContractDocument,
    (library, out): (&Library, &mut Output),
) -> Outcome {
    let id = wanted.id;
    let contract = store
        .contract(id)?
        .ok_or_else(|| Failure::is_false(format!("contract {id} not found")))?;
    let langs = wanted.lang.0.map_or(LANGS.to_vec(), |lang| vec![lang]);
    let sections = agreement::sections(&contract, &Operator::of(config), library, &langs)?;
    let octets = match wanted.format {
        PaperFormat::Html => page::render(&sections).into_bytes(),
        PaperFormat::Pdf => paper::render(&sections, made(id))?,
    };
    let (template, _) = &library.template;
    let json = json!({
        "contract": id.to_string(),
        "file": wanted.out.display().to_string(),
        "digest": Digest::of(&octets).tagged(),
        "octets": octets.len(),
        "template": template.id,
        "version": template.version,
    });
    write(&wanted.out, &octets)?;
    out.document(&json, || {
        properties(&[
            ("file", Some(wanted.out.display().to_string())),
            ("digest", Some(Digest::of(&octets).tagged())),
            (
                "template",
                Some(format!(
                    "{} {}: {}",
                    template.id, template.version, template.note
                )),
            ),
        ])
    })
}

fn requirements(
    library: &Library,
    (kind, lang): (Option<&str>, Option<Lang>),
    html: Option<&Path>,
    out: &mut Output,
) -> Outcome {
    let kinds: Vec<&Kind> = match kind {
        None => library.kinds().iter().collect(),
        Some(word) => vec![library.kind(word).ok_or_else(|| {
            let known: Vec<&str> = library
                .kinds()
                .iter()
                .map(|kind| kind.word.as_str())
                .collect();
            Failure::is_false(format!(
                "kind of sender {word:?} not found; there are {}",
                known.join(", ")
            ))
        })?],
    };
    let langs = lang.map_or(LANGS.to_vec(), |lang| vec![lang]);
    let sections: Vec<Section> = langs
        .iter()
        .map(|lang| of_kinds(library, &kinds, *lang))
        .collect();
    if let Some(path) = html {
        write(path, page::render(&sections).as_bytes())?;
    }
    if out.json() {
        for kind in kinds {
            out.row(&[], &to_json(library, kind, &langs), &[])?;
        }
        return Ok(());
    }
    for section in &sections {
        for block in &section.blocks {
            out.text(&plain(block))?;
        }
    }
    Ok(())
}

fn of_kinds(library: &Library, kinds: &[&Kind], lang: Lang) -> Section {
    let mut blocks = vec![Block::Title(words::REQUIREMENTS.of(lang).to_owned())];
    for kind in kinds {
        blocks.push(Block::Heading(format!(
            "{} ({})",
            kind.title.of(lang),
            kind.word
        )));
        let basis = kind.legal_basis.of(lang).to_owned();
        blocks.push(Block::Row(words::BASIS.of(lang).to_owned(), basis));
        let documents = library.documents(kind);
        blocks.extend(documents.map(|one| Block::Item(one.title.of(lang).to_owned())));
    }
    let (id, version, source, note) = library.kinds_source();
    blocks.push(Block::Text(format!("{id} {version}: {source}; {note}")));
    Section {
        lang: Some(lang),
        blocks,
    }
}

fn to_json(library: &Library, kind: &Kind, langs: &[Lang]) -> Value {
    let said = |text: &words::Text| {
        let all = langs
            .iter()
            .map(|lang| (lang.to_string(), json!(text.of(*lang))));
        Value::Object(all.collect())
    };
    let documents: Vec<Value> = library
        .documents(kind)
        .map(|one| json!({ "document": one.word, "title": said(&one.title) }))
        .collect();
    json!({
        "kind": kind.word,
        "title": said(&kind.title),
        "legal_basis": said(&kind.legal_basis),
        "tariff": library.tariff(None, Some(&kind.word)),
        "documents": documents,
    })
}

fn plain(block: &Block) -> String {
    match block {
        Block::Title(text) => format!("{text}\n"),
        Block::Heading(text) => format!("\n{text}"),
        Block::Text(text) => format!("\n{text}\n"),
        Block::Row(name, value) => format!("  {name}: {value}"),
        Block::Item(text) => format!("  - {text}"),
    }
}

fn list_entitled(
    store: &Store,
    library: &Library,
    html: Option<&Path>,
    out: &mut Output,
) -> Outcome {
    let bodies = entitled::bodies(store)?;
    if let Some(path) = html {
        write(
            path,
            page::render(&entitled::sections(&bodies, library)).as_bytes(),
        )?;
    }
    out.headings(&COLUMNS)?;
    for body in &bodies {
        let domains = body.domains.join(", ");
        let cells = [
            body.since.as_str(),
            body.kind.as_deref().unwrap_or_default(),
            &domains,
            &body.name,
        ];
        out.row(&COLUMNS, &entitled::to_json(body, library), &cells)?;
    }
    Ok(())
}

/// Writes a paper.
///
/// # Errors
/// Names the file.
pub fn write(path: &Path, octets: &[u8]) -> Outcome {
    std::fs::write(path, octets).map_err(|e| Failure::file(path, &e))
}
