//! A backup becomes a store again: verified on the way, in an empty place, and held until the log is taken up.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::manifest::{FileSaved, Manifest, pieces, sync_dir};
use crate::options::{Contents, Database, Options};
use crate::{StoreError, schema, sqlite};

/// In the data directory while a restore is under way: which backup is being restored.
const MARK: &str = "restoring";

/// Brings the backup in `from` into the empty place that `options` name. A restore that was cut off is begun anew by the
/// next one from the same backup.
///
/// # Errors
/// [`StoreError::Exists`] when there is a store or content already; [`StoreError::Damaged`] names a file of the backup that
/// is not as it was saved; [`StoreError::Invalid`] for another post's or a later version's backup.
pub fn restore(from: &Path, options: &Options) -> Result<Manifest, StoreError> {
    let manifest = Manifest::read(from)?.ok_or_else(|| {
        let why = "there is no manifest.json, so it is no backup, or one that was not finished";
        StoreError::Invalid(format!("{}: {why}", from.display()))
    })?;
    fits(&manifest, options)?;
    let (dir, content) = (&options.dir, options.dir.join("content"));
    let making = |e| StoreError::io(format!("making {}", content.display()), e);
    fs::create_dir_all(&content).map_err(making)?;
    make_room(dir, &content, &manifest)?;
    for saved in &manifest.content {
        copy(from, &saved.file, &content.join(&saved.restore_as))?;
    }
    sync_dir(&content)?;
    let database = dir.join("knik.db.restoring");
    copy(from, &manifest.database, &database)?;
    sqlite::copy::hold_restored(&database)?;
    // From here on it is a store.
    fs::rename(&database, dir.join("knik.db"))
        .map_err(|e| StoreError::io(format!("renaming {}", database.display()), e))?;
    sync_dir(dir)?;
    remove(&dir.join(MARK))?;
    sync_dir(dir)?;
    Ok(manifest)
}

fn fits(manifest: &Manifest, options: &Options) -> Result<(), StoreError> {
    if !matches!(
        (&options.database, &options.contents),
        (Database::Sqlite, Contents::Segments)
    ) {
        let why = "a backup is restored into SQLite and segments; move it on with `knik store migrate` afterwards";
        return Err(StoreError::Invalid(why.into()));
    }
    if manifest.post.domain != options.domain {
        return Err(StoreError::Invalid(format!(
            "the backup is of {}, the configuration of {}",
            manifest.post.domain, options.domain
        )));
    }
    if manifest.schema > schema::newest() {
        return Err(StoreError::Invalid(format!(
            "the backup has schema {}; this version of knik knows schemas up to {}: use the newer knik",
            manifest.schema,
            schema::newest()
        )));
    }
    Ok(())
}

/// Refuses what is not empty; clears away what an earlier restore of this very backup left.
fn make_room(dir: &Path, content: &Path, manifest: &Manifest) -> Result<(), StoreError> {
    for name in ["knik.db", "knik.db-wal"] {
        if dir.join(name).exists() {
            let store = dir.join(name);
            return Err(StoreError::Exists(format!("a store ({})", store.display())));
        }
    }
    let mark = dir.join(MARK);
    let wanted = manifest.digest().to_string();
    let ours = fs::read_to_string(&mark).is_ok_and(|there| there == wanted);
    let failed = |e| StoreError::io(format!("reading {}", content.display()), e);
    for entry in fs::read_dir(content).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !ours {
            let what = format!("content without a store ({})", path.display());
            return Err(StoreError::Exists(what));
        }
        remove(&path)?;
    }
    remove(&dir.join("knik.db.restoring"))?;
    let mut file = File::create(&mark)
        .map_err(|e| StoreError::io(format!("writing {}", mark.display()), e))?;
    file.write_all(wanted.as_bytes())
        .map_err(|e| StoreError::io(format!("writing {}", mark.display()), e))?;
    file.sync_all().map_err(|_| StoreError::Failed)?;
    sync_dir(dir)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io(
            format!("removing {}", path.display()),
            error,
        )),
        _ => Ok(()),
    }
}

/// Copies a file and compares its digest with the saved one.
fn copy(from: &Path, saved: &FileSaved, to: &Path) -> Result<(), StoreError> {
    let writing = |e| StoreError::io(format!("writing {}", to.display()), e);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(writing)?;
    let source = from.join(&saved.name);
    let digest = pieces(&source, saved.size, &mut |octets| {
        file.write_all(octets).map_err(writing)
    })?;
    if digest.to_string() != saved.sha256 {
        let source = source.display();
        return Err(StoreError::damaged(format!(
            "{source} is not as it was saved"
        )));
    }
    file.sync_all().map_err(|_| StoreError::Failed)
}
