//! Content in a real S3 server: what is acknowledged is there, what is there is what was given, whatever the network and
//! the server do.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use mail::digest::Digest;
use store::StoreError;
use store::content::{Content, ContentWriter, Place};
use store::objects::Objects;
use store::options::S3At;

use crate::relay::{Fate, Relay};
use crate::s3::{BUCKET, S3};

pub const SECRET: &str = "swordfish";

pub fn at(endpoint: String) -> S3At {
    S3At {
        endpoint,
        bucket: BUCKET.into(),
        prefix: "knik/".into(),
        region: "us-east-1".into(),
        access_key: "AKIAKNIK".into(),
        secret_key: SECRET.into(),
        anchors: None,
    }
}

pub fn open(s3: &S3) -> Objects {
    Objects::open(&at(s3.endpoint())).unwrap()
}

pub fn writer(objects: &Objects) -> Box<dyn ContentWriter> {
    objects.writer(&|_| Ok(None)).unwrap()
}

pub fn name(place: Place) -> String {
    format!("knik/{:016x}", place.file)
}

/// A letter that no other is like.
pub fn letter(number: usize, size: usize) -> Vec<u8> {
    let line = format!("Letter {number}, and nothing but letter {number}.\r\n");
    line.bytes().cycle().take(size).collect()
}

/// Where each of some letters is, and what it is.
pub type Letters = Vec<(Place, Vec<u8>)>;

pub fn append(writer: &mut dyn ContentWriter, numbers: std::ops::Range<usize>) -> Letters {
    numbers
        .map(|number| {
            let octets = letter(number, 500 + number);
            let place = writer.append(&octets, &Digest::of(&octets)).unwrap();
            (place, octets)
        })
        .collect()
}

pub fn assert_there(objects: &Objects, letters: &Letters) {
    for (place, octets) in letters {
        let len = octets.len() as u64;
        let read = objects.read(*place, len, &Digest::of(octets)).unwrap();
        assert_eq!(read, *octets);
    }
}

#[test]
fn a_group_is_one_object_and_reads_back_in_any_order() {
    let Some(s3) = S3::start() else { return };
    let relay = Relay::before(s3.port);
    let objects = Objects::open(&at(relay.endpoint())).unwrap();
    let mut group = writer(&objects);
    relay.judge(|_, _| Fate::Passes);
    group.sync().unwrap();
    assert!(
        relay.requests().is_empty(),
        "nothing to write, nothing written"
    );
    let letters = append(group.as_mut(), 0..50);
    assert!(relay.requests().is_empty());
    group.sync().unwrap();
    assert_eq!(relay.requests().len(), 1, "{:?}", relay.requests());
    assert!(
        letters
            .iter()
            .all(|(place, _)| place.file == letters[0].0.file)
    );
    let all: Vec<u8> = letters
        .iter()
        .flat_map(|(_, octets)| octets.clone())
        .collect();
    assert_eq!(s3.octets(&name(letters[0].0)).unwrap(), all);

    // What was written lately is read without asking; another node asks once for one letter, once for the rest.
    assert_there(&objects, &letters);
    assert_eq!(relay.requests().len(), 1);
    let other = Objects::open(&at(relay.endpoint())).unwrap();
    relay.judge(|_, _| Fate::Passes);
    assert_there(&other, &letters);
    assert_eq!(relay.requests().len(), 2, "{:?}", relay.requests());
    let (place, octets) = &letters[7];
    assert_eq!(other.read_part(*place, 3, 40).unwrap(), octets[3..43]);
    assert_eq!(open(&s3).read_part(*place, 3, 40).unwrap(), octets[3..43]);
    assert_eq!(open(&s3).read_part(*place, 3, 0).unwrap(), b"");
}

#[test]
fn a_great_group_becomes_several_objects() {
    let Some(s3) = S3::start() else { return };
    let objects = open(&s3);
    let mut group = writer(&objects);
    let letters: Letters = (0..40)
        .map(|number| {
            let octets = letter(number, 250_000);
            (group.append(&octets, &Digest::of(&octets)).unwrap(), octets)
        })
        .collect();
    group.sync().unwrap();
    let files: HashSet<i64> = letters.iter().map(|(place, _)| place.file).collect();
    assert_eq!(files.len(), 2, "10 MB in objects of at most 8 MiB");
    assert_there(&open(&s3), &letters);
}

