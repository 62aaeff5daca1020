//! Eight agencies' worth of letters at once, until the server is killed.

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::harness::letters::letter;
use crate::harness::post::{Port, SENDER};
use crate::harness::{Channel, Post, Smtp};

use super::HOLDERS;

const SENDERS: u32 = 8;
/// Below, at and beyond what is staged in memory (256 KiB), and what one read takes.
const SIZES: [usize; 6] = [400, 3_000, 40_000, 262_144, 300_000, 700_000];

/// One round of load.
pub struct Load {
    pub round: u32,
    /// From the first 250 to the kill.
    pub until_kill: Duration,
}

/// A letter whose sending was begun.
#[derive(Debug, Clone)]
pub struct Sent {
    pub message_id: String,
    pub size: usize,
    /// Addresses.
    pub to: Vec<String>,
    /// The evidence id, if a 250 came.
    pub id: Option<String>,
}

impl Sent {
    pub fn octets(&self) -> Vec<u8> {
        letter(&self.message_id, &self.to[0], self.size)
    }
}

impl Load {
    /// Sends until the server is dead. What was begun, with the id where a 250 came.
    pub fn run_and_kill(&self, post: &mut Post) -> Vec<Sent> {
        let (sent, accepted, over) = (
            Mutex::new(Vec::new()),
            AtomicU32::new(0),
            AtomicBool::new(false),
        );
        let mailboxes: Vec<String> = HOLDERS.iter().map(|local| post.mailbox(local)).collect();
        let socket = post.socket(Port::Smtp);
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let (sent, accepted, over, mailboxes) = (&sent, &accepted, &over, &mailboxes);
                scope.spawn(move || {
                    let Ok(channel) = Channel::open(SENDER, socket) else {
                        return;
                    };
                    let Ok(mut smtp) = Smtp::greet(channel) else {
                        return;
                    };
                    for number in 0.. {
                        let mut letter = self.plan(sender, number, mailboxes);
                        let to: Vec<&str> = letter.to.iter().map(String::as_str).collect();
                        let result =
                            smtp.send_for_id("office@ministry.example", &to, &letter.octets());
                        letter.id = result.as_ref().ok().cloned();
                        sent.lock().unwrap().push(letter);
                        match result {
                            Ok(_) => accepted.fetch_add(1, Ordering::Relaxed),
                            // Only the kill may end a session.
                            Err(why) if !over.load(Ordering::SeqCst) => {
                                panic!("before the kill: {why}")
                            }
                            Err(_) => return,
                        };
                    }
                });
            }
            let patience = std::time::Instant::now() + Duration::from_secs(30);
            while accepted.load(Ordering::Relaxed) == 0 && std::time::Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(2));
            }
            std::thread::sleep(self.until_kill);
            over.store(true, Ordering::SeqCst);
            post.kill();
        });
        sent.into_inner().unwrap()
    }

    fn plan(&self, sender: u32, number: u32, mailboxes: &[String]) -> Sent {
        let seed = (sender * 31 + number * 7 + self.round) as usize;
        let first = seed % mailboxes.len();
        let count = 1 + seed % 3;
        Sent {
            message_id: format!("<{}.{sender}.{number}@ministry.example>", self.round),
            size: SIZES[seed % SIZES.len()],
            to: (0..count)
                .map(|at| mailboxes[(first + at) % mailboxes.len()].clone())
                .collect(),
            id: None,
        }
    }
}

/// A session for sending again.
pub fn session(post: &Post) -> Smtp {
    let source: Ipv4Addr = SENDER;
    Smtp::greet(post.connect(source, Port::Smtp).unwrap()).unwrap()
}
