//! SQLite's locks between connections: on the database file, and on the index of its write-ahead log.

use std::collections::HashMap;

/// Who holds a lock: one open file of one connection.
pub(crate) type Holder = u64;

/// The levels of a lock on the database file, as SQLite numbers them.
const NONE: i32 = 0;
const SHARED: i32 = 1;
const RESERVED: i32 = 2;
const PENDING: i32 = 3;

/// The slots of a write-ahead log's index that can be locked.
const SLOTS: usize = 8;

/// The locks of one file.
#[derive(Default)]
pub(crate) struct Locks {
    levels: HashMap<Holder, i32>,
    slots: [Slot; SLOTS],
    /// Pieces of the write-ahead log's index, kept as the address that SQLite was given.
    pub(crate) index: Vec<usize>,
    /// What has to be given back for each of them.
    pub(crate) index_owners: Vec<usize>,
    /// Who uses the index.
    pub(crate) index_users: Vec<Holder>,
}

#[derive(Default)]
struct Slot {
    shared: Vec<Holder>,
    exclusive: Option<Holder>,
}

impl Locks {
    fn highest_other(&self, holder: Holder) -> i32 {
        let others = self.levels.iter().filter(|(other, _)| **other != holder);
        others.map(|(_, level)| *level).max().unwrap_or(NONE)
    }

    /// Whether the lock was had.
    pub(crate) fn lock(&mut self, holder: Holder, level: i32) -> bool {
        let own = self.levels.get(&holder).copied().unwrap_or(NONE);
        if own >= level {
            return true;
        }
        let other = self.highest_other(holder);
        let had = match level {
            SHARED => other < PENDING,
            RESERVED => other < RESERVED,
            _ if other >= RESERVED => false,
            _ => {
                // Whoever waits for readers to go lets no new ones in.
                self.levels.insert(holder, PENDING);
                other < SHARED
            }
        };
        if had {
            self.levels.insert(holder, level);
        }
        had
    }

    pub(crate) fn unlock(&mut self, holder: Holder, level: i32) {
        let own = self.levels.get(&holder).copied().unwrap_or(NONE);
        if level == NONE {
            self.levels.remove(&holder);
        } else if own > level {
            self.levels.insert(holder, level);
        }
    }

    pub(crate) fn is_reserved(&self) -> bool {
        self.levels.values().any(|level| *level >= RESERVED)
    }

    /// Whether the slots of the index were had.
    pub(crate) fn lock_slots(
        &mut self,
        holder: Holder,
        from: usize,
        count: usize,
        exclusive: bool,
    ) -> bool {
        let slots = &mut self.slots[from..from + count];
        let free = |slot: &Slot| {
            let alone = slot.shared.iter().all(|other| *other == holder);
            slot.exclusive.is_none_or(|other| other == holder) && (alone || !exclusive)
        };
        if !slots.iter().all(free) {
            return false;
        }
        for slot in slots {
            if exclusive {
                slot.exclusive = Some(holder);
            } else if !slot.shared.contains(&holder) {
                slot.shared.push(holder);
            }
        }
        true
    }

    pub(crate) fn unlock_slots(
        &mut self,
        holder: Holder,
        from: usize,
        count: usize,
        exclusive: bool,
    ) {
        for slot in &mut self.slots[from..from + count] {
            if !exclusive {
                slot.shared.retain(|other| *other != holder);
            } else if slot.exclusive == Some(holder) {
                slot.exclusive = None;
            }
        }
    }

    /// The connection is gone, whatever it held.
    pub(crate) fn release(&mut self, holder: Holder) {
        self.levels.remove(&holder);
        self.unlock_slots(holder, 0, SLOTS, true);
        self.unlock_slots(holder, 0, SLOTS, false);
    }
}
