//! `VERIFY.txt`: how to check this very bundle with stock programs. Prose stands behind `#`, so that the file is a shell
//! script too: `sh VERIFY.txt` runs every command and stops at the first that fails.

use std::fmt::Write as _;

use crate::id::EvidenceId;
use crate::note::Note;
use crate::proof::TlogProof;
use crate::seal;
use crate::xades::dom;

mod signed;

use super::{Bundle, Item, checkpoint_name, event_name, proof_name, salt_name, xml_name};

const INTRODUCTION: &str = "\
# How to check this bundle with programs that are not ours.
#
# Unpack it and run `sh VERIFY.txt` in the folder, or copy the lines below one by one. Needed: a POSIX shell,
# coreutils (sha256sum, base64), openssl 3, xmlsec1. Each step prints what it showed; the first that fails ends it.
#
# This proves something only if the files under chain/ are keys and certificates you trust. Compare them with those
# the operator published or gave you by another way; taken from this bundle they prove nothing about themselves.
# `knik verify BUNDLE.zip --anchors anchors.toml` does all of this, and more, against anchors of your own.
set -eu
t=$(mktemp -d)
";

/// The text for this bundle: it follows from its other files alone.
pub(super) fn render(bundle: &Bundle) -> String {
    let mut text = String::from(INTRODUCTION);
    certificates(&mut text, bundle);
    statements(&mut text, bundle);
    if bundle.original.is_some() {
        original(&mut text, bundle);
    }
    for (id, item) in &bundle.items {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "\n# ---- {} of {}, evidence {id}",
            item.event.event, item.event.time
        );
        leaf(&mut text, *id);
        chain(&mut text, bundle, *id, item);
        if let Some(xml) = &item.xml {
            evidence(&mut text, bundle, *id, xml);
        }
        if let Some(proof) = &item.proof {
            inclusion(&mut text, *id, proof);
        }
    }
    for (id, mail) in &bundle.receipts {
        signed::receipt(&mut text, bundle, *id, mail);
    }
    for size in bundle.checkpoints.keys() {
        checkpoint(&mut text, bundle, *size);
        if let Some(response) = bundle.timestamps.get(size) {
            signed::timestamp(&mut text, bundle, *size, response);
        }
    }
    text.push_str("\nrm -r \"$t\"\necho 'every step held'\n");
    text
}

/// What to compare with the certificates one trusts; their files are named by their digests.
fn certificates(text: &mut String, bundle: &Bundle) {
    if !bundle.certificates.is_empty() {
        text.push_str("\n# ---- The certificates: those of seals, time-stamps and log-ins, and what they lead to. Do you trust them?\n");
    }
    for name in bundle.certificates.keys() {
        let _ = writeln!(
            text,
            "openssl x509 -noout -subject -issuer -dates -in {name}\n\
             test \"chain/$(openssl x509 -outform DER -in {name} | sha256sum | cut -c 1-16).pem\" = {name}"
        );
    }
}

/// What was known of revocation when a holder logged in: events name it by its digest.
fn statements(text: &mut String, bundle: &Bundle) {
    if !bundle.statements.is_empty() {
        text.push_str("\n# ---- What sources of revocation said when a holder logged in; an event names each by its digest.\n");
    }
    for name in bundle.statements.keys() {
        let show = if name.ends_with(".crl") {
            format!("openssl crl -inform DER -noout -issuer -lastupdate -nextupdate -in {name}")
        } else {
            format!("openssl ocsp -noverify -text -respin {name} | grep -E 'Status|Update'")
        };
        let _ = writeln!(
            text,
            "{show}\ngrep -q \"sha256:$(sha256sum < {name} | cut -c 1-64)\" events/*.json"
        );
    }
}

fn original(text: &mut String, bundle: &Bundle) {
    text.push_str(
        "\n# ---- The message: its digest stands in the events, sealed and logged below.\n",
    );
    text.push_str("digest=$(sha256sum < original.eml | cut -c 1-64)\n");
    for (id, _) in bundle
        .items
        .iter()
        .filter(|(_, item)| item.event.subject.digest.is_some())
    {
        let event = event_name(*id);
        let _ = writeln!(text, "grep -q '\"digest\":\"sha256:'$digest'\"' {event}");
    }
    text.push_str("echo \"original.eml has the digest $digest\"\n");
}

