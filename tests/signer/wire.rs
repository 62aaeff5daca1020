//! The signer's socket as a client that keeps to nothing sees it.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mail::{Digest, Timestamp};
use receipts::checkpoint::Checkpoint;
use receipts::merkle::{Hash, leaf_hash, root};
use receipts::note::Note;
use receipts::seal::Statement;
use receipts::signing::{ANSWER_BYTES_MAX, Answer, Greeting, Request, frame, length};

pub struct Wire {
    stream: UnixStream,
    greeting: Greeting,
}

impl Wire {
    pub fn open(socket: &Path) -> Self {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let greeting = read(&mut stream).unwrap();
        let greeting = Greeting::from_bytes(&greeting).unwrap();
        Self { stream, greeting }
    }

    pub fn origin(&self) -> String {
        self.greeting.logs[0].name().to_owned()
    }

    pub fn write(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).unwrap();
    }

    pub fn is_hung_up_within(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        match self.stream.read(&mut [0; 64]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    fn ask(&mut self, request: &Request) -> Option<Answer> {
        let octets = frame(&request.to_bytes().unwrap()).unwrap();
        self.stream.write_all(&octets).ok()?;
        Some(Answer::from_bytes(&read(&mut self.stream)?).unwrap())
    }

    pub fn last(&mut self) -> Option<String> {
        match self.ask(&Request::Last) {
            Some(Answer::Last(note)) => note,
            other => panic!("{other:?}"),
        }
    }

    pub fn size_of_last(&mut self) -> usize {
        let note = self
            .last()
            .map(|note| Note::parse(note.as_bytes()).unwrap());
        let size = note.map_or(0, |note| Checkpoint::parse(note.text()).unwrap().size);
        usize::try_from(size).unwrap()
    }

    /// Asks for a checkpoint over one or two leaves, after a tree of the first `old` of them.
    pub fn extend(&mut self, origin: &str, leaves: &[&[u8]], old: usize) -> Result<String, String> {
        let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        let proof = if old == 1 && hashes.len() == 2 {
            vec![hashes[1]]
        } else {
            Vec::new()
        };
        self.extend_to(
            Checkpoint::new(origin, hashes.len() as u64, root(&hashes)),
            proof,
        )
    }

    fn extend_to(&mut self, next: Checkpoint, proof: Vec<Hash>) -> Result<String, String> {
        match self.ask(&Request::Extend { next, proof }) {
            Some(Answer::Signed(note)) => Ok(note),
            Some(Answer::Refused(refused)) => Err(refused.reason),
            None => Err("hung up".to_owned()),
            other => panic!("{other:?}"),
        }
    }

    /// Asks for a seal that states a time so long ago.
    pub fn seal_at(&mut self, ago: Duration) -> Result<(), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - ago;
        let time = Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap());
        match self.ask(&Request::Seal(Statement::mail(Digest::of(b"mail"), time))) {
            Some(Answer::Sealed(_)) => Ok(()),
            Some(Answer::Refused(refused)) => Err(refused.reason),
            other => panic!("{other:?}"),
        }
    }
}

fn read(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).ok()?;
    let mut octets = vec![0; length(head, ANSWER_BYTES_MAX).unwrap()];
    stream.read_exact(&mut octets).ok()?;
    Some(octets)
}

/// A node that is not alone: again and again it adds a leaf of its own to the tree as it believes it to be, until so many
/// are signed, by whomever. What it had signed, as sizes and roots, and how often it was refused.
pub fn race(socket: &Path, racer: u8, leaves_wanted: usize) -> (Vec<(u64, String)>, usize) {
    use std::sync::Mutex;
    /// What was signed: the nodes' one store.
    static LEAVES: Mutex<Vec<Hash>> = Mutex::new(Vec::new());
    let mut wire = Wire::open(socket);
    let origin = wire.origin();
    let (mut signed, mut refused) = (Vec::new(), 0);
    let until = Instant::now() + Duration::from_secs(30);
    for round in 0u32.. {
        let before = LEAVES.lock().unwrap().clone();
        if before.len() >= leaves_wanted || Instant::now() > until {
            break;
        }
        let own = leaf_hash(&[&[racer], round.to_be_bytes().as_slice()].concat());
        let leaves = [before.as_slice(), &[own]].concat();
        let next = Checkpoint::new(&origin, leaves.len() as u64, root(&leaves));
        let proof = consistency(&leaves, before.len());
        let (size, root) = (next.size, next.root.to_string());
        if wire.extend_to(next, proof).is_ok() {
            let mut all = LEAVES.lock().unwrap();
            assert_eq!(all.len(), before.len(), "signed for two");
            all.push(own);
            signed.push((size, root));
        } else {
            refused += 1;
        }
    }
    (signed, refused)
}

/// RFC 6962 §2.1.2, from all leaves: PROOF(old, leaves).
fn consistency(leaves: &[Hash], old: usize) -> Vec<Hash> {
    fn sub(leaves: &[Hash], old: usize, whole: bool, out: &mut Vec<Hash>) {
        if old == leaves.len() {
            if !whole {
                out.push(root(leaves));
            }
            return;
        }
        let split = (leaves.len() - 1).checked_ilog2().map_or(1, |log| 1 << log);
        if old <= split {
            sub(&leaves[..split], old, whole, out);
            out.push(root(&leaves[split..]));
        } else {
            sub(&leaves[split..], old - split, false, out);
            out.push(root(&leaves[..split]));
        }
    }
    let mut out = Vec::new();
    if old > 0 {
        sub(leaves, old, true, &mut out);
    }
    out
}
