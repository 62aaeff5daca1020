//! Event time: the system clock, never running backwards, with what is known of its health (evidence.md law 9).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use mail::time::Timestamp;
use receipts::event::Clock as ClockState;

/// The wall clock may differ from the steady clock by this much between two looks before it counts as a jump.
/// Slewing moves it by at most 0.5 ms a second; two seconds is far above that and above any scheduling pause's effect.
const JUMP_MS: i64 = 2_000;

/// After a jump the clock must run evenly for this long before it is believed again: time for a daemon that steps
/// it twice to have done so.
const STEADY_MS: i64 = 60_000;

/// Where milliseconds since 1970 come from; tests bring their own.
pub type TimeSource = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The clock that events are dated by.
pub struct Clock {
    source: TimeSource,
    seen: Mutex<Seen>,
}

struct Seen {
    wall_ms: i64,
    steady: Instant,
    /// The wall time of the last jump, if it is not yet forgiven.
    jumped: Option<Instant>,
}

/// One look at the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Never before any earlier reading's time.
    pub time: Timestamp,
    /// `held` when the clock stands before the last event, `unsynced` after a jump, else `synced`.
    pub state: ClockState,
}

impl Clock {
    /// A clock on `source`, or on the system's clock.
    pub fn new(source: Option<TimeSource>) -> Self {
        let source = source.unwrap_or_else(|| Arc::new(system_ms));
        let seen = Mutex::new(Seen {
            wall_ms: source(),
            steady: Instant::now(),
            jumped: None,
        });
        Self { source, seen }
    }

    /// The time now, but never before `floor`.
    pub fn read(&self, floor: Timestamp) -> Reading {
        let wall_ms = (self.source)();
        let jumped = self.notice_jump(wall_ms);
        let time = Timestamp::from_millis(wall_ms.max(floor.as_millis()));
        let state = if wall_ms < floor.as_millis() {
            ClockState::Held
        } else if jumped {
            ClockState::Unsynced
        } else {
            ClockState::Synced
        };
        Reading { time, state }
    }

    fn notice_jump(&self, wall_ms: i64) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let steady_ms = now.duration_since(seen.steady).as_millis() as i64;
        if (wall_ms - seen.wall_ms - steady_ms).abs() > JUMP_MS {
            seen.jumped = Some(now);
        }
        seen.wall_ms = wall_ms;
        seen.steady = now;
        if let Some(since) = seen.jumped
            && now.duration_since(since).as_millis() as i64 >= STEADY_MS
        {
            seen.jumped = None;
        }
        seen.jumped.is_some()
    }
}

fn system_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn a_clock_set_back_is_held_and_one_that_jumps_is_unsynced() {
        let wall = Arc::new(AtomicI64::new(1_000_000));
        let source = Arc::clone(&wall);
        let clock = Clock::new(Some(Arc::new(move || source.load(Ordering::SeqCst))));
        let floor = Timestamp::from_millis(1_000_000);
        assert_eq!(clock.read(floor).state, ClockState::Synced);

        wall.store(500_000, Ordering::SeqCst);
        let held = clock.read(floor);
        assert_eq!((held.time, held.state), (floor, ClockState::Held));

        wall.store(9_000_000, Ordering::SeqCst);
        let jumped = clock.read(floor);
        assert_eq!(jumped.time, Timestamp::from_millis(9_000_000));
        assert_eq!(jumped.state, ClockState::Unsynced);
    }
}
