//! Chunks, as RFC 9112 §7.1 writes them and no other way. Pure.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::Malformed;
use super::head::{LineEnds, Scan, header_map};
use crate::bounds::{CHUNK_EXTENSIONS_MAX, CHUNK_LINE_MAX, TRAILER_BYTES_MAX, TRAILERS_MAX};

/// Who wrote the chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    Client,
    /// Some pad the size with spaces.
    Service,
}

/// A reader of chunks.
#[derive(Clone, Debug)]
pub struct Chunks {
    at: At,
    writer: Writer,
    /// Bytes of extensions so far: they are for nobody, and must not be all that comes.
    extensions: usize,
}

#[derive(Clone, Debug)]
enum At {
    Size,
    Bytes(u64),
    AfterBytes,
    Trailers(Scan),
    End,
}

/// What chunks hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Bytes(Bytes),
    /// The fields after the last chunk; the end.
    Trailers(HeaderMap),
    End,
}

impl Chunks {
    pub fn new(writer: Writer) -> Self {
        Self { at: At::Size, writer, extensions: 0 }
    }

    /// Takes the next piece off `unread`. `None`: it takes more bytes.
    ///
    /// # Errors
    /// The bytes are no chunks.
    pub fn decode(&mut self, unread: &mut BytesMut) -> Result<Option<Piece>, Malformed> {
        loop {
            match &mut self.at {
                At::Size => match self.size(unread)? {
                    None => return Ok(None),
                    Some(0) => self.at = At::Trailers(Scan::default()),
                    Some(size) => self.at = At::Bytes(size),
                },
                At::Bytes(left) => {
                    if unread.is_empty() {
                        return Ok(None);
                    }
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(unread.len());
                    *left -= length as u64;
                    if *left == 0 {
                        self.at = At::AfterBytes;
                    }
                    return Ok(Some(Piece::Bytes(unread.split_to(length).freeze())));
                }
                At::AfterBytes => {
                    let length = unread.len().min(2);
                    if unread[..length] != b"\r\n"[..length] {
                        return Err(Malformed);
                    }
                    if length < 2 {
                        return Ok(None);
                    }
                    let _ = unread.split_to(2);
                    self.at = At::Size;
                }
                At::Trailers(scan) => {
                    let end = scan.end(unread, LineEnds::CrLf)?;
                    if end.unwrap_or(unread.len()) > TRAILER_BYTES_MAX || scan.lines() > TRAILERS_MAX {
                        return Err(Malformed);
                    }
                    let Some(end) = end else { return Ok(None) };
                    let section = unread.split_to(end).freeze();
                    self.at = At::End;
                    let map = trailers(&section)?;
                    return Ok(Some(if map.is_empty() { Piece::End } else { Piece::Trailers(map) }));
                }
                At::End => return Ok(Some(Piece::End)),
            }
        }
    }

    pub fn is_over(&self) -> bool {
        matches!(self.at, At::End)
    }

    /// A chunk's last byte was taken.
    pub(super) fn is_after_bytes(&self) -> bool {
        matches!(self.at, At::AfterBytes)
    }

    /// Takes a line with a chunk's size off.
    fn size(&mut self, unread: &mut BytesMut) -> Result<Option<u64>, Malformed> {
        let window = &unread[..unread.len().min(CHUNK_LINE_MAX)];
        let Some(end) = memchr::memchr(b'\n', window) else {
            let is_none = window.first().is_some_and(|first| !first.is_ascii_hexdigit());
            return if is_none || window.len() == CHUNK_LINE_MAX { Err(Malformed) } else { Ok(None) };
        };
        let line = window[..end].strip_suffix(b"\r").ok_or(Malformed)?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (number, mut rest) = line.split_at(digits);
        // Fifteen digits are 2^60: no reader's integer overflows.
        if !(1..=15).contains(&digits) {
            return Err(Malformed);
        }
        if self.writer == Writer::Service {
            rest = rest.trim_ascii();
        }
        if !are_extensions(rest) {
            return Err(Malformed);
        }
        self.extensions += rest.len();
        if self.extensions > CHUNK_EXTENSIONS_MAX {
            return Err(Malformed);
        }
        let number = std::str::from_utf8(number).map_err(|_| Malformed)?;
        let size = u64::from_str_radix(number, 16).map_err(|_| Malformed)?;
        let _ = unread.split_to(end + 1);
        Ok(Some(size))
    }
}

/// `*( ";" token [ "=" ( token / quoted-string ) ] )`, without the blanks that RFC 9112 calls bad.
fn are_extensions(mut rest: &[u8]) -> bool {
    while let Some(after) = rest.strip_prefix(b";") {
        let Some(after) = after_token(after) else { return false };
        rest = match after.strip_prefix(b"=") {
            None => after,
            Some(value) => match after_quoted(value).or_else(|| after_token(value)) {
                Some(after) => after,
                None => return false,
            },
        };
    }
    rest.is_empty()
}

fn after_token(bytes: &[u8]) -> Option<&[u8]> {
    let is_token = |b: &&u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    match bytes.iter().take_while(is_token).count() {
        0 => None,
        length => Some(&bytes[length..]),
    }
}

fn after_quoted(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', escaped, after @ ..] if is_text(*escaped) => after,
            [plain, after @ ..] if is_text(*plain) && *plain != b'\\' => after,
            _ => return None,
        };
    }
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

fn trailers(section: &Bytes) -> Result<HeaderMap, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    match httparse::parse_headers(section, &mut fields) {
        Ok(httparse::Status::Complete((length, parsed))) if length == section.len() => {
            header_map(section, parsed, 0)
        }
        Ok(_) | Err(_) => Err(Malformed),
    }
}
