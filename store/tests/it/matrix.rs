//! The crash matrix: every change that a day of the post makes on disk goes wrong once, in every way there is.
//!
//! A day is run once on a disk that is well, and what can be seen after each step is written down. Then, for each change n
//! and each way of failing, a machine runs the day until it fails there; what is left is opened again. It must show exactly
//! what was promised: the steps that were answered, and the one under way wholly or not at all. Then the day is finished, the
//! power is cut without notice, and all of it must be there: the laws of evidence by the audit, every mailbox, UID,
//! mod-sequence, flag, event and letter by comparison with the day on which nothing failed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use faults::{Change, Fault, Kind, Loss, Simulated};
use store::{Store, StoreError};

use self::post::{End, Machine};
use self::scenario::{BURST, DAY, People, Seen, Step};

#[path = "matrix/damage.rs"]
mod damage;
#[path = "matrix/post.rs"]
mod post;
#[path = "matrix/scenario.rs"]
mod scenario;

/// A day without a fault.
struct Day {
    image: Simulated,
    people: People,
    /// What is seen before each step, and after the last.
    seen: Vec<Seen>,
    changes: Vec<Change>,
    reads: u64,
}

/// A post that has been set up, and nothing more.
fn set_up() -> (Simulated, People) {
    let mut machine = Machine::new(&Simulated::default());
    let store = machine.open().unwrap();
    let people = People::make(&store).unwrap();
    machine.end(Some(store), End::Left);
    (machine.image(), people)
}

impl Day {
    fn new() -> Self {
        let (image, people) = set_up();
        let mut machine = Machine::new(&image);
        let mut store = Some(machine.open().unwrap());
        let mut seen = Vec::new();
        for step in DAY {
            seen.push(Seen::of(store.as_ref().unwrap(), &people).unwrap());
            machine.act(&mut store, &people, step).unwrap();
        }
        let store = store.unwrap();
        seen.push(Seen::of(&store, &people).unwrap());
        store.audit().unwrap();
        store.close();
        // Once more without looking, which reads too.
        let mut machine = Machine::new(&image);
        machine.disk.plan(None);
        let mut store = Some(machine.open().unwrap());
        for step in DAY {
            machine.act(&mut store, &people, step).unwrap();
        }
        let (changes, reads) = (machine.disk.changes(), machine.disk.reads());
        Self {
            image,
            people,
            seen,
            changes,
            reads,
        }
    }
}

/// One cell of the matrix.
#[derive(Debug, Clone, Copy)]
struct Cell {
    fault: Fault,
    end: End,
}

/// How far a day came.
struct Progress {
    /// Steps that were answered.
    done: usize,
    /// Steps that may be there.
    maybe: usize,
    store: Option<Store>,
}

/// Runs the day until something fails for good.
fn run(day: &Day, machine: &mut Machine, cell: Cell) -> Progress {
    machine.disk.plan(Some(cell.fault));
    let mut store = machine.open().ok();
    if store.is_none() {
        return Progress {
            done: 0,
            maybe: 0,
            store,
        };
    }
    let heals = matches!(
        cell.fault,
        Fault::Full(_) | Fault::ReadFails(_) | Fault::Short(_)
    );
    for (number, step) in DAY.into_iter().enumerate() {
        if number == BURST && !heals {
            return burst(day, machine, store);
        }
        let mut result = machine.act(&mut store, &day.people, step);
        if let (Err(error), true, Some(open)) = (&result, heals, store.as_ref())
            && !open.failed()
        {
            stays_readable(day, open, number, error, &machine.disk);
            machine.disk.heal();
            result = machine.act(&mut store, &day.people, step);
            assert!(result.is_ok(), "does not heal at {step:?}: {result:?}");
        }
        if let Err(error) = result {
            promises_nothing(day, store.as_ref(), &error);
            return Progress {
                done: number,
                maybe: number + 1,
                store,
            };
        }
    }
    Progress {
        done: DAY.len(),
        maybe: DAY.len(),
        store,
    }
}

/// On a full disk, or after a read that failed, what was there can be read.
fn stays_readable(day: &Day, store: &Store, done: usize, error: &StoreError, disk: &Simulated) {
    let hit = disk.hit();
    assert!(hit.is_some(), "{error} without a fault");
    let seen = Seen::of(store, &day.people).unwrap();
    // `disclosed` may be durable and its octets unread: then nothing has left, and trying again reads them.
    let (before, after) = (&day.seen[done], &day.seen[done + 1]);
    assert!(
        seen == *before || seen == *after,
        "after {error}: {}",
        seen.differs(before)
    );
}

/// After a failure that is not the act's own, nothing more is promised.
fn promises_nothing(day: &Day, store: Option<&Store>, error: &StoreError) {
    let Some(store) = store else { return };
    if matches!(error, StoreError::Failed) {
        assert!(store.failed(), "the store goes on after {error}");
    }
    if store.failed() {
        assert!(matches!(store.stage(), Err(StoreError::Failed)));
        let again = day.people.act(store, Step::Flag(0, 1, 2));
        assert!(again.is_err(), "{again:?}");
    }
}

