//! One line of the access log. Pure: appends bytes, and asks for no memory of its own.

use std::net::IpAddr;

use defense::Reason;
use rotator::GrantNo;

use crate::bounds::LOG_PATH_BYTES_MAX;

/// What all lines of one connection say of it, rendered once.
#[derive(Clone, Debug)]
pub struct Who(Box<[u8]>);

impl Who {
    /// Names are labels (`state::Name`): nothing in them has to be escaped.
    pub fn new(source: IpAddr, user: &str, device: &str, service: &str, grant: GrantNo) -> Self {
        let mut text = Vec::with_capacity(128);
        push(&mut text, ",\"source\":\"", &source.to_string());
        push(&mut text, "\",\"user\":\"", user);
        push(&mut text, "\",\"device\":\"", device);
        push(&mut text, "\",\"service\":\"", service);
        field(&mut text, "\",\"grant\":", u64::from(grant));
        Self(text.into())
    }
}

/// What came of one request, or of one session of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// `h1`, `h2`, `h3`, `websocket`, `tls`, `tcp`, `udp`.
    pub protocol: &'static str,
    /// The number under which `wandergate why` finds it.
    pub request: Option<u128>,
    /// Method and path. Never the query: that is where tokens travel.
    pub asked: Option<(&'a str, &'a str)>,
    pub status: Option<u16>,
    /// Why it was refused or broke off.
    pub reason: Option<Reason>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// From its arrival to the end of its answer.
    pub total_us: u64,
    /// Of these, spent until the service's head was there.
    pub service_us: Option<u64>,
}

impl Entry<'_> {
    /// Appends the line of what ended at `now_ms` after 1970.
    pub(super) fn write(&self, line: &mut Vec<u8>, who: &Who, now_ms: u64) {
        line.extend_from_slice(b"{\"time\":\"");
        stamp(line, now_ms);
        push(line, "\",\"protocol\":\"", self.protocol);
        line.push(b'"');
        line.extend_from_slice(&who.0);
        if let Some(id) = self.request {
            line.extend_from_slice(b",\"request\":\"req_");
            (0..32).rev().for_each(|i| line.push(b"0123456789abcdef"[(id >> (4 * i)) as usize & 15]));
            line.push(b'"');
        }
        if let Some((method, path)) = self.asked {
            line.extend_from_slice(b",\"method\":\"");
            escaped(line, method);
            line.extend_from_slice(b"\",\"path\":\"");
            escaped(line, cut(path));
            line.push(b'"');
        }
        if let Some(status) = self.status {
            field(line, ",\"status\":", u64::from(status));
        }
        if let Some(reason) = self.reason {
            push(line, ",\"reason\":\"", reason.name());
            line.push(b'"');
        }
        field(line, ",\"bytes_in\":", self.bytes_in);
        field(line, ",\"bytes_out\":", self.bytes_out);
        field(line, ",\"total_us\":", self.total_us);
        if let Some(us) = self.service_us {
            field(line, ",\"service_us\":", us);
        }
        line.extend_from_slice(b"}\n");
    }
}

/// Appends the line that says that lines are missing.
pub(super) fn write_dropped(line: &mut Vec<u8>, count: u64, now_ms: u64) {
    line.extend_from_slice(b"{\"time\":\"");
    stamp(line, now_ms);
    field(line, "\",\"dropped\":", count);
    line.extend_from_slice(b"}\n");
}

/// No longer than a line may carry, at a character's end.
fn cut(path: &str) -> &str {
    match path.len() > LOG_PATH_BYTES_MAX {
        true => &path[..path.floor_char_boundary(LOG_PATH_BYTES_MAX)],
        false => path,
    }
}

fn push(line: &mut Vec<u8>, key: &str, value: &str) {
    line.extend_from_slice(key.as_bytes());
    line.extend_from_slice(value.as_bytes());
}

fn field(line: &mut Vec<u8>, key: &str, value: u64) {
    line.extend_from_slice(key.as_bytes());
    number(line, value);
}

fn number(line: &mut Vec<u8>, value: u64) {
    let (mut digits, mut at, mut rest) = ([0; 20], 20, value);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}

/// As JSON wants it; control characters can't break a terminal either.
fn escaped(line: &mut Vec<u8>, text: &str) {
    if !text.bytes().any(|b| b < 0x20 || matches!(b, b'"' | b'\\' | 0x7f)) {
        return line.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
            0..0x20 | 0x7f => {
                line.extend_from_slice(b"\\u00");
                line.extend([byte >> 4, byte & 15].map(|half| b"0123456789abcdef"[usize::from(half)]));
            }
            _ => line.push(byte),
        }
    }
}

/// RFC 3339 with milliseconds, in UTC.
fn stamp(line: &mut Vec<u8>, now_ms: u64) {
    let (days, ms) = (now_ms / 86_400_000, now_ms % 86_400_000);
    let (year, month, day) = civil(days);
    for (value, width, end) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (ms / 3_600_000, 2, b':'),
        (ms / 60_000 % 60, 2, b':'),
        (ms / 1000 % 60, 2, b'.'),
        (ms % 1000, 3, b'Z'),
    ] {
        (0..width).rev().for_each(|i| line.push(b'0' + (value / 10_u64.pow(i) % 10) as u8));
        line.push(end);
    }
}

/// Year, month and day of the proleptic Gregorian calendar, days after 1970-01-01. Years begin in March here, so that
/// the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            protocol: "h2",
            request: Some(0xab),
            asked: Some(("GET", "/a\"b\\\u{1}")),
            status: Some(200),
            reason: None,
            bytes_in: 0,
            bytes_out: u64::MAX,
            total_us: 1200,
            service_us: Some(7),
        }
    }

    fn text(entry: &Entry<'_>) -> String {
        let mut line = Vec::new();
        entry.write(&mut line, &Who(b",\"user\":\"alice\""[..].into()), 1_709_164_799_042);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_says_what_was_asked_and_what_came_of_it_and_nothing_breaks_out_of_it() {
        assert_eq!(
            text(&entry()),
            "{\"time\":\"2024-02-28T23:59:59.042Z\",\"protocol\":\"h2\",\"user\":\"alice\",\"request\":\"req_000000000000000000000000000000ab\",\"method\":\"GET\",\"path\":\"/a\\\"b\\\\\\u0001\",\"status\":200,\"bytes_in\":0,\"bytes_out\":18446744073709551615,\"total_us\":1200,\"service_us\":7}\n"
        );
        let session =
            Entry { protocol: "tcp", request: None, asked: None, status: None, service_us: None, ..entry() };
        let refused = Entry { reason: Some(Reason::RateLease), ..session };
        assert!(
            text(&refused)
                .contains("\"protocol\":\"tcp\",\"user\":\"alice\",\"reason\":\"rate_lease\",\"bytes_in\"")
        );
    }

    #[test]
    fn a_path_is_cut_between_characters() {
        let long = format!("/{}é", "a".repeat(LOG_PATH_BYTES_MAX - 2));
        assert_eq!(cut(&long).len(), LOG_PATH_BYTES_MAX - 1);
        assert_eq!(cut(&long[..LOG_PATH_BYTES_MAX - 1]).len(), LOG_PATH_BYTES_MAX - 1);
    }

    #[test]
    fn days_become_dates_across_leap_years_and_centuries() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_513, (2026, 3, 1)),
            (47_541, (2100, 3, 1)),
            (47_540, (2100, 2, 28)),
        ] {
            assert_eq!(civil(days), date);
        }
    }
}
