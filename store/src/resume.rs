//! The log taken up again by a store that was restored from an old backup, without a fork.
//!
//! Numbers that were signed for and that the store does not have are lost: their events are gone, but the log's public
//! entries still hold their leaves. The leaves are put where they belong, proved by the signed root; the tree then goes on
//! from what was signed. Events that the store made before anybody noticed stand under numbers that were given out with
//! other leaves: nothing of them was published, so they move behind. `store-restored` says which numbers are lost.

use mail::time::Timestamp;
use receipts::actor::Actor;
use receipts::checkpoint::Checkpoint;
use receipts::event::EventName;
use receipts::id::EvidenceId;
use receipts::leaf::LeafData;
use receipts::merkle::{Hash, RightEdge};
use receipts::monitor::LogSource;
use receipts::tiles::{TileKind, TilePath, WIDTH_MAX, read_entries};
use serde_json::json;

use crate::commit::Act;
use crate::held;
use crate::migrate::pages::{self, Value, Values};
use crate::migrate::tables::TABLES;
use crate::sql::{Param, Sql};
use crate::{Store, StoreError};

/// Numbers that one resumption puts in as lost, at most: half a gigabyte of leaves, and years of a country's post. More is
/// no backup but another store.
const LOST_MAX: u64 = 16_000_000;

/// Leaves read at a time.
const LEAVES_STEP: i64 = 10_000;

/// Added to every UIDVALIDITY: more mailboxes than anybody opens between a backup and its loss, so that no client takes a
/// new letter for a lost one (RFC 9051 §2.3.1.1); 32 bits hold some 250 such steps.
const UID_VALIDITY_STEP: i64 = 1 << 24;

/// What the log is taken up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// The `store-restored` event.
    pub evidence: EvidenceId,
    /// Events that the store has and that were signed for.
    pub kept: u64,
    /// The first and the last number whose event is lost.
    pub lost: Option<(u64, u64)>,
    /// Events that stood under such numbers and moved behind them.
    pub moved: u64,
}

