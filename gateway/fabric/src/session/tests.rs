//! Two ends, carriers that are cut at any byte, and what must hold throughout.

use std::collections::VecDeque;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::acks::Acks;
use super::*;

/// What a carrier has under way, one direction.
#[derive(Debug)]
enum Item {
    Bytes(Bytes),
    Fin,
    Ack(Position),
}

/// One end with its owner.
#[derive(Debug)]
struct End {
    session: Session,
    acks: Acks,
    written: Vec<u8>,
    finished: bool,
    read: Vec<u8>,
    saw_end: bool,
    attached: bool,
}

/// Two ends and what is between them. End 0 resumes, end 1 is resumed.
#[derive(Debug)]
struct World {
    ends: [End; 2],
    /// Towards each end; one generation of carrier.
    queues: [VecDeque<Item>; 2],
    /// End 0 asked to resume from there, and end 1 has not heard it.
    asking: Option<Position>,
    /// End 1 answered from there, and end 0 has not heard it.
    answer: Option<Position>,
}

const CARRIER: usize = 10_000;

impl World {
    fn new() -> Self {
        let end = || End {
            session: Session::default(),
            acks: Acks::from(Position::default()),
            written: Vec::new(),
            finished: false,
            read: Vec::new(),
            saw_end: false,
            attached: true,
        };
        Self { ends: [end(), end()], queues: Default::default(), asking: None, answer: None }
    }

    fn write(&mut self, who: usize, count: usize) {
        let end = &mut self.ends[who];
        if !end.attached || end.finished || !end.session.is_level() {
            return;
        }
        let count = count.min(end.session.room()).min(room(&self.queues[1 - who]));
        let fresh: Vec<u8> = (0..count).map(|at| ((end.written.len() + at) % 251) as u8).collect();
        if fresh.is_empty() {
            let more = end.session.growth_wanted();
            return end.session.grow(more);
        }
        if count.is_multiple_of(2) {
            end.session.note_copy(&fresh);
        } else {
            end.session.note(fresh.clone().into());
        }
        end.written.extend(&fresh);
        self.queues[1 - who].push_back(Item::Bytes(fresh.into()));
    }

    /// What the shell does whenever it runs.
    fn pump(&mut self, who: usize) {
        let end = &mut self.ends[who];
        if !end.attached {
            return;
        }
        while !end.session.is_level() && room(&self.queues[1 - who]) > 0 {
            let piece = end.session.unsent(room(&self.queues[1 - who]).min(777));
            assert!(!piece.is_empty());
            end.session.note_sent(piece.len());
            self.queues[1 - who].push_back(Item::Bytes(piece));
        }
        if end.session.is_fin_due() {
            end.session.note_fin();
            self.queues[1 - who].push_back(Item::Fin);
        }
        if let Some(position) = end.acks.poll() {
            self.queues[1 - who].push_back(Item::Ack(position));
        }
    }

    /// Delivers one item to an end, of bytes only the first `most`.
    fn deliver(&mut self, to: usize, most: usize) {
        let end = &mut self.ends[to];
        if !end.attached {
            return;
        }
        match self.queues[to].pop_front() {
            Some(Item::Bytes(mut bytes)) => {
                let some = bytes.split_to(bytes.len().min(most.max(1)));
                if !bytes.is_empty() {
                    self.queues[to].push_front(Item::Bytes(bytes));
                }
                end.session.handle_bytes(some.len()).unwrap();
                end.acks.handle_bytes(some.len());
                end.read.extend(some);
            }
            Some(Item::Fin) => {
                end.session.handle_end();
                end.acks.handle_end();
                end.saw_end = true;
            }
            Some(Item::Ack(position)) => end.session.handle_ack(position).unwrap(),
            None => {}
        }
    }

    fn cut(&mut self) {
        self.queues = Default::default();
        (self.asking, self.answer) = (None, None);
        self.ends.iter_mut().for_each(|end| end.attached = false);
    }

    /// The next step of a resume, if one is called for.
    fn resume(&mut self) {
        if let Some(far) = self.answer.take() {
            let end = &mut self.ends[0];
            end.session.handle_resume(far).unwrap();
            end.attached = true;
        } else if let Some(far) = self.asking.take() {
            // The old carrier may look alive from here: it is left all the same.
            let end = &mut self.ends[1];
            end.session.handle_resume(far).unwrap();
            end.acks = Acks::from(end.session.received());
            end.attached = true;
            self.answer = Some(end.session.received());
            self.queues = Default::default();
        } else if !self.ends[0].attached {
            let received = self.ends[0].session.received();
            self.ends[0].acks = Acks::from(received);
            self.asking = Some(received);
            self.queues[0].clear();
        }
    }

