//! The simulated disk: names, files, and the fault that is set.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::file::{Image, Pending, Survival};
use crate::locks::Locks;
use crate::plan::{Change, Dice, Fault, Kind, Loss, Verdict};

/// A disk in memory. Clones are one disk.
#[derive(Clone, Default)]
pub struct Simulated(Arc<Mutex<State>>);

/// A file's own number, whatever its name.
pub(crate) type Inode = u64;

#[derive(Default)]
pub(crate) struct State {
    names: BTreeMap<PathBuf, Inode>,
    names_durable: BTreeMap<PathBuf, Inode>,
    names_pending: Vec<(u64, PathBuf, Option<Inode>)>,
    files: HashMap<Inode, Image>,
    pub(crate) locks: HashMap<Inode, Locks>,
    made: Inode,
    order: u64,
    trial: Trial,
}

/// What is tried out now, and how far it is.
#[derive(Default)]
struct Trial {
    fault: Option<Fault>,
    changes: Vec<Change>,
    reads: u64,
    hit: Option<Change>,
    dead: bool,
}

impl Trial {
    fn verdict(&mut self, change: Change, grows: bool) -> io::Result<Verdict> {
        if self.dead {
            return Err(io::Error::other("no power"));
        }
        let number = self.changes.len() as u64;
        self.changes.push(change.clone());
        let verdict = match self.fault {
            Some(Fault::Fails(at)) if at == number => Verdict::Fails,
            Some(Fault::FailsButDone(at)) if at == number => Verdict::FailsButDone,
            Some(Fault::Short(at)) if at == number && change.kind == Kind::Write => Verdict::Half,
            Some(Fault::Full(from)) if from <= number && grows => Verdict::Full,
            Some(Fault::Cut(at)) if at == number => Verdict::Cut,
            _ => return Ok(Verdict::Done),
        };
        self.hit.get_or_insert(change);
        self.dead = verdict == Verdict::Cut;
        Ok(verdict)
    }

    fn may_read(&mut self, name: &str) -> io::Result<()> {
        let number = self.reads;
        self.reads += 1;
        if self.fault == Some(Fault::ReadFails(number)) {
            self.hit = Some(Change {
                kind: Kind::Write,
                name: name.to_owned(),
                zeros: false,
            });
            return Err(broken());
        }
        if self.dead {
            return Err(broken());
        }
        Ok(())
    }
}

