//! The bundle's zip (APPNOTE.TXT 6.3): written in one way only, read as any ordinary zip within limits.
//!
//! Written here rather than by a library so that a bundle of today is the same octets for the verifier of any later
//! year: stored, no extra fields, one time for all entries. That also lets a verifier find an octet altered in the
//! container itself, by writing the bundle again and comparing.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};

use mail::Timestamp;

/// Entries of one bundle: a recipient's whole chain has some tens of events with five files each.
pub const ENTRIES_MAX: usize = 4096;
/// Octets of all entries together, after decompression: a large message and its evidence. Keeps every offset within the
/// 32 bits of a plain zip.
pub const TOTAL_OCTETS_MAX: u64 = 512 * 1024 * 1024;
/// How many times larger the entries may be than the zip: ours are not compressed at all, mail packed anew shrinks to a
/// tenth at best. Guards against zip bombs.
pub const RATIO_MAX: u64 = 32;
/// Octets of an entry's name: the longest of ours is 45.
pub const NAME_OCTETS_MAX: usize = 128;

/// Files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Why octets are not a zip that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// The structure cannot be followed.
    #[error("the zip cannot be read: {0}")]
    Structure(String),
    /// An entry's octets cannot be had, or do not have their checksum.
    #[error("{name}: the entry is damaged: {why}")]
    Entry {
        /// The entry's name.
        name: String,
        /// What the reader found.
        why: String,
    },
    /// More than [`ENTRIES_MAX`] entries.
    #[error("the zip has more than {ENTRIES_MAX} entries")]
    TooMany,
    /// More than [`TOTAL_OCTETS_MAX`] octets in all, or more than [`RATIO_MAX`] times the zip's.
    #[error(
        "{name}: the entries are too large: {TOTAL_OCTETS_MAX} octets in all, or {RATIO_MAX} times the zip"
    )]
    TooLarge {
        /// The entry at which it was too much.
        name: String,
    },
    /// A name that is too long or not UTF-8.
    #[error("entry {0} has no readable name")]
    Name(usize),
    /// Two entries of one name: then programs differ in which they show.
    #[error("two entries of the zip have one name")]
    Twice,
}

/// Reads all entries, decompressed and checked against their checksums. Folders are passed over.
///
/// # Errors
/// A [`ContainerError`] that names the entry where there is one.
pub fn read(octets: &[u8]) -> Result<Files, ContainerError> {
    let structure = |error: zip::result::ZipError| ContainerError::Structure(error.to_string());
    let mut archive = zip::ZipArchive::new(Cursor::new(octets)).map_err(structure)?;
    if archive.len() > ENTRIES_MAX {
        return Err(ContainerError::TooMany);
    }
    if archive.has_duplicate_names() {
        return Err(ContainerError::Twice);
    }
    let mut files = Files::new();
    let mut left = TOTAL_OCTETS_MAX.min(RATIO_MAX.saturating_mul(octets.len() as u64));
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).map_err(structure)?;
        let name = entry
            .name()
            .map_err(|_| ContainerError::Name(at))?
            .into_owned();
        if name.len() > NAME_OCTETS_MAX {
            return Err(ContainerError::Name(at));
        }
        if entry.is_dir() {
            continue;
        }
        let mut content = Vec::new();
        let took = Read::take(&mut entry, left + 1).read_to_end(&mut content);
        took.map_err(|error| ContainerError::Entry {
            name: name.clone(),
            why: error.to_string(),
        })?;
        left = left
            .checked_sub(content.len() as u64)
            .ok_or_else(|| ContainerError::TooLarge { name: name.clone() })?;
        if files.insert(name, content).is_some() {
            return Err(ContainerError::Twice);
        }
    }
    Ok(files)
}

/// Writes files in the order given: stored, dated `time`, readable by all.
///
/// # Errors
/// The writer's; [`io::ErrorKind::InvalidInput`] beyond [`ENTRIES_MAX`], [`TOTAL_OCTETS_MAX`] or [`NAME_OCTETS_MAX`].
pub fn write(files: &[(String, Vec<u8>)], time: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let total: u64 = files.iter().map(|(_, content)| content.len() as u64).sum();
    let long_name = files.iter().any(|(name, _)| name.len() > NAME_OCTETS_MAX);
    if files.len() > ENTRIES_MAX || total > TOTAL_OCTETS_MAX || long_name {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the bundle is too large",
        ));
    }
    let mut writer = Writer::new(out);
    for (name, content) in files {
        writer.entry(name, content, time)?;
    }
    writer.finish()
}