/// The letters that come all at once: they share groups, and a group is there whole or not.
fn burst(day: &Day, machine: &Machine, store: Option<Store>) -> Progress {
    let open = store.as_ref().unwrap();
    let mut tickets = Vec::new();
    let mut maybe = BURST;
    for step in &DAY[BURST..] {
        match day.people.submit(open, *step) {
            Ok(ticket) => tickets.push(ticket),
            Err(_) => break,
        }
        maybe += 1;
    }
    let answers: Vec<_> = tickets.into_iter().map(|ticket| ticket.wait()).collect();
    let done = answers.iter().take_while(|answer| answer.is_ok()).count();
    for answer in &answers[done..] {
        assert!(
            answer.is_err(),
            "a later letter was accepted: {:?}",
            machine.disk.hit()
        );
    }
    Progress {
        done: BURST + done,
        maybe,
        store,
    }
}

/// Opens what is left, looks at it, finishes the day, cuts the power, looks again.
fn recover(day: &Day, machine: &mut Machine, progress: Progress, end: End) {
    machine.end(progress.store, end);
    machine.disk.plan(None);
    let store = machine.open().unwrap();
    store.sweep().unwrap();
    store.audit().unwrap();
    let seen = Seen::of(&store, &day.people).unwrap();
    let allowed = progress.done..=progress.maybe;
    let reached = allowed.clone().find(|number| day.seen[*number] == seen);
    let Some(mut reached) = reached else {
        let expected = &day.seen[progress.done];
        let (done, maybe) = (progress.done, progress.maybe);
        panic!("after {done} to {maybe} steps: {}", seen.differs(expected));
    };
    let mut store = Some(store);
    // Whoever was not answered tries again: one letter each.
    let under_way = &DAY[progress.done.min(reached)..];
    for step in under_way.iter().take(reached.saturating_sub(progress.done)) {
        if matches!(step, Step::Deposit(..)) {
            let ticket = day.people.submit(store.as_ref().unwrap(), *step).unwrap();
            assert!(ticket.wait().unwrap().repeated, "{step:?} came twice");
        }
    }
    // A step that shows nothing may have been lost: it is done again.
    while reached > progress.done && day.seen[reached] == day.seen[reached - 1] {
        reached -= 1;
    }
    for step in &DAY[reached..] {
        machine.act(&mut store, &day.people, *step).unwrap();
    }
    machine.end(store, End::Cut(Loss::All));
    machine.disk.plan(None);
    let store = machine.open().unwrap();
    store.audit().unwrap();
    let seen = Seen::of(&store, &day.people).unwrap();
    let (is, was) = (&seen, &day.seen[DAY.len()]);
    let (done, maybe) = (progress.done, progress.maybe);
    assert!(
        is == was,
        "{done} to {maybe} steps, went on from {reached}: {}",
        is.differs(was)
    );
    store.close();
}

/// The cells of one change: every way in which it can go wrong.
fn ways(number: usize, change: &Change) -> Vec<Cell> {
    let at = number as u64;
    let cut = |loss| (Fault::Cut(at), End::Cut(loss));
    let mut ways = vec![
        (Fault::Fails(at), End::Killed),
        (Fault::Fails(at), End::Left),
        (Fault::Fails(at), End::Cut(Loss::All)),
        (Fault::FailsButDone(at), End::Killed),
        (Fault::FailsButDone(at), End::Cut(Loss::Scattered(at))),
        cut(Loss::All),
        cut(Loss::Scattered(at)),
        cut(Loss::Torn(at)),
    ];
    if change.kind == Kind::Write {
        ways.push((Fault::Short(at), End::Killed));
    }
    if matches!(change.kind, Kind::Write | Kind::Create) {
        ways.push((Fault::Full(at), End::Killed));
    }
    let cell = |(fault, end)| Cell { fault, end };
    ways.into_iter().map(cell).collect()
}

/// Whether this is one of the thousand equal writes of zeros ahead: the first and the last speak for the others.
fn is_one_of_many(changes: &[Change], number: usize) -> bool {
    let same = |other: Option<&Change>| other.is_some_and(|other| *other == changes[number]);
    let before = number.checked_sub(1).and_then(|before| changes.get(before));
    changes[number].zeros && same(before) && same(changes.get(number + 1))
}

/// All changes of the day that count, each with its ways.
fn matrix(day: &Day) -> Vec<(usize, Vec<Cell>)> {
    let numbers = (0..day.changes.len()).filter(|number| !is_one_of_many(&day.changes, *number));
    numbers
        .map(|number| (number, ways(number, &day.changes[number])))
        .collect()
}

/// Characters of a failure that are shown.
const WHY_MAX: usize = 400;

/// What went wrong there, in words.
fn machine_change(day: &Day, fault: Fault) -> String {
    match fault {
        Fault::ReadFails(_) => String::new(),
        Fault::Fails(at)
        | Fault::FailsButDone(at)
        | Fault::Short(at)
        | Fault::Full(at)
        | Fault::Cut(at) => format!("{:?}", day.changes.get(at as usize)),
    }
}

