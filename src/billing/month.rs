//! A calendar month: it begins and ends at midnight in Yerevan, whatever the host's own zone.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use mail::Timestamp;

/// The zone in which months are billed.
pub const ZONE: &str = "Asia/Yerevan";

/// A calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(Date);

impl Month {
    /// The month that an instant falls into; `None` outside the years that can be written.
    pub fn of(instant: Timestamp) -> Option<Self> {
        let zone = TimeZone::get(ZONE).ok()?;
        let instant = jiff::Timestamp::from_millisecond(instant.as_millis()).ok()?;
        Some(Self(instant.to_zoned(zone).date().first_of_month()))
    }

    /// The month that a day falls into.
    pub fn with(day: Date) -> Self {
        Self(day.first_of_month())
    }

    /// Its first instant; `None` outside the years that can be written.
    pub fn begin(self) -> Option<Timestamp> {
        let begin = self.0.to_zoned(TimeZone::get(ZONE).ok()?).ok()?;
        Some(Timestamp::from_millis(begin.timestamp().as_millisecond()))
    }

    /// The first instant after it.
    pub fn end(self) -> Option<Timestamp> {
        Self(self.0.checked_add(1.month()).ok()?).begin()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let month = (text.len() == 7).then(|| format!("{text}-01").parse().ok());
        let wrong = || format!("\"{text}\" is not a month such as 2026-11");
        month.flatten().map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_and_end_in_yerevan() {
        for (month, begin, end) in [
            (
                "2026-11",
                "2026-10-31T20:00:00.000Z",
                "2026-11-30T20:00:00.000Z",
            ),
            (
                "2026-12",
                "2026-11-30T20:00:00.000Z",
                "2026-12-31T20:00:00.000Z",
            ),
            (
                "2028-02",
                "2028-01-31T20:00:00.000Z",
                "2028-02-29T20:00:00.000Z",
            ),
            // Summer time until 2012: the zone is a place, not an offset.
            (
                "2011-07",
                "2011-06-30T19:00:00.000Z",
                "2011-07-31T19:00:00.000Z",
            ),
        ] {
            let parsed: Month = month.parse().unwrap();
            assert_eq!(parsed.to_string(), month);
            assert_eq!(parsed.begin().unwrap().to_string(), begin);
            assert_eq!(parsed.end().unwrap().to_string(), end);
            let last = Timestamp::from_millis(parsed.end().unwrap().as_millis() - 1);
            assert_eq!(Month::of(parsed.begin().unwrap()), Some(parsed));
            assert_eq!(Month::of(last), Some(parsed));
            assert_ne!(Month::of(parsed.end().unwrap()), Some(parsed));
        }
        for wrong in ["2026-13", "2026-1", "2026-11-01", "", "26-11", "2026/11"] {
            assert!(wrong.parse::<Month>().is_err(), "{wrong}");
        }
    }
}
