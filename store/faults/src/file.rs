//! One file, as programs see it and as it is durable.

use crate::plan::Dice;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A change that is seen and not durable yet.
#[derive(Clone)]
pub(crate) struct Pending {
    /// Its place among all changes of the disk.
    pub(crate) order: u64,
    what: What,
}

#[derive(Clone)]
enum What {
    Write { offset: usize, octets: Vec<u8> },
    Size(usize),
}

/// One file.
#[derive(Clone, Default)]
pub(crate) struct Image {
    pub(crate) seen: Vec<u8>,
    durable: Vec<u8>,
    pub(crate) pending: Vec<Pending>,
}

fn put(image: &mut Vec<u8>, offset: usize, octets: &[u8]) {
    let end = offset + octets.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(octets);
}

impl Image {
    pub(crate) fn write(&mut self, order: u64, offset: usize, octets: &[u8]) {
        put(&mut self.seen, offset, octets);
        let octets = octets.to_vec();
        let what = What::Write { offset, octets };
        self.pending.push(Pending { order, what });
    }

    pub(crate) fn resize(&mut self, order: u64, size: usize) {
        self.seen.resize(size, 0);
        let what = What::Size(size);
        self.pending.push(Pending { order, what });
    }

    /// A sync that succeeds.
    pub(crate) fn settle(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            pending.apply(&mut self.durable);
        }
    }

    /// A sync that fails: what was to become durable never will.
    pub(crate) fn forget(&mut self) {
        self.pending.clear();
    }

    /// The file after a power cut: the pending changes that `survive`.
    pub(crate) fn after_cut(&self, mut survive: impl FnMut(&Pending) -> Survival) -> Self {
        let mut durable = self.durable.clone();
        for pending in &self.pending {
            match survive(pending) {
                Survival::Whole => pending.apply(&mut durable),
                Survival::Lost => {}
                Survival::First(sectors) => pending.apply_some(&mut durable, |at| at < sectors),
                Survival::Some(mut dice) => pending.apply_some(&mut durable, |_| dice.heads()),
            }
        }
        Self {
            seen: durable.clone(),
            durable,
            pending: Vec::new(),
        }
    }

    /// The file when the process ended and the operating system did not.
    pub(crate) fn after_kill(&self) -> Self {
        self.clone()
    }

    /// Changes a stored octet, as a bad disk does: both images, behind everybody's back.
    pub(crate) fn flip(&mut self, offset: usize, mask: u8) {
        for image in [&mut self.seen, &mut self.durable] {
            if let Some(octet) = image.get_mut(offset) {
                *octet ^= mask;
            }
        }
    }
}

/// What a power cut leaves of a pending change.
pub(crate) enum Survival {
    Whole,
    Lost,
    First(usize),
    Some(Dice),
}

impl Pending {
    pub(crate) fn sectors(&self) -> usize {
        match &self.what {
            What::Write { octets, .. } => octets.len().div_ceil(SECTOR_BYTES),
            What::Size(_) => 1,
        }
    }

    fn apply(&self, durable: &mut Vec<u8>) {
        match &self.what {
            What::Write { offset, octets } => put(durable, *offset, octets),
            What::Size(size) => durable.resize(*size, 0),
        }
    }

    /// Applies the sectors of a write that `there` picks, counted from its beginning.
    fn apply_some(&self, durable: &mut Vec<u8>, mut there: impl FnMut(usize) -> bool) {
        match &self.what {
            What::Size(_) if there(0) => self.apply(durable),
            What::Size(_) => {}
            What::Write { offset, octets } => {
                // Sectors are the disk's, not the write's: the first piece ends at the next boundary.
                let first = SECTOR_BYTES - offset % SECTOR_BYTES;
                let (head, rest) = octets.split_at(first.min(octets.len()));
                let mut at = *offset;
                for (number, piece) in std::iter::once(head)
                    .chain(rest.chunks(SECTOR_BYTES))
                    .enumerate()
                {
                    if there(number) {
                        put(durable, at, piece);
                    }
                    at += piece.len();
                }
            }
        }
    }
}
