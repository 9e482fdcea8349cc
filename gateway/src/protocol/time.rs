//! Times on the wire: RFC 3339 with milliseconds and `Z`.

use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};

/// `2026-01-02T03:04:05.678Z`; what is below a millisecond is cut off.
pub fn format_time(time: DateTime<Utc>) -> String {
    time.trunc_subsecs(3).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads any RFC 3339 time, cut to milliseconds.
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.with_timezone(&Utc).trunc_subsecs(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_three_digits_and_z() {
        let time = parse_time("2026-01-02T03:04:05.6789+01:00").unwrap();
        assert_eq!(format_time(time), "2026-01-02T02:04:05.678Z");
    }
}
