//! DNS labels: 128 bits in lower-case base32, 26 characters.

use std::fmt;

use data_encoding::{BitOrder, Encoding, Specification};
use std::sync::LazyLock;

use crate::keys::{GrantKey, leading_u128};

/// A label's secret: whoever knows it can ask where its grant is now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(u128);

/// Characters of a label.
pub const LABEL_CHARS: usize = 26;

impl Label {
    /// A stable label, from 128 random bits.
    pub const fn stable(random: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(random))
    }

    /// `base32 of 128 bits of HMAC(G[e], enc("label", m))`, m the number of the label window.
    pub fn rotating(key: &GrantKey, label_window: u64) -> Self {
        Self(leading_u128(&key.derive("label", &[&label_window.to_be_bytes()])))
    }

    /// Reads one DNS label in any case. `None` for whatever is not the one spelling of 128 bits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != LABEL_CHARS {
            return None;
        }
        let mut lower = [0; LABEL_CHARS];
        for (out, byte) in lower.iter_mut().zip(text) {
            *out = byte.to_ascii_lowercase();
        }
        let bytes = ALPHABET.decode(&lower).ok()?;
        Some(Self(u128::from_be_bytes(bytes.try_into().ok()?)))
    }

    pub const fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ALPHABET.encode(&self.bytes()))
    }
}

// A label is a user's secret; only its first characters may reach a log.
impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Label({}…)", &self.to_string()[..4])
    }
}

/// RFC 4648 base32, lower case, no padding: DNS compares without case, so one spelling is enough.
static ALPHABET: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    spec.bit_order = BitOrder::MostSignificantFirst;
    // The specification above is complete and constant: `encoding` refuses only malformed ones.
    #[expect(clippy::expect_used, reason = "constant input")]
    spec.encoding().expect("a valid base32 alphabet")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_reads_back_in_any_case() {
        let label = Label::stable([0xa5; 16]);
        let text = label.to_string();
        assert_eq!(text.len(), LABEL_CHARS);
        assert_eq!(Label::parse(text.as_bytes()), Some(label));
        assert_eq!(Label::parse(text.to_uppercase().as_bytes()), Some(label));
    }

    #[test]
    fn only_the_one_spelling_of_128_bits_is_a_label() {
        let text = Label::stable([0xff; 16]).to_string();
        assert!(text.ends_with('4'), "130 bits are spelled, the last two are zero");
        for bad in
            ["", "join", &text[1..], &format!("{text}a"), &format!("{}z", &text[..25]), &"1".repeat(26)]
        {
            assert_eq!(Label::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
