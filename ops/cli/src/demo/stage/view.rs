//! The live view's lines.

use std::net::IpAddr;

use rotator::Found;

use super::super::scene::WINDOW_S;
use super::Play;
use crate::rehearsal::tally::Tally;

pub(super) fn lines(play: &Play) -> Vec<String> {
    let mut lines = vec![String::new(), head()];
    for user in &play.users.all {
        let tally = user.tally().clone();
        let moves_in = tally.address.and_then(|at| moves_in(play, at.ip()));
        lines.push(row(&user.member.user, &tally, moves_in));
    }
    let mischief = play.strangers.mischief(&play.config, play.members(), &play.newcomers);
    let (scan, stale, crossed, flood) = (mischief.scan, mischief.stale, mischief.crossed, mischief.flood);
    lines.push(String::new());
    lines.push(format!(
        "strangers  {}   {} probes, {} hits   closed addresses {}, {} hits   others' names {}, {} hits",
        if play.strangers.at_work() { "AT WORK" } else { "away" },
        scan.probes,
        scan.hits,
        stale.probes,
        stale.hits,
        crossed.probes,
        crossed.hits,
    ));
    lines.push(format!(
        "public door   flood {}, {} shed, {} refused   newcomers {} of {} enrolled",
        flood.attempts, flood.shed, flood.refused, mischief.enrolled, mischief.newcomers
    ));
    let edge = play.assembly.edge().status();
    lines.push(format!(
        "edge   {} connections ({} draining), {} addresses",
        edge.connections, edge.draining, edge.addresses
    ));
    lines.push(format!(
        "[a] attack  [r] rotate now  [v] revoke bob  [q] quit      a new address every {WINDOW_S} s"
    ));
    lines.push(String::new());
    lines
}

/// Seconds until the window of an address ends.
fn moves_in(play: &Play, address: IpAddr) -> Option<u64> {
    let lease = match play.assembly.edge().roster().leases().find(address) {
        Found::One(lease) => lease,
        // Two users on one address: whose window is meant is not worth a look.
        Found::Never | Found::Shared(_) => return None,
    };
    Some(lease.ends().since(play.clock.now()))
}

fn head() -> String {
    format!(
        "{:<8} {:<22} {:>8} {:>6} {:>9} {:>7} {:>18} {:>18}  {}",
        "user",
        "address",
        "moves in",
        "moved",
        "requests",
        "errors",
        "quiet p50/p99 ms",
        "attack p50/p99 ms",
        "download"
    )
}

fn row(user: &str, tally: &Tally, moves_in: Option<u64>) -> String {
    let moves_in = moves_in.map_or_else(|| "-".to_owned(), |s| format!("{s} s"));
    let address = tally.address.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let pair = |p50: Option<f64>, p99: Option<f64>| match (p50, p99) {
        (Some(p50), Some(p99)) => format!("{p50:.1} / {p99:.1}"),
        (Some(_) | None, _) => "-".to_owned(),
    };
    let quiet = pair(tally.quiet.percentile_ms(50.0), tally.quiet.percentile_ms(99.0));
    let attack = pair(tally.attack.percentile_ms(50.0), tally.attack.percentile_ms(99.0));
    let downloads = &tally.downloads;
    let download = match (downloads.running, downloads.running_outlived) {
        (1, 1) => "runs on, its address is gone",
        (1, _) => "running",
        _ => "-",
    };
    let state = if tally.refused > 0 { "REVOKED" } else { user };
    format!(
        "{state:<8} {address:<22} {moves_in:>8} {:>6} {:>9} {:>7} {quiet:>18} {attack:>18}  {download}",
        tally.rotations, tally.requests, tally.errors
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rehearsal::tally::Phase;

    #[test]
    fn columns_stand_under_their_heads() {
        let mut tally = Tally { address: "127.83.200.14:43210".parse().ok(), ..Tally::default() };
        tally.success(Phase::Quiet, Duration::from_millis(4));
        let at = |line: &str, word: &str| line.find(word).map(|start| start + word.len());
        let (head, row) = (head(), row("alice", &tally, Some(7)));
        assert_eq!(at(&head, "requests"), at(&row, " 1 ").map(|end| end - 1));
        assert!(row.contains("4.0 / 4.0") || row.contains("4.1 / 4.1"), "{row}");
    }

    #[test]
    fn a_revoked_user_is_shown_in_words() {
        assert!(row("bob", &Tally { refused: 1, ..Tally::default() }, None).starts_with("REVOKED"));
    }
}
