//! Armenian personal numbers (ՀԾՀ): what an operator is warned of when an account is opened. Never a reason to refuse:
//! the check digit's algorithm is unpublished, and the register knows better than any rule.

/// What is doubtful about the local part of a person's address; `None` if nothing is.
pub fn doubt(local: &str) -> Option<&'static str> {
    if local.len() != 10 || !local.bytes().all(|octet| octet.is_ascii_digit()) {
        return Some("a personal number has ten digits");
    }
    let pair = |at: usize| {
        local
            .get(at..at + 2)
            .and_then(|two| two.parse().ok())
            .unwrap_or(0u16)
    };
    let (day, month, year) = (pair(0), pair(2), pair(4));
    // Digits 1-2: day + 10 (men) or + 50 (women).
    let day = match day {
        11..=41 => day - 10,
        51..=81 => day - 50,
        _ => return Some("its first two digits are no day of birth plus 10 or 50"),
    };
    // Digits 3-4: the month, plus 20 for 20xx, 40 for 21xx, 60 for 22xx, 80 for 18xx.
    let (month, century) = match month {
        1..=12 => (month, 1900),
        21..=32 => (month - 20, 2000),
        41..=52 => (month - 40, 2100),
        61..=72 => (month - 60, 2200),
        81..=92 => (month - 80, 1800),
        _ => return Some("its third and fourth digits are no month of birth"),
    };
    let born = mail::Timestamp::from_date(i32::from(century + year), month as u8, day as u8);
    if born.is_err() {
        return Some("its first six digits are no date of birth");
    }
    if local.get(6..9) == Some("000") {
        return Some("its serial digits are 000");
    }
    if local.contains("666") {
        return Some("it contains 666, which is not given out");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_only_and_never_the_check_digit() {
        for good in [
            "2503851234",
            "2503851239",
            "6512990010",
            "1121030010",
            "5182750010",
        ] {
            assert_eq!(doubt(good), None, "{good}");
        }
        for (doubtful, why) in [
            ("250385123", "ten digits"),
            ("25038512345", "ten digits"),
            ("2503851２34", "ten digits"),
            ("S123B45678", "ten digits"),
            ("0103851234", "no day"),
            ("4503851234", "no day"),
            ("2513851234", "no month"),
            ("4102850010", "no date"),
            ("3902000010", "no date"),
            ("2503850004", "serial"),
            ("2503856661", "666"),
        ] {
            let doubt = doubt(doubtful);
            assert!(
                doubt.is_some_and(|doubt| doubt.contains(why)),
                "{doubtful}: {doubt:?}"
            );
        }
        // 29 February 2000, a leap year; 1900 was none.
        assert_eq!(doubt("3922000010"), None);
    }
}
