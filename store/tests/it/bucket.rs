//! What becomes of a bucket in the long run: opened, filled with large letters, swept, erased in.

use std::collections::HashSet;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use mail::digest::Digest;
use store::StoreError;
use store::content::{Content, Place};
use store::objects::{Objects, SWEEP_AGE};
use store::options::S3At;

use crate::objects::{SECRET, append, assert_there, at, letter, name, open, writer};
use crate::relay::{Fate, Relay};
use crate::s3::S3;

/// Writes a large letter in pieces of odd size and keeps it.
fn large(objects: &Objects, octets: &[u8]) -> Result<Place, StoreError> {
    let mut single = objects.single().unwrap();
    for piece in octets.chunks(777_777) {
        single.write(piece)?;
    }
    let kept = single.finish(&Digest::of(octets))?;
    let place = kept.place();
    kept.keep();
    Ok(place)
}

/// What is left to the object store's own thread is done soon.
fn soon(mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "not done in time"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn refused(at: &S3At) -> String {
    let why = Objects::open(at).err().expect("it opened");
    let told = format!("{why} {why:?} {at:?}");
    assert!(!told.contains(SECRET) && !told.contains("AKIA"), "{told}");
    why.to_string()
}

#[test]
fn a_bucket_that_cannot_serve_is_refused_by_name() {
    let Some(s3) = S3::start() else { return };
    let absent = S3At {
        bucket: "elsewhere".into(),
        ..at(s3.endpoint())
    };
    let why = refused(&absent);
    assert!(
        why.contains("bucket elsewhere at http://127.0.0.1:") && why.contains("no such bucket"),
        "{why}"
    );

    let relay = Relay::before(s3.port);
    relay.judge(|_, _| Fate::Answered(403));
    let why = refused(&at(relay.endpoint()));
    assert!(why.contains("access is denied"), "{why}");

    relay.judge(|_, _| Fate::Unconditional);
    let why = refused(&at(relay.endpoint()));
    assert!(why.contains("If-None-Match"), "{why}");

    for (wrong, said) in [
        (at("http://192.0.2.1:9000".into()), "in the clear"),
        (at("objects.example".into()), "is no address"),
        (at("https://127.0.0.1:9000".into()), "needs the anchors"),
        (
            S3At {
                prefix: "/a".into(),
                ..at(s3.endpoint())
            },
            "is no prefix",
        ),
        (
            S3At {
                anchors: Some(PathBuf::from("/absent.pem")),
                ..at("https://127.0.0.1:9".into())
            },
            "/absent.pem",
        ),
    ] {
        let why = refused(&wrong);
        assert!(why.contains(said), "{why}");
    }
    // Nobody there at all; patience is short when a program starts.
    let began = Instant::now();
    let why = refused(&at("http://127.0.0.1:1".into()));
    assert!(
        why.contains("bucket letters at http://127.0.0.1:1") && why.contains("refused"),
        "{why}"
    );
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[test]
fn tls_believes_the_operators_anchors_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let made = |stem: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let (pem, secret) = (
            dir.path().join(format!("{stem}.pem")),
            dir.path().join(format!("{stem}.key")),
        );
        std::fs::write(&pem, certificate.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        (pem, secret)
    };
    let (certificate, key) = made("server");
    let (other, _) = made("other");
    let Some(s3) = S3::start_tls(&certificate, &key) else {
        return;
    };
    let trusting = |anchors: PathBuf, host: &str| S3At {
        anchors: Some(anchors),
        ..at(format!("https://{host}:{}", s3.port))
    };
    // Behind the right certificate somebody answers that there is no such bucket; before it nothing is sent.
    let why = refused(&trusting(certificate.clone(), "localhost"));
    assert!(why.contains("no such bucket"), "{why}");
    for wrong in [
        trusting(other, "localhost"),
        trusting(certificate, "127.0.0.1"),
    ] {
        let why = refused(&wrong);
        assert!(why.contains("certificate"), "{why}");
    }
}

#[test]
fn a_large_letter_goes_part_by_part_and_a_middling_one_at_once() {
    let Some(s3) = S3::start() else { return };
    let relay = Relay::before(s3.port);
    let objects = Objects::open(&at(relay.endpoint())).unwrap();
    let octets = letter(1, (12 << 20) + 7);
    relay.judge(|_, _| Fate::Passes);
    let place = large(&objects, &octets).unwrap();
    // A number reserved, the upload begun, three parts, completed.
    assert_eq!(relay.requests().len(), 6, "{:?}", relay.requests());
    let reader = open(&s3);
    let digest = Digest::of(&octets);
    assert_eq!(
        reader.read(place, octets.len() as u64, &digest).unwrap(),
        octets
    );
    let middle = reader.read_part(place, 5 << 20, 100).unwrap();
    assert_eq!(middle, octets[5 << 20..(5 << 20) + 100]);
    assert_eq!(s3.octets(&name(place)).unwrap(), octets);

    for size in [1, 300_000, (5 << 20) - 1] {
        let octets = letter(2, size);
        relay.judge(|_, _| Fate::Passes);
        let place = large(&objects, &octets).unwrap();
        assert_eq!(relay.requests().len(), 1, "{size}");
        assert_there(&reader, &vec![(place, octets)]);
    }
    let exact = letter(3, 10 << 20);
    let place = large(&objects, &exact).unwrap();
    assert_there(&reader, &vec![(place, exact)]);
    assert!(s3.unfinished().is_empty());
}

#[test]
fn a_large_letter_survives_what_befalls_any_of_its_requests() {
    let Some(s3) = S3::start() else { return };
    let relay = Relay::before(s3.port);
    let objects = Objects::open(&at(relay.endpoint())).unwrap();
    let octets = letter(1, (6 << 20) + 7);
    let reader = open(&s3);
    for fate in [
        Fate::Refused,
        Fate::CutShort,
        Fate::AnswerLost,
        Fate::AnswerCutShort,
        Fate::Answered(503),
    ] {
        for troubled in 0..5 {
            relay.judge(move |number, _| {
                if number == troubled {
                    fate
                } else {
                    Fate::Passes
                }
            });
            let place = large(&objects, &octets)
                .unwrap_or_else(|why| panic!("{fate:?} at request {troubled}: {why}"));
            assert_there(&reader, &vec![(place, octets.clone())]);
        }
    }
    // What cannot be completed is not believed, and leaves nothing.
    let before = s3.names().len();
    relay.judge(|_, line| {
        if line.contains("POST") && line.contains("uploadId") {
            Fate::Answered(403)
        } else {
            Fate::Passes
        }
    });
    assert!(matches!(
        large(&objects, &octets),
        Err(StoreError::Unavailable(_))
    ));
    soon(|| s3.names().len() == before);
}

#[test]
fn an_abandoned_letter_leaves_nothing() {
    let Some(s3) = S3::start() else { return };
    let objects = open(&s3);
    let octets = letter(1, 6 << 20);
    let mut begun = objects.single().unwrap();
    begun.write(&octets).unwrap();
    assert_eq!(
        (s3.names().len(), s3.unfinished().len()),
        (2, 1),
        "the mark, and a number that is taken"
    );
    drop(begun);
    soon(|| s3.names().len() == 1 && s3.unfinished().is_empty());

    for size in [1000, 6 << 20] {
        let mut whole = objects.single().unwrap();
        whole.write(&octets[..size]).unwrap();
        let unkept = whole.finish(&Digest::of(&octets[..size])).unwrap();
        assert_eq!(s3.names().len(), 2);
        drop(unkept);
        soon(|| s3.names().len() == 1);
    }
}

#[test]
fn a_large_letters_number_is_never_another_nodes() {
    let Some(s3) = S3::start() else { return };
    let relay = Relay::before(s3.port);
    let objects = Objects::open(&at(relay.endpoint())).unwrap();
    let port = s3.port;
    for size in [1000, 6 << 20] {
        let before = s3.names();
        // Just before our first request another node takes the very number.
        relay.judge(move |number, line| {
            if number == 0 {
                S3::put_at(port, line.split(' ').nth(1).unwrap(), b"another node's");
            }
            Fate::Passes
        });
        assert!(matches!(
            large(&objects, &letter(1, size)),
            Err(StoreError::Unavailable(_))
        ));
        let taken: Vec<String> = s3
            .names()
            .into_iter()
            .filter(|name| !before.contains(name))
            .collect();
        assert_eq!(taken.len(), 1);
        thread::sleep(Duration::from_millis(300));
        assert_eq!(s3.octets(&taken[0]).unwrap(), b"another node's");
    }
}

#[test]
fn an_erased_letter_is_gone_and_its_neighbours_stay() {
    let Some(s3) = S3::start() else { return };
    let objects = open(&s3);
    let mut group = writer(&objects);
    let letters = append(group.as_mut(), 0..5);
    group.sync().unwrap();
    let (place, octets) = letters[2].clone();
    let len = octets.len() as u64;
    for _ in 0..2 {
        objects.erase(place, len).unwrap();
        let whole = s3.octets(&name(place)).unwrap();
        let begin = place.offset as usize;
        assert!(
            whole[begin..begin + octets.len()]
                .iter()
                .all(|octet| *octet == 0)
        );
        for reader in [&objects, &open(&s3)] {
            assert!(matches!(
                reader.read(place, len, &Digest::of(&octets)),
                Err(StoreError::Damaged(_))
            ));
            let others = [&letters[..2], &letters[3..]].concat();
            assert_there(reader, &others);
        }
    }

    let octets = letter(9, 6 << 20);
    let place = large(&objects, &octets).unwrap();
    for _ in 0..2 {
        objects.erase(place, octets.len() as u64).unwrap();
        assert_eq!(s3.octets(&name(place)).unwrap(), b"");
        let read = open(&s3).read(place, octets.len() as u64, &Digest::of(&octets));
        assert!(matches!(read, Err(StoreError::Damaged(_))));
    }
    let missing = Place {
        file: place.file + 2,
        offset: 0,
    };
    assert!(matches!(
        objects.erase(missing, 1),
        Err(StoreError::Damaged(_))
    ));
}

#[test]
fn erasures_in_one_object_do_not_undo_each_other_whatever_is_lost() {
    let Some(s3) = S3::start() else { return };
    let relay = Relay::before(s3.port);
    let objects = open(&s3);
    for fate in [
        Fate::Passes,
        Fate::Refused,
        Fate::AnswerLost,
        Fate::AnswerCutShort,
        Fate::Answered(500),
    ] {
        let mut group = writer(&objects);
        let letters = append(group.as_mut(), 0..8);
        group.sync().unwrap();
        relay.judge(|_, _| Fate::Passes);
        let nodes: Vec<Objects> = (0..3)
            .map(|_| Objects::open(&at(relay.endpoint())).unwrap())
            .collect();
        relay.judge(move |number, _| if number % 3 == 1 { fate } else { Fate::Passes });
        thread::scope(|scope| {
            for (node, (place, octets)) in nodes.iter().zip(&letters) {
                scope.spawn(move || node.erase(*place, octets.len() as u64).unwrap());
            }
        });
        let whole = s3.octets(&name(letters[0].0)).unwrap();
        let end = letters[3].0.offset as usize;
        assert!(whole[..end].iter().all(|octet| *octet == 0), "{fate:?}");
        assert_there(&open(&s3), &letters[3..].to_vec());
    }
}

#[test]
fn a_bucket_that_keeps_versions_cannot_be_erased_in() {
    let Some(s3) = S3::start() else { return };
    let on = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(s3.ask("PUT", "?versioning", on).status, 200);
    let objects = open(&s3);
    let mut group = writer(&objects);
    let letters = append(group.as_mut(), 0..2);
    group.sync().unwrap();
    let place = large(&objects, &letter(3, 400_000)).unwrap();
    for (place, len) in [(letters[0].0, letters[0].1.len() as u64), (place, 400_000)] {
        let why = objects.erase(place, len).unwrap_err();
        assert!(
            matches!(&why, StoreError::Invalid(text) if text.contains("earlier versions")),
            "{why:?}"
        );
    }
}

#[test]
fn a_sweep_takes_what_is_old_and_unknown_and_nothing_else() {
    let Some(s3) = S3::start() else { return };
    let objects = open(&s3);
    let mut group = writer(&objects);
    let mut numbers = Vec::new();
    for round in 0..6 {
        numbers.push(append(group.as_mut(), round..round + 2)[0].0);
        group.sync().unwrap();
    }
    numbers.push(large(&objects, &letter(1, 300_000)).unwrap());
    for foreign in [
        "knik/readme",
        "knik/0000000000000001.bak",
        "other/0123456789abcdef",
        "0123456789abcdef",
    ] {
        s3.put(foreign, b"not ours");
    }
    let all = s3.names();
    assert_eq!(objects.sweep(&|_| Ok(false)).unwrap(), 0, "all are young");
    assert_eq!(
        objects
            .sweep_older(Duration::from_secs(3600), &|_| Ok(false))
            .unwrap(),
        0
    );
    assert!(SWEEP_AGE > Duration::from_secs(3600));

    let known: HashSet<i64> = numbers.iter().step_by(2).map(|place| place.file).collect();
    thread::sleep(Duration::from_millis(1100));
    let asked = std::cell::RefCell::new(HashSet::new());
    let swept = objects.sweep_older(Duration::ZERO, &|number| {
        asked.borrow_mut().insert(number);
        Ok(known.contains(&number))
    });
    assert_eq!(swept.unwrap(), 3);
    assert!(
        numbers
            .iter()
            .all(|place| asked.borrow().contains(&place.file))
    );
    assert!(!asked.borrow().contains(&0), "the mark is nobody's letter");
    let gone: HashSet<String> = numbers
        .iter()
        .skip(1)
        .step_by(2)
        .map(|place| name(*place))
        .collect();
    let left: Vec<String> = all
        .into_iter()
        .filter(|name| !gone.contains(name))
        .collect();
    assert_eq!(s3.names(), left);
    assert_eq!(
        open(&s3)
            .sweep_older(Duration::ZERO, &|n| Ok(known.contains(&n)))
            .unwrap(),
        0
    );
}