/// The event with its salt gives the entry that stands in the log.
fn leaf(text: &mut String, id: EvidenceId) {
    let (event, salt) = (event_name(id), salt_name(id));
    let _ = writeln!(
        text,
        "# The log's entry: SHA-256 of a tag, the salt and the event; then the tree's leaf hash (RFC 6962 section 2.1).\n\
         {{ printf 'knik/leaf/v1\\n'; cat {salt} {event}; }} | sha256sum | cut -c 1-64 > \"$t/{id}\"\n\
         {{ printf 'knik/leaf/v1\\n'; cat {salt} {event}; }} | openssl dgst -sha256 -binary > \"$t/leaf\"\n\
         {{ printf '\\000'; cat \"$t/leaf\"; }} | openssl dgst -sha256 -binary > \"$t/node\"\n\
         echo \"{event} with its salt is the log entry $(cat \"$t/{id}\")\""
    );
}

/// The event names the entry before it, where that is in the bundle.
fn chain(text: &mut String, bundle: &Bundle, id: EvidenceId, item: &Item) {
    let Some(prev) = item.event.prev else { return };
    let before = bundle
        .items
        .iter()
        .find(|(_, other)| other.leaf() == prev)
        .map(|(id, _)| *id);
    match before {
        // Ids grow: an event's predecessor comes earlier in this file, and its entry is there already.
        Some(before) if before < id => {
            let event = event_name(id);
            let _ = writeln!(
                text,
                "grep -q '\"prev\":\"'$(cat \"$t/{before}\")'\"' {event}\n\
                 echo \"{event} follows {}\"",
                event_name(before)
            );
        }
        _ => text.push_str("# The event before it in its chain is not in this bundle.\n"),
    }
}

fn evidence(text: &mut String, bundle: &Bundle, id: EvidenceId, xml: &[u8]) {
    let (file, event) = (xml_name(id), event_name(id));
    let _ = writeln!(
        text,
        "# The sealed evidence names this event and this entry, and its seal holds.\n\
         grep -q '<k:CanonicalDigest>'$(sha256sum < {event} | cut -c 1-64)'</k:CanonicalDigest>' {file}\n\
         grep -q '<k:LeafData>'$(cat \"$t/{id}\")'</k:LeafData>' {file}"
    );
    let mut trusted = String::new();
    for (name, _) in bundle
        .certificates
        .iter()
        .filter(|(_, der)| is_self_issued(der))
    {
        let _ = write!(trusted, " --trusted-pem {name}");
    }
    let _ = writeln!(
        text,
        "TZ=UTC xmlsec1 --verify{trusted} --verification-time '{}' \\\n  \
         --id-attr:Id http://uri.etsi.org/01903/v1.3.2#:SignedProperties {file}\n\
         echo '{file} is sealed and says the same'\n\
         # With the schema of EN 319 522-3 (attachment of the standard) at hand:\n\
         # xmllint --nonet --noout --schema 1952203xmlSchema.xsd {file}",
        signing_time(xml)
    );
}

/// The time the seal gives for itself, as xmlsec1 reads it.
fn signing_time(xml: &[u8]) -> String {
    let root = dom::parse(xml).unwrap_or_default();
    let time = root
        .descendants()
        .into_iter()
        .find(|e| e.is(crate::xades::XADES, "SigningTime"));
    let time = time.map(dom::Element::text).unwrap_or_default();
    let safe = |c: &char| c.is_ascii_digit() || "-T:".contains(*c);
    // Evidence of others could hold anything here; it must not become part of a command.
    time.chars()
        .take(19)
        .filter(safe)
        .map(|c| if c == 'T' { ' ' } else { c })
        .collect()
}

fn is_self_issued(der: &rustls_pki_types::CertificateDer<'_>) -> bool {
    seal::parse(der).is_some_and(|certificate| {
        let tbs = certificate.tbs_certificate();
        tbs.subject() == tbs.issuer()
    })
}

