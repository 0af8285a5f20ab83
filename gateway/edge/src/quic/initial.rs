//! The first packets of a newcomer, opened without answering: which name does it ask for? Pure.
//!
//! The keys of Initial packets derive from the connection ID that the packet itself shows (RFC 9001 §5.2), so whoever
//! holds the packet can read the ClientHello in it. It is read here before quinn sees anything, because quinn answers
//! what it does not like.

use rustls::quic::{Keys, Version};
use rustls::server::Acceptor;
use rustls::{Side, Tls13CipherSuite};

use crate::bounds::{QUIC_HELLO_BYTES_MAX, QUIC_HELLO_PIECES_MAX, QUIC_INITIAL_BYTES_MIN};

/// The only version that is spoken: what asks for another is not answered, since a list of versions is a sign of life.
const VERSION_1: u32 = 1;
const CID_BYTES_MAX: usize = 20;
/// RFC 9000 §7.2: a client's first choice has at least so many.
const FIRST_CID_BYTES_MIN: usize = 8;
const SAMPLE_BYTES: usize = 16;
const PACKET_NUMBER_BYTES_MAX: usize = 4;

/// A connection ID, as it stands in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cid {
    length: u8,
    bytes: [u8; CID_BYTES_MAX],
}

/// It is no Initial of version 1, or one that no client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no Initial packet of QUIC version 1")]
pub struct NotInitial;

/// What the pieces of a ClientHello say so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Some of it is still to come.
    More,
    /// All of it: the server name, if it gives one.
    Whole(Option<Box<str>>),
}

/// A ClientHello that comes in pieces, in whatever order. At most [`QUIC_HELLO_BYTES_MAX`].
#[derive(Debug, Default)]
pub struct Hello {
    bytes: Vec<u8>,
    /// Begin and end of what has come; apart, ascending.
    got: Vec<(usize, usize)>,
}

impl Cid {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut cid = Self { length: u8::try_from(bytes.len()).ok()?, bytes: [0; CID_BYTES_MAX] };
        cid.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(cid)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// The destination that a datagram's first packet names; `None` if it is no packet of ours.
pub fn destination(datagram: &[u8], short_length: usize) -> Option<Cid> {
    if datagram.first()? & 0x80 == 0 {
        return Cid::read(datagram.get(1..=short_length)?);
    }
    let mut reader = Reader(datagram.get(1..)?);
    (reader.u32()? == VERSION_1).then(|| reader.cid())?
}

/// Is the datagram's first packet an Initial?
pub fn is_initial(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0xf0 == 0xc0)
}

impl Hello {
    /// Opens the Initial packets of a datagram and takes their pieces of the ClientHello.
    ///
    /// # Errors
    /// [`NotInitial`]: nothing of it, or of what comes after it, is worth an answer.
    pub fn hear(&mut self, datagram: &[u8], suite: &'static Tls13CipherSuite) -> Result<Heard, NotInitial> {
        if datagram.len() < QUIC_INITIAL_BYTES_MIN || !is_initial(datagram) {
            return Err(NotInitial);
        }
        let destination = destination(datagram, 0).ok_or(NotInitial)?;
        if destination.as_bytes().len() < FIRST_CID_BYTES_MIN {
            return Err(NotInitial);
        }
        let quic = suite.quic.ok_or(NotInitial)?;
        let keys = Keys::initial(Version::V1, suite, quic, destination.as_bytes(), Side::Server);
        let mut copy = datagram.to_vec();
        let mut rest = &mut copy[..];
        // What else the datagram holds (0-RTT, padding) can say nothing about the name.
        while is_initial(rest) {
            let packet = Packet::split(rest).ok_or(NotInitial)?;
            if packet.destination != destination {
                return Err(NotInitial);
            }
            let (whole, others) = rest.split_at_mut(packet.end);
            self.take(open(whole, packet.number_at, &keys)?)?;
            rest = others;
        }
        self.heard()
    }

    /// The frames that an Initial of a client may hold (RFC 9000 §12.4).
    fn take(&mut self, payload: &[u8]) -> Result<(), NotInitial> {
        let mut reader = Reader(payload);
        while let Some(kind) = reader.u8() {
            match kind {
                // PADDING, PING
                0 | 1 => {}
                // ACK, with or without counts of ECN
                2 | 3 => reader.skip_ack(kind == 3).ok_or(NotInitial)?,
                // CRYPTO
                6 => {
                    let offset = reader.varint().ok_or(NotInitial)?;
                    let length = reader.varint().ok_or(NotInitial)?;
                    let piece = usize::try_from(length).ok().and_then(|length| reader.take(length));
                    let offset = usize::try_from(offset).map_err(|_| NotInitial)?;
                    self.put(offset, piece.ok_or(NotInitial)?)?;
                }
                _ => return Err(NotInitial),
            }
        }
        Ok(())
    }