#[test]
fn writers_that_never_speak_to_each_other_never_meet() {
    let Some(s3) = S3::start() else { return };
    let written: Vec<Letters> = thread::scope(|scope| {
        let nodes: Vec<_> = (0..4)
            .map(|node| {
                let s3 = &s3;
                scope.spawn(move || {
                    let objects = open(s3);
                    let mut group = writer(&objects);
                    let mut all = Letters::new();
                    for round in 0..15 {
                        let first = node * 1000 + round * 10;
                        all.extend(append(group.as_mut(), first..first + 3));
                        group.sync().unwrap();
                    }
                    all
                })
            })
            .collect();
        nodes.into_iter().map(|node| node.join().unwrap()).collect()
    });
    let places: HashSet<Place> = written.iter().flatten().map(|(place, _)| *place).collect();
    assert_eq!(places.len(), 4 * 15 * 3);
    let reader = open(&s3);
    for letters in &written {
        assert_there(&reader, letters);
    }
}

#[test]
fn a_taken_number_is_never_written_over() {
    let Some(s3) = S3::start() else { return };
    let objects = open(&s3);
    let mut group = writer(&objects);
    let lost = append(group.as_mut(), 0..2);
    s3.put(&name(lost[0].0), b"another node's letter");
    assert!(matches!(group.sync(), Err(StoreError::Unavailable(_))));
    assert_eq!(
        s3.octets(&name(lost[0].0)).unwrap(),
        b"another node's letter"
    );
    let letters = append(group.as_mut(), 0..2);
    group.sync().unwrap();
    assert_ne!(letters[0].0.file, lost[0].0.file);
    assert_there(&open(&s3), &letters);
}

/// Whatever befalls the first requests of a sync, it ends well, once, with everything there.
#[test]
fn a_write_is_tried_again_until_it_is_known_to_be_there() {
    let Some(s3) = S3::start() else { return };
    let relay = Relay::before(s3.port);
    let objects = Objects::open(&at(relay.endpoint())).unwrap();
    let mut group = writer(&objects);
    let mut all = Letters::new();
    let fates = [
        Fate::Refused,
        Fate::Lost,
        Fate::CutShort,
        Fate::AnswerLost,
        Fate::AnswerCutShort,
        Fate::Answered(500),
        Fate::Answered(503),
        Fate::Answered(409),
    ];
    for fate in fates {
        for troubled in 1..4 {
            let letters = append(group.as_mut(), 0..3);
            relay.judge(move |number, _| {
                if number < troubled {
                    fate
                } else {
                    Fate::Passes
                }
            });
            group
                .sync()
                .unwrap_or_else(|why| panic!("{fate:?} {troubled} times: {why}"));
            relay.judge(|_, _| Fate::Passes);
            assert_there(&open(&s3), &letters);
            all.extend(letters);
        }
    }
    let objects: HashSet<i64> = all.iter().map(|(place, _)| place.file).collect();
    assert_eq!(
        s3.names().len(),
        objects.len() + 1,
        "each group once, and the mark"
    );
}

#[test]
fn what_could_not_be_written_is_not_believed_and_the_writer_goes_on() {
    let Some(s3) = S3::start() else { return };
    let relay = Relay::before(s3.port);
    let objects = Objects::open(&at(relay.endpoint())).unwrap();
    let mut group = writer(&objects);
    let lost = append(group.as_mut(), 0..3);
    relay.judge(|_, _| Fate::Answered(403));
    let refused = group.sync().unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    let told = format!("{refused} {refused:?}");
    assert!(
        told.contains("bucket letters at http://127.0.0.1:"),
        "{told}"
    );
    assert!(
        told.contains("access is denied (Broken)") && !told.contains(SECRET),
        "{told}"
    );
    assert_eq!(s3.octets(&name(lost[0].0)), None);

    relay.judge(|_, _| Fate::Passes);
    let letters = append(group.as_mut(), 0..3);
    group.sync().unwrap();
    assert_ne!(letters[0].0.file, lost[0].0.file);
    assert_there(&open(&s3), &letters);
    assert_eq!(
        s3.octets(&name(lost[0].0)),
        None,
        "a later sync does not write it either"
    );
}

