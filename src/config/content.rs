//! The `[content]` table: where the octets of messages are.

use std::path::PathBuf;

use store::objects::endpoint::{Endpoint, is_prefix};
use store::options::{Contents, S3At};

use super::file::{ContentTable, Place, Text, text_or};
use super::secret;
use crate::failure::Outcome;

/// Where the octets of messages are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Files in the data directory.
    Segments,
    /// A bucket of an S3-compatible object store.
    S3(S3),
}

/// A bucket, and the name of the file that holds its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    /// `https://host[:port]`.
    pub endpoint: String,
    /// The bucket's name.
    pub bucket: String,
    /// What every object's name begins with.
    pub prefix: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// The file with the secret access key: for its owner alone.
    pub secret_key_file: PathBuf,
    /// PEM file of the authorities that may vouch for the server; never `None` with `https://`.
    pub anchors: Option<PathBuf>,
}

/// Checks the table.
///
/// # Errors
/// Names line and key at fault.
pub(super) fn read(place: &Place<'_>, table: &ContentTable) -> Result<Content, String> {
    let kind = text_or(&table.kind, "segments");
    if kind != "s3" {
        if kind != "segments" {
            let what = format!("\"{kind}\" is not \"segments\" or \"s3\"");
            return Err(place.fault_at(&table.kind, "content.kind", what));
        }
        return Ok(Content::Segments);
    }
    let needed = |key: &str, value: &Text| {
        let given = text_or(value, "");
        if given.is_empty() {
            let at = if value.is_some() { value } else { &table.kind };
            return Err(place.fault_at(at, key, "is empty, and content.kind is \"s3\""));
        }
        Ok(given)
    };
    let text = needed("content.endpoint", &table.endpoint)?;
    let endpoint: Endpoint = text
        .parse()
        .map_err(|why: String| place.fault_at(&table.endpoint, "content.endpoint", why))?;
    let prefix = text_or(&table.prefix, "");
    if !is_prefix(&prefix) {
        let what = format!("\"{prefix}\" is no prefix such as knik/");
        return Err(place.fault_at(&table.prefix, "content.prefix", what));
    }
    let anchors = if endpoint.tls {
        let file = needed("content.anchors", &table.anchors)?;
        Some(place.beside(&file))
    } else {
        None
    };
    Ok(Content::S3(S3 {
        endpoint: text,
        bucket: needed("content.bucket", &table.bucket)?,
        prefix,
        region: needed("content.region", &table.region)?,
        access_key: needed("content.access_key", &table.access_key)?,
        secret_key_file: place.beside(&needed("content.secret_key_file", &table.secret_key_file)?),
        anchors,
    }))
}

impl Content {
    /// As the store is opened with it; the secret is read now.
    ///
    /// # Errors
    /// Names the file of the secret that cannot be read, is empty, or is there for others than its owner.
    pub fn open(&self) -> Outcome<Contents> {
        match self {
            Self::Segments => Ok(Contents::Segments),
            Self::S3(s3) => Ok(Contents::S3(S3At {
                endpoint: s3.endpoint.clone(),
                bucket: s3.bucket.clone(),
                prefix: s3.prefix.clone(),
                region: s3.region.clone(),
                access_key: s3.access_key.clone(),
                secret_key: s3.secret()?,
                anchors: s3.anchors.clone(),
            })),
        }
    }
}

impl S3 {
    fn secret(&self) -> Outcome<String> {
        secret::read(&self.secret_key_file)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use super::*;
    use crate::config::file::parse;

    const WHOLE: &str = "domain = 'a.test'\n[content]\nkind = 's3'\nendpoint = 'https://objects.test:9000'\n\
                         bucket = 'letters'\nprefix = 'knik/'\nregion = 'am-1'\naccess_key = 'AK'\n\
                         secret_key_file = 'keys/objects.key'\nanchors = 'pki/objects.pem'\n";

    fn s3(text: &str) -> Result<S3, String> {
        match parse(Path::new("/etc/knik/knik.toml"), text)?.content {
            Content::S3(s3) => Ok(s3),
            Content::Segments => Err("segments".into()),
        }
    }

    #[test]
    fn a_bucket_is_taken_whole_or_the_key_that_is_missing_is_named() {
        let whole = s3(WHOLE).unwrap();
        assert_eq!(
            whole.anchors.as_deref(),
            Some(Path::new("/etc/knik/pki/objects.pem"))
        );
        assert_eq!(
            whole.secret_key_file,
            Path::new("/etc/knik/keys/objects.key")
        );
        for key in [
            "endpoint",
            "bucket",
            "region",
            "access_key",
            "secret_key_file",
            "anchors",
        ] {
            let without: String = WHOLE
                .lines()
                .filter(|line| !line.starts_with(&format!("{key} = ")))
                .map(|line| format!("{line}\n"))
                .collect();
            let fault = s3(&without).unwrap_err();
            assert!(
                fault.starts_with(&format!("/etc/knik/knik.toml:3: content.{key}: is empty")),
                "{fault}"
            );
        }
        let local = WHOLE
            .replace("https://objects.test", "http://127.0.0.1")
            .replace("'pki/objects.pem'", "''");
        assert_eq!(s3(&local).unwrap().anchors, None);
        for (from, to, fault) in [
            (
                "https://",
                "http://",
                "/etc/knik/knik.toml:4: content.endpoint: \"http://objects.test:9000\" would carry",
            ),
            (
                "https://objects.test:9000",
                "objects",
                "/etc/knik/knik.toml:4: content.endpoint: \"objects\" is no address",
            ),
            (
                "knik/",
                "/knik",
                "/etc/knik/knik.toml:6: content.prefix: \"/knik\" is no prefix",
            ),
        ] {
            let given = s3(&WHOLE.replace(from, to)).unwrap_err();
            assert!(given.starts_with(fault), "{given}");
        }
    }

    #[test]
    fn a_secret_is_for_its_owner_alone_and_nothing_but_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let mut s3 = s3(WHOLE).unwrap();
        for (mode, text, said) in [
            (0o640, "swordfish\n", Some("chmod 600")),
            (0o600, "\n", Some("and nothing else")),
            (0o600, "sword fish\n", Some("and nothing else")),
            (0o600, "swordfish\n", None),
        ] {
            s3.secret_key_file = dir.path().join(format!("{mode:o}-{}", text.len()));
            let mut file = fs::File::options();
            let mut file = file
                .write(true)
                .create(true)
                .mode(mode)
                .open(&s3.secret_key_file)
                .unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
            let secret = s3.secret().map_err(|why| why.to_string());
            match said {
                None => assert_eq!(secret.unwrap(), "swordfish"),
                Some(said) => assert!(secret.unwrap_err().contains(said)),
            }
        }
        s3.secret_key_file = dir.path().join("absent.key");
        assert!(
            s3.secret()
                .err()
                .map(|why| why.to_string())
                .unwrap()
                .contains("absent.key")
        );
    }
}
