//! Lanes under mutated bytes: whatever comes in is frames or a named violation, in bounded memory, and never a panic.
//!
//! Each iteration is one story, told by its number alone. `WANDERGATE_FUZZ=1000000 cargo test -p fabric --test fuzz` runs
//! that many; `WANDERGATE_FUZZ_FROM=n` begins with number n, to see one again.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

use std::collections::{BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use fabric::bounds::{CONTROL_QUEUE, CREDIT_MAX, STREAMS_LANE};
use fabric::mux::{Event, Mux, Reading, Side};
use fabric::session::Position;
use fabric::wire::{Decoder, Frame, HEADER, Hello, Offering, Open, Opened, Proof, Resume, Shape, VERSION};
use fabric::{Refusal, Violation};

/// A few seconds' worth.
const ITERATIONS: u64 = 100_000;
const SEED: u64 = 0x57a9_de4e_6a7e_0003;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }

    fn stream(&mut self) -> u32 {
        match self.below(20) {
            0 => u32::MAX,
            1 => 0x8000_0001,
            _ => self.below(7) as u32 + 1,
        }
    }

    fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => CREDIT_MAX,
            _ => self.below(100_000) as u64,
        }
    }

    fn name(&mut self) -> String {
        ["web", "l1", "a", "git.example-1:2"][self.below(4)].into()
    }

    fn bytes(&mut self, most: usize) -> Bytes {
        let length = self.below(most);
        (0..length).map(|_| self.roll() as u8).collect()
    }

    fn position(&mut self) -> Position {
        Position::from_wire(self.number())
    }

    fn offering(&mut self) -> Offering {
        let services = (0..self.below(5)).map(|_| self.name()).collect();
        Offering { incarnation: [self.roll() as u8; 16], sequence: self.number(), services }
    }

    fn open(&mut self) -> Open {
        Open {
            service: self.name(),
            caller: ["", "edge/e1", "x"][self.below(3)].into(),
            session: [self.roll() as u8; 16],
            resume: (self.below(2) == 0).then(|| Resume {
                at: self.name(),
                received: self.position(),
                attempt: self.roll() as u32,
            }),
            shape: [Shape::Bytes, Shape::Datagrams][self.below(2)],
            origin: self.bytes(64),
        }
    }

    fn refusal(&mut self) -> Refusal {
        Refusal::ALL[self.below(Refusal::ALL.len())]
    }

    fn frame(&mut self) -> Frame {
        let stream = self.stream();
        match self.below(24) {
            0 => Frame::Hello(Hello { version: VERSION, lane: 2, link: [0; 16], name: self.name() }),
            1 => Frame::Welcome { version: VERSION, name: self.name(), mandate: self.bytes(200) },
            2 => Frame::Refuse(self.refusal()),
            3..=6 => Frame::Open { stream, open: Box::new(self.open()) },
            7 => Frame::Opened { stream, opened: Opened { at: self.name(), received: self.position() } },
            8..=11 => {
                let payload = match self.below(8) {
                    0 => vec![0; 65_536 - self.below(2) * 1000].into(),
                    _ => vec![7; 1 + self.below(300)].into(),
                };
                Frame::Data { stream, payload }
            }
            12 | 13 => Frame::Credit { stream, bytes: (self.number() as u32).max(1) },
            14 => Frame::Fin { stream },
            15 => Frame::Reset { stream, reason: self.refusal() },
            16 => Frame::Ping { nonce: self.roll() },
            17 => Frame::Pong { nonce: self.roll() },
            18 => Frame::Offer(self.offering()),
            19 => Frame::Accepted { services: self.offering().services },
            20 => Frame::Standby { term: self.number(), active: self.name() },
            21 => Frame::Proof(Box::new(Proof { certificate: self.bytes(99), signature: self.bytes(99) })),
            22 => Frame::Ack { stream, received: self.position() },
            _ => Frame::Notice { origin: self.name(), offering: self.offering() },
        }
    }

    /// A frame that has its place in the conversation, as far as one side can know.
    fn fitting(&mut self, said: &mut Said) -> Frame {
        let stream = said.open.get(self.below(said.open.len())).copied();
        match (self.below(12), stream) {
            (0..=2, _) | (_, None) => {
                said.next += 2;
                said.open.push(said.next);
                Frame::Open { stream: said.next, open: Box::new(Open { resume: None, ..self.open() }) }
            }
            (3..=6, Some(stream)) => {
                let length = [1 + self.below(300), 65_536][usize::from(self.below(6) == 0)];
                Frame::Data { stream, payload: vec![7; length].into() }
            }
            (7, Some(stream)) => Frame::Credit { stream, bytes: 1 + self.below(100_000) as u32 },
            (8, Some(stream)) => Frame::Ack { stream, received: Position::default() },
            (9, Some(stream)) => {
                said.open.retain(|open| *open != stream);
                [Frame::Fin { stream }, Frame::Reset { stream, reason: self.refusal() }][self.below(2)]
                    .clone()
            }
            (10, Some(_)) => Frame::Ping { nonce: self.roll() },
            (_, Some(_)) => Frame::Pong { nonce: self.roll() },
        }
    }

    /// Bytes of a conversation that has gone wrong somewhere, or not at all.
    fn script(&mut self, side: Side) -> Vec<u8> {
        // The far side of a dialer numbers evenly.
        let mut said = Said { next: if side == Side::Dialer { 2 } else { 1 }, open: Vec::new() };
        let strangeness = [0, 1, 4][self.below(3)];
        let mut bytes = BytesMut::new();
        for _ in 0..1 + self.below(40) {
            let is_strange = self.below(16) < strangeness;
            let frame = if is_strange { self.frame() } else { self.fitting(&mut said) };
            frame.encode(&mut bytes);
        }
        let mut bytes = bytes.to_vec();
        for _ in 0..self.below(4) {
            self.mutate(&mut bytes);
        }
        bytes
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        let end = at + self.below(bytes.len() - at);
        match self.below(7) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            2 => bytes.insert(at, self.roll() as u8),
            3 => drop(bytes.drain(at..end.min(at + 40))),
            4 => bytes.truncate(at.max(1)),
            5 => {
                let piece = bytes[at..end.min(at + 200)].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {
                // A length that lies.
                let length = (self.number() as u32).to_be_bytes();
                let room = bytes.len() - at;
                bytes[at..].iter_mut().zip(length).take(room).for_each(|(byte, new)| *byte = new);
            }
        }
    }
}