#[test]
fn patience_ends() {
    let Some(s3) = S3::start() else { return };
    let relay = Relay::before(s3.port);
    let objects = Objects::open(&at(relay.endpoint())).unwrap();
    let mut group = writer(&objects);
    let letters = append(group.as_mut(), 0..3);
    group.sync().unwrap();
    relay.judge(|_, _| Fate::Answered(503));
    append(group.as_mut(), 3..5);
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (place, octets) = &letters[0];
            let digest = Digest::of(octets);
            let other = Objects::open(&at(relay.endpoint()));
            assert!(matches!(other.err(), Some(StoreError::Unavailable(_))));
            // The group was written by this node: it is still kept, and needs no server.
            assert!(objects.read(*place, octets.len() as u64, &digest).is_ok());
            assert!(began.elapsed() < Duration::from_secs(15));
        });
        let failed = group.sync().unwrap_err();
        assert!(matches!(failed, StoreError::Unavailable(_)), "{failed:?}");
        assert!(failed.to_string().contains("503"), "{failed}");
    });
    assert!(
        began.elapsed() > Duration::from_secs(20),
        "a fail-over is waited for"
    );
    assert!(
        began.elapsed() < Duration::from_secs(45),
        "{:?}",
        began.elapsed()
    );
    relay.judge(|_, _| Fate::Passes);
    let letters = append(group.as_mut(), 0..3);
    group.sync().unwrap();
    assert_there(&open(&s3), &letters);
}

#[test]
fn a_server_that_does_not_answer_is_asked_again() {
    let Some(s3) = S3::start() else { return };
    let relay = Relay::before(s3.port);
    let objects = Objects::open(&at(relay.endpoint())).unwrap();
    let mut group = writer(&objects);
    let letters = append(group.as_mut(), 0..3);
    relay.judge(|number, _| match number {
        0 => Fate::Late(Duration::from_secs(30)),
        _ => Fate::Passes,
    });
    let began = Instant::now();
    group.sync().unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
    assert_there(&open(&s3), &letters);
}

#[test]
fn reading_is_tried_again_and_never_yields_less() {
    let Some(s3) = S3::start() else { return };
    let relay = Relay::before(s3.port);
    let mut group = writer(&open(&s3));
    let letters = append(group.as_mut(), 0..3);
    group.sync().unwrap();
    for fate in [
        Fate::Refused,
        Fate::Lost,
        Fate::AnswerLost,
        Fate::AnswerCutShort,
        Fate::Answered(500),
    ] {
        relay.judge(|_, _| Fate::Passes);
        let other = Objects::open(&at(relay.endpoint())).unwrap();
        relay.judge(move |number, _| if number % 2 == 0 { fate } else { Fate::Passes });
        assert_there(&other, &letters);
    }
}

#[test]
fn damage_is_found_and_named_and_never_served() {
    let Some(s3) = S3::start() else { return };
    let mut group = writer(&open(&s3));
    let letters = append(group.as_mut(), 0..3);
    group.sync().unwrap();
    let (place, octets) = &letters[1];
    let (len, digest) = (octets.len() as u64, Digest::of(octets));
    let whole = s3.octets(&name(*place)).unwrap();
    let mut altered = whole.clone();
    altered[place.offset as usize] ^= 1;
    let hex = format!("{:016x}", place.file);
    for (there, why) in [
        (Some(&altered[..]), "does not have digest"),
        (Some(&whole[..place.offset as usize + 10]), "ends too early"),
        (Some(&whole[..10]), "ends too early"),
        (Some(&b""[..]), "ends too early"),
        (None, "missing"),
    ] {
        match there {
            Some(octets) => s3.put(&name(*place), octets),
            None => assert_eq!(s3.ask("DELETE", &name(*place), b"").status, 204),
        }
        let reader = open(&s3);
        for _ in 0..3 {
            match reader.read(*place, len, &digest) {
                Err(StoreError::Damaged(text)) => {
                    assert!(text.contains(&hex) && text.contains(why), "{text}");
                }
                other => panic!("{why}: {other:?}"),
            }
        }
    }
    s3.put(&name(*place), &altered);
    let reader = open(&s3);
    assert!(reader.read(*place, len, &digest).is_err());
    assert_there(&reader, &letters[2..].to_vec());
    // Mended behind our back: what a node keeps in memory does not outlive the doubt.
    s3.put(&name(*place), &whole);
    assert_there(&reader, &letters);
}

#[test]
fn it_may_be_called_from_a_runtimes_own_thread() {
    let Some(s3) = S3::start() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let objects = open(&s3);
        let mut group = writer(&objects);
        let letters = append(group.as_mut(), 0..2);
        group.sync().unwrap();
        assert_there(&open(&s3), &letters);
        drop(group);
        drop(objects);
    });
}
