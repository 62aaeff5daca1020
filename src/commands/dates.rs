//! Days and moments as operators write them. A day begins at midnight in Yerevan, whatever the host's own zone.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::{ToSpan, tz::TimeZone};
use mail::Timestamp;

/// The zone of statutory days.
const ZONE: &str = "Asia/Yerevan";

/// A calendar day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(Date);

/// A moment: the beginning of a day, or an instant in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

impl Day {
    /// Its first instant; `None` outside the years that can be written.
    pub fn begin(self) -> Option<Timestamp> {
        let zone = TimeZone::get(ZONE).ok()?;
        let begin = self.0.to_zoned(zone).ok()?;
        Some(Timestamp::from_millis(begin.timestamp().as_millisecond()))
    }

    /// The first instant after it.
    pub fn end(self) -> Option<Timestamp> {
        Self(self.0.checked_add(1.day()).ok()?).begin()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("\"{text}\" is not a day such as 2026-11-22");
        text.parse().map(Self).map_err(wrong)
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not a day such as 2026-11-22 or a moment such as 2026-11-22T09:00:00Z"
            )
        };
        if text.contains('T') {
            let moment: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
            return Ok(Self(Timestamp::from_millis(moment.as_millisecond())));
        }
        text.parse::<Day>()
            .ok()
            .and_then(Day::begin)
            .map(Self)
            .ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_and_end_in_yerevan() {
        let day: Day = "2026-11-22".parse().unwrap();
        assert_eq!(day.begin().unwrap().to_string(), "2026-11-21T20:00:00.000Z");
        assert_eq!(day.end().unwrap().to_string(), "2026-11-22T20:00:00.000Z");
        // Until 2012 there was summer time: the zone is a place, not an offset.
        let summer: Day = "2011-07-01".parse().unwrap();
        assert_eq!(
            summer.begin().unwrap().to_string(),
            "2011-06-30T19:00:00.000Z"
        );
        for wrong in ["2026-02-30", "22.11.2026", "", "2026-11-22x"] {
            assert!(wrong.parse::<Day>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments_are_days_or_instants() {
        let at = |text: &str| text.parse::<Moment>().map(|moment| moment.0.to_string());
        assert_eq!(
            at("2026-11-22T09:00:00Z").unwrap(),
            "2026-11-22T09:00:00.000Z"
        );
        assert_eq!(
            at("2026-11-22T09:00:00.250+04:00").unwrap(),
            "2026-11-22T05:00:00.250Z"
        );
        assert_eq!(at("2026-11-22").unwrap(), "2026-11-21T20:00:00.000Z");
        assert!(at("2026-11-22T09:00:00").is_err());
    }
}
