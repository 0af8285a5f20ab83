//! `traceparent` (W3C Trace Context): a valid one passes as it is, since the edge records no spans of its own; one that
//! is none, or is there twice, begins anew under the request's own number, without the state that hung on it. Pure.

use http::header::{HeaderMap, HeaderName, HeaderValue};

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");
/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const LENGTH: usize = 55;

/// `request_id`: 32 hexadecimal digits.
pub(super) fn pass(headers: &mut HeaderMap, request_id: &str) {
    let mut all = headers.get_all(PARENT).iter();
    let is_sound = match (all.next(), all.next()) {
        (None, _) => return,
        (Some(only), None) => is_valid(only.as_bytes()),
        (Some(_), Some(_)) => false,
    };
    if is_sound {
        return;
    }
    headers.remove(STATE);
    headers.remove(PARENT);
    let parent = request_id.get(16..).unwrap_or_default();
    let anew = format!("00-{request_id}-{parent}-00");
    if is_valid(anew.as_bytes())
        && let Ok(anew) = HeaderValue::from_str(&anew)
    {
        headers.insert(PARENT, anew);
    }
}

fn is_valid(value: &[u8]) -> bool {
    let (Some(known), more) = (value.get(..LENGTH), value.get(LENGTH..).unwrap_or_default()) else {
        return false;
    };
    let digits =
        |from: usize, to: usize| known[from..to].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_some = |from: usize, to: usize| known[from..to].iter().any(|byte| *byte != b'0');
    // Later versions may add fields, this one has none.
    let ends = more.is_empty() || (&known[..2] != b"00" && more[0] == b'-');
    [2, 35, 52].iter().all(|at| known[*at] == b'-')
        && digits(0, 2)
        && digits(3, 35)
        && digits(36, 52)
        && digits(53, 55)
        && &known[..2] != b"ff"
        && is_some(3, 35)
        && is_some(36, 52)
        && ends
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn passed(values: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.insert(STATE, HeaderValue::from_static("vendor=1"));
        for value in values {
            headers.append(PARENT, value.parse().unwrap());
        }
        pass(&mut headers, "0123456789abcdef0123456789abcdef");
        let names = [PARENT, STATE];
        names.iter().flat_map(|name| headers.get_all(name)).map(|v| v.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_valid_parent_passes_with_its_state_and_so_does_one_of_a_later_version() {
        let later = format!("cc{}-more", &SOUND[2..]);
        for value in [SOUND, later.as_str()] {
            assert_eq!(passed(&[value]), [value, "vendor=1"]);
        }
        assert_eq!(passed(&[]), ["vendor=1"], "none is begun for who has none");
    }

    #[test]
    fn one_that_is_none_or_is_there_twice_begins_anew_without_its_state() {
        let upper = SOUND.to_uppercase();
        let no_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let no_parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        let long = format!("{SOUND}-more");
        let forbidden = format!("ff{}", &SOUND[2..]);
        let anew = ["00-0123456789abcdef0123456789abcdef-0123456789abcdef-00"];
        for value in ["", "00", &upper, &no_trace, &no_parent, &long, &forbidden, &SOUND[..54]] {
            assert_eq!(passed(&[value]), anew, "{value}");
        }
        assert_eq!(passed(&[SOUND, SOUND]), anew);
    }
}
