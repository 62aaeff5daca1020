//! Instants in UTC to the millisecond, and the forms in which mail, IMAP and evidence write them.
//!
//! The calendar is the proleptic Gregorian one without leap seconds, as RFC 3339 and POSIX have it. No clock is read.

use std::fmt;
use std::str::FromStr;

const MILLIS_PER_DAY: i64 = 86_400_000;
/// 0000-01-01T00:00:00.000Z; RFC 3339 years have four digits, so nothing earlier can be written.
const MILLIS_MIN: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z, for the same reason.
const MILLIS_MAX: i64 = 253_402_300_799_999;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Milliseconds since 1970-01-01T00:00:00Z, always within the years 0000 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text or a date is not a [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The text does not have the shape `YYYY-MM-DDThh:mm:ss.sssZ`.
    #[error("a time is written YYYY-MM-DDThh:mm:ss.sssZ")]
    Form,
    /// The shape is right and the calendar or the clock has no such moment; a leap second is one of these.
    #[error("there is no such date or time of day")]
    Range,
}

impl Timestamp {
    /// Milliseconds since the epoch; what lies outside the years 0000 to 9999 becomes the nearest moment within.
    pub const fn from_millis(millis: i64) -> Self {
        if millis < MILLIS_MIN {
            Self(MILLIS_MIN)
        } else if millis > MILLIS_MAX {
            Self(MILLIS_MAX)
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Midnight UTC at the beginning of a day; months and days count from 1.
    ///
    /// # Errors
    /// [`TimeError::Range`] if the calendar has no such day or the year is not within 0 to 9999.
    pub fn from_date(year: i32, month: u8, day: u8) -> Result<Self, TimeError> {
        let known = (0..=9999).contains(&year) && day >= 1 && day <= days_in_month(year, month);
        if !known {
            return Err(TimeError::Range);
        }
        Ok(Self(days_before(year, month, day) * MILLIS_PER_DAY))
    }

    /// Year, month and day in UTC; months and days count from 1.
    pub fn date(self) -> (i32, u8, u8) {
        date_of(self.0.div_euclid(MILLIS_PER_DAY))
    }

    /// `Sun, 22 Nov 2026 09:00:00 +0000` (RFC 5322 §3.3); milliseconds are cut off.
    pub fn rfc5322(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second, _) = self.clock();
        // 1970-01-01 was a Thursday.
        let weekday = (self.0.div_euclid(MILLIS_PER_DAY) + 4).rem_euclid(7);
        // Invariant: `rem_euclid(7)` is below 7.
        let weekday = WEEKDAYS[weekday as usize];
        format!(
            "{weekday}, {day:02} {} {year:04} {hour:02}:{minute:02}:{second:02} +0000",
            month_name(month)
        )
    }

    /// `22-Nov-2026 09:00:00 +0000`: the inside of IMAP's `date-time`, without its quotes (RFC 9051 §9); the day is
    /// padded with a space as `date-day-fixed` asks.
    pub fn imap_internal_date(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second, _) = self.clock();
        format!(
            "{day:2}-{}-{year:04} {hour:02}:{minute:02}:{second:02} +0000",
            month_name(month)
        )
    }

    /// Hour, minute, second, millisecond.
    fn clock(self) -> (i64, i64, i64, i64) {
        let rest = self.0.rem_euclid(MILLIS_PER_DAY);
        (
            rest / 3_600_000,
            rest / 60_000 % 60,
            rest / 1000 % 60,
            rest % 1000,
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let (hour, minute, second, millis) = self.clock();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let shape = b"dddd-dd-ddTdd:dd:dd.dddZ";
        let octets = text.as_bytes();
        let fits = |(&octet, &want): (&u8, &u8)| {
            if want == b'd' {
                octet.is_ascii_digit()
            } else {
                octet == want
            }
        };
        if octets.len() != shape.len() || !octets.iter().zip(shape).all(fits) {
            return Err(TimeError::Form);
        }
        let number = |from: usize, to: usize| {
            octets
                .iter()
                .take(to)
                .skip(from)
                .fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'))
        };
        // Invariant: two and four digits fit in u8 and i32.
        let day = Self::from_date(number(0, 4) as i32, number(5, 7) as u8, number(8, 10) as u8)?;
        let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
        if hour > 23 || minute > 59 || second > 59 {
            return Err(TimeError::Range);
        }
        Ok(Self(
            day.0 + ((hour * 60 + minute) * 60 + second) * 1000 + number(20, 23),
        ))
    }
}

/// `Jan` to `Dec`, as RFC 5322 and IMAP both write them.
pub(crate) fn month_name(month: u8) -> &'static str {
    MONTHS
        .get(usize::from(month).wrapping_sub(1))
        .copied()
        .unwrap_or("Jan")
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// 0 for a month that does not exist.
fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    }
}