    fn put(&mut self, offset: usize, piece: &[u8]) -> Result<(), NotInitial> {
        let end = offset.checked_add(piece.len()).filter(|end| *end <= QUIC_HELLO_BYTES_MAX);
        let end = end.ok_or(NotInitial)?;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(piece);
        let (mut begin, mut end) = (offset, end);
        self.got.retain(|&(from, to)| {
            let touches = from <= end && begin <= to;
            if touches {
                (begin, end) = (begin.min(from), end.max(to));
            }
            !touches
        });
        let at = self.got.partition_point(|&(from, _)| from < begin);
        self.got.insert(at, (begin, end));
        if self.got.len() > QUIC_HELLO_PIECES_MAX {
            return Err(NotInitial);
        }
        Ok(())
    }

    fn heard(&self) -> Result<Heard, NotInitial> {
        let have = match self.got.first() {
            Some(&(0, end)) => &self.bytes[..end],
            _ => return Ok(Heard::More),
        };
        // RFC 8446 §4: a kind (1 is ClientHello) and three bytes of length.
        let [1, a, b, c, ..] = *have else {
            return if have.len() < 4 && have.first().is_none_or(|kind| *kind == 1) {
                Ok(Heard::More)
            } else {
                Err(NotInitial)
            };
        };
        let length = 4 + u32::from_be_bytes([0, a, b, c]) as usize;
        if length > QUIC_HELLO_BYTES_MAX {
            return Err(NotInitial);
        }
        have.get(..length).map_or(Ok(Heard::More), server_name)
    }
}

/// What rustls reads in a ClientHello, as for TCP and as it will again within quinn.
fn server_name(hello: &[u8]) -> Result<Heard, NotInitial> {
    // A TLS record around it: handshake, version 1.0 as first records have it.
    let mut record = vec![22, 3, 1];
    record.extend_from_slice(&u16::try_from(hello.len()).map_err(|_| NotInitial)?.to_be_bytes());
    record.extend_from_slice(hello);
    let (mut acceptor, mut unread) = (Acceptor::default(), &record[..]);
    while !unread.is_empty() {
        if acceptor.read_tls(&mut unread).map_err(|_| NotInitial)? == 0 {
            return Err(NotInitial);
        }
    }
    match acceptor.accept() {
        Ok(Some(accepted)) => Ok(Heard::Whole(accepted.client_hello().server_name().map(Box::from))),
        Ok(None) | Err(_) => Err(NotInitial),
    }
}

/// Where the parts of an Initial packet are.
struct Packet {
    destination: Cid,
    number_at: usize,
    end: usize,
}

impl Packet {
    fn split(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes.get(1..)?);
        if reader.u32()? != VERSION_1 {
            return None;
        }
        let destination = reader.cid()?;
        reader.cid()?;
        let token = usize::try_from(reader.varint()?).ok()?;
        reader.take(token)?;
        let length = usize::try_from(reader.varint()?).ok()?;
        let number_at = bytes.len() - reader.0.len();
        let end = number_at.checked_add(length).filter(|end| *end <= bytes.len())?;
        Some(Self { destination, number_at, end })
    }
}

/// Takes the protection off a whole packet (RFC 9001 §5); gives its frames.
fn open<'a>(packet: &'a mut [u8], number_at: usize, keys: &Keys) -> Result<&'a [u8], NotInitial> {
    let sample_at = number_at + PACKET_NUMBER_BYTES_MAX;
    let sample: [u8; SAMPLE_BYTES] = packet
        .get(sample_at..sample_at + SAMPLE_BYTES)
        .and_then(|sample| sample.try_into().ok())
        .ok_or(NotInitial)?;
    let (first, others) = packet.split_first_mut().ok_or(NotInitial)?;
    let number = &mut others[number_at - 1..sample_at - 1];
    keys.remote.header.decrypt_in_place(&sample, first, number).map_err(|_| NotInitial)?;
    let number_bytes = usize::from(*first & 3) + 1;
    let number = number[..number_bytes].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (header, payload) = packet.split_at_mut(number_at + number_bytes);
    keys.remote.packet.decrypt_in_place(number, header, payload).map_err(|_| NotInitial)
}

/// Bytes in the order of RFC 9000; `None` where they end too soon.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn cid(&mut self) -> Option<Cid> {
        let length = self.u8()?;
        Cid::read(self.take(length.into())?)
    }

    /// RFC 9000 §16.
    fn varint(&mut self) -> Option<u64> {
        let first = self.u8()?;
        let more = (1_usize << (first >> 6)) - 1;
        let rest = self.take(more)?;
        Some(rest.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte)))
    }

    fn skip_ack(&mut self, has_counts: bool) -> Option<()> {
        self.varint()?;
        self.varint()?;
        let ranges = self.varint()?;
        self.varint()?;
        let counts = if has_counts { 3 } else { 0 };
        // Each takes two bytes at least: the payload bounds the loop.
        for _ in 0..ranges.checked_mul(2)?.checked_add(counts)? {
            self.varint()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
