//! What HTTP/2 frames are worth, so that a flood of those that do no work ends. Pure.
//!
//! The library bounds what a flood costs in memory; this bounds what it costs in time. Each frame of a client has a price,
//! each piece of an answer earns some of it back, and time earns a little: whoever uses a connection, however hastily,
//! stays in credit. PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA and unknown frames, resets, and requests that never
//! became any, do not (CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2025-8671, RUSTSEC-2026-0258).

use crate::bounds::{FRAME_CREDIT_MAX, FRAME_CREDIT_PER_S};

/// RFC 9113 §4.1.
const HEAD: usize = 9;
/// RFC 9113 §3.4: what a client says before its first frame.
const PREFACE: u32 = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const PADDED: u8 = 8;
/// With the byte that says how long it is.
const PADDING_MAX: u32 = 256;

/// GOAWAY with ENHANCE_YOUR_CALM (RFC 9113 §§6.8, 10.5). It names the highest of all streams as the last: any may have been
/// processed.
pub const CALM: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 11];

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    kind: u8,
    flags: u8,
    length: u32,
}

/// Finds the heads of frames in a stream of bytes, however it is cut.
#[derive(Debug)]
pub struct Heads {
    head: [u8; HEAD],
    have: usize,
    skip: u32,
    /// The frame whose payload comes moves a request on.
    is_progress: bool,
}

impl Heads {
    pub fn of_client() -> Self {
        Self { head: [0; HEAD], have: 0, skip: PREFACE, is_progress: false }
    }

    pub fn of_server() -> Self {
        Self { head: [0; HEAD], have: 0, skip: 0, is_progress: false }
    }

    /// Whether the bytes so far end with a whole frame.
    pub fn is_between(&self) -> bool {
        self.have == 0 && self.skip == 0
    }

    /// Reads the next bytes; `found` gets each head that is whole. Tells whether any of them move a request on.
    pub fn read(&mut self, bytes: &[u8], mut found: impl FnMut(Frame)) -> bool {
        let (mut bytes, mut is_progress) = (bytes, false);
        loop {
            let skipped = bytes.len().min(self.skip as usize);
            self.skip -= skipped as u32;
            is_progress |= skipped > 0 && self.is_progress;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return is_progress;
            }
            let taken = bytes.len().min(HEAD - self.have);
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have < HEAD {
                return is_progress;
            }
            let [a, b, c, kind, flags, ..] = self.head;
            (self.have, self.skip) = (0, u32::from_be_bytes([0, a, b, c]));
            let frame = Frame { kind, flags, length: self.skip };
            self.is_progress = frame.is_piece() || kind == HEADERS;
            is_progress |= self.is_progress;
            found(frame);
        }
    }
}

impl Frame {
    /// It carries a piece of a body.
    fn is_piece(self) -> bool {
        // Of the shortest ones, padding may be all there is.
        self.kind == DATA && self.length > if self.flags & PADDED == 0 { 0 } else { PADDING_MAX }
    }

    fn price(self) -> u32 {
        match self.kind {
            DATA if self.is_piece() => 0,
            HEADERS => 1,
            DATA if self.flags & END_STREAM != 0 => 1,
            // Nobody has a reason to send one, and the library has less patience with them.
            DATA => 40,
            // Each is answered or undoes work.
            RST_STREAM | PING => 2 + self.length / 1024,
            // Each may resize the header table and touch every stream.
            SETTINGS => 10 + self.length / 64,
            _ => 1 + self.length / 1024,
        }
    }

    fn worth(self) -> u32 {
        match self.kind {
            // A client may answer each piece with two windows.
            DATA if self.is_piece() => 4,
            HEADERS => 10,
            _ => 0,
        }
    }
}

/// What a connection has left to spend on frames.
#[derive(Debug)]
pub struct Credit {
    left: u32,
    filled_ms: u64,
}

impl Credit {
    pub fn new(now_ms: u64) -> Self {
        Self { left: FRAME_CREDIT_MAX, filled_ms: now_ms }
    }

    /// A client's frame. False: it is one too many.
    #[must_use]
    pub fn spend(&mut self, frame: Frame, now_ms: u64) -> bool {
        let price = frame.price();
        if self.left < price {
            self.fill(now_ms);
        }
        let is_paid = self.left >= price;
        self.left = self.left.saturating_sub(price);
        is_paid
    }

    /// A frame of ours.
    pub fn earn(&mut self, frame: Frame) {
        self.left = FRAME_CREDIT_MAX.min(self.left + frame.worth());
    }

