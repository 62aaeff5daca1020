//! Many clients at once: a thread for each, so that a client that waits holds up no other.

use std::thread;

use crate::failure::{Failure, Outcome};

/// Runs `work` so many times at once, each with its number, and gathers what comes of it.
///
/// # Errors
/// The first that failed.
pub fn each<T: Send>(count: usize, work: impl Fn(usize) -> Outcome<T> + Sync) -> Outcome<Vec<T>> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|end| end.unwrap_or_else(|_| Err(ended_badly())))
            .collect()
    })
}

/// Both ends of something at once.
///
/// # Errors
/// Of the second, else of the first.
pub fn both<A: Send, B>(
    one: impl FnOnce() -> Outcome<A> + Send,
    other: impl FnOnce() -> Outcome<B>,
) -> Outcome<(A, B)> {
    thread::scope(|scope| {
        let first = scope.spawn(one);
        let second = other();
        let first = first.join().unwrap_or_else(|_| Err(ended_badly()));
        second.and_then(|second| Ok((first?, second)))
    })
}

/// Runs on beside everything else until the program ends.
pub fn aside(work: impl FnOnce() + Send + 'static) {
    thread::spawn(work);
}

fn ended_badly() -> Failure {
    Failure::could_not("a client of the measure ended badly")
}