/// Why the log cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// There is nothing to mend.
    #[error(
        "nothing is to be resumed: the store has every one of the {signed} events that were signed for"
    )]
    Nothing {
        /// Leaves under the newest checkpoint.
        signed: u64,
    },
    /// The store's first event is not the log's: another post's backup, or another log's key.
    #[error("this store and the log do not even begin alike: it is the backup of another post")]
    OtherLog,
    /// The lost leaves cannot be had here.
    #[error(
        "the entries {first} to {last} of the log are needed, which the store does not have: {why}"
    )]
    Leaves {
        /// The first entry that is needed.
        first: u64,
        /// The last.
        last: u64,
        /// What kept them.
        why: String,
    },
    /// Two checkpoints do not fit together, or the entries do not fit them.
    #[error("the entries do not lead to the root that was signed over {size} events")]
    Fork {
        /// Leaves under the checkpoint.
        size: u64,
    },
    /// More than can be believed.
    #[error("{lost} numbers would be lost; at most {LOST_MAX} can be")]
    TooMany {
        /// How many.
        lost: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What has to be done.
struct Plan {
    /// Numbers in the store now.
    have: u64,
    /// Of them, from the first on, those that are as they were signed.
    kept: u64,
    /// The leaves behind them that were signed for.
    lost: Vec<LeafData>,
    /// The newest checkpoint.
    signed: (u64, Hash),
}

impl Store {
    /// Takes the log up again. `signed` are all checkpoints known to be signed by the log's key, in any order; `source` has
    /// the log's entries. Nobody else may write meanwhile.
    ///
    /// # Errors
    /// [`ResumeError`]; nothing was changed then.
    pub fn resume(
        &self,
        by: Actor,
        signed: &[Checkpoint],
        source: &dyn LogSource,
    ) -> Result<Resumed, ResumeError> {
        let plan = self.plan(signed, source)?;
        if plan.lost.is_empty() && self.held()?.is_none() {
            return Err(ResumeError::Nothing {
                signed: plan.signed.0,
            });
        }
        let resumed = self.act_though_held(move |act| act.resume(&by, &plan));
        Ok(resumed.wait()?)
    }

    fn plan(&self, signed: &[Checkpoint], source: &dyn LogSource) -> Result<Plan, ResumeError> {
        let mut signed: Vec<(u64, Hash)> = signed
            .iter()
            .map(|checkpoint| (checkpoint.size, checkpoint.root))
            .collect();
        signed.sort_by_key(|(size, _)| *size);
        let newest = signed
            .last()
            .copied()
            .unwrap_or((0, RightEdge::new().root()));
        let have = self.evidence_count()?;
        // Nearly always the store is whole as far as it goes, and only what is behind it has to be read from outside.
        let behind = self.beginning(have.min(newest.0)).and_then(|edge| {
            let lost = entries(source, edge.size(), newest.0)?;
            Ok((edge.size(), lost))
        });
        let own = match behind {
            Ok((kept, lost)) => self
                .check(kept, &lost, &signed)
                .is_ok()
                .then_some((kept, lost)),
            Err(error) if have <= newest.0 => return Err(error),
            Err(_) => None,
        };
        let (kept, lost) = match own {
            Some(found) => found,
            None => self.compared(source, newest.0)?,
        };
        self.check(kept, &lost, &signed)?;
        if kept == 0 && newest.0 > 0 {
            return Err(ResumeError::OtherLog);
        }
        Ok(Plan {
            have,
            kept: if lost.is_empty() { have } else { kept },
            lost,
            signed: newest,
        })
    }

    /// The tree over the first `size` numbers.
    fn beginning(&self, size: u64) -> Result<RightEdge, ResumeError> {
        let mut edge = RightEdge::new();
        while edge.size() < size {
            let leaves = self.read(|sql| {
                let count = LEAVES_STEP.min((size - edge.size()) as i64);
                leaves_after(sql, edge.size() as i64, count)
            })?;
            if leaves.is_empty() {
                return Err(StoreError::damaged("the order of evidence has a gap").into());
            }
            for leaf in leaves {
                push(&mut edge, &leaf)?;
            }
        }
        Ok(edge)
    }

    /// How far the store's leaves are the log's, and the log's leaves from there on.
    fn compared(
        &self,
        source: &dyn LogSource,
        size: u64,
    ) -> Result<(u64, Vec<LeafData>), ResumeError> {
        let mut same = 0;
        loop {
            let own = self.read(|sql| leaves_after(sql, same as i64, LEAVES_STEP))?;
            let upto = size.min(same + own.len() as u64);
            let theirs = entries(source, same, upto)?;
            let alike = own.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            same += alike as u64;
            if alike < theirs.len() || theirs.is_empty() {
                return Ok((same, entries(source, same, size)?));
            }
        }
    }

    /// The store's first leaves with the lost ones behind them have every root that was signed.
    fn check(
        &self,
        kept: u64,
        lost: &[LeafData],
        signed: &[(u64, Hash)],
    ) -> Result<(), ResumeError> {
        let holds = |edge: &RightEdge| {
            let here = signed.iter().filter(|(size, _)| *size == edge.size());
            here.clone()
                .find(|(_, root)| *root != edge.root())
                .map_or(Ok(()), |(size, _)| Err(ResumeError::Fork { size: *size }))
        };
        let mut edge = RightEdge::new();
        for (size, _) in signed.iter().filter(|(size, _)| *size <= kept) {
            edge = self.beginning(*size)?;
            holds(&edge)?;
        }
        if edge.size() < kept {
            edge = self.beginning(kept)?;
        }
        for leaf in lost {
            push(&mut edge, leaf)?;
            holds(&edge)?;
        }
        match signed.last() {
            Some((size, _)) if *size > edge.size() => Err(ResumeError::Fork { size: *size }),
            _ => Ok(()),
        }
    }
}

fn push(edge: &mut RightEdge, leaf: &LeafData) -> Result<(), ResumeError> {
    let pushed = edge.push(leaf.merkle_leaf_hash());
    pushed.map_err(|e| StoreError::damaged(e.to_string()).into())
}

/// The log's entries from `from` up to `size`, counted from 0, as the source has them.
fn entries(source: &dyn LogSource, from: u64, size: u64) -> Result<Vec<LeafData>, ResumeError> {
    let mut leaves = Vec::new();
    if size.saturating_sub(from) > LOST_MAX {
        return Err(ResumeError::TooMany { lost: size - from });
    }
    let mut next = from;
    while next < size {
        let failed = |why: String| ResumeError::Leaves {
            first: from + 1,
            last: size,
            why,
        };
        let index = next / u64::from(WIDTH_MAX);
        let first = index * u64::from(WIDTH_MAX);
        // Invariant: at most 256.
        let width = (size - first).min(u64::from(WIDTH_MAX)) as u16;
        let bundle = bundle(source, index, width).map_err(failed)?;
        let wanted = bundle.iter().skip((next - first) as usize);
        for leaf in wanted.take((u64::from(width) + first - next) as usize) {
            leaves.push(*leaf);
            next += 1;
        }
    }
    Ok(leaves)
}

/// The entries of one bundle, at least `width` of them.
fn bundle(source: &dyn LogSource, index: u64, width: u16) -> Result<Vec<LeafData>, String> {
    for width in [width, WIDTH_MAX] {
        let path = TilePath {
            kind: TileKind::Entries,
            index,
            width,
        };
        let Some(octets) = source.file(path).map_err(|e| format!("{path}: {e}"))? else {
            continue;
        };
        let entries = read_entries(&octets, width).ok_or_else(|| format!("{path} is damaged"))?;
        let leaves = entries.iter().map(|entry| {
            let octets: [u8; 32] = (*entry).try_into().ok()?;
            Some(LeafData::from_bytes(octets))
        });
        let leaves: Option<Vec<LeafData>> = leaves.collect();
        return leaves.ok_or_else(|| format!("{path} has entries of another kind"));
    }
    Err(format!("there is no bundle {index} with {width} entries"))
}

impl Act<'_> {
    fn resume(&mut self, by: &Actor, plan: &Plan) -> Result<Resumed, StoreError> {
        if self.minter.ordinal() != plan.have {
            let why = "the store was written to meanwhile: stop everything that uses it";
            return Err(StoreError::Invalid(why.into()));
        }
        let count = plan.lost.len() as u64;
        let moved = if count == 0 { 0 } else { plan.have - plan.kept };
        // From the last on, so that no two ever have the same number.
        for ordinal in (plan.kept + 1..=plan.kept + moved).rev() {
            self.renumber(ordinal, ordinal + count)?;
        }
        let lost = TABLES.iter().find(|table| table.name == "lost");
        let lost = lost.ok_or_else(|| StoreError::Invalid("no table of what is lost".into()))?;
        let rows: Vec<Values> = (plan.kept as i64 + 1..)
            .zip(&plan.lost)
            .map(|(ordinal, leaf)| vec![Value::Int(ordinal), Value::Blob(leaf.as_bytes().to_vec())])
            .collect();
        pages::insert(self.sql, lost, &rows)?;
        self.minter.go_on_after(plan.have + count);
        self.renew_uid_validity()?;
        let range = (count > 0).then_some((plan.kept + 1, plan.kept + count));
        let (size, root) = plan.signed;
        let minted = self.store_event(
            by,
            EventName::StoreRestored,
            json!({
                "kept": plan.kept,
                "lost": range.map(|(first, last)| json!({ "first": first, "last": last })),
                "moved": (moved > 0).then_some(moved),
                "checkpoint": { "size": size, "root": root.to_string() },
            }),
        )?;
        held::write(self.sql, None)?;
        self.revise()?;
        Ok(Resumed {
            evidence: minted.id,
            kept: plan.kept,
            lost: range,
            moved,
        })
    }

    /// An event that was never published takes another number; what speaks of it by its number follows.
    fn renumber(&mut self, from: u64, to: u64) -> Result<(), StoreError> {
        let numbers = [(to as i64).into(), (from as i64).into()];
        for statement in [
            "UPDATE evidence SET ordinal = $1 WHERE ordinal = $2",
            "UPDATE task SET evidence = $1 WHERE evidence = $2",
        ] {
            self.sql.run(statement, &numbers)?;
        }
        Ok(())
    }

    /// Letters that were lost had UIDs, and clients remember them: every mailbox gets a UIDVALIDITY that none ever had.
    fn renew_uid_validity(&mut self) -> Result<(), StoreError> {
        let last = self
            .sql
            .integer("SELECT value FROM setting WHERE name = 'uid_validity'", &[])?;
        let highest = self.sql.integer("SELECT MAX(id) FROM mailbox", &[])?;
        let base = last + UID_VALIDITY_STEP;
        if u32::try_from(base + highest).is_err() {
            let why = "no UIDVALIDITY is left: 32 bits are used up";
            return Err(StoreError::Invalid(why.into()));
        }
        self.sql
            .run("UPDATE mailbox SET uid_validity = $1 + id", &[base.into()])?;
        self.sql.run(
            "UPDATE setting SET value = $1 WHERE name = 'uid_validity'",
            &[(base + highest).into()],
        )?;
        Ok(())
    }
}

