//! News of offers, over two planes.

use proptest::prelude::*;

use super::*;

fn offering(incarnation: u8, sequence: u64, services: &[&str]) -> Offering {
    let services = services.iter().map(|name| (*name).to_owned()).collect();
    Offering { incarnation: [incarnation; 16], sequence, services }
}

#[test]
fn what_comes_over_both_planes_is_news_once() {
    let mut notices = Notices::default();
    assert_eq!(notices.says(0, "web"), Says::Nothing);
    assert_eq!(notices.handle_notice(0, "l1", offering(1, 1, &["web"])), Worth::News);
    assert_eq!((notices.says(0, "web"), notices.says(1, "web")), (Says::Offered, Says::Nothing));
    assert_eq!(notices.handle_notice(1, "l1", offering(1, 1, &["web"])), Worth::Copy);
    assert_eq!(notices.handle_notice(1, "l1", offering(1, 1, &["web"])), Worth::Copy);
    assert_eq!((notices.says(1, "web"), notices.says(1, "mail")), (Says::Offered, Says::NotOffered));
}

#[test]
fn older_numbers_and_replaced_incarnations_are_ignored() {
    let mut notices = Notices::default();
    notices.handle_notice(0, "l1", offering(1, 7, &["web"]));
    assert_eq!(notices.handle_notice(1, "l1", offering(1, 6, &["old"])), Worth::Stale);
    assert_eq!(notices.says(1, "old"), Says::Nothing);
    assert_eq!(notices.handle_notice(1, "l1", offering(1, 8, &["new"])), Worth::News);
    assert_eq!(notices.handle_notice(0, "l1", offering(1, 7, &["web"])), Worth::Stale, "a replay");

    // A restart counts from the beginning.
    assert_eq!(notices.handle_notice(0, "l1", offering(2, 1, &["web"])), Worth::News);
    assert_eq!(notices.says(1, "new"), Says::Nothing, "the incarnation before is void everywhere");
    assert_eq!(notices.handle_notice(1, "l1", offering(1, 9, &["ghost"])), Worth::Stale);
    assert_eq!(notices.says(1, "ghost"), Says::Nothing);
    assert_eq!(notices.handle_notice(1, "l1", offering(2, 1, &["web"])), Worth::Copy);
}

#[test]
fn a_hub_that_lost_its_local_hub_says_so_for_its_own_plane_only() {
    let mut notices = Notices::default();
    notices.handle_notice(0, "l1", offering(1, 1, &["web"]));
    notices.handle_notice(1, "l1", offering(1, 1, &["web"]));
    assert_eq!(notices.handle_notice(0, "l1", offering(1, 1, &[])), Worth::Copy);
    assert_eq!((notices.says(0, "web"), notices.says(1, "web")), (Says::NotOffered, Says::Offered));
    notices.forget_plane(0);
    assert_eq!((notices.says(0, "web"), notices.says(1, "web")), (Says::Nothing, Says::Offered));
}

#[test]
fn one_local_hub_that_offers_is_enough() {
    let mut notices = Notices::default();
    notices.handle_notice(0, "l1", offering(1, 1, &["mail"]));
    assert_eq!(notices.says(0, "web"), Says::NotOffered);
    notices.handle_notice(0, "l2", offering(1, 1, &["web"]));
    assert_eq!(notices.says(0, "web"), Says::Offered);
}

#[test]
fn local_hubs_are_bounded_and_forgotten_ones_make_room() {
    let mut notices = Notices::default();
    for number in 0..ORIGINS_MAX {
        let services: &[&str] = if number < 3 { &[] } else { &["web"] };
        assert_eq!(notices.handle_notice(0, &format!("l{number}"), offering(1, 1, services)), Worth::News);
    }
    for more in ["m1", "m2", "m3"] {
        assert_eq!(notices.handle_notice(0, more, offering(1, 1, &["web"])), Worth::News);
    }
    assert_eq!(notices.handle_notice(0, "m4", offering(1, 1, &["web"])), Worth::Full);
    assert_eq!(notices.handle_notice(0, "m3", offering(1, 2, &[])), Worth::News, "who is known is heard");
    assert_eq!(notices.handle_notice(0, "m4", offering(1, 1, &["web"])), Worth::News);
}

#[test]
fn names_of_services_are_bounded_in_sum() {
    let mut notices = Notices::default();
    let many: Vec<_> = (0..250).map(|number| format!("s{number}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let most = NOTICE_NAMES_MAX / many.len();
    for number in 0..most {
        assert_eq!(notices.handle_notice(0, &format!("l{number}"), offering(1, 1, &many)), Worth::News);
    }
    assert_eq!(notices.handle_notice(0, "more", offering(1, 1, &many)), Worth::Full);
    assert_eq!(notices.handle_notice(0, "l0", offering(1, 2, &["web"])), Worth::News);
    assert_eq!(notices.handle_notice(0, "more", offering(1, 1, &many)), Worth::News);
    notices.forget_plane(0);
    assert_eq!(notices.index.names, 0);
}

proptest! {
    /// However copies overtake each other on two planes: the index is true, and nothing older replaces a newer.
    #[test]
    fn news_never_goes_back(steps in prop::collection::vec((0..2usize, 0..3u8, 0..3u8, 0..5u64, 0..4usize), 1..200)) {
        let mut notices = Notices::default();
        let mut highest = BTreeMap::new();
        for (plane, origin, incarnation, sequence, services) in steps {
            let services = &["a", "b", "c"][..services.min(3)];
            let worth = notices.handle_notice(plane, &format!("l{origin}"), offering(incarnation, sequence, services));
            let highest = highest.entry((origin, incarnation)).or_insert(sequence);
            prop_assert!(sequence >= *highest || worth == Worth::Stale);
            *highest = sequence.max(*highest);
            if plane == 1 && services.is_empty() {
                notices.forget_plane(0);
            }
            let names: usize = notices.origins.values().flat_map(|o| o.at.iter().flatten()).map(BTreeSet::len).sum();
            prop_assert_eq!(names, notices.index.names);
            for (plane, service) in [0, 1].into_iter().flat_map(|plane| ["a", "b", "c"].map(|name| (plane, name))) {
                let said: Vec<_> = notices.origins.values().filter_map(|origin| origin.at[plane].as_ref()).collect();
                let offered = said.iter().any(|services| services.contains(service));
                let expected = match (offered, said.is_empty()) {
                    (true, _) => Says::Offered,
                    (false, false) => Says::NotOffered,
                    (false, true) => Says::Nothing,
                };
                prop_assert_eq!(notices.says(plane, service), expected);
            }
        }
    }
}
