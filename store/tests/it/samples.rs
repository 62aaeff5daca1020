//! What a dictionary for small octets is made from.

use std::fs;
use std::path::PathBuf;

use store::evidence::Query;
use store::reading::{Acknowledged, Wanted};

use crate::post::Post;

const NAMES: [&str; 6] = [
    "Արմինե",
    "Гаянэ",
    "Office",
    "Registry",
    "Ծանուցում",
    "Notice of decision",
];
const HOSTS: [&str; 4] = [
    "tax.gov.example",
    "court.example",
    "agency.test",
    "municipality.example.org",
];

/// `KNIK_SAMPLES=DIR cargo test -p store --test it -- --ignored samples`, then
/// `zstd --train DIR/* --maxdict=16384 -o store/src/squeeze/N.dict`.
#[test]
#[ignore = "writes files for `zstd --train`"]
fn samples_for_a_dictionary() {
    let dir = PathBuf::from(std::env::var("KNIK_SAMPLES").unwrap());
    let post = Post::new(crate::pairing::Pairing::SqliteSegments);
    let mut letters = 0;
    for n in 0..400_usize {
        let account = post.account(&format!("{:010}", 2_503_851_234_u64 + n as u64 * 7919));
        for k in 0..3 {
            let octets = letter(n * 3 + k);
            post.deposit(&octets, &[&account]).unwrap();
            letters += 1;
        }
        let (holder, inbox) = (post.holder(&account), post.inbox(&account));
        post.store
            .log_in(holder.clone(), account.id, Default::default())
            .wait()
            .unwrap();
        let listings = post.store.list(&holder, inbox, &[1, 2]).unwrap();
        for (at, listing) in listings.iter().enumerate() {
            keep(&dir, &format!("trace-{n}-{at}"), &listing.trace);
            keep(
                &dir,
                &format!("structure-{n}-{at}"),
                &listing.structure.to_bytes(),
            );
        }
        let wanted = vec![Wanted {
            uid: 1,
            seen: true,
            sections: "BODY[]".into(),
        }];
        for disclosure in post.store.disclose(&holder, inbox, wanted).unwrap() {
            let size = disclosure.octets().unwrap().len() as u64;
            let whole = Acknowledged {
                disclosure,
                covered: std::iter::once(0..size).collect(),
                header: true,
            };
            post.store
                .handed_over(holder.clone(), vec![whole])
                .wait()
                .unwrap();
        }
    }
    assert_eq!(letters, 1200);
    for record in post.records(&Query::default()) {
        keep(
            &dir,
            &format!("event-{}", record.ordinal),
            &record.canonical,
        );
    }
}

fn keep(dir: &std::path::Path, name: &str, octets: &[u8]) {
    fs::write(dir.join(name), octets).unwrap();
}

/// A letter of one of the shapes that agencies send.
fn letter(n: usize) -> Vec<u8> {
    let (name, host) = (NAMES[n % NAMES.len()], HOSTS[n % HOSTS.len()]);
    let encoded: String = name.bytes().map(|octet| format!("={octet:02X}")).collect();
    let head = format!(
        "From: =?utf-8?Q?{encoded}?= <notice@{host}>\r\nTo: <{:010}@post.test>\r\nSubject: =?UTF-8?Q?{encoded}?= {n}\r\n\
         Date: Sun, {} Nov 2026 {:02}:{:02}:{:02} +0400\r\nMessage-ID: <{:016x}.{n}@{host}>\r\nMIME-Version: 1.0\r\n",
        n * 7919,
        n % 28 + 1,
        n % 24,
        n % 60,
        (n * 7) % 60,
        (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
    );
    let body = match n % 3 {
        0 => "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nA notice.\r\n".to_owned(),
        1 => format!(
            "Content-Type: multipart/mixed; boundary=\"b{n}\"\r\n\r\n--b{n}\r\nContent-Type: text/plain; charset=UTF-8\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\nA notice.\r\n--b{n}\r\nContent-Type: application/pdf; name=\"decision-{n}.pdf\"\r\n\
             Content-Disposition: attachment; filename=\"decision-{n}.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n--b{n}--\r\n"
        ),
        _ => format!(
            "Content-Type: multipart/alternative; boundary=\"a{n}\"\r\n\r\n--a{n}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nA notice.\r\n\
             --a{n}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>A notice.</p>\r\n--a{n}--\r\n"
        ),
    };
    format!("{head}{body}").into_bytes()
}
