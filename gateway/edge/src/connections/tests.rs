//! Places: given, freed, and taken away.

use defense::Moment;
use state::records::Auth;

use super::*;
use crate::bounds::{CONNECTIONS_MAX, CONNECTIONS_PER_GRANT_MAX};
use crate::budgets::{Allowance, Budgets, Kind};
use crate::fixture;

const SOURCE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

fn enter(
    all: &Arc<Connections>,
    budgets: &Budgets,
    grant: GrantNo,
    max_session_s: u32,
) -> Result<Seat, Reason> {
    let allowance = Allowance { connections_per_s: 10_000, ..Allowance::default() };
    let purse = budgets.purse(grant, allowance);
    let taken = purse.connect(Moment::from_nanos(7)).map_err(|over| over.reason)?;
    let lease = Lease { max_session_s, ..fixture::lease(grant, 1000) };
    let (card, since) = (Arc::new(fixture::card(grant, Auth::Name)), UnixTime::from_secs(1000));
    Ok(all.enter(&card, lease, SOURCE, since, &Pulse::new(), taken))
}

#[test]
fn a_grant_has_its_places_and_not_one_more_even_when_cores_race_for_them() {
    let (all, budgets) = (Connections::new(), Budgets::new());
    let seats: Vec<Seat> = std::thread::scope(|scope| {
        let racer = || {
            (0..CONNECTIONS_PER_GRANT_MAX)
                .filter_map(|_| enter(&all, &budgets, 1, 60).ok())
                .collect::<Vec<_>>()
        };
        let racers: Vec<_> = (0..4).map(|_| scope.spawn(racer)).collect();
        racers.into_iter().flat_map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!((seats.len(), all.len()), (CONNECTIONS_PER_GRANT_MAX, CONNECTIONS_PER_GRANT_MAX));
    assert_eq!(enter(&all, &budgets, 1, 60).err(), Some(Reason::LeaseConcurrency));
    let other = enter(&all, &budgets, 2, 60).ok();
    assert!(other.is_some(), "another grant has its own");
    std::thread::scope(|scope| {
        let mut seats = seats;
        while let Some(seat) = seats.pop() {
            scope.spawn(|| drop(seat));
        }
    });
    assert_eq!(
        (all.len(), budgets.pot(Kind::Connection).used()),
        (1, 1),
        "nothing is left of those that left"
    );
    assert!(enter(&all, &budgets, 1, 60).is_ok());
}

#[test]
fn ten_thousand_places_are_all_there_are_and_each_is_found_and_closed() {
    let (all, budgets) = (Connections::new(), Budgets::new());
    // Seven eighths by the floor of each, the last one by one.
    let grants = CONNECTIONS_MAX as GrantNo;
    let grant = |i: GrantNo| if i < grants / 8 * 7 { i % (grants / 8) } else { i };
    let seats: Vec<Seat> = (0..grants).map(|i| enter(&all, &budgets, grant(i), i).unwrap()).collect();
    assert_eq!(enter(&all, &budgets, grants + 1, 60).err(), Some(Reason::Overload));
    assert_eq!((all.all().len(), all.of_grant(3).len()), (CONNECTIONS_MAX, 7));
    let closes = seats.len() as u64;
    assert_eq!(all.sweep(UnixTime::from_secs(1000 + 75 + 4999)), 5000);
    assert_eq!(all.sweep(UnixTime::from_secs(1000 + 75 + 4999)), 0, "once each");
    let gone: Vec<GrantNo> = (0..grants).collect();
    assert_eq!(all.close_grants(&gone, Reason::RevokedLive) as u64, closes - 5000);
    assert!(seats.iter().all(|seat| seat.end.is_cancelled()));
    drop(seats);
    assert!(all.is_empty());
}

#[tokio::test]
async fn the_first_reason_to_end_a_connection_is_the_one_that_is_told() {
    let (all, budgets) = (Connections::new(), Budgets::new());
    let seat = enter(&all, &budgets, 1, 0).ok().unwrap();
    all.sweep(UnixTime::from_secs(1075));
    all.close_grants(&[1], Reason::RevokedLive);
    assert_eq!(seat.ended().await, Reason::SessionOver);
}
