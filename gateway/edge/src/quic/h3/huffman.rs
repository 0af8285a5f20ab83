//! The Huffman code of HPACK and QPACK (RFC 7541 appendix B), decoded. It is canonical: its lengths say everything. Pure.

/// Bits of each symbol's code; the last is the end of a string, which must not occur in one.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, //
    28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, //
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, //
    6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, //
    14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, //
    23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22,
    23, //
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22,
    25, //
    26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, //
    24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27,
    28, //
    27, 27, 27, 27, 27, 26, 30,
];
const END: u16 = 256;
const BITS_MAX: usize = 30;
/// Codes of so many bits, which all frequent ones have, are found at once.
const QUICK_BITS: usize = 8;

/// What the lengths say.
struct Tables {
    /// Symbols by code.
    ordered: [u16; 257],
    /// For each length: its first code, where its symbols begin in `ordered`, and how many there are.
    lengths: [(u32, u16, u16); BITS_MAX + 1],
    /// By the next eight bits: symbol and length; length 0 if the code is longer.
    quick: [(u8, u8); 1 << QUICK_BITS],
}

static TABLES: Tables = Tables::new();

impl Tables {
    const fn new() -> Self {
        let mut tables =
            Self { ordered: [0; 257], lengths: [(0, 0, 0); BITS_MAX + 1], quick: [(0, 0); 1 << QUICK_BITS] };
        let (mut code, mut at, mut bits) = (0_u32, 0_usize, 1);
        while bits <= BITS_MAX {
            code <<= 1;
            let first = at;
            let mut symbol = 0;
            while symbol < LENGTHS.len() {
                if LENGTHS[symbol] as usize == bits {
                    tables.ordered[at] = symbol as u16;
                    at += 1;
                }
                symbol += 1;
            }
            tables.lengths[bits] = (code, first as u16, (at - first) as u16);
            let mut i = first;
            while i < at && bits <= QUICK_BITS {
                let begin = ((code as usize) + i - first) << (QUICK_BITS - bits);
                let mut j = 0;
                while j < 1 << (QUICK_BITS - bits) {
                    tables.quick[begin + j] = (tables.ordered[i] as u8, bits as u8);
                    j += 1;
                }
                i += 1;
            }
            code += (at - first) as u32;
            bits += 1;
        }
        tables
    }
}

/// Decodes a whole string onto `out`. Its length is at most 8/5 of the input's.
pub fn decode(input: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (mut bits, mut held, mut input) = (0_u64, 0_u32, input.iter());
    loop {
        while held <= 56 {
            let Some(byte) = input.next() else { break };
            bits = bits << 8 | u64::from(*byte);
            held += 8;
        }
        if held == 0 {
            return Some(());
        }
        // The next bits, as if ones came after the end: that is what padding is made of (§5.2).
        let ahead = |wanted: u32| -> u64 {
            let mask = (1_u64 << wanted) - 1;
            if held >= wanted {
                (bits >> (held - wanted)) & mask
            } else {
                (bits << (wanted - held) | ((1 << (wanted - held)) - 1)) & mask
            }
        };
        let (symbol, length) = TABLES.quick[ahead(QUICK_BITS as u32) as usize];
        if length > 0 && u32::from(length) <= held {
            out.push(symbol);
            held -= u32::from(length);
            continue;
        }
        if held < QUICK_BITS as u32 && ahead(QUICK_BITS as u32) == 0xff {
            // Only ones are left, and less than a byte of them.
            return Some(());
        }
        let (symbol, length) = long(held, ahead)?;
        out.push(u8::try_from(symbol).ok()?);
        held -= length;
    }
}

/// A code longer than [`QUICK_BITS`].
fn long(held: u32, ahead: impl Fn(u32) -> u64) -> Option<(u16, u32)> {
    for length in QUICK_BITS as u32 + 1..=(BITS_MAX as u32).min(held) {
        let (first, begin, count) = TABLES.lengths[length as usize];
        let Some(offset) = (ahead(length) as u32).checked_sub(first) else { continue };
        if offset < u32::from(count) {
            let symbol = TABLES.ordered[usize::from(begin) + offset as usize];
            return (symbol != END).then_some((symbol, length));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    /// By the definition, bit by bit: slow and plain.
    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut bits = String::new();
        for byte in text {
            let length = usize::from(LENGTHS[usize::from(*byte)]);
            let (first, begin, count) = TABLES.lengths[length];
            let symbols = &TABLES.ordered[begin.into()..usize::from(begin + count)];
            let at = symbols.iter().position(|symbol| *symbol == u16::from(*byte)).unwrap();
            bits += &format!("{:0length$b}", first as usize + at);
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        (0..bits.len()).step_by(8).map(|i| u8::from_str_radix(&bits[i..i + 8], 2).unwrap()).collect()
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 7541 appendix C.4.
        let www = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&www).unwrap(), b"www.example.com");
        assert_eq!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).unwrap(), b"no-cache");
        assert_eq!(decoded(&[]).unwrap(), b"");
    }

    #[test]
    fn every_byte_and_every_pair_of_bytes_comes_back() {
        for a in 0..=255 {
            assert_eq!(decoded(&encoded(&[a])).unwrap(), [a]);
            for b in 0..=255 {
                assert_eq!(decoded(&encoded(&[a, b])).unwrap(), [a, b], "{a} {b}");
            }
        }
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones_and_the_end_is_never_said() {
        // §5.2: a whole byte of padding, zeros for padding, the symbol for the end.
        assert_eq!(decoded(&[0xff]), None);
        assert_eq!(decoded(&[0b0001_1000]), None);
        assert_eq!(decoded(&[0b0001_1111]), Some(vec![b'a']));
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), None);
        let mut long = encoded(b"a");
        long.push(0xff);
        assert_eq!(decoded(&long), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_can_break_it(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            if let Some(text) = decoded(&bytes) {
                proptest::prop_assert!(text.len() <= bytes.len() * 8 / 5);
                proptest::prop_assert_eq!(encoded(&text), bytes);
            }
        }
    }
}
