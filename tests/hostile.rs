//! Peers that mean ill, over loopback against the built program: it stays small, it stays up, and nobody else waits.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::channel::Line;
use crate::harness::letters::letter;
use crate::harness::post::{Port, SENDER};
use crate::harness::{Channel, Credential, Post, Smtp};

const HOLDER: &str = "2503851234";
/// Resident memory of a debug build under all of this, KiB. At rest it has about 30 MiB; a session may hold some 200 kB,
/// and there are never more than a thousand here.
const MEMORY_KIB_MAX: u64 = 300 * 1024;
/// The promise is one second; a test machine with two busy cores gets five.
const DELAY_MAX: Duration = Duration::from_secs(5);

/// What a good agency and a good holder notice while `attack` goes on; it is given the post and a flag that says when
/// to stop.
fn others_are_not_harmed(attack: impl Fn(&Post, &AtomicBool) + Sync) {
    let (mut post, devices) = Post::serving(&[HOLDER]);
    let over = AtomicBool::new(false);
    let mut worst = Duration::ZERO;
    std::thread::scope(|scope| {
        let (attacked, stop, attack) = (&post, &over, &attack);
        let attacker = scope.spawn(move || attack(attacked, stop));
        // Time for the attack to unfold.
        std::thread::sleep(Duration::from_millis(500));
        for number in 0..4 {
            worst = worst.max(one_letter_through(&post, &devices[0], number));
            std::thread::sleep(Duration::from_millis(300));
        }
        over.store(true, Ordering::Relaxed);
        attacker.join().unwrap();
    });
    let (now, most) = post.memory_kib();
    eprintln!("the slowest letter took {worst:?}; memory {now} KiB, at most {most} KiB");
    assert!(worst < DELAY_MAX, "a letter took {worst:?}");
    assert!(most < MEMORY_KIB_MAX, "{most} KiB of memory");
    assert!(post.is_serving());
    post.must(&["audit"]);
}

/// Deposits a letter, logs in and reads it: how long the slower of the two took.
fn one_letter_through(post: &Post, device: &Credential, number: usize) -> Duration {
    let to = post.mailbox(HOLDER);
    let octets = letter(&format!("<{number}@ministry.example>"), &to, 20_000);
    let began = Instant::now();
    post.smtp()
        .unwrap()
        .send("office@ministry.example", &[&to], &octets)
        .unwrap();
    let deposited = began.elapsed();
    let began = Instant::now();
    let mut imap = post.imap(device).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let read = imap
        .ok(&format!("FETCH {} (BODY.PEEK[])", number + 1))
        .unwrap();
    assert!(read.untagged[0].literals[0].ends_with(&octets));
    deposited.max(began.elapsed())
}

/// Connections that are let go when the attack is over. Those that were turned away do not count.
fn hold_open(post: &Post, over: &AtomicBool, count: usize, port: Port, begin: &[u8]) {
    let mut held = Vec::new();
    for number in 0..count {
        // From many addresses, as a botnet would.
        let source = Ipv4Addr::new(
            127,
            1,
            u8::try_from(number / 200).unwrap(),
            u8::try_from(number % 200 + 1).unwrap(),
        );
        if let Ok(mut channel) = post.connect(source, port) {
            let _ = channel.write(begin);
            held.push(channel);
        }
    }
    wait_for(over);
}

fn wait_for(over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A TLS record that says 16 kB follow, and the first octets of a ClientHello.
const HALF_HELLO: [u8; 9] = [0x16, 0x03, 0x01, 0x40, 0x00, 0x01, 0x00, 0x3f, 0xfc];

#[test]
fn half_open_handshakes_and_idle_sessions() {
    others_are_not_harmed(|post, over| {
        std::thread::scope(|scope| {
            scope.spawn(|| hold_open(post, over, 200, Port::Imaps, &HALF_HELLO));
            scope.spawn(|| hold_open(post, over, 200, Port::Imap, b""));
            scope.spawn(|| hold_open(post, over, 100, Port::Imap, b"a STARTTLS\r\n"));
        });
    });
}

#[test]
fn more_connections_from_one_address_than_any_office_has() {
    others_are_not_harmed(|post, over| {
        let source = Ipv4Addr::new(127, 0, 0, 66);
        let mut held = Vec::new();
        let mut ended = 0;
        for number in 0..900 {
            let (port, begin) = match number % 3 {
                0 => (Port::Imaps, &HALF_HELLO[..]),
                1 => (Port::Imap, &b"a CAPABILITY\r\n"[..]),
                _ => (Port::Smtp, &b"EHLO a.example\r\n"[..]),
            };
            let Ok(mut channel) = post.connect(source, port) else {
                continue;
            };
            let _ = channel.write(begin);
            // Beyond a limit it is told so and shown out, at once.
            if number > 600 && matches!(until_the_end(&mut channel), Some(Line::Closed)) {
                ended += 1;
            }
            held.push(channel);
        }
        assert!(ended > 0, "nothing limits what one address may hold");
        wait_for(over);
    });
}

/// Reads on for a moment: what came last.
fn until_the_end(channel: &mut Channel) -> Option<Line> {
    let mut last = None;
    for _ in 0..10 {
        match channel.line(Duration::from_millis(20)) {
            Ok(Line::Whole(_)) => {}
            Ok(other) => {
                last = Some(other);
                break;
            }
            Err(_) => break,
        }
    }
    last
}

#[test]
fn one_octet_at_a_time() {
    others_are_not_harmed(|post, over| {
        let mut slow: Vec<Channel> = Vec::new();
        for _ in 0..40 {
            slow.push(post.connect(SENDER, Port::Smtp).unwrap());
            slow.push(post.connect(Ipv4Addr::LOCALHOST, Port::Imap).unwrap());
            slow.push(post.connect(Ipv4Addr::LOCALHOST, Port::Imaps).unwrap());
        }
        for octet in b"EHLO a.example and then some more of the same"
            .iter()
            .cycle()
        {
            if over.load(Ordering::Relaxed) {
                return;
            }
            for channel in &mut slow {
                let _ = channel.write(&[*octet]);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    });
}

#[test]
fn floods_from_an_address_without_a_contract() {
    others_are_not_harmed(|post, over| {
        let stranger = Ipv4Addr::new(127, 0, 0, 9);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut held = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        if let Ok(mut channel) = post.connect(stranger, Port::Smtp) {
                            let _ = channel.write(b"EHLO x\r\nMAIL FROM:<a@b>\r\n");
                            held.push(channel);
                        }
                        // At most so many at once, then all are dropped and it begins again.
                        if held.len() > 100 {
                            held.clear();
                        }
                        std::thread::sleep(Duration::from_millis(2));
                    }
                });
            }
        });
    });
}

