//! Reasons, dates and documents of a step; digests of certificates.

use std::path::{Path, PathBuf};

use mail::Digest;
use store::contracts::{Document, Paper};

use crate::cli::contract::Papers;
use crate::failure::{Failure, Outcome};
use crate::keys;

/// The papers of a step, the documents hashed.
///
/// # Errors
/// Names the document that cannot be read.
pub fn read(papers: Papers, why: Option<String>) -> Outcome<Paper> {
    let documents: Outcome<_> = papers.documents.iter().map(|text| document(text)).collect();
    Ok(Paper {
        why,
        remark: papers.remark,
        dated: papers.dated.map(|day| day.to_string()),
        documents: documents?,
    })
}

/// `TITLE=FILE`, or a file that is titled by its own name.
fn document(text: &str) -> Outcome<Document> {
    let own_name = |path: &Path| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    };
    let whole = Path::new(text);
    let (title, path) = match text.split_once('=') {
        Some((title, file)) if !whole.exists() => (title.to_owned(), Path::new(file)),
        _ => (own_name(whole), whole),
    };
    let octets = keys::read(path)?;
    Ok(Document {
        title,
        digest: Digest::of(&octets),
        size: octets.len() as u64,
    })
}

/// The digests of the first certificate of each file; `sha256:…` in a file's place is a digest itself.
///
/// # Errors
/// Names the file.
pub fn digests(paths: &[PathBuf]) -> Outcome<Vec<Digest>> {
    let mut digests = Vec::with_capacity(paths.len());
    for path in paths {
        let given = path
            .to_str()
            .and_then(|text| Digest::parse_tagged(text).ok());
        if let Some(digest) = given {
            digests.push(digest);
            continue;
        }
        let certificates = keys::certificates(path)?;
        let first = certificates.first().ok_or_else(|| {
            Failure::could_not(format!("{}: there is no certificate in it", path.display()))
        })?;
        digests.push(Digest::of(first));
    }
    Ok(digests)
}