/// RFC 9162 §2.1.3.2, unrolled for this leaf's index and this tree's size.
fn inclusion(text: &mut String, id: EvidenceId, proof: &TlogProof) {
    let file = proof_name(id);
    let Some(size) = proof
        .checkpoint()
        .text()
        .lines()
        .nth(1)
        .and_then(|size| size.parse::<u64>().ok())
    else {
        return;
    };
    let _ = writeln!(
        text,
        "# Entry {} of the {size} in the log: from its leaf hash up to the root that the checkpoint names.",
        proof.index()
    );
    // The header, perhaps the extra line, the index, then the path.
    let first = if proof.extra().is_some() { 4 } else { 3 };
    let (mut node, mut last) = (proof.index(), size.saturating_sub(1));
    for at in 0..proof.hashes().len() {
        let sibling = format!("sed -n {}p {file} | base64 -d", first + at);
        let _ = if node & 1 == 1 || node == last {
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
            write!(text, "{{ printf '\\001'; {sibling}; cat \"$t/node\"; }}")
        } else {
            write!(text, "{{ printf '\\001'; cat \"$t/node\"; {sibling}; }}")
        };
        text.push_str(
            " | openssl dgst -sha256 -binary > \"$t/next\" && mv \"$t/next\" \"$t/node\"\n",
        );
        node >>= 1;
        last >>= 1;
    }
    let checkpoint = checkpoint_name(size);
    let _ = writeln!(
        text,
        "test \"$(base64 < \"$t/node\")\" = \"$(sed -n 3p {checkpoint})\"\n\
         sed '/^$/,$d' {checkpoint} > \"$t/text\"\n\
         sed '1,/^$/d' {file} | sed '/^$/,$d' | cmp - \"$t/text\"\n\
         grep -q -x -F -e \"$(tail -n 1 {checkpoint})\" {file}\n\
         echo '{file} leads to the root of {checkpoint}'"
    );
}

fn checkpoint(text: &mut String, bundle: &Bundle, size: u64) {
    let file = checkpoint_name(size);
    let _ = writeln!(
        text,
        "\n# ---- The checkpoint of the log at {size} entries, signed by the log (C2SP signed-note, Ed25519).\n\
         sed '/^$/,$d' {file} > \"$t/text\""
    );
    if own_lines(bundle, size) > 1 {
        two_keys(text, bundle, &file);
        return;
    }
    let _ = writeln!(
        text,
        "tail -n 1 {file} | sed 's/.* //' | base64 -d | tail -c 64 > \"$t/signature\""
    );
    for key in bundle.log_keys.keys() {
        let _ = writeln!(text, "{}", signed_by(key, &file));
    }
    text.push_str("cat \"$t/signed\"\nrm \"$t/signed\"\n");
}

/// One key of the log takes the place of another, and both sign: one that you trust is enough.
fn two_keys(text: &mut String, bundle: &Bundle, file: &str) {
    let _ = writeln!(
        text,
        "# One key of the log takes the place of another here, and both have signed: one that you trust is enough.\n\
         sed '1,/^$/d' {file} | sed 's/.* //' > \"$t/lines\"\n\
         while read -r line; do\n\
         printf '%s' \"$line\" | base64 -d | tail -c 64 > \"$t/signature\""
    );
    for key in bundle.log_keys.keys() {
        let _ = writeln!(text, "{}", signed_by(key, file).replace("> \"", ">> \""));
    }
    text.push_str("done < \"$t/lines\"\ncat \"$t/signed\"\nrm \"$t/signed\"\n");
}

fn signed_by(key: &str, file: &str) -> String {
    format!(
        "if openssl pkeyutl -verify -rawin -pubin -inkey {key} -in \"$t/text\" -sigfile \"$t/signature\"; then echo '{file} is signed by {key}' > \"$t/signed\"; fi"
    )
}

/// Signature lines in the file of a checkpoint.
fn own_lines(bundle: &Bundle, size: u64) -> usize {
    let file = bundle.checkpoints.get(&size);
    file.and_then(|octets| Note::parse(octets).ok())
        .map_or(0, |note| note.signatures().len())
}
