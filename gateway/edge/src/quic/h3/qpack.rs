//! Field sections (RFC 9204) without a dynamic table: we announce none, so a client that uses one broke the protocol. Pure.

use bytes::{BufMut, BytesMut};

use super::{huffman, table};
use crate::bounds::HEAD_BYTES_MAX;

/// Why a field section can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It ends the connection: who encodes and who decodes disagree from here on.
    Broken,
    /// Larger than was announced, once unpacked (RFC 9114 §4.2.2).
    TooLarge,
}

/// What a field adds to its section's size beyond its own bytes (RFC 9114 §4.2.2).
const FIELD_OVERHEAD: usize = 32;

/// Gives each field to `each`, in order, until it refuses one.
///
/// # Errors
/// The section is broken or too large, or what `each` says.
pub fn decode<E: From<Unreadable>>(
    section: &[u8],
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut input = section;
    // Without a table there is nothing to wait for, and no base to count from (§4.5.1).
    if prefixed(&mut input, 8)? != 0 {
        return Err(Unreadable::Broken.into());
    }
    prefixed(&mut input, 7)?;
    let (mut size, mut name_bytes, mut value_bytes) = (0, Vec::new(), Vec::new());
    while let Some(&first) = input.first() {
        let (name, value): (&[u8], &[u8]) = match first {
            // Indexed, static
            0xc0.. => {
                let (name, value) = entry(prefixed(&mut input, 6)?)?;
                (name.as_bytes(), value.as_bytes())
            }
            // Literal with a name of the static table
            0x50..=0x5f | 0x70..=0x7f => {
                let (name, _) = entry(prefixed(&mut input, 4)?)?;
                (name.as_bytes(), string(&mut input, 7, &mut value_bytes)?)
            }
            // Literal with a literal name
            0x20..=0x3f => {
                let name = string(&mut input, 3, &mut name_bytes)?;
                (name, string(&mut input, 7, &mut value_bytes)?)
            }
            // Whatever refers to a dynamic table
            0x80..=0xbf | 0x40..=0x4f | 0x60..=0x6f | 0x00..=0x1f => return Err(Unreadable::Broken.into()),
        };
        size += name.len() + value.len() + FIELD_OVERHEAD;
        if size > HEAD_BYTES_MAX {
            return Err(Unreadable::TooLarge.into());
        }
        each(name, value)?;
    }
    Ok(())
}

/// Begins a field section.
pub fn begin(out: &mut BytesMut) {
    out.put_slice(&[0, 0]);
}

/// `:status`, three digits.
pub fn put_status(out: &mut BytesMut, status: u16) {
    match table::status(status) {
        Some(index) => put_prefixed(out, 0xc0, 6, index.into()),
        None => {
            // The name of `:status 103`.
            put_prefixed(out, 0x50, 4, 24);
            put_prefixed(out, 0, 7, 3);
            out.put_slice(&[status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8));
        }
    }
}

/// A field whose name is lower-case. What is secret is never to be put into a table by anybody on the way.
pub fn put(out: &mut BytesMut, name: &str, value: &[u8], is_secret: bool) {
    let never = if is_secret { 0x20 } else { 0 };
    let first = table::name(name);
    let exact =
        first.zip(std::str::from_utf8(value).ok()).and_then(|(first, value)| table::exact(first, value));
    match (exact, first) {
        (Some(index), _) if !is_secret => return put_prefixed(out, 0xc0, 6, index.into()),
        (_, Some(first)) => put_prefixed(out, 0x50 | never, 4, first.into()),
        (_, None) => {
            put_prefixed(out, 0x20 | never >> 1, 3, name.len());
            out.put_slice(name.as_bytes());
        }
    }
    put_prefixed(out, 0, 7, value.len());
    out.put_slice(value);
}

fn entry(index: usize) -> Result<(&'static str, &'static str), Unreadable> {
    table::FIELDS.get(index).copied().ok_or(Unreadable::Broken)
}

/// A string whose first byte has its length in `bits`, and before them whether it is Huffman-coded.
fn string<'out, 'input: 'out>(
    input: &mut &'input [u8],
    bits: u32,
    scratch: &'out mut Vec<u8>,
) -> Result<&'out [u8], Unreadable> {
    let is_packed = input.first().ok_or(Unreadable::Broken)? & (1 << bits) != 0;
    let length = prefixed(input, bits)?;
    let (taken, rest) = input.split_at_checked(length).ok_or(Unreadable::Broken)?;
    *input = rest;
    if !is_packed {
        return Ok(taken);
    }
    scratch.clear();
    huffman::decode(taken, scratch).ok_or(Unreadable::Broken)?;
    Ok(scratch)
}

/// An integer that begins in the last `bits` of a byte (RFC 7541 §5.1). Larger than any section: broken.
fn prefixed(input: &mut &[u8], bits: u32) -> Result<usize, Unreadable> {
    let (&first, mut rest) = input.split_first().ok_or(Unreadable::Broken)?;
    let mask = ((1_u32 << bits) - 1) as u8;
    let mut value = usize::from(first & mask);
    if first & mask == mask {
        let mut shift = 0;
        loop {
            let (&byte, after) = rest.split_first().ok_or(Unreadable::Broken)?;
            rest = after;
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if value > HEAD_BYTES_MAX * 2 || shift > 28 {
                return Err(Unreadable::Broken);
            }
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *input = rest;
    Ok(value)
}

fn put_prefixed(out: &mut BytesMut, pattern: u8, bits: u32, value: usize) {
    let mask = (1_usize << bits) - 1;
    if value < mask {
        return out.put_u8(pattern | value as u8);
    }
    out.put_u8(pattern | mask as u8);
    let mut left = value - mask;
    while left >= 0x80 {
        out.put_u8(0x80 | left as u8);
        left >>= 7;
    }
    out.put_u8(left as u8);
}

#[cfg(test)]
mod tests;