#[test]
fn endless_lines_literals_and_nuls() {
    let block = vec![b'x'; 256 * 1024];
    let nuls = vec![0_u8; 256 * 1024];
    let table: [(Port, &[u8], &[u8]); 7] = [
        (Port::Imap, b"a LOGIN ", &block),
        (Port::Imap, b"a LOGIN {2147483647+}\r\n", &block),
        (
            Port::Imap,
            b"a APPEND INBOX {99999999999999999999+}\r\n",
            &block,
        ),
        (Port::Imap, b"", &nuls),
        (Port::Smtp, b"MAIL FROM:<", &block),
        (Port::Smtp, b"EHLO a\r\n", &nuls),
        (Port::Imaps, &HALF_HELLO, &nuls),
    ];
    others_are_not_harmed(|post, over| {
        while !over.load(Ordering::Relaxed) {
            for (port, begin, block) in table {
                let Ok(mut channel) = post.connect(SENDER, port) else {
                    continue;
                };
                // 16 MiB, unless the server has had enough before.
                let _ = channel
                    .write(begin)
                    .and_then(|()| (0..64).try_for_each(|_| channel.write(block)));
            }
        }
    });
}

#[test]
fn many_messages_that_are_never_finished() {
    others_are_not_harmed(|post, over| {
        let mut begun = Vec::new();
        for _ in 0..60 {
            let Ok(mut smtp) = post.smtp() else { continue };
            smtp.command("MAIL FROM:<office@ministry.example>", 250)
                .unwrap();
            smtp.command(&format!("RCPT TO:<{}>", post.mailbox(HOLDER)), 250)
                .unwrap();
            smtp.command("DATA", 354).unwrap();
            smtp.channel
                .write(&letter("<never@ministry.example>", "x", 1024 * 1024))
                .unwrap();
            begun.push(smtp);
        }
        wait_for(over);
    });
}

#[test]
fn commands_without_end_from_one_who_does_not_read() {
    let (mut post, devices) = Post::serving(&[HOLDER]);
    let to = post.mailbox(HOLDER);
    post.smtp()
        .unwrap()
        .send(
            "office@ministry.example",
            &[&to],
            &letter("<0@ministry.example>", &to, 100_000),
        )
        .unwrap();
    let before = post.memory_kib().0;
    let mut deaf = post.imap(&devices[0]).unwrap();
    deaf.ok("SELECT INBOX").unwrap();
    deaf.channel.write_within(Duration::from_secs(2));
    // 20 000 fetches of 100 kB each, none of which is read: 2 GB, were they kept.
    let commands: String = (0..20_000)
        .map(|number| format!("b{number} FETCH 1 (BODY.PEEK[])\r\n"))
        .collect();
    for piece in commands.as_bytes().chunks(4096) {
        if deaf.channel.write(piece).is_err() {
            break;
        }
    }
    let (_, most) = post.memory_kib();
    eprintln!("memory {before} KiB before, {most} KiB at most");
    assert!(
        most < before + 64 * 1024,
        "{before} KiB before, {most} KiB at most"
    );
    let began = Instant::now();
    post.imap(&devices[0]).unwrap().ok("NOOP").unwrap();
    assert!(began.elapsed() < DELAY_MAX);
    // The same from an agency: replies that nobody reads.
    let mut deaf = post.smtp().unwrap();
    deaf.channel.write_within(Duration::from_secs(2));
    let _ = (0..2000).try_for_each(|_| deaf.channel.write(&b"VRFY a\r\n".repeat(512)));
    let (_, most) = post.memory_kib();
    assert!(
        most < before + 64 * 1024,
        "{before} KiB before, {most} KiB at most"
    );
    Smtp::greet(post.connect(SENDER, Port::Smtp).unwrap()).unwrap();
    assert!(post.is_serving());
}

#[test]
fn garbage_where_tls_should_be() {
    let (mut post, devices) = Post::serving(&[HOLDER]);
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"a LOGIN x y\r\n",
        &[0xff; 4096],
        &[0x16, 0x03, 0x03, 0xff, 0xff],
        b"\0",
    ] {
        let mut channel = post.connect(Ipv4Addr::LOCALHOST, Port::Imaps).unwrap();
        channel.write(garbage).unwrap();
        // An alert, the end, or silence; never mail.
        let line = channel.line(Duration::from_millis(500)).unwrap();
        assert!(
            !matches!(&line, Line::Whole(line) if line.starts_with(b"*")),
            "{line:?}"
        );
    }
    assert!(post.is_serving());
    post.imap(&devices[0]).unwrap();
}