/// Writes entries one after another: only one is ever in memory, and there may be any number of them. Past what a plain zip
/// can count it goes on as zip64 (§4.3.14), which every common program reads.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    directory: Vec<u8>,
    count: u64,
    offset: u64,
}

impl<W: Write> Writer<W> {
    /// An empty zip on `out`.
    pub const fn new(out: W) -> Self {
        Self {
            out,
            directory: Vec::new(),
            count: 0,
            offset: 0,
        }
    }

    /// Appends one entry: stored, dated `time`, readable by all.
    ///
    /// # Errors
    /// The writer's; [`io::ErrorKind::InvalidInput`] beyond [`TOTAL_OCTETS_MAX`] or [`NAME_OCTETS_MAX`].
    pub fn entry(&mut self, name: &str, content: &[u8], time: Timestamp) -> io::Result<()> {
        if name.len() > NAME_OCTETS_MAX || content.len() as u64 > TOTAL_OCTETS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an entry of the zip is too large",
            ));
        }
        let mut fields = entry_fields(name, content, dos_time(time));
        self.out.write_all(b"PK\x03\x04")?;
        self.out.write_all(&fields)?;
        self.out.write_all(name.as_bytes())?;
        self.out.write_all(content)?;
        let far = u32::try_from(self.offset).ok().filter(|at| *at < u32::MAX);
        if far.is_none() {
            // Invariant: the ranges are constant and as long as what is copied into them.
            fields[0..2].copy_from_slice(&45u16.to_le_bytes()); // version needed 4.5: zip64
            fields[24..26].copy_from_slice(&12u16.to_le_bytes());
        }
        // §4.3.12: made by version 3.0 on Unix, then the same fields, then comment, disk, attributes, offset.
        self.directory.extend_from_slice(b"PK\x01\x02\x1e\x03");
        self.directory.extend_from_slice(&fields);
        self.directory.extend_from_slice(&[0; 6]);
        self.directory
            .extend_from_slice(&(0o100_644_u32 << 16).to_le_bytes());
        self.directory
            .extend_from_slice(&far.unwrap_or(u32::MAX).to_le_bytes());
        self.directory.extend_from_slice(name.as_bytes());
        if far.is_none() {
            // §4.5.3: the offset alone.
            self.directory.extend_from_slice(&[1, 0, 8, 0]);
            self.directory.extend_from_slice(&self.offset.to_le_bytes());
        }
        self.count += 1;
        self.offset += 30 + name.len() as u64 + content.len() as u64;
        Ok(())
    }

    /// Writes the directory.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(self) -> io::Result<()> {
        self.finish_into().map(drop)
    }

    /// As [`finish`](Self::finish); what was written to.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish_into(mut self) -> io::Result<W> {
        let size = self.directory.len() as u64;
        self.out.write_all(&self.directory)?;
        let plain = |number: u64| u32::try_from(number).ok().filter(|it| *it < u32::MAX);
        let count = u16::try_from(self.count).ok().filter(|it| *it < u16::MAX);
        if count.is_none() || plain(size).is_none() || plain(self.offset).is_none() {
            // §4.3.14: the same in 64 bits, made by and needing version 4.5; §4.3.15: where that is.
            self.out.write_all(b"PK\x06\x06")?;
            self.out.write_all(&44u64.to_le_bytes())?;
            self.out
                .write_all(&[45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
            for number in [self.count, self.count, size, self.offset] {
                self.out.write_all(&number.to_le_bytes())?;
            }
            self.out.write_all(b"PK\x06\x07\0\0\0\0")?;
            self.out.write_all(&(self.offset + size).to_le_bytes())?;
            self.out.write_all(&1u32.to_le_bytes())?;
        }
        // §4.3.16: end of central directory, one disk, no comment.
        let count = count.unwrap_or(u16::MAX).to_le_bytes();
        self.out.write_all(b"PK\x05\x06\0\0\0\0")?;
        self.out.write_all(&[count, count].concat())?;
        for number in [size, self.offset] {
            let number = plain(number).unwrap_or(u32::MAX);
            self.out.write_all(&number.to_le_bytes())?;
        }
        self.out.write_all(&[0, 0])?;
        Ok(self.out)
    }
}

