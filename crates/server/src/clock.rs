//! Coordinated universal time, as picture names and as ISO 8601.
//!
//! Calendar arithmetic: proleptic Gregorian, eras of 400 years counted from 1 March of year 0
//! (Howard Hinnant, "chrono-compatible low-level date algorithms", public description).

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z; 0 when the machine's clock stands before that.
pub(crate) fn now() -> u64 {
    seconds(SystemTime::now())
}

/// Whole seconds since the epoch of a file time; 0 for times before it.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or(0)
}

/// `20261123-141502`, the first part of a picture's name.
pub(crate) fn name_stamp(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let rest = seconds % 86_400;
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Seconds since 1970 as ISO 8601 and RFC 3339 write them: `2026-11-23T14:15:02Z`.
#[must_use]
pub fn iso(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let rest = seconds % 86_400;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Reads the time back from a name made of [`name_stamp`] and a suffix; `None` for any other name.
pub(crate) fn from_name(name: &str) -> Option<u64> {
    let stamp = name.get(..16)?;
    let digits = |range: std::ops::Range<usize>| -> Option<u64> {
        let part = stamp.get(range)?;
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        part.parse().ok()
    };
    if stamp.get(8..9) != Some("-") || stamp.get(15..16) != Some("-") {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(4..6)?, digits(6..8)?);
    let (hour, minute, second) = (digits(9..11)?, digits(11..13)?, digits(13..15)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59
    {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970-01-01 → (year, month, day).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// (year, month, day) → days since 1970-01-01; the year is at least 1970.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_read_right() {
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(iso(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(iso(4_102_444_799), "2099-12-31T23:59:59Z");
        assert_eq!(iso(1_795_443_302), "2026-11-23T14:15:02Z");
        assert_eq!(name_stamp(1_795_443_302), "20261123-141502");
    }

    #[test]
    fn names_give_their_time_back() {
        for seconds in (0..4_102_444_800).step_by(86_399 * 17) {
            assert_eq!(from_name(&format!("{}-0001", name_stamp(seconds))), Some(seconds));
        }
    }

    #[test]
    fn other_names_give_no_time() {
        for name in ["", "cat", "20261123-141502", "20261323-141502-1", "2026112é-141502-1", "19691231-235959-1"] {
            assert_eq!(from_name(name), None, "{name}");
        }
    }
}