fn broken() -> io::Error {
    io::Error::other("the simulated disk fails here")
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

impl Simulated {
    /// Sets the fault (`None`: the disk is well) and counts from 0 again.
    pub fn plan(&self, fault: Option<Fault>) {
        self.state().trial = Trial {
            fault,
            ..Trial::default()
        };
    }

    /// The disk is well again; counting goes on.
    pub fn heal(&self) {
        self.state().trial.fault = None;
    }

    /// The changes since [`plan`](Self::plan), in order.
    pub fn changes(&self) -> Vec<Change> {
        self.state().trial.changes.clone()
    }

    /// How many reads there were since [`plan`](Self::plan).
    pub fn reads(&self) -> u64 {
        self.state().trial.reads
    }

    /// The change that the fault first met; for a read, the file's name.
    pub fn hit(&self) -> Option<Change> {
        self.state().trial.hit.clone()
    }

    /// The disk as another process finds it when this one was killed.
    pub fn killed(&self) -> Self {
        let state = self.state();
        let next = State {
            names: state.names.clone(),
            names_durable: state.names_durable.clone(),
            names_pending: state.names_pending.clone(),
            files: state
                .files
                .iter()
                .map(|(n, f)| (*n, f.after_kill()))
                .collect(),
            made: state.made,
            order: state.order,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(next)))
    }

    /// The disk after a power cut now.
    pub fn cut(&self, loss: Loss) -> Self {
        let state = self.state();
        let mut judge = Judge::new(loss, &state);
        let mut names = state.names_durable.clone();
        for (order, path, inode) in &state.names_pending {
            if judge.keeps_name(*order) {
                rename(&mut names, path, *inode);
            }
        }
        let mut files = HashMap::new();
        for inode in names.values() {
            if let Some(image) = state.files.get(inode) {
                files.insert(*inode, image.after_cut(|pending| judge.judge(pending)));
            }
        }
        let next = State {
            names_durable: names.clone(),
            names,
            files,
            made: state.made,
            order: state.order,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(next)))
    }

    /// The disk with everything under `from` under `to` instead.
    pub fn moved(self, from: &Path, to: &Path) -> Self {
        let moved = |path: &Path| match path.strip_prefix(from) {
            Ok(rest) => to.join(rest),
            Err(_) => path.to_owned(),
        };
        let mut state = self.state();
        let all = |names: &BTreeMap<PathBuf, Inode>| {
            names
                .iter()
                .map(|(path, inode)| (moved(path), *inode))
                .collect()
        };
        state.names = all(&state.names);
        state.names_durable = all(&state.names_durable);
        for (_, path, _) in &mut state.names_pending {
            *path = moved(path);
        }
        drop(state);
        self
    }

    /// All files with their lengths.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state();
        let size = |inode| {
            state
                .files
                .get(inode)
                .map_or(0, |file| file.seen.len() as u64)
        };
        let named = state.names.iter();
        named
            .map(|(path, inode)| (path.clone(), size(inode)))
            .collect()
    }

    /// Changes a stored octet of a file behind everybody's back.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) {
        let mut state = self.state();
        if let Some(inode) = state.names.get(path).copied()
            && let Some(file) = state.files.get_mut(&inode)
        {
            file.flip(offset as usize, mask);
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rename(names: &mut BTreeMap<PathBuf, Inode>, path: &Path, inode: Option<Inode>) {
    match inode {
        Some(inode) => names.insert(path.to_owned(), inode),
        None => names.remove(path),
    };
}

/// Decides what survives a power cut.
enum Judge {
    Nothing,
    Some(Dice),
    Until { order: u64, dice: Dice },
}

impl Judge {
    fn new(loss: Loss, state: &State) -> Self {
        match loss {
            Loss::All => Self::Nothing,
            Loss::Scattered(seed) => Self::Some(Dice(seed)),
            Loss::Torn(seed) => {
                let files = state.files.values().flat_map(|file| &file.pending);
                let mut orders: Vec<u64> = files.map(|pending| pending.order).collect();
                orders.extend(state.names_pending.iter().map(|(order, ..)| *order));
                orders.sort_unstable();
                let mut dice = Dice(seed);
                let last = dice.below(orders.len() as u64) as usize;
                let order = orders.get(last).copied().unwrap_or(0);
                Self::Until { order, dice }
            }
        }
    }

    fn keeps_name(&mut self, order: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Some(dice) => dice.heads(),
            Self::Until { order: last, .. } => order <= *last,
        }
    }

    fn judge(&mut self, pending: &Pending) -> Survival {
        match self {
            Self::Nothing => Survival::Lost,
            Self::Some(dice) => Survival::Some(Dice(dice.roll())),
            Self::Until { order, .. } if pending.order < *order => Survival::Whole,
            Self::Until { order, dice } if pending.order == *order => {
                Survival::First(dice.below(pending.sectors() as u64 + 1) as usize)
            }
            Self::Until { .. } => Survival::Lost,
        }
    }
}

impl State {
    pub(crate) fn find(&self, path: &Path) -> Option<Inode> {
        self.names.get(path).copied()
    }

    pub(crate) fn list(&self, dir: &Path) -> Vec<PathBuf> {
        let inside = self.names.keys().filter(|path| path.parent() == Some(dir));
        inside.cloned().collect()
    }

    fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    fn decide(&mut self, kind: Kind, path: &Path, grows: bool) -> io::Result<Verdict> {
        let name = name_of(path);
        let zeros = false;
        self.trial.verdict(Change { kind, name, zeros }, grows)
    }

    pub(crate) fn create(&mut self, path: &Path) -> io::Result<Inode> {
        let verdict = self.decide(Kind::Create, path, true)?;
        match verdict {
            Verdict::Fails => return Err(broken()),
            Verdict::Full => return Err(full()),
            _ => {}
        }
        self.made += 1;
        let inode = self.made;
        let order = self.next_order();
        self.files.insert(inode, Image::default());
        self.names.insert(path.to_owned(), inode);
        self.names_pending
            .push((order, path.to_owned(), Some(inode)));
        ended(verdict).map(|()| inode)
    }

    /// A file without a name, which nobody counts.
    pub(crate) fn create_nameless(&mut self) -> Inode {
        self.made += 1;
        self.files.insert(self.made, Image::default());
        self.made
    }