/// Takes what is written and compares it with octets that are there already: nothing is kept.
#[derive(Debug)]
pub struct Comparator<'a> {
    expected: &'a [u8],
    same: usize,
    differs: bool,
}

impl<'a> Comparator<'a> {
    /// Will compare with `expected`.
    #[must_use]
    pub const fn new(expected: &'a [u8]) -> Self {
        Self {
            expected,
            same: 0,
            differs: false,
        }
    }

    /// The first octet at which what was written differs; `None` if it is all of the expected octets and no more.
    #[must_use]
    pub const fn difference(&self) -> Option<usize> {
        if self.differs || self.same < self.expected.len() {
            Some(self.same)
        } else {
            None
        }
    }
}

impl Write for Comparator<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if !self.differs {
            let rest = self.expected.get(self.same..).unwrap_or_default();
            let same = rest
                .iter()
                .zip(octets)
                .take_while(|(one, other)| one == other)
                .count();
            self.same += same;
            self.differs = same < octets.len();
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// §4.3.7 from "version needed" to "extra field length": the same in both headers.
fn entry_fields(name: &str, content: &[u8], date: u32) -> [u8; 26] {
    let mut fields = [0; 26];
    let name_length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    // Invariant: the ranges are constant and as long as what is copied into them.
    fields[0..2].copy_from_slice(&20u16.to_le_bytes()); // version needed 2.0: names with folders
    fields[6..10].copy_from_slice(&date.to_le_bytes());
    fields[10..14].copy_from_slice(&crc32(content).to_le_bytes());
    fields[14..18].copy_from_slice(&length(content).to_le_bytes());
    fields[18..22].copy_from_slice(&length(content).to_le_bytes());
    fields[22..24].copy_from_slice(&name_length.to_le_bytes());
    fields
}

/// [`write`] has checked that all lengths are below 2^32.
fn length(octets: &[u8]) -> u32 {
    u32::try_from(octets.len()).unwrap_or(u32::MAX)
}

/// §4.4.6: time in the low half, date in the high one; two-second steps from 1980, in UTC here.
fn dos_time(time: Timestamp) -> u32 {
    let (year, month, day) = time.date();
    let of_day = time.as_millis().rem_euclid(86_400_000) / 2000;
    let (hour, minute, step) = (of_day / 1800, of_day / 30 % 60, of_day % 30);
    let years = u32::try_from((year - 1980).clamp(0, 127)).unwrap_or(0);
    let clock = u32::try_from(hour << 11 | minute << 5 | step).unwrap_or(0);
    (years << 9 | u32::from(month) << 5 | u32::from(day)) << 16 | clock
}

/// CRC-32 as zip has it (polynomial 0xEDB88320, reflected).
fn crc32(octets: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc_table();
    let step = |crc: u32, octet: &u8| {
        // Invariant: a value masked to eight bits is an index into 256 entries.
        TABLE[((crc ^ u32::from(*octet)) & 0xff) as usize] ^ crc >> 8
    };
    !octets.iter().fold(!0, step)
}

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = at as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        // Invariant: the loop ends before 256.
        table[at] = crc;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(files: &[(&str, &[u8])]) -> Vec<u8> {
        let files: Vec<_> = files
            .iter()
            .map(|(name, content)| ((*name).to_owned(), content.to_vec()))
            .collect();
        let mut out = Vec::new();
        write(
            &files,
            "2026-11-22T09:00:07.500Z".parse().unwrap(),
            &mut out,
        )
        .unwrap();
        out
    }