/// Runs all cells on all processors; panics with every one that does not hold.
fn hold(day: &Day, cells: &[Cell]) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        let mut machine = Machine::new(&day.image);
                        let progress = run(day, &mut machine, *cell);
                        recover(day, &mut machine, progress, cell.end);
                    }));
                    if let Err(why) = tried {
                        let text = why.downcast_ref::<String>().map(String::as_str);
                        let text = text.or(why.downcast_ref::<&str>().copied());
                        let text: String = text.unwrap_or("?").chars().take(WHY_MAX).collect();
                        let change = machine_change(day, cell.fault);
                        failures
                            .lock()
                            .unwrap()
                            .push(format!("{cell:?} {change}: {text}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let (count, of) = (failures.len(), cells.len());
    assert!(
        failures.is_empty(),
        "{count} of {of} do not hold:
{}",
        failures.join(
            "
"
        )
    );
}

#[test]
fn a_change_may_go_wrong() {
    let day = Day::new();
    let mut cells = Vec::new();
    for (turn, (number, ways)) in matrix(&day).into_iter().enumerate() {
        // Syncs are where promises are made: each fails in half of the ways. The others take turns, every other one.
        if matches!(day.changes[number].kind, Kind::Sync | Kind::SyncDir) {
            cells.extend(ways.into_iter().skip(turn % 2).step_by(2));
        } else if turn % 2 == 0 {
            cells.push(ways[turn / 2 % ways.len()]);
        }
    }
    eprintln!("{} changes, {} cells", day.changes.len(), cells.len());
    hold(&day, &cells);
}

#[test]
#[ignore = "takes minutes: cargo nextest run -p store --run-ignored only matrix"]
fn every_change_may_go_wrong_in_every_way() {
    let day = Day::new();
    let cells: Vec<Cell> = matrix(&day)
        .into_iter()
        .flat_map(|(_, ways)| ways)
        .collect();
    eprintln!("{} changes, {} cells", day.changes.len(), cells.len());
    hold(&day, &cells);
}

fn reads(day: &Day, step: usize) -> Vec<Cell> {
    let end = End::Cut(Loss::All);
    let numbers = (0..day.reads).step_by(step);
    numbers
        .map(|at| Cell {
            fault: Fault::ReadFails(at),
            end,
        })
        .collect()
}

#[test]
fn a_read_may_fail() {
    let day = Day::new();
    hold(&day, &reads(&day, 7));
}

#[test]
#[ignore = "takes minutes: cargo nextest run -p store --run-ignored only matrix"]
fn every_read_may_fail() {
    let day = Day::new();
    hold(&day, &reads(&day, 1));
}

#[test]
fn a_letter_seen_after_a_failed_sync_is_there_for_good() {
    let (image, people) = set_up();
    let (before, letter) = (DAY[BURST], DAY[BURST + 1]);
    let two_letters = |machine: &Machine, fault| {
        let store = machine.open().unwrap();
        people.act(&store, before).unwrap();
        machine.disk.plan(fault);
        let second = people.act(&store, letter);
        (store, second)
    };
    let machine = Machine::new(&image);
    let (store, second) = two_letters(&machine, None);
    second.unwrap();
    let changes = machine.disk.changes();
    let is_commit = |change: &Change| change.kind == Kind::Sync && change.name.ends_with("-wal");
    let commit = changes.iter().rposition(is_commit).unwrap() as u64;
    store.close();
    let mut machine = Machine::new(&image);
    let (store, second) = two_letters(&machine, Some(Fault::Fails(commit)));
    second.unwrap_err();
    // The next process sees the letter in what the failed sync did not write, and says so; nothing else is written then.
    machine.end(Some(store), End::Killed);
    let store = machine.open().unwrap();
    let repeated = people.submit(&store, letter).unwrap().wait().unwrap();
    assert!(repeated.repeated);
    let seen = Seen::of(&store, &people).unwrap();
    // The WAL must not come back: it ends before the letter, and its pages are older than the database's.
    machine.end(Some(store), End::Cut(Loss::All));
    let store = machine.open().unwrap();
    store.audit().unwrap();
    let after = Seen::of(&store, &people).unwrap();
    assert!(seen == after, "{}", after.differs(&seen));
    store.close();
}

#[test]
fn a_full_disk_is_full_for_everyone_and_heals() {
    const TOGETHER: usize = 40;
    let (image, people) = set_up();
    let machine = Machine::new(&image);
    let store = machine.open().unwrap();
    let letters = || -> Vec<_> {
        let letters = (0..TOGETHER).map(|n| DAY[BURST + n % (DAY.len() - BURST)]);
        let tickets = letters.map(|step| people.submit(&store, step).unwrap());
        tickets.collect()
    };
    machine.disk.plan(Some(Fault::Full(0)));
    for ticket in letters() {
        let refused = ticket.wait();
        assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    }
    assert!(!store.failed());
    machine.disk.heal();
    for ticket in letters() {
        ticket.wait().unwrap();
    }
    store.audit().unwrap();
    store.close();
}
