//! What goes wrong, and when.

/// What goes wrong. Changes and reads are counted from 0, each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The change fails and is not done. A sync that fails so has lost what it was to make durable, for good: a later one
    /// that succeeds does not bring it back, as with Linux's page cache.
    Fails(u64),
    /// The change is done, durably if it is a sync, and said to have failed.
    FailsButDone(u64),
    /// Half of a write is done. A content file is told so, and may go on; SQLite is told that the disk is full.
    Short(u64),
    /// From this change on nothing grows any more.
    Full(u64),
    /// The read fails.
    ReadFails(u64),
    /// The power goes in the middle of the change; nothing answers afterwards.
    Cut(u64),
}

/// What becomes of what was not synced when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing of it is there.
    All,
    /// Some sectors are there and others not, in no order.
    Scattered(u64),
    /// What came first is there, up to the middle of some change.
    Torn(u64),
}

/// The kinds of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Octets of a file.
    Write,
    /// A file is made durable.
    Sync,
    /// A file's length.
    Size,
    /// Room given back.
    Punch,
    /// A new file.
    Create,
    /// A file removed.
    Remove,
    /// A folder's names are made durable.
    SyncDir,
}

/// One change, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its kind.
    pub kind: Kind,
    /// The file's (or folder's) name.
    pub name: String,
    /// Whether it writes zeros alone.
    pub zeros: bool,
}

/// How a change ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Fails,
    FailsButDone,
    Half,
    Full,
    Cut,
}

/// Numbers that look random and are the same for one seed (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }

    pub(crate) fn heads(&mut self) -> bool {
        self.roll() & 1 == 1
    }
}
