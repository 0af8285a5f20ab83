//! The header of PROXY protocol version 2, read strictly. Pure.
//!
//! Source: "The PROXY protocol, versions 1 & 2" of HAProxy, section 2.2. What it leaves to the receiver is refused here:
//! version 1, transports that are no stream, families that are no address, and somebody else's connection without
//! addresses.

use std::net::{IpAddr, SocketAddr};

use defense::Reason;

use crate::bounds::PROXY_HEADER_BYTES_MAX;

/// Signature, command, family, and the length of what follows.
pub(super) const FIXED_BYTES: usize = 16;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2 in the upper half.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Addresses of a family, over a stream.
const STREAM_V4: u8 = 0x11;
const STREAM_V6: u8 = 0x21;
const ADDRESSES_V4_BYTES: usize = 12;
const ADDRESSES_V6_BYTES: usize = 36;
const TYPE_CRC32C: u8 = 0x03;

/// What a header says of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is the balancer's own: a health check.
    Local,
    /// Somebody else's, with the address that was reached.
    Passed { source: SocketAddr, destination: SocketAddr },
}

/// How many bytes follow the fixed part: with it, at most [`PROXY_HEADER_BYTES_MAX`].
///
/// # Errors
/// `proxy_missing`: it is no header of version 2; `proxy_malformed`: it can't be a good one, whatever follows.
pub(super) fn rest_bytes(fixed: &[u8; FIXED_BYTES]) -> Result<usize, Reason> {
    let [signature @ .., command, family, high, low] = fixed;
    if *signature != SIGNATURE || command >> 4 != PROXY >> 4 {
        return Err(Reason::ProxyMissing);
    }
    let rest = usize::from(u16::from_be_bytes([*high, *low]));
    let least = match (*command, *family) {
        (LOCAL, _) => 0,
        (PROXY, STREAM_V4) => ADDRESSES_V4_BYTES,
        (PROXY, STREAM_V6) => ADDRESSES_V6_BYTES,
        _ => return Err(Reason::ProxyMalformed),
    };
    match (least..=PROXY_HEADER_BYTES_MAX - FIXED_BYTES).contains(&rest) {
        true => Ok(rest),
        false => Err(Reason::ProxyMalformed),
    }
}

/// Reads a whole header, and nothing but it.
///
/// # Errors
/// As [`rest_bytes`]; also `proxy_malformed` for fields that do not fill it exactly, a checksum that is wrong or stands
/// twice, and addresses that nobody can have.
pub(super) fn read(header: &[u8]) -> Result<Told, Reason> {
    let (fixed, rest) = header.split_first_chunk::<FIXED_BYTES>().ok_or(Reason::ProxyMissing)?;
    if rest_bytes(fixed)? != rest.len() {
        return Err(Reason::ProxyMalformed);
    }
    let [.., command, family, _, _] = *fixed;
    if command == LOCAL {
        // Whatever stands behind is to be discarded.
        return Ok(Told::Local);
    }
    let passed = || {
        let (source, destination, fields) = ends(family, rest)?;
        check(header, fields)?;
        Some(Told::Passed { source, destination })
    };
    passed().ok_or(Reason::ProxyMalformed)
}

/// Source, destination, and what follows them. IPv4 may come in its mapped form.
fn ends(family: u8, mut rest: &[u8]) -> Option<(SocketAddr, SocketAddr, &[u8])> {
    let mut address = || match family {
        STREAM_V4 => take::<4>(&mut rest).map(IpAddr::from),
        _ => take::<16>(&mut rest).map(|bytes| IpAddr::from(bytes).to_canonical()),
    };
    let (from, to) = (address()?, address()?);
    let mut port = || take(&mut rest).map(u16::from_be_bytes);
    let (source, destination) = (SocketAddr::new(from, port()?), SocketAddr::new(to, port()?));
    let is_somebodys =
        |end: &SocketAddr| end.port() != 0 && !end.ip().is_unspecified() && !end.ip().is_multicast();
    [source, destination].iter().all(is_somebodys).then_some((source, destination, rest))
}

/// `Some`: the fields fill the header exactly, and its checksum, if it has one, is right.
fn check(header: &[u8], mut fields: &[u8]) -> Option<()> {
    let mut sum = None;
    while !fields.is_empty() {
        let ([kind], length) = (take(&mut fields)?, take(&mut fields)?);
        let (value, behind) = fields.split_at_checked(usize::from(u16::from_be_bytes(length)))?;
        if kind == TYPE_CRC32C {
            let at = header.len() - fields.len();
            let said = u32::from_be_bytes(value.try_into().ok()?);
            if sum.replace((at, said)).is_some() {
                return None;
            }
        }
        fields = behind;
    }
    let is_right = sum.is_none_or(|(at, said)| crc32c(header, at) == said);
    is_right.then_some(())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// The checksum of a header whose own four bytes at `at` count as zeros (RFC 3720 B.4).
fn crc32c(header: &[u8], at: usize) -> u32 {
    let bytes = header.iter().enumerate().map(|(i, byte)| if i.wrapping_sub(at) < 4 { 0 } else { *byte });
    !bytes.fold(!0, |crc, byte| CRC32C[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests;