    fn fill(&mut self, now_ms: u64) {
        let earned =
            now_ms.saturating_sub(self.filled_ms).saturating_mul(u64::from(FRAME_CREDIT_PER_S)) / 1000;
        if earned > 0 {
            let left = u64::from(self.left).saturating_add(earned).min(FRAME_CREDIT_MAX.into());
            (self.left, self.filled_ms) = (left as u32, now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW_UPDATE: u8 = 8;

    fn of(kind: u8, length: u32) -> Frame {
        Frame { kind, flags: 0, length }
    }

    fn bytes(frames: &[Frame]) -> Vec<u8> {
        let one = |frame: &Frame| {
            let [_, a, b, c] = frame.length.to_be_bytes();
            let mut bytes = vec![a, b, c, frame.kind, frame.flags, 0, 0, 0, 1];
            bytes.resize(HEAD + frame.length as usize, 0xff);
            bytes
        };
        frames.iter().flat_map(one).collect()
    }

    /// How many of these frames are taken in a row, of a million.
    fn taken(frame: Frame) -> usize {
        let mut credit = Credit::new(0);
        (0..1_000_000).take_while(|_| credit.spend(frame, 0)).count()
    }

    #[test]
    fn every_frame_that_does_no_work_is_one_too_many_sooner_or_later() {
        let padded = Frame { kind: DATA, flags: PADDED, length: 1 };
        for frame in [of(DATA, 0), padded].into_iter().chain((1..=255).map(|kind| of(kind, 0))) {
            let taken = taken(frame);
            assert!((50..=FRAME_CREDIT_MAX as usize).contains(&taken), "{frame:?}: {taken}");
        }
        assert!(taken(of(0x42, 16_384)) < taken(of(0x42, 0)) / 8, "bytes that are thrown away count");
        assert_eq!(taken(of(DATA, 1)), 1_000_000, "bodies are the business of other limits");
    }

    #[test]
    fn a_client_that_answers_each_piece_with_two_windows_and_each_request_with_a_reset_is_served_for_ever() {
        let (mut credit, last) = (Credit::new(0), Frame { kind: DATA, flags: END_STREAM, length: 0 });
        for _ in 0..100_000 {
            assert!(credit.spend(of(HEADERS, 50), 0) && credit.spend(last, 0));
            credit.earn(of(HEADERS, 20));
            credit.earn(of(DATA, 1));
            let windows = [of(WINDOW_UPDATE, 4), of(WINDOW_UPDATE, 4), of(RST_STREAM, 4)];
            assert!(windows.into_iter().all(|frame| credit.spend(frame, 0)));
        }
    }

    #[test]
    fn time_gives_back_a_little_and_never_more_than_there_was() {
        let mut credit = Credit::new(0);
        while credit.spend(of(PING, 8), 0) {}
        assert!(!credit.spend(of(PING, 8), 1000 / u64::from(FRAME_CREDIT_PER_S)));
        assert!(credit.spend(of(PING, 8), 1000), "and a second later");
        while credit.spend(of(PING, 8), 1000) {}
        let mut full = 0;
        while credit.spend(of(PING, 8), u64::MAX) {
            full += 1;
        }
        assert_eq!(full, FRAME_CREDIT_MAX / 2);
    }

    #[test]
    fn a_request_moves_on_with_heads_and_pieces_however_slowly_and_with_nothing_else() {
        let mut heads = Heads::of_server();
        for idle in [of(PING, 8), of(WINDOW_UPDATE, 4), of(DATA, 0), of(SETTINGS, 6)] {
            assert!(!heads.read(&bytes(&[idle]), |_| {}), "{idle:?}");
        }
        let piece = bytes(&[of(DATA, 3)]);
        assert!(!heads.read(&piece[..HEAD - 1], |_| {}), "not yet");
        assert!(piece[HEAD - 1..].iter().all(|byte| heads.read(&[*byte], |_| {})));
        assert!(heads.read(&bytes(&[of(PING, 8), of(HEADERS, 1)]), |_| {}));
    }

    proptest! {
        #[test]
        fn heads_are_found_however_the_bytes_are_cut(
            frames in proptest::collection::vec((any::<u8>(), any::<u8>(), 0..70u32), 0..20),
            cuts in proptest::collection::vec(1..40usize, 1..50),
        ) {
            let frames: Vec<_> =
                frames.into_iter().map(|(kind, flags, length)| Frame { kind, flags, length }).collect();
            let mut stream = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            stream.extend(bytes(&frames));
            let (mut heads, mut found, mut rest) = (Heads::of_client(), Vec::new(), &stream[..]);
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                heads.read(piece, |frame| found.push(frame));
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, frames);
        }
    }
}
