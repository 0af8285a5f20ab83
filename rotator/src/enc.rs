//! The one encoding of hashed fields: a label and each field as u32 big-endian length, then its bytes.
//!
//! Length prefixes make it injective: no two different lists of fields give the same bytes.

/// All labels begin with this, so that a later version cannot collide with this one.
pub const PREFIX: &str = "wandergate/1/";

/// `enc(label, fields…)` of the design, §4. Numbers are passed as their big-endian bytes.
///
/// Fields are ours and short; one longer than `u32::MAX` bytes cannot be built in memory by any caller.
pub fn enc(label: &str, fields: &[&[u8]]) -> Vec<u8> {
    let size = 4 + PREFIX.len() + label.len() + fields.iter().map(|f| 4 + f.len()).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&length(PREFIX.len() + label.len()));
    out.extend_from_slice(PREFIX.as_bytes());
    out.extend_from_slice(label.as_bytes());
    for field in fields {
        out.extend_from_slice(&length(field.len()));
        out.extend_from_slice(field);
    }
    out
}

fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_between_fields_changes_the_encoding() {
        assert_ne!(enc("x", &[b"ab", b"c"]), enc("x", &[b"a", b"bc"]));
        assert_ne!(enc("x", &[b"ab"]), enc("x", &[b"ab", b""]));
        assert_ne!(enc("x", &[]), enc("xy", &[]));
    }

    #[test]
    fn lengths_are_big_endian_and_precede_their_bytes() {
        assert_eq!(enc("e", &[&[7]]), b"\0\0\0\x0ewandergate/1/e\0\0\0\x01\x07");
    }
}
