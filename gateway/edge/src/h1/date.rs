//! The `Date` field, written once a second on each core.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use rotator::UnixTime;

/// RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub type Date = [u8; 29];

thread_local! {
    static LAST: Cell<(u64, Date)> = const { Cell::new((u64::MAX, [b' '; 29])) };
}

/// What the field says at `now`.
pub fn date(now: UnixTime) -> Date {
    let (at, known) = LAST.get();
    if at == now.secs() {
        return known;
    }
    let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(now.secs()));
    let date = text.as_bytes().try_into().unwrap_or(known);
    LAST.set((now.secs(), date));
    date
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_follows_the_clock_forward_and_back() {
        for (secs, text) in
            [(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT")]
        {
            for _ in 0..2 {
                assert_eq!(date(UnixTime::from_secs(secs)), text.as_bytes());
            }
        }
    }
}
