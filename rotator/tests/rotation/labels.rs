//! The label book: stable labels stay, rotating ones turn, and keys that come late are no loss.

use rotator::label_book::Naming;
use rotator::tenure::{Rhythm, Term};
use rotator::{Cut, KeyEpochs, Keyring, Label, LabelBook, Schedule};

use crate::stage::{Dice, at, grant, ring, tenure, term};

const BEGIN: u64 = 1_800_000_000;

fn rotating(n: u64, terms: Vec<Term>) -> Naming {
    let id = grant(n);
    Naming::Rotating { tenure: tenure(&id, terms), id }
}

/// The label that an agent computes for second `t`.
fn label_at(n: u64, terms: &[Term], keys: &Keyring, t: u64) -> Label {
    let id = grant(n);
    let window = tenure(&id, terms.to_vec()).window_at(at(t), Rhythm::Label).unwrap();
    let key = keys.grant_key(window.origin, &id, window.term.generation).unwrap();
    Label::rotating(&key, window.number)
}

#[test]
fn a_label_is_known_from_lead_before_its_window_until_grace_after_it() {
    let schedule = Schedule { label_period_s: 100, ..Schedule::AGENT };
    let terms = vec![term(BEGIN, 0, schedule, Cut::Grace)];
    // Key epochs shorter than the label window: the next window's key is not held before it is needed.
    let epochs = KeyEpochs::every(40);
    let keys = |t| ring(epochs, &terms, t);
    let window = tenure(&grant(1), terms.clone()).window_at(at(BEGIN + 500), Rhythm::Label).unwrap();
    let label = label_at(1, &terms, &keys(BEGIN + 500), BEGIN + 500);
    let (start, end) = (window.start.secs(), window.end.secs());
    let mut book = LabelBook::new();
    book.put(1, rotating(1, terms.clone()), &keys(BEGIN + 100), at(BEGIN + 100));
    for t in BEGIN + 100..BEGIN + 900 {
        book.advance(&keys(t), at(t));
        let known = (start - 10..end + 15).contains(&t);
        assert_eq!(book.find(label, at(t)), known.then_some(1), "at {t}, window {start}..{end}");
        assert!(book.len() <= 4, "{}", book.len());
        assert!(book.next_due() > Some(at(t)));
    }
}

#[test]
fn whatever_changes_when_an_agents_label_is_known_though_its_clock_is_a_lead_off() {
    let mut dice = Dice(3);
    for _ in 0..30 {
        let epochs = KeyEpochs::every(dice.roll(20, 300));
        let mut terms = vec![term(BEGIN, 0, dice.schedule(), Cut::Grace)];
        for generation in 1..5 {
            let before = *terms.last().unwrap();
            let schedule = match dice.roll(0, 2) {
                0 => Schedule { tombstone_s: 39, ..before.schedule },
                _ => dice.schedule(),
            };
            let bump = before.generation + if dice.roll(0, 1) == 0 { generation } else { 0 };
            terms.push(term(before.from.secs() + dice.roll(1, 150), bump, schedule, Cut::Grace));
        }
        let skew = terms.iter().map(|t| u64::from(t.schedule.lead_s)).min().unwrap();
        let mut book = LabelBook::new();
        let begin = BEGIN + skew;
        book.put(1, rotating(1, terms.clone()), &ring(epochs, &terms, begin), at(begin));
        for t in begin..begin + 700 {
            let keys = ring(epochs, &terms, t);
            book.advance(&keys, at(t));
            for clock in [t - skew, t, t + skew] {
                assert_eq!(
                    book.find(label_at(1, &terms, &keys, clock), at(t)),
                    Some(1),
                    "{terms:?} at {t}, {clock}"
                );
            }
            let mut fresh = LabelBook::new();
            fresh.put(1, rotating(1, terms.clone()), &keys, at(t));
            let valid = |book: &LabelBook| -> Vec<Label> {
                book.labels_of(1).iter().filter(|l| book.find(**l, at(t)).is_some()).copied().collect()
            };
            assert_eq!(valid(&book), valid(&fresh));
        }
    }
}

#[test]
fn labels_that_waited_for_a_key_are_known_as_soon_as_it_comes() {
    let terms = vec![term(BEGIN, 0, Schedule::AGENT, Cut::Grace)];
    let (now, epochs) = (BEGIN + 9000, KeyEpochs::WEEKLY);
    let none = Keyring::of(epochs, vec![]);
    let mut book = LabelBook::new();
    book.put(1, rotating(1, terms.clone()), &none, at(now));
    assert!(book.is_empty() && book.labels_of(1).is_empty());
    book.advance(&none, at(now + 1));
    assert_eq!(book.epochs_missing(), [epochs.at(at(now))]);
    assert_eq!(book.next_due(), Some(at(now + 2)));
    let keys = ring(epochs, &terms, now);
    book.advance(&keys, at(now + 2));
    assert_eq!(book.find(label_at(1, &terms, &keys, now + 2), at(now + 2)), Some(1));
    assert!(book.epochs_missing().is_empty());
}

#[test]
fn a_stable_label_never_turns_and_a_replaced_one_is_forgotten() {
    let keys = Keyring::of(KeyEpochs::WEEKLY, vec![]);
    let (old, new) = (Label::stable([1; 16]), Label::stable([2; 16]));
    let mut book = LabelBook::new();
    book.put(1, Naming::Stable(old), &keys, at(BEGIN));
    book.advance(&keys, at(u64::MAX - 1));
    assert_eq!(book.find(old, at(BEGIN + 1_000_000_000)), Some(1));
    book.put(1, Naming::Stable(new), &keys, at(BEGIN));
    assert_eq!((book.find(old, at(BEGIN)), book.find(new, at(BEGIN))), (None, Some(1)));
    // The label passes to another grant; removing the first bearer must not take it away.
    book.put(2, Naming::Stable(new), &keys, at(BEGIN));
    book.remove(1);
    assert_eq!(book.find(new, at(BEGIN)), Some(2));
    book.remove(2);
    assert!(book.is_empty());
}

#[test]
fn a_removed_or_leaked_grant_has_no_label_of_before() {
    let schedule = Schedule::AGENT;
    let mut terms = vec![term(BEGIN, 0, schedule, Cut::Grace)];
    let now = BEGIN + 9000;
    let keys = ring(KeyEpochs::WEEKLY, &terms, now);
    let old = label_at(1, &terms, &keys, now);
    let mut book = LabelBook::new();
    book.put(1, rotating(1, terms.clone()), &keys, at(now));
    assert_eq!(book.find(old, at(now)), Some(1));
    terms.push(term(now, 1, schedule, Cut::Now));
    book.put(1, rotating(1, terms.clone()), &keys, at(now));
    assert_eq!(book.find(old, at(now)), None);
    assert_eq!(book.find(label_at(1, &terms, &keys, now), at(now)), Some(1));
    book.remove(1);
    assert!(book.is_empty());
    assert_eq!(book.next_due(), None);
}