/// Days from 1970-01-01 to a valid date. Years are counted from March, so that the leap day ends a year.
fn days_before(year: i32, month: u8, day: u8) -> i64 {
    let years = i64::from(year) - i64::from(month < 3);
    let months = (i64::from(month) + 9) % 12;
    let leaps = years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
    // 153 days in five months from March; 719 468 days from 0000-03-01 to the epoch.
    years * 365 + leaps + (153 * months + 2) / 5 + i64::from(day) - 1 - 719_468
}

/// The inverse of [`days_before`].
fn date_of(days: i64) -> (i32, u8, u8) {
    let days = days + 719_468;
    let (cycle, in_cycle) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    // A 400-year cycle loses a day every 4 years (1 460 days), gains one every 100, loses its last.
    let year_in_cycle = (in_cycle - in_cycle / 1460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let in_year = in_cycle - (365 * year_in_cycle + year_in_cycle / 4 - year_in_cycle / 100);
    let months = (5 * in_year + 2) / 153;
    let day = in_year - (153 * months + 2) / 5 + 1;
    let month = (months + 2) % 12 + 1;
    let year = cycle * 400 + year_in_cycle + i64::from(month < 3);
    // Invariant: a Timestamp lies within the years 0 to 9999, a month within 12 and a day within 31.
    (year as i32, month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments_in_every_form() {
        let vectors = [
            (
                0,
                "1970-01-01T00:00:00.000Z",
                "Thu, 01 Jan 1970 00:00:00 +0000",
                " 1-Jan-1970 00:00:00 +0000",
            ),
            (
                1_795_338_000_000,
                "2026-11-22T09:00:00.000Z",
                "Sun, 22 Nov 2026 09:00:00 +0000",
                "22-Nov-2026 09:00:00 +0000",
            ),
            (
                951_782_400_007,
                "2000-02-29T00:00:00.007Z",
                "Tue, 29 Feb 2000 00:00:00 +0000",
                "29-Feb-2000 00:00:00 +0000",
            ),
            (
                -1,
                "1969-12-31T23:59:59.999Z",
                "Wed, 31 Dec 1969 23:59:59 +0000",
                "31-Dec-1969 23:59:59 +0000",
            ),
            (
                MILLIS_MIN,
                "0000-01-01T00:00:00.000Z",
                "Sat, 01 Jan 0000 00:00:00 +0000",
                " 1-Jan-0000 00:00:00 +0000",
            ),
            (
                MILLIS_MAX,
                "9999-12-31T23:59:59.999Z",
                "Fri, 31 Dec 9999 23:59:59 +0000",
                "31-Dec-9999 23:59:59 +0000",
            ),
        ];
        for (millis, rfc3339, rfc5322, imap) in vectors {
            let time = Timestamp::from_millis(millis);
            assert_eq!(time.as_millis(), millis);
            assert_eq!(time.to_string(), rfc3339);
            assert_eq!(rfc3339.parse(), Ok(time));
            assert_eq!(time.rfc5322(), rfc5322);
            assert_eq!(time.imap_internal_date(), imap);
        }
        assert_eq!(Timestamp::from_millis(i64::MAX).as_millis(), MILLIS_MAX);
        assert_eq!(Timestamp::from_millis(i64::MIN).as_millis(), MILLIS_MIN);
    }

    #[test]
    fn other_forms_are_refused() {
        let form = [
            "",
            "2026-11-22",
            "2026-11-22T09:00:00Z",
            "2026-11-22T09:00:00.00Z",
            "2026-11-22t09:00:00.000z",
            "2026-11-22T09:00:00.000+00:00",
            " 2026-11-22T09:00:00.000Z",
            "2026-11-22T09:00:00.000Z ",
            "+026-11-22T09:00:00.000Z",
        ];
        for text in form {
            assert_eq!(text.parse::<Timestamp>(), Err(TimeError::Form), "{text}");
        }
        let range = [
            "2026-13-01T00:00:00.000Z",
            "2026-00-01T00:00:00.000Z",
            "2026-02-29T00:00:00.000Z",
            "1900-02-29T00:00:00.000Z",
            "2026-04-31T00:00:00.000Z",
            "2026-04-00T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T00:60:00.000Z",
            "2016-12-31T23:59:60.000Z",
        ];
        for text in range {
            assert_eq!(text.parse::<Timestamp>(), Err(TimeError::Range), "{text}");
        }
        assert_eq!(Timestamp::from_date(10_000, 1, 1), Err(TimeError::Range));
    }

    #[test]
    fn every_day_of_the_calendar_follows_the_one_before() {
        let mut expected = MILLIS_MIN;
        for year in 0..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    let time = Timestamp::from_date(year, month, day).unwrap();
                    assert_eq!(time.as_millis(), expected);
                    assert_eq!(time.date(), (year, month, day));
                    expected += MILLIS_PER_DAY;
                }
            }
        }
        assert_eq!(expected, MILLIS_MAX + 1);
    }

    proptest! {
        #[test]
        fn text_order_is_time_order(a in MILLIS_MIN..=MILLIS_MAX, b in MILLIS_MIN..=MILLIS_MAX) {
            let (a, b) = (Timestamp::from_millis(a), Timestamp::from_millis(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
        }
    }
}
