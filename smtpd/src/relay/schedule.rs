//! When a letter that could not be handed over is tried again (RFC 5321 §4.5.4.1). Pure: how often it was tried and how
//! old it is go in, what to do comes out.

use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The waits after the first attempts: most failures are a restart or a greylist, and a receipt is waited for.
const EARLY: [Duration; 4] = [
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(30 * 60),
    HOUR,
];

/// The wait after every later attempt: RFC 5321 §4.5.4.1 says two or three hours after the first.
const LATER: Duration = Duration::from_secs(2 * 60 * 60);

/// A letter is given up at this age: RFC 5321 §4.5.4.1 asks for at least 4 to 5 days.
pub const AGE_MAX: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// What is to be done with a letter after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again after this long.
    Retry(Duration),
    /// Too old: it failed.
    GiveUp,
}

/// What to do after `attempts` attempts with a letter that was queued `age` ago. `row` is its number in the queue: letters
/// of the same age are spread by up to a tenth of the wait, each always alike.
///
/// The last attempt falls on the very end of [`AGE_MAX`]; a letter that has reached it is given up.
pub fn next(attempts: u32, age: Duration, row: u64) -> Next {
    if age >= AGE_MAX {
        return Next::GiveUp;
    }
    let Some(earlier) = attempts.checked_sub(1) else {
        return Next::Retry(Duration::ZERO);
    };
    let wait = EARLY.get(earlier as usize).copied().unwrap_or(LATER);
    Next::Retry((wait + spread(wait, row, attempts)).min(AGE_MAX - age))
}

/// Between nothing and a tenth of the wait: never sooner than the schedule says.
fn spread(wait: Duration, row: u64, attempts: u32) -> Duration {
    // splitmix64: neighbouring rows land far apart.
    let mut mixed = row
        .wrapping_add(u64::from(attempts))
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let thousandth = (mixed ^ (mixed >> 31)) % 101;
    wait * thousandth as u32 / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn wait(attempts: u32, age: Duration, row: u64) -> Duration {
        match next(attempts, age, row) {
            Next::Retry(wait) => wait,
            Next::GiveUp => panic!("given up at {age:?}"),
        }
    }

    #[test]
    fn a_letters_five_days() {
        for row in [0, 1, 7, 1 << 40, u64::MAX] {
            let (mut age, mut waits) = (Duration::ZERO, Vec::new());
            while let Next::Retry(wait) = next(waits.len() as u32 + 1, age, row) {
                assert!(wait > Duration::ZERO);
                waits.push(wait);
                age += wait;
            }
            assert_eq!(age, AGE_MAX, "the last attempt is at the very end");
            assert!((50..70).contains(&waits.len()), "{}", waits.len());
            let planned = EARLY.iter().chain(std::iter::repeat(&LATER));
            for (wait, plan) in waits.iter().zip(planned).take(waits.len() - 1) {
                assert!(
                    *wait >= *plan && *wait <= *plan * 11 / 10,
                    "{wait:?} for {plan:?}"
                );
            }
        }
    }

    #[test]
    fn rows_are_spread_and_each_is_always_alike() {
        let waits: std::collections::BTreeSet<Duration> = (0..100)
            .map(|row| wait(9, Duration::from_secs(50_000), row))
            .collect();
        assert!(waits.len() > 40, "{}", waits.len());
        assert_eq!(wait(3, 45 * MINUTE, 5), wait(3, 45 * MINUTE, 5));
        assert_eq!(
            wait(0, Duration::ZERO, 1),
            Duration::ZERO,
            "never tried: now"
        );
        assert_eq!(next(0, AGE_MAX, 1), Next::GiveUp);
        assert_eq!(
            next(u32::MAX, AGE_MAX - MINUTE, u64::MAX),
            Next::Retry(MINUTE)
        );
        assert_eq!(next(1, Duration::MAX, 1), Next::GiveUp);
    }
}
