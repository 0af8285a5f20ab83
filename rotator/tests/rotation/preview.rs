//! The preview: which windows a schedule will cut, against a count second by second.

use rotator::bounds::PREVIEW_WINDOWS_MAX;
use rotator::preview::{preview, preview_schedule};
use rotator::tenure::Rhythm;
use rotator::{Cut, GrantNo, Schedule, Tenure};

use crate::stage::{Dice, at, grant, tenure, term};

const BEGIN: u64 = 1_800_000_000;

#[test]
fn a_preview_says_what_each_second_of_its_span_will_show() {
    let mut dice = Dice(21);
    for _ in 0..20 {
        let tenures: Vec<Tenure> = (0..3)
            .map(|n| {
                let first = term(BEGIN - 100, 0, dice.schedule(), Cut::Grace);
                let then = term(BEGIN + dice.roll(0, 300), 1, dice.schedule(), Cut::Now);
                tenure(&grant(n), vec![first, then])
            })
            .collect();
        let named: Vec<(GrantNo, &Tenure)> = (0..3).zip(&tenures).collect();
        let told = preview(&named, at(BEGIN), 300);
        assert_eq!(told.cut_off, None);
        assert!(told.windows.windows(2).all(|p| (p[0].start, p[0].grant) <= (p[1].start, p[1].grant)));
        let (mut most, mut most_each, mut sum, mut turns) = (0, 0, 0, 0);
        for t in BEGIN..BEGIN + 300 {
            let open = |grant: Option<GrantNo>| {
                let counted = told.windows.iter().filter(|w| grant.is_none_or(|g| g == w.grant));
                counted.filter(|w| w.opens <= at(t) && at(t) < w.closes).count()
            };
            most = most.max(open(None));
            most_each = most_each.max((0..3).map(|n| open(Some(n))).max().unwrap());
            sum += open(None);
            for (no, tenure) in &named {
                let now = tenure.window_at(at(t), Rhythm::Address).unwrap();
                let listed =
                    told.windows.iter().filter(|w| w.grant == *no && w.start <= at(t) && at(t) < w.end);
                let listed: Vec<_> = listed.collect();
                assert_eq!(listed.len(), 1, "one window of grant {no} at {t}");
                assert_eq!((listed[0].number, listed[0].end), (now.number, now.end));
                turns += usize::from(now.start == at(t));
            }
        }
        assert_eq!((told.overlap.most, told.overlap.most_per_grant), (most, most_each));
        assert!((told.overlap.mean - sum as f64 / 300.0).abs() < 1e-9);
        assert_eq!(told.overlap.turns, turns);
    }
}

#[test]
fn the_default_of_ordinary_clients_shows_three_addresses_at_most_and_two_nearly_always() {
    let told = preview_schedule(Schedule::NAME, 1, at(BEGIN), 24 * 3600);
    assert_eq!(told.overlap.most_per_grant, 3);
    assert!((told.overlap.mean - 3630.0 / 1800.0).abs() < 0.001, "{}", told.overlap.mean);
    assert_eq!(told.overlap.turns, 48);
}

#[test]
fn many_grants_turn_spread_over_the_window() {
    let told = preview_schedule(Schedule::NAME, 180, at(BEGIN), 1800);
    assert_eq!((told.overlap.turns, told.overlap.turns_at_once), (180, 1));
}

#[test]
fn a_preview_that_would_be_endless_is_cut_off_and_says_where() {
    for told in [
        preview_schedule(Schedule::AGENT, 1, at(BEGIN), u64::MAX),
        preview_schedule(Schedule::AGENT, 500, at(BEGIN), 1_000_000),
        preview_schedule(Schedule::AGENT, u32::MAX, at(BEGIN), 60),
    ] {
        assert!(told.cut_off.is_some());
        assert!((9000..=PREVIEW_WINDOWS_MAX).contains(&told.windows.len()), "{}", told.windows.len());
    }
    let nothing = preview(&[], at(BEGIN), 60);
    assert!(nothing.windows.is_empty() && nothing.cut_off.is_none());
    let empty = Tenure::new(0, vec![]);
    assert!(preview(&[(1, &empty)], at(BEGIN), 60).windows.is_empty());
}