    pub(crate) fn remove(&mut self, path: &Path) -> io::Result<()> {
        if !self.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let verdict = self.decide(Kind::Remove, path, false)?;
        if verdict != Verdict::Fails {
            let order = self.next_order();
            self.names.remove(path);
            self.names_pending.push((order, path.to_owned(), None));
        }
        ended(verdict)
    }

    pub(crate) fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        let verdict = self.decide(Kind::SyncDir, dir, false)?;
        let is_here = |path: &Path| path.parent() == Some(dir);
        if matches!(verdict, Verdict::Done | Verdict::FailsButDone) {
            for (_, path, inode) in self
                .names_pending
                .iter()
                .filter(|(_, path, _)| is_here(path))
            {
                rename(&mut self.names_durable, path, *inode);
            }
            self.names_pending.retain(|(_, path, _)| !is_here(path));
        }
        ended(verdict)
    }

    /// How many octets were written, or why not all.
    pub(crate) fn write(
        &mut self,
        inode: Inode,
        path: &Path,
        offset: u64,
        octets: &[u8],
    ) -> io::Result<usize> {
        let offset = offset as usize;
        let size = self.files.get(&inode).map_or(0, |file| file.seen.len());
        let change = Change {
            kind: Kind::Write,
            name: name_of(path),
            zeros: octets.iter().all(|octet| *octet == 0),
        };
        let verdict = self.trial.verdict(change, offset + octets.len() > size)?;
        let some = match verdict {
            Verdict::Fails => return Err(broken()),
            Verdict::Full => return Err(full()),
            Verdict::Half => &octets[..octets.len() / 2],
            _ => octets,
        };
        let order = self.next_order();
        if let Some(file) = self.files.get_mut(&inode) {
            file.write(order, offset, some);
        }
        ended(verdict).map(|()| some.len())
    }

    pub(crate) fn resize(&mut self, inode: Inode, path: &Path, size: u64) -> io::Result<()> {
        let verdict = self.decide(Kind::Size, path, false)?;
        if verdict != Verdict::Fails {
            let order = self.next_order();
            if let Some(file) = self.files.get_mut(&inode) {
                file.resize(order, size as usize);
            }
        }
        ended(verdict)
    }

    /// A hole is written as zeros: nobody can tell it from one.
    pub(crate) fn punch(
        &mut self,
        inode: Inode,
        path: &Path,
        offset: u64,
        len: u64,
    ) -> io::Result<()> {
        let verdict = self.decide(Kind::Punch, path, false)?;
        let order = self.next_order();
        if verdict != Verdict::Fails
            && let Some(file) = self.files.get_mut(&inode)
        {
            let end = file.seen.len().min((offset + len) as usize);
            let zeros = vec![0; end.saturating_sub(offset as usize)];
            file.write(order, offset as usize, &zeros);
        }
        ended(verdict)
    }

    pub(crate) fn sync(&mut self, inode: Inode, path: &Path) -> io::Result<()> {
        let verdict = self.decide(Kind::Sync, path, false)?;
        if let Some(file) = self.files.get_mut(&inode) {
            match verdict {
                Verdict::Cut => {}
                Verdict::Fails => file.forget(),
                _ => file.settle(),
            }
        }
        ended(verdict)
    }

    /// How many octets there were.
    pub(crate) fn read(
        &mut self,
        inode: Inode,
        path: &Path,
        offset: u64,
        octets: &mut [u8],
    ) -> io::Result<usize> {
        self.trial.may_read(&name_of(path))?;
        let seen = self.files.get(&inode).map_or(&[][..], |file| &file.seen);
        let there = seen.get(offset as usize..).unwrap_or_default();
        let count = there.len().min(octets.len());
        octets[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }

    pub(crate) fn size(&self, inode: Inode) -> io::Result<u64> {
        if self.trial.dead {
            return Err(broken());
        }
        Ok(self
            .files
            .get(&inode)
            .map_or(0, |file| file.seen.len() as u64))
    }
}

/// What the caller is told of a change that was done, in part or not.
fn ended(verdict: Verdict) -> io::Result<()> {
    match verdict {
        Verdict::Done | Verdict::Half | Verdict::Full => Ok(()),
        Verdict::Fails | Verdict::FailsButDone | Verdict::Cut => Err(broken()),
    }
}
