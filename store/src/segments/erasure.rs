//! Octets destroyed where they lie, and nothing beside them.

use super::{HEADER_LEN, MAGIC, Segments, Shape, header_erased, header_offset, read_exact};
use crate::StoreError;
use crate::content::Place;

/// Zeros written at a time over what is destroyed: one call for nearly every letter, and little memory for the largest.
const OVERWRITE_BYTES: u64 = 256 << 10;

impl Segments {
    /// Overwrites, syncs, then gives the room back: a hole alone would leave the octets on the disk until it is used again.
    ///
    /// The header stays and says that this was done on purpose, so that nobody takes it for damage.
    pub(super) fn destroy(&self, place: Place, len: u64) -> Result<(), StoreError> {
        let begin = header_offset(place)?;
        let number = place.file;
        let (shape, file) = self.find(number, |path| self.names.disk.open_to_write(path))?;
        let failed = |e| StoreError::io(format!("erasing in content file {number}"), e);
        let mut found = [0; HEADER_LEN as usize];
        read_exact(file.as_ref(), &mut found, begin, number)?;
        let erased = header_erased(len);
        if found != erased && (!found.starts_with(MAGIC) || found[8..16] != erased[8..16]) {
            // Going on could destroy another letter: the row that says where this one lies may be what is damaged.
            let offset = place.offset;
            return Err(StoreError::damaged(format!(
                "content file {number} has no letter of {len} octets at offset {offset}; nothing is erased"
            )));
        }
        file.write_all_at(&erased, begin).map_err(failed)?;
        // A letter's file that was cut off already is not made longer again.
        let end = place.offset.saturating_add(len);
        let end = end.min(file.size().map_err(failed)?);
        let zeros = vec![0; OVERWRITE_BYTES.min(len) as usize];
        let mut at = place.offset;
        while at < end {
            let piece = zeros.get(..(end - at).min(OVERWRITE_BYTES) as usize);
            let piece = piece.unwrap_or(&zeros);
            file.write_all_at(piece, at).map_err(failed)?;
            at += piece.len() as u64;
        }
        file.sync_data().map_err(|_| StoreError::Failed)?;
        match shape {
            Shape::Single => file.set_size(place.offset).map_err(failed)?,
            Shape::Shared if end > place.offset => file
                .punch(place.offset, end - place.offset)
                .map_err(failed)?,
            Shape::Shared => return Ok(()),
        }
        file.sync_data().map_err(|_| StoreError::Failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::{fs, thread};

    use mail::digest::Digest;

    use super::*;
    use crate::content::Content;

    fn segments(dir: &std::path::Path) -> Segments {
        Segments::open(dir).unwrap()
    }

    fn erased(segments: &Segments, place: Place, octets: &[u8]) -> bool {
        let read = segments.read(place, octets.len() as u64, &Digest::of(octets));
        matches!(read, Err(StoreError::NotFound(what)) if what.contains("erased"))
    }

    #[test]
    fn what_is_erased_is_gone_from_the_file_and_its_neighbours_stay() {
        let dir = tempfile::tempdir().unwrap();
        let content = segments(dir.path());
        let mut writer = content.writer(&|_| Ok(None)).unwrap();
        let letters: Vec<Vec<u8>> = (1..=3_u8)
            .map(|n| vec![n; 3_000 * usize::from(n)])
            .collect();
        let places: Vec<_> = letters
            .iter()
            .map(|octets| writer.append(octets, &Digest::of(octets)).unwrap())
            .collect();
        writer.sync().unwrap();
        let len = letters[1].len() as u64;
        for _ in 0..2 {
            content.erase(places[1], len).unwrap();
            assert!(erased(&content, places[1], &letters[1]));
            for n in [0, 2] {
                let digest = Digest::of(&letters[n]);
                let read = content.read(places[n], letters[n].len() as u64, &digest);
                assert_eq!(read.unwrap(), letters[n]);
            }
        }
        let file = fs::read(Shape::Shared.path(dir.path(), places[1].file)).unwrap();
        assert_eq!(file.iter().filter(|octet| **octet == 2).count(), 0);
        let next = writer.append(b"next", &Digest::of(b"next")).unwrap();
        writer.sync().unwrap();
        assert_eq!(
            content.read(next, 4, &Digest::of(b"next")).unwrap(),
            b"next"
        );
    }

    #[test]
    fn a_letter_of_its_own_is_cut_down_to_its_header() {
        let dir = tempfile::tempdir().unwrap();
        let content = segments(dir.path());
        let octets = vec![7; 1 << 20];
        let mut letter = content.single().unwrap();
        letter.write(&octets).unwrap();
        let kept = letter.finish(&Digest::of(&octets)).unwrap();
        let place = kept.place();
        kept.keep();
        for _ in 0..2 {
            content.erase(place, octets.len() as u64).unwrap();
            assert!(erased(&content, place, &octets));
        }
        let path = Shape::Single.path(dir.path(), place.file);
        assert_eq!(fs::metadata(path).unwrap().len(), HEADER_LEN);
    }

    #[test]
    fn a_wrong_place_erases_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let content = segments(dir.path());
        let mut writer = content.writer(&|_| Ok(None)).unwrap();
        let digest = Digest::of(b"stays");
        let place = writer.append(b"stays", &digest).unwrap();
        writer.sync().unwrap();
        let beside = Place {
            offset: place.offset + 1,
            ..place
        };
        assert!(content.erase(beside, 5).is_err());
        assert!(content.erase(place, 6).is_err());
        assert_eq!(content.read(place, 5, &digest).unwrap(), b"stays");
    }

    #[test]
    fn whoever_reads_meanwhile_gets_the_letter_or_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let content = segments(dir.path());
        let mut writer = content.writer(&|_| Ok(None)).unwrap();
        let octets = vec![9; 200_000];
        let digest = Digest::of(&octets);
        let place = writer.append(&octets, &digest).unwrap();
        writer.sync().unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    if let Ok(read) = content.read(place, octets.len() as u64, &digest) {
                        assert_eq!(read, octets);
                    }
                }
            });
            content.erase(place, octets.len() as u64).unwrap();
            over.store(true, Ordering::Release);
            reader.join().unwrap();
        });
        assert!(erased(&content, place, &octets));
    }
}