    #[test]
    fn known_checksum_and_time() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let time = dos_time("2026-11-22T09:00:07.500Z".parse().unwrap());
        assert_eq!(time >> 16, 46 << 9 | 11 << 5 | 22);
        assert_eq!(time & 0xffff, 9 << 11 | 3);
        assert_eq!(
            dos_time("1970-01-01T00:00:00.000Z".parse().unwrap()) >> 25,
            0
        );
    }

    #[test]
    fn what_is_written_is_read() {
        let octets = written(&[("b/x", b"one"), ("a", b"")]);
        let files = read(&octets).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files["b/x"], b"one");
        assert_eq!(read(&written(&[])).unwrap(), Files::new());
        assert!(matches!(
            read(b"not a zip"),
            Err(ContainerError::Structure(_))
        ));
    }

    #[test]
    fn more_than_a_plain_zip_counts_is_read_by_programs_that_know_zip64() {
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets);
        let time = "2026-11-22T09:00:07.500Z".parse().unwrap();
        for number in 0..70_000 {
            writer
                .entry(&format!("{number}"), &[number as u8], time)
                .unwrap();
        }
        writer.finish().unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(&octets)).unwrap();
        assert_eq!(archive.len(), 70_000);
        let mut last = Vec::new();
        let mut entry = archive.by_index(69_999).unwrap();
        entry.read_to_end(&mut last).unwrap();
        assert_eq!(last, [69_999_u32 as u8]);
    }

    #[test]
    fn an_entry_behind_four_gigabytes_says_where_it_is() {
        struct Sink(u64, Vec<u8>);
        impl Write for Sink {
            fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
                if self.0 > 4 << 30 {
                    self.1.extend_from_slice(octets);
                }
                self.0 += octets.len() as u64;
                Ok(octets.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sink = Sink(0, Vec::new());
        let mut writer = Writer::new(&mut sink);
        let time = Timestamp::from_millis(0);
        writer.offset = 5 << 30;
        writer.out.0 = 5 << 30;
        writer.entry("far", b"content", time).unwrap();
        writer.finish().unwrap();
        // The end of such a zip, with a reader that has only the end: its directory is found and names the offset.
        let directory = sink
            .1
            .windows(4)
            .position(|four| four == b"PK\x01\x02")
            .unwrap();
        let entry = &sink.1[directory..];
        assert_eq!(entry[42..46], u32::MAX.to_le_bytes());
        assert_eq!(entry[46..49], *b"far");
        assert_eq!(entry[49..53], [1, 0, 8, 0]);
        assert_eq!(entry[53..61], (5u64 << 30).to_le_bytes());
        assert_eq!(entry[61..65], *b"PK\x06\x06");
    }

    #[test]
    fn the_comparator_finds_the_first_difference() {
        let table: [(&[&[u8]], Option<usize>); 6] = [
            (&[b"ab", b"c"], None),
            (&[b"ab"], Some(2)),
            (&[b"ab", b"cd"], Some(3)),
            (&[b"ax", b"c"], Some(1)),
            (&[b"abx", b""], Some(2)),
            (&[], Some(0)),
        ];
        for (written, expected) in table {
            let mut comparator = Comparator::new(b"abc");
            written
                .iter()
                .for_each(|octets| comparator.write_all(octets).unwrap());
            assert_eq!(comparator.difference(), expected, "{written:?}");
        }
    }

    #[test]
    fn limits_and_doubles() {
        assert_eq!(
            read(&written(&[("a", b"1"), ("a", b"2")])),
            Err(ContainerError::Twice)
        );
        let long = "n".repeat(NAME_OCTETS_MAX + 1);
        assert!(
            write(
                &[(long, vec![])],
                Timestamp::from_millis(0),
                &mut Vec::new()
            )
            .is_err()
        );
        let many = vec![("a".to_owned(), vec![]); ENTRIES_MAX + 1];
        assert!(write(&many, Timestamp::from_millis(0), &mut Vec::new()).is_err());
        let mut bomb = zip::ZipWriter::new(Cursor::new(Vec::new()));
        bomb.start_file("b", zip::write::SimpleFileOptions::default())
            .unwrap();
        bomb.write_all(&vec![0; 4 << 20]).unwrap();
        let bomb = bomb.finish().unwrap().into_inner();
        assert!(matches!(read(&bomb), Err(ContainerError::TooLarge { name }) if name == "b"));
        let mut damaged = written(&[("a", b"one")]);
        damaged[31] ^= 1;
        assert!(matches!(read(&damaged), Err(ContainerError::Entry { name, .. }) if name == "a"));
    }
}
