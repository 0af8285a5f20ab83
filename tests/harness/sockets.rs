//! Which TCP sockets a process has, as `ss` of iproute2 tells.

use std::net::SocketAddr;

use crate::clients::client;

/// Addresses on which a process accepts connections.
pub fn listeners(pid: u32) -> Vec<SocketAddr> {
    let all = rows(&["-Hltnp"], pid);
    all.iter().map(|row| parsed(row.get(3).unwrap())).collect()
}

/// Both ends of each established connection of a process: its own first.
pub fn connections(pid: u32) -> Vec<(SocketAddr, SocketAddr)> {
    let all = rows(&["-Htnp", "state", "established"], pid);
    all.iter().map(|row| (parsed(&row[2]), parsed(&row[3]))).collect()
}

fn rows(args: &[&str], pid: u32) -> Vec<Vec<String>> {
    let output = client("ss", "iproute2", args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let own = format!("pid={pid},");
    let rows = text.lines().filter(|line| line.contains(&own));
    rows.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

fn parsed(text: &str) -> SocketAddr {
    let text = text.replace('*', "0.0.0.0");
    text.parse().unwrap_or_else(|_| panic!("ss said {text}"))
}
