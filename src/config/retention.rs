//! The `[retention]` table: how long each kind is kept.

use serde::Deserialize;
use store::erasure::retention::Rules;
use toml::Spanned;

use super::file::{Place, RetentionTable};

/// Backups are to be free of what was erased within this many days unless the operator says otherwise: the month in
/// which a request for erasure is to be answered.
const BACKUP_DAYS: u32 = 30;

/// Days that something may be kept by a rule, two thousand years: more is a slip of the pen for "never".
const DAYS_MAX: i64 = 366 * 2_000;

/// A number of days, or "never".
#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub(super) enum DaysValue {
    Number(i64),
    Word(String),
}

pub(super) type Days = Option<Spanned<DaysValue>>;

/// How long each kind is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// What the chore of that name applies.
    pub rules: Rules,
    /// Within how many days of an erasure no backup may hold what was erased; `None`: no such promise is made.
    pub backup_days: Option<u32>,
}

/// Checks the table.
///
/// # Errors
/// Names line and key at fault.
pub(super) fn read(place: &Place<'_>, table: &RetentionTable) -> Result<Retention, String> {
    let rules = Rules {
        deleted_letters_days: days(
            place,
            "deleted_letters_days",
            &table.deleted_letters_days,
            None,
        )?,
        letters_days: days(place, "letters_days", &table.letters_days, None)?,
        evidence_days: days(place, "evidence_days", &table.evidence_days, None)?,
        rejections_days: days(place, "rejections_days", &table.rejections_days, None)?,
        receipts_days: days(place, "receipts_days", &table.receipts_days, None)?,
    };
    Ok(Retention {
        rules,
        backup_days: days(place, "backup_days", &table.backup_days, Some(BACKUP_DAYS))?,
    })
}

fn days(
    place: &Place<'_>,
    key: &str,
    value: &Days,
    default: Option<u32>,
) -> Result<Option<u32>, String> {
    let Some(given) = value else {
        return Ok(default);
    };
    let days = match given.get_ref() {
        DaysValue::Word(word) if word == "never" => return Ok(None),
        DaysValue::Number(days) if (1..=DAYS_MAX).contains(days) => u32::try_from(*days).ok(),
        _ => None,
    };
    let fault = || {
        let key = format!("retention.{key}");
        place.fault_at(
            value,
            &key,
            "must be a number of days from 1 on, or \"never\"",
        )
    };
    days.map(Some).ok_or_else(fault)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::file::parse;

    fn read(table: &str) -> Result<Retention, String> {
        let text = format!("domain = 'a.test'\n[retention]\n{table}\n");
        parse(Path::new("knik.toml"), &text).map(|config| config.retention)
    }

    #[test]
    fn nothing_ends_unless_a_number_of_days_says_so() {
        let retention = read("").unwrap();
        assert_eq!(retention.rules, Rules::default());
        assert_eq!(retention.backup_days, Some(BACKUP_DAYS));
        let retention = read("letters_days = 400\nbackup_days = 'never'").unwrap();
        assert_eq!(retention.rules.letters_days, Some(400));
        assert_eq!(retention.backup_days, None);
    }

    #[test]
    fn what_is_no_number_of_days_is_named() {
        for (table, key) in [
            ("letters_days = 0", "letters_days"),
            ("evidence_days = -1", "evidence_days"),
            ("receipts_days = 99999999", "receipts_days"),
            ("backup_days = 'soon'", "backup_days"),
        ] {
            let fault = read(table).unwrap_err();
            let wanted = format!("knik.toml:3: retention.{key}: must be a number of days");
            assert!(fault.starts_with(&wanted), "{fault}");
        }
    }
}