/// The leaves behind number `from`, lost ones among them, in order.
pub(crate) fn leaves_after(
    sql: &mut dyn Sql,
    from: i64,
    count: i64,
) -> Result<Vec<LeafData>, StoreError> {
    sql.all(
        "SELECT ordinal, leaf FROM evidence WHERE ordinal > $1 \
         UNION ALL SELECT ordinal, leaf FROM lost WHERE ordinal > $1 ORDER BY 1 LIMIT $2",
        &[Param::Int(from), Param::Int(count)],
        |row| Ok(LeafData::from_bytes(row.array(1)?)),
    )
}

/// Marks a store as restored: it takes nothing until [`Store::resume`].
///
/// # Errors
/// The store's.
pub fn mark_restored(store: &Store) -> Result<(), StoreError> {
    store
        .act_though_held(|act| held::write(act.sql, Some(held::Held::Restored)))
        .wait()
}

/// The time of the newest event of a store, by its id: what a restored copy is as old as.
///
/// # Errors
/// The store's.
pub fn newest_event(store: &Store) -> Result<Option<Timestamp>, StoreError> {
    let last = store.read(|sql| {
        sql.first(
            "SELECT id FROM evidence ORDER BY ordinal DESC LIMIT 1",
            &[],
            |row| row.array(0),
        )
    })?;
    Ok(last.map(|id| Timestamp::from_millis(EvidenceId::from_bytes(id).millis() as i64)))
}
