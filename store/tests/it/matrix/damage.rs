//! Damaged files: a bit that turned is named, or changes no answer.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::post::{End, Machine};
use super::scenario::{DAY, People, Seen, Step};
use super::set_up;

/// Places tried in each file.
const PLACES: u64 = 60;

/// The same when there is time.
const PLACES_MANY: u64 = 3_000;

/// The machine after a day, everything published, and what is then seen.
struct Evening {
    machine: Machine,
    people: People,
    seen: Seen,
}

impl Evening {
    fn new() -> Self {
        let (image, people) = set_up();
        let mut machine = Machine::new(&image);
        let mut store = Some(machine.open().unwrap());
        for step in DAY {
            machine.act(&mut store, &people, step).unwrap();
        }
        machine.act(&mut store, &people, Step::Publish).unwrap();
        let seen = Seen::of(store.as_ref().unwrap(), &people).unwrap();
        machine.end(store, End::Left);
        Self {
            machine,
            people,
            seen,
        }
    }

    /// What a bit that turned there does: the answer or audit that names it, or nothing at all, or harm.
    fn outcome(&self, path: &Path, offset: u64, mask: u8) -> Outcome {
        let machine = self.machine.twin();
        machine.disk.flip(&machine.here(path), offset, mask);
        let store = match machine.open() {
            Ok(store) => store,
            Err(error) => return Outcome::Named(error.to_string()),
        };
        let seen = Seen::of(&store, &self.people);
        let audit = store.audit();
        store.close();
        match (seen, audit) {
            (_, Err(finding)) => Outcome::Named(finding.to_string()),
            (Err(error), Ok(_)) => Outcome::Named(error.to_string()),
            (Ok(seen), Ok(_)) if seen == self.seen => Outcome::Nothing,
            (Ok(seen), Ok(_)) => Outcome::Harm(seen.differs(&self.seen)),
        }
    }
}

#[derive(Debug)]
enum Outcome {
    Named(String),
    Nothing,
    Harm(String),
}

#[test]
fn a_bit_that_turned_is_named_or_changes_nothing() {
    turn_bits(PLACES);
}

#[test]
#[ignore = "takes minutes: cargo nextest run -p store --run-ignored only damage"]
fn many_bits_that_turned_are_named_or_change_nothing() {
    turn_bits(PLACES_MANY);
}

fn turn_bits(places_max: u64) {
    let evening = Evening::new();
    let mut places = Vec::new();
    for (path, size) in evening.machine.disk.files() {
        // Ready segments are mostly zeros that nothing refers to yet.
        let used = size.min(400_000);
        let step = (used / places_max).max(1);
        let name = evening.machine.under(&path);
        places.extend(
            (0..used)
                .step_by(step as usize)
                .map(|offset| (name.clone(), offset)),
        );
    }
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((path, offset)) = places.get(at) else {
                        return;
                    };
                    let outcome = evening.outcome(path, *offset, 1 << (at % 8));
                    outcomes
                        .lock()
                        .unwrap()
                        .push((path.clone(), *offset, outcome));
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let named: Vec<&String> = outcomes
        .iter()
        .filter_map(|(.., outcome)| match outcome {
            Outcome::Named(what) => Some(what),
            _ => None,
        })
        .collect();
    let first = named.first().copied().cloned().unwrap_or_default();
    let (named, tried) = (named.len(), outcomes.len());
    eprintln!("{named} of {tried} named; the first: {first}");
    assert!(
        named > tried / 20,
        "{named} of {tried}: the day's files are elsewhere"
    );
    let harm: Vec<String> = outcomes
        .iter()
        .filter_map(|(path, offset, outcome)| match outcome {
            Outcome::Harm(what) => Some(format!("{} at {offset}: {what}", path.display())),
            _ => None,
        })
        .collect();
    assert!(
        harm.is_empty(),
        "{} do harm:\n{}",
        harm.len(),
        harm.join("\n")
    );
}
