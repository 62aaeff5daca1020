//! The octets on the disk, after the act. Doing it twice does no harm, so a crash anywhere is made good by doing it again.

use super::{COLUMNS, from_row};
use crate::commit::Act;
use crate::content::Place;
use crate::sql::Param;
use crate::{Store, StoreError};

/// What came of destroying what was due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Destroyed {
    /// Acts of which nothing is left on the disk now.
    pub done: u64,
    /// Acts that are still due: something was in the way, and it is to be tried again.
    pub due: u64,
}

impl Store {
    /// How many acts of erasure have not been carried through to the disk.
    pub fn erasures_due(&self) -> Result<u64, StoreError> {
        let count = "SELECT COUNT(*) FROM erasure WHERE done IS NULL";
        self.read(|sql| Ok(sql.integer(count, &[])? as u64))
    }

    /// Destroys the octets that acts of erasure left, at most `limit` acts at a time: content where it lies, and what the
    /// engine has kept of rows that were overwritten. Then marks them done.
    ///
    /// # Errors
    /// The first thing that could not be destroyed; the others were. [`StoreError::Failed`] when that was a sync: the store has
    /// stopped.
    pub fn destroy_due(&self, limit: u32) -> Result<Destroyed, StoreError> {
        let destroyed = self.destroy(limit);
        if let Err(failure @ StoreError::Failed) = &destroyed {
            self.stop(failure);
        }
        destroyed
    }

    fn destroy(&self, limit: u32) -> Result<Destroyed, StoreError> {
        let due = self.read(|sql| {
            sql.all(
                &format!("SELECT {COLUMNS} FROM erasure WHERE done IS NULL ORDER BY id LIMIT $1"),
                &[limit.into()],
                from_row,
            )
        })?;
        if due.is_empty() {
            self.destroy_strays(limit)?;
            return Ok(Destroyed::default());
        }
        let mut first = None;
        let mut gone = Vec::with_capacity(due.len());
        for one in &due {
            let erased = one.content.map_or(Ok(()), |(place, size)| {
                self.cache().forget(place);
                self.content().erase(place, size)
            });
            match erased {
                Ok(()) => gone.push(one.id),
                Err(error) => first = first.or(Some(error)),
            }
        }
        if !self.scrub()? {
            gone.clear();
        }
        let done = gone.len() as u64;
        if done > 0 {
            self.act(move |act| {
                let now = act.minter.now().as_millis();
                for id in &gone {
                    act.sql.run(
                        "UPDATE erasure SET done = $2 WHERE id = $1",
                        &[(*id).into(), Param::Int(now)],
                    )?;
                }
                Ok(())
            })
            .wait()?;
        }
        self.destroy_strays(limit)?;
        first.map_or(
            Ok(Destroyed {
                done,
                due: self.erasures_due()?,
            }),
            Err,
        )
    }

    /// A letter that nobody refers to would outlive the erasure of its like.
    fn destroy_strays(&self, limit: u32) -> Result<(), StoreError> {
        let strays = self.read(|sql| {
            sql.all(
                "SELECT content_file, content_offset, content_size FROM stray \
                 ORDER BY content_file, content_offset LIMIT $1",
                &[limit.into()],
                |row| {
                    let place = Place {
                        file: row.int(0)?,
                        offset: row.number(1)?,
                    };
                    Ok((place, row.number(2)?))
                },
            )
        })?;
        for (place, size) in &strays {
            self.content().erase(*place, *size)?;
        }
        if strays.is_empty() {
            return Ok(());
        }
        self.act(move |act| {
            for (place, _) in &strays {
                act.sql.run(
                    "DELETE FROM stray WHERE content_file = $1 AND content_offset = $2",
                    &[place.file.into(), Param::Int(place.offset as i64)],
                )?;
            }
            Ok(())
        })
        .wait()
    }
}

impl Act<'_> {
    /// Notes octets that were placed for nothing, so that they are destroyed.
    pub(crate) fn leave_stray(&mut self, place: Place, size: u64) -> Result<(), StoreError> {
        self.sql
            .run(
                "INSERT INTO stray (content_file, content_offset, content_size) VALUES ($1, $2, $3)",
                &[
                    place.file.into(),
                    Param::Int(place.offset as i64),
                    Param::Int(size as i64),
                ],
            )
            .map(drop)
    }
}
