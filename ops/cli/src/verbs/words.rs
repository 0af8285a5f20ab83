//! Words that operators type: spans of time, rates, names in lists.

use crate::client::Failure;

/// Seconds of `90s`, `2m`, `24h`, `7d` or a plain number of seconds.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong_span(text)),
    };
    let count: u64 = digits.parse().map_err(|_| wrong_span(text))?;
    count.checked_mul(unit).ok_or_else(|| wrong_span(text))
}

fn wrong_span(text: &str) -> String {
    format!("\"{text}\" is no span of time: write 90s, 2m, 24h or 7d")
}

/// Guesses a second of `10mpps`, `250kpps`, `10M`, `1e6` or a plain number.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let lower = text.to_ascii_lowercase();
    let plain = lower.strip_suffix("pps").unwrap_or(&lower);
    let (number, scale) = match plain.strip_suffix(['k', 'm', 'g']) {
        None => (plain, 1.0),
        Some(number) if plain.ends_with('k') => (number, 1e3),
        Some(number) if plain.ends_with('m') => (number, 1e6),
        Some(number) => (number, 1e9),
    };
    let value = number.parse::<f64>().ok().map(|n| n * scale).filter(|n| n.is_finite() && *n > 0.0);
    value.ok_or_else(|| format!("\"{text}\" is no rate: write 10mpps, 250kpps or 1e6"))
}

/// `user/device`, both needed.
pub(super) fn user_device(text: &str) -> Result<(&str, &str), Failure> {
    let pair = text.split_once('/').filter(|(user, device)| !user.is_empty() && !device.is_empty());
    pair.ok_or_else(|| Failure::Usage(format!("\"{text}\" is no device: write USER/DEVICE, or its number.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_in_their_units_and_nothing_else() {
        for (text, s) in
            [("90", 90), ("90s", 90), ("2m", 120), ("2min", 120), ("24h", 86_400), ("7d", 604_800), ("0s", 0)]
        {
            assert_eq!(seconds(text), Ok(s));
        }
        for bad in ["", "s", "-1s", "1.5h", "2 m", "1w", "18446744073709551615d", "ä"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_read_with_their_scale_and_nothing_else() {
        for (text, per_s) in
            [("10mpps", 1e7), ("10M", 1e7), ("250kpps", 2.5e5), ("1e6", 1e6), ("2gpps", 2e9), ("5", 5.0)]
        {
            assert_eq!(rate(text), Ok(per_s));
        }
        for bad in ["", "pps", "0", "-1", "inf", "nan", "10x", "m"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