    fn check(&self) {
        for (who, end) in self.ends.iter().enumerate() {
            let far = &self.ends[1 - who];
            assert!(far.written.starts_with(&end.read), "bytes are whole, in order, once");
            assert!(end.session.held() <= end.session.window() && end.session.window() <= SESSION_WINDOW_MAX);
            if end.saw_end {
                assert!(far.finished && end.read.len() == far.written.len(), "a cut looked like an end");
            }
            if end.session.is_heard() {
                assert!(far.saw_end, "heard without being heard");
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..100_000 {
            if self.ends.iter().all(|end| end.session.is_over()) {
                return;
            }
            self.resume();
            for who in 0..2 {
                self.ends[who].acks.handle_tick();
                self.pump(who);
                self.deliver(who, usize::MAX);
            }
        }
        panic!("it never ends: {self:?}");
    }
}

fn room(queue: &VecDeque<Item>) -> usize {
    let inside: usize =
        queue.iter().map(|item| if let Item::Bytes(bytes) = item { bytes.len() } else { 0 }).sum();
    CARRIER.saturating_sub(inside)
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize, usize),
    Finish(usize),
    Pump(usize),
    Deliver(usize, usize),
    Tick(usize),
    Cut,
    LoseOne(usize),
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2usize, 1..20_000usize).prop_map(|(who, count)| Step::Write(who, count)),
        1 => (0..2usize).prop_map(Step::Finish),
        4 => (0..2usize).prop_map(Step::Pump),
        8 => (0..2usize, 1..12_000usize).prop_map(|(who, most)| Step::Deliver(who, most)),
        1 => (0..2usize).prop_map(Step::Tick),
        1 => Just(Step::Cut),
        1 => (0..2usize).prop_map(Step::LoseOne),
        4 => Just(Step::Resume),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn r0_25_bytes_arrive_whole_in_order_and_once_whatever_is_cut_where(steps in vec(step(), 1..200)) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Write(who, count) => world.write(who, count),
                Step::Finish(who) => {
                    world.ends[who].finished = true;
                    world.ends[who].session.finish();
                }
                Step::Pump(who) => world.pump(who),
                Step::Deliver(who, most) => world.deliver(who, most),
                Step::Tick(who) => {
                    world.ends[who].acks.handle_tick();
                }
                Step::Cut => world.cut(),
                // One end sees the loss before the other; what the other still sends arrives nowhere.
                Step::LoseOne(0) if world.asking.is_none() && world.answer.is_none() => {
                    world.ends[0].attached = false;
                    world.queues[0].clear();
                }
                Step::LoseOne(_) if world.asking.is_none() && world.answer.is_none() => {
                    world.ends[1].attached = false;
                    world.queues[1].clear();
                    world.ends[0].attached = false;
                }
                Step::LoseOne(_) => {}
                Step::Resume => world.resume(),
            }
            world.check();
        }
        for who in 0..2 {
            world.ends[who].finished = true;
            world.ends[who].session.finish();
        }
        world.settle();
        world.check();
        prop_assert!(world.ends.iter().all(|end| end.saw_end && end.session.held() == 0));
    }

    #[test]
    fn a_far_end_that_says_what_cannot_be_is_refused_and_changes_nothing(
        sent in 0usize..5_000, acked in 0usize..5_000, claimed in 0u64..6_000, is_end: bool, finished: bool,
    ) {
        let acked = acked.min(sent);
        let mut session = Session::default();
        session.note_copy(&vec![7; sent]);
        session.handle_ack(Position::default().after(acked)).unwrap();
        if finished {
            session.finish();
            session.note_fin();
        }
        let claim = Position::default().after(claimed as usize);
        let claim = if is_end { claim.ended() } else { claim };
        let before = format!("{session:?}");
        let outcome = session.handle_resume(claim);
        let expected = if claimed > sent as u64 {
            Err(Impossible::BeyondSent)
        } else if is_end && (!finished || claimed != sent as u64) {
            Err(Impossible::EndNotSent)
        } else if claimed < acked as u64 {
            Err(Impossible::BeforeAcknowledged)
        } else {
            Ok(())
        };
        prop_assert_eq!(outcome, expected);
        if outcome.is_err() {
            prop_assert_eq!(before, format!("{session:?}"));
        } else {
            prop_assert_eq!(session.held(), sent - claimed as usize);
        }
    }
}

#[test]
fn an_ack_beyond_what_this_carrier_has_is_refused_and_an_old_one_is_nothing_new() {
    let mut session = Session::default();
    session.note_copy(b"0123456789");
    assert_eq!(session.handle_ack(Position::default().after(11)), Err(Impossible::BeyondSent));
    assert_eq!(session.handle_ack(Position::default().after(10).ended()), Err(Impossible::EndNotSent));
    session.handle_ack(Position::default().after(6)).unwrap();
    session.handle_ack(Position::default().after(3)).unwrap();
    assert_eq!(session.held(), 4);
    session.handle_resume(Position::default().after(6)).unwrap();
    assert_eq!(
        session.handle_ack(Position::default().after(7)),
        Err(Impossible::BeyondSent),
        "not sent again yet"
    );
    assert_eq!(session.unsent(3).as_ref(), b"678");
    session.note_sent(3);
    session.handle_ack(Position::default().after(9)).unwrap();
    assert_eq!((session.unsent(100).as_ref(), session.is_level()), (&b"9"[..], false));
}

#[test]
fn a_full_window_takes_nothing_more_and_grows_only_when_full_and_to_its_bound() {
    let mut session = Session::default();
    assert_eq!(session.growth_wanted(), 0);
    session.note_copy(&vec![1; SESSION_WINDOW_FIRST]);
    assert_eq!((session.room(), session.growth_wanted()), (0, SESSION_WINDOW_FIRST));
    while session.growth_wanted() > 0 {
        session.grow(session.growth_wanted());
        session.note_copy(&vec![1; session.room()]);
    }
    assert_eq!((session.held(), session.window()), (SESSION_WINDOW_MAX, SESSION_WINDOW_MAX));
    session.finish();
    assert!(session.is_fin_due() && session.room() == 0);
}

#[test]
fn bytes_behind_the_end_are_refused_and_an_end_said_twice_is_one() {
    let mut session = Session::default();
    session.handle_bytes(3).unwrap();
    session.handle_end();
    session.handle_end();
    assert_eq!(session.received(), Position::default().after(3).ended());
    assert_eq!(session.handle_bytes(1), Err(Impossible::BehindEnd));
}
