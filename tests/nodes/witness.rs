//! Somebody outside who reads every node's checkpoint, again and again, and remembers them all.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use receipts::checkpoint::Checkpoint;
use receipts::merkle::{Hash, RightEdge, leaf_hash};
use receipts::note::Note;
use receipts::tiles::{TileKind, TilePath, WIDTH_MAX, read_entries};

use crate::harness::Channel;

pub struct Witness {
    seen: Arc<Mutex<BTreeMap<u64, Hash>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    /// Looks at all of these until it is ended. A node that does not answer is passed over.
    pub fn over(nodes: Vec<SocketAddrV4>) -> Self {
        let seen: Arc<Mutex<BTreeMap<u64, Hash>>> = Arc::default();
        let over = Arc::new(AtomicBool::new(false));
        let (memory, ending) = (Arc::clone(&seen), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            let mut newest = vec![0; nodes.len()];
            while !ending.load(Ordering::SeqCst) {
                for (node, newest) in nodes.iter().zip(&mut newest) {
                    let Some(checkpoint) = checkpoint(*node) else {
                        continue;
                    };
                    assert!(
                        checkpoint.size >= *newest,
                        "{node} went back from {newest} to {}",
                        checkpoint.size
                    );
                    *newest = checkpoint.size;
                    let mut memory = memory.lock().unwrap();
                    let root = memory.entry(checkpoint.size).or_insert(checkpoint.root);
                    assert_eq!(
                        *root, checkpoint.root,
                        "two roots over {} events",
                        checkpoint.size
                    );
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self {
            seen,
            over,
            thread: Some(thread),
        }
    }

    /// The largest tree seen so far.
    pub fn newest(&self) -> u64 {
        let seen = self.seen.lock().unwrap();
        seen.last_key_value().map_or(0, |(size, _)| *size)
    }

    /// Every checkpoint that was ever seen is a beginning of the log in this folder; how many there were.
    pub fn end(mut self, log: &Path) -> usize {
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().expect("the witness");
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let mut edge = RightEdge::new();
        for leaf in entries(log) {
            edge.push(leaf_hash(&leaf)).unwrap();
            if let Some(root) = seen.get(&edge.size()) {
                assert_eq!(edge.root(), *root, "the log over {} events", edge.size());
            }
        }
        let newest = seen.last_key_value().map_or(0, |(size, _)| *size);
        assert!(
            edge.size() >= newest,
            "{newest} seen, {} there",
            edge.size()
        );
        seen.len()
    }
}

/// All entries under the checkpoint of a log's folder.
fn entries(log: &Path) -> Vec<Vec<u8>> {
    let note = Note::parse(&std::fs::read(log.join("checkpoint")).unwrap()).unwrap();
    let size = Checkpoint::parse(note.text()).unwrap().size;
    let whole = u64::from(WIDTH_MAX);
    let mut entries = Vec::new();
    for index in 0..size.div_ceil(whole) {
        let width = u16::try_from((size - index * whole).min(whole)).unwrap();
        let path = TilePath {
            kind: TileKind::Entries,
            index,
            width,
        };
        let bundle = std::fs::read(log.join(path.to_string())).unwrap();
        let found = read_entries(&bundle, width).unwrap();
        entries.extend(found.into_iter().map(<[u8]>::to_vec));
    }
    entries
}

fn checkpoint(node: SocketAddrV4) -> Option<Checkpoint> {
    let mut channel = Channel::open(Ipv4Addr::LOCALHOST, node).ok()?;
    let request = "GET /log/checkpoint HTTP/1.1\r\nHost: log\r\nConnection: close\r\n\r\n";
    channel.write(request.as_bytes()).ok()?;
    let answer = channel.everything(Duration::from_secs(5)).ok()??;
    let text = String::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let found = head.starts_with("HTTP/1.1 200");
    // Nothing was published yet, or the node is on its way up or down; what is there must be whole.
    found.then(|| Checkpoint::parse(Note::parse(body.as_bytes()).unwrap().text()).unwrap())
}