/// What one side has said: its last stream id, and its streams that live.
struct Said {
    next: u32,
    open: Vec<u32>,
}

/// Names the story that was being told when a test failed.
struct Story(u64);

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("see it again: WANDERGATE_FUZZ_FROM={} WANDERGATE_FUZZ=1", self.0);
        }
    }
}

fn number_from(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// One lane that hears mutated bytes while its owner reads, writes, finishes and resets as it likes. The violation that
/// ended it, and how many frames it took.
fn lane(dice: &mut Dice) -> (Option<Violation>, usize) {
    let side = [Side::Dialer, Side::Listener][dice.below(2)];
    let mut mux: Mux<()> = Mux::new(side, dice.below(8) > 0);
    let mut decoder = if dice.below(2) == 0 { Decoder::new() } else { Decoder::dialing() };
    if dice.below(8) > 0 {
        decoder.greeted();
    }
    let script = dice.script(side);
    let (mut rest, mut heard, mut incoming) = (&script[..], 0, Vec::new());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(1 + dice.below(rest.len()));
        rest = after;
        decoder.buffer().extend_from_slice(piece);
        loop {
            let frame = match decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(violation) => return (Some(violation), heard),
            };
            heard += 1;
            said_again_is_the_same(&frame);
            match mux.handle_frame(frame) {
                Ok(Event::Incoming { stream, .. }) => incoming.push(stream),
                Ok(_) => {}
                Err(violation) => return (Some(violation), heard),
            }
        }
        assert!(decoder.buffer().capacity() <= 4 * script.len() + 1024, "memory for bytes that never came");
        for _ in 0..dice.below(6) {
            act(dice, &mut mux, &mut incoming);
        }
        assert!(mux.len() <= STREAMS_LANE);
        let sent = std::iter::from_fn(|| mux.poll_frame()).take(CONTROL_QUEUE).count();
        assert!(sent < CONTROL_QUEUE);
    }
    (None, heard)
}

/// Every frame that parses is written as it was read.
fn said_again_is_the_same(frame: &Frame) {
    let (mut once, mut decoder) = (BytesMut::new(), Decoder::new());
    frame.encode(&mut once);
    assert!(once.len() >= HEADER);
    decoder.greeted();
    decoder.buffer().extend_from_slice(&once);
    assert_eq!(decoder.next_frame(), Ok(Some(frame.clone())));
    assert!(decoder.buffer().is_empty());
}

fn act(dice: &mut Dice, mux: &mut Mux<()>, incoming: &mut Vec<u32>) {
    let stream = dice.stream();
    match dice.below(9) {
        0 => drop(mux.open(dice.open())),
        1 | 2 => incoming.drain(..).for_each(|stream| mux.accept(stream, Opened::default())),
        3 => drop(mux.write(stream, &mut dice.bytes(20_000))),
        4 => {
            let mut slices = VecDeque::new();
            if let Reading::Moved(count) = mux.take(stream, 1 + dice.below(70_000), &mut slices) {
                assert_eq!(count, slices.iter().map(Bytes::len).sum::<usize>());
            }
        }
        5 => mux.finish(stream),
        6 => mux.reset(stream, dice.refusal()),
        7 => mux.release(stream),
        _ => mux.ack(stream, dice.position()),
    }
}

#[test]
fn mutated_bytes_are_frames_or_a_named_violation_and_never_more() {
    let (from, count) = (number_from("WANDERGATE_FUZZ_FROM", 0), number_from("WANDERGATE_FUZZ", ITERATIONS));
    let (mut ends, mut frames, mut whole) = (BTreeSet::new(), 0, 0u64);
    for number in from..from + count {
        let story = Story(number);
        let mut dice = Dice(SEED ^ number.wrapping_mul(0xD134_2543_DE82_EF95));
        let (end, heard) = lane(&mut dice);
        frames += heard;
        match end {
            Some(violation) => drop(ends.insert(violation)),
            None => whole += 1,
        }
        drop(story);
    }
    if count >= ITERATIONS {
        // The fuzz is worth something only while it reaches everything.
        for violation in [
            Violation::FrameTooLong,
            Violation::KindUnknown,
            Violation::Malformed,
            Violation::Unexpected,
            Violation::CreditOverrun,
            Violation::CreditOverflow,
            Violation::StreamUnknown,
            Violation::StreamIdMisused,
            Violation::AfterFin,
            Violation::AckBeyondSent,
        ] {
            assert!(ends.contains(&violation), "{violation} was never reached");
        }
        assert!(whole > count / 1000, "{whole} stories ended well");
        assert!(frames as u64 > 5 * count, "{frames} frames were heard");
    }
}
