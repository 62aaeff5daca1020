//! `knik init`: a new post. The configuration is written last, so that a crash half-way leaves nothing that could be
//! taken for a post; nothing that is there is ever overwritten.

use std::path::{Path, PathBuf};

use identity::Authority;
use identity::authority::AuthorityError;
use mail::Timestamp;
use receipts::anchors::{Anchors, CertificateAnchor, TimestampAnchor};
use receipts::note::SigningKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;

use crate::cli::Init;
use crate::config::template::{self, Answers};
use crate::failure::{Failure, Outcome};
use crate::keys::{self, Readers};
use crate::output::{Output, properties};
use crate::signer::rotate::new_log_key;

/// What `init` makes in its directory.
const MADE: [&str; 5] = ["knik.toml", "anchors.toml", "keys", "pki", "data"];

/// Sets up a new post.
///
/// # Errors
/// Says what is there already, or names the file or value at fault.
pub fn run(init: &Init, out: &mut Output) -> Outcome {
    refuse_existing(&init.dir)?;
    let answers = answers(init)?;
    let post = make(&answers)?;
    write(&init.dir, &post, &answers)?;
    let config = init.dir.join("knik.toml");
    let json = json!({
        "dir": init.dir.display().to_string(),
        "config": config.display().to_string(),
        "domain": answers.domain,
        "hostname": answers.hostname,
        "log_key": post.log_key.verifier().to_string(),
    });
    out.document(&json, || {
        let mut text = properties(&[
            ("post", Some(answers.domain.clone())),
            ("host", Some(answers.hostname.clone())),
            ("configuration", Some(config.display().to_string())),
            ("anchors", Some(format!("{}  (public: what a stranger needs to check evidence)", init.dir.join("anchors.toml").display()))),
            ("keys", Some(format!("{}  (secret; keep log.state out of backups)", init.dir.join("keys").display()))),
            ("log key", Some(post.log_key.verifier().to_string())),
        ]);
        text.push_str(&format!(
            "\nNext:\n  export KNIK_CONFIG={}\n  knik contract add …; knik account add …; knik serve\n",
            config.display()
        ));
        text
    })
}

fn refuse_existing(dir: &Path) -> Outcome {
    let there: Vec<&str> = MADE
        .into_iter()
        .filter(|name| dir.join(name).symlink_metadata().is_ok())
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    let what = if there.contains(&"knik.toml") {
        "is a post already"
    } else {
        "has what an init that did not finish left; remove that first"
    };
    Err(Failure::could_not(format!(
        "{}: {what} ({}); nothing was changed",
        dir.display(),
        there.join(", ")
    )))
}

fn answers(init: &Init) -> Outcome<Answers> {
    let host = |flag: &str, name: &str| {
        let address = mail::Address::parse(&format!("postmaster@{name}"));
        let name = address.map_err(|e| Failure::could_not(format!("{flag} \"{name}\": {e}")))?;
        Ok::<_, Failure>(name.domain().to_ascii_lowercase())
    };
    let domain = host("--domain", &init.domain)?;
    let hostname = match &init.hostname {
        Some(name) => host("--hostname", name)?,
        None => format!("mx.{domain}"),
    };
    Ok(Answers {
        domain,
        hostname,
        smtp: init.smtp,
        imap: init.imap,
        imaps: init.imaps,
        http: init.http,
        https: init.https,
    })
}

/// All secrets and certificates, in memory.
struct Post {
    authority: Authority,
    server: (String, String),
    seal: (String, String),
    timestamp: (String, String),
    log_key: SigningKey,
    log_key_pem: String,
    anchors: Anchors,
}

fn make(answers: &Answers) -> Outcome<Post> {
    let Answers {
        domain, hostname, ..
    } = answers;
    let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let wrong = |error: AuthorityError| Failure::doing("the certificates", &error);
    let issuer = template::issuer(domain);
    // A certificate's names hold 64 characters; a longer domain stands in the evidence, not in the seal's name.
    let organisation: String = issuer.chars().take(64).collect();
    let authority = Authority::create(&organisation, domain, now).map_err(wrong)?;
    let mut hosts = vec![hostname.as_str(), "localhost", "127.0.0.1", "::1"];
    hosts.dedup();
    let server = authority.server_certificate(&hosts, now).map_err(wrong)?;
    let (seal_organisation, seal_name, address) = template::seal_names(&issuer, domain);
    let seal = authority
        .seal_certificate(&seal_organisation, &seal_name, &address, now)
        .map_err(wrong)?;
    let timestamp = authority.timestamp_certificate(now).map_err(wrong)?;
    let (log_key, log_key_pem) = new_log_key(&template::origin(domain))?;
    let authority_der = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes())
        .map_err(|e| Failure::doing("the authority's certificate", &e))?;
    let anchors = Anchors {
        logs: vec![log_key.verifier().clone()],
        timestamps: vec![TimestampAnchor {
            name: format!("Test time-stamp authority of {domain}"),
            certificate: authority_der.clone(),
            untrusted: true,
        }],
        seals: vec![CertificateAnchor {
            name: issuer,
            certificate: authority_der,
        }],
        ..Anchors::default()
    };
    Ok(Post {
        server: (server.chain_pem, server.key_pem),
        seal: (seal.certificate_pem, seal.key_pem),
        timestamp: (timestamp.certificate_pem, timestamp.key_pem),
        authority,
        log_key,
        log_key_pem,
        anchors,
    })
}

fn write(dir: &Path, post: &Post, answers: &Answers) -> Outcome {
    let (keys_dir, pki) = (dir.join("keys"), dir.join("pki"));
    keys::make_folder(dir, Readers::All)?;
    keys::make_folder(&keys_dir, Readers::Owner)?;
    keys::make_folder(&pki, Readers::All)?;
    keys::make_folder(&dir.join("data"), Readers::Owner)?;
    let authority_key = post.authority.key_pem();
    let anchors = post.anchors.to_toml();
    let files: [(PathBuf, &str, Readers); 12] = [
        (keys_dir.join("seal.key"), &post.seal.1, Readers::Owner),
        (keys_dir.join("seal.pem"), &post.seal.0, Readers::Owner),
        (keys_dir.join("log.key"), &post.log_key_pem, Readers::Owner),
        // Empty: nothing has been signed yet.
        (keys_dir.join("log.state"), "", Readers::Owner),
        (keys_dir.join("tsa.key"), &post.timestamp.1, Readers::Owner),
        (keys_dir.join("tsa.pem"), &post.timestamp.0, Readers::Owner),
        (
            pki.join("ca.pem"),
            post.authority.certificate_pem(),
            Readers::All,
        ),
        (pki.join("ca.key"), &authority_key, Readers::Owner),
        (pki.join("server.pem"), &post.server.0, Readers::All),
        (pki.join("server.key"), &post.server.1, Readers::Owner),
        (dir.join("anchors.toml"), &anchors, Readers::All),
        (
            dir.join("knik.toml"),
            &template::render(answers),
            Readers::All,
        ),
    ];
    for (path, text, readers) in &files {
        if path.ends_with("knik.toml") {
            // Everything it names is on the disk before it is.
            [&keys_dir, &pki]
                .into_iter()
                .try_for_each(|folder| keys::sync_parent(&folder.join("x")))?;
        }
        keys::write_new(path, text.as_bytes(), *readers)?;
    }
    keys::sync_parent(&dir.join("knik.toml"))?;
    keys::sync_parent(dir)
}
