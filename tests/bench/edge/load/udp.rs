//! Datagrams that are to come back: some under way at a time on each of some sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::Outcome;
use crate::proxies::Door;

const SOCKETS: usize = 8;
/// Datagrams under way of each socket.
const UNDER_WAY: usize = 16;
const BYTES: usize = 64;
/// What has not come back by then never will.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends so many, spread over sockets and doors. One that does not come back is an error.
pub(crate) async fn echo(doors: &[Door], datagrams: usize) -> Outcome {
    let (mut tasks, begun) = (JoinSet::new(), Instant::now());
    for number in 0..SOCKETS {
        tasks.spawn(echo_one(doors[number % doors.len()].clone(), datagrams / SOCKETS));
    }
    let mut whole = Outcome::default();
    while let Some(outcome) = tasks.join_next().await {
        let outcome = outcome.unwrap();
        whole.latencies.extend(outcome.latencies);
        whole.errors += outcome.errors;
    }
    whole.elapsed = begun.elapsed();
    whole
}

async fn echo_one(door: Door, datagrams: usize) -> Outcome {
    let any: IpAddr =
        if door.at.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.unwrap();
    socket.connect(door.at).await.unwrap();
    let (mut outcome, mut sent) = (Outcome::default(), Vec::with_capacity(datagrams));
    let (mut under_way, mut buffer) = (0, [0; 2048]);
    loop {
        while under_way < UNDER_WAY && sent.len() < datagrams {
            let mut datagram = [0; BYTES];
            datagram[..8].copy_from_slice(&(sent.len() as u64).to_be_bytes());
            sent.push(Instant::now());
            // One that can't be sent is missed like one that is lost.
            let _ = socket.send(&datagram).await;
            under_way += 1;
        }
        if under_way == 0 {
            return outcome;
        }
        match timeout(PATIENCE, socket.recv(&mut buffer)).await {
            Ok(Ok(BYTES)) => {
                let number = u64::from_be_bytes(buffer[..8].try_into().unwrap());
                let when = usize::try_from(number).ok().and_then(|number| sent.get(number)).unwrap();
                outcome.latencies.push(when.elapsed());
                under_way -= 1;
            }
            Ok(_) => {}
            Err(_) => {
                outcome.errors += under_way as u64;
                under_way = 0;
            }
        }
    }
}
