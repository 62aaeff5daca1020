//! A post on a simulated disk: opened, ended in every way, and opened again on what is left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use faults::{Loss, Mounted, Simulated};
use store::log::Log;
use store::reserve::RESERVE_BYTES;
use store::{Options, Store, StoreError};

use super::scenario::{People, Step};
use crate::log::Signer;
use crate::pairing::copy_dir;
use crate::post::DOMAIN;

/// So few pages that a day copies the write-ahead log back several times.
const CHECKPOINT_PAGES: i64 = 40;

/// One machine: its simulated disk, and a folder of a real one for the log's files and the signer, which never fail here.
pub struct Machine {
    pub disk: Simulated,
    pub signer: Signer,
    root: PathBuf,
    starts: u32,
    mounted: Mounted,
    _scratch: tempfile::TempDir,
}

/// How the process or the machine ended.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// The process is killed.
    Killed,
    /// The process ends by itself, closing what it has open.
    Left,
    /// The power goes.
    Cut(Loss),
}

impl Machine {
    /// A machine whose disk is as `image`, which lies under `/image`.
    pub fn new(image: &Simulated) -> Self {
        let memory = Path::new("/dev/shm");
        let scratch = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        let scratch = scratch.unwrap();
        let root = scratch.path().join("0");
        fs::create_dir(&root).unwrap();
        // A reserve that is there already is not written again.
        let reserve = File::create(root.join("reserve")).unwrap();
        reserve.set_len(RESERVE_BYTES).unwrap();
        let disk = image.killed().moved(Path::new("/image"), &root);
        Self {
            mounted: disk.mount(&root),
            signer: Signer::new(),
            disk,
            root,
            starts: 0,
            _scratch: scratch,
        }
    }

    /// Another machine with the same disk, published log and signer.
    pub fn twin(&self) -> Self {
        let twin = Self::new(&self.image());
        copy_dir(&self.root.join("log"), &twin.root.join("log"));
        twin
    }

    /// A file's path from the root.
    pub fn under(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap().to_owned()
    }

    /// A path from the root, here.
    pub fn here(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    pub fn open(&self) -> Result<Store, StoreError> {
        let mut options = Options::embedded(&self.root, "mx.post.test", DOMAIN);
        options.ground = self.mounted.ground(CHECKPOINT_PAGES);
        Store::open(options)
    }

    /// Ends the process, and starts the machine with what is left. What the old process still does reaches nothing.
    pub fn end(&mut self, store: Option<Store>, how: End) {
        let left = match how {
            End::Killed => self.disk.killed(),
            End::Cut(loss) => self.disk.cut(loss),
            End::Left => {
                store.iter().for_each(Store::close);
                drop(store.clone());
                self.disk.killed()
            }
        };
        self.starts += 1;
        let root = self.root.with_file_name(self.starts.to_string());
        self.disk = left.moved(&self.root, &root);
        self.mounted = self.disk.mount(&root);
        fs::rename(&self.root, &root).unwrap();
        self.root = root;
        if let Some(store) = store {
            store.close();
        }
    }

    /// The disk as it is, to make other machines of.
    pub fn image(&self) -> Simulated {
        self.disk.killed().moved(&self.root, Path::new("/image"))
    }

    /// Does one step of the day.
    pub fn act(
        &mut self,
        store: &mut Option<Store>,
        people: &People,
        step: Step,
    ) -> Result<(), StoreError> {
        if matches!(step, Step::Restart) {
            if let Some(store) = store.take() {
                store.close();
            }
            *store = Some(self.open()?);
        }
        let Some(store) = store.as_ref() else {
            return Err(StoreError::Failed);
        };
        match step {
            Step::Publish => match Log::open(store).advance(&mut self.signer) {
                Ok(_) => Ok(()),
                Err(store::log::LogError::Store(error)) => Err(error),
                Err(other) => panic!("the log: {other}"),
            },
            _ => people.act(store, step),
        }
    }
}
