//! The matrix of a host as nftables rules: default drop in all directions, one line per row (requirement 0.17). Pure.
//!
//! [`parse_nft`] reads the text back into the matrix, strictly: a line that we did not write is an error. So what was
//! generated, or what stands on a host in `/etc/nftables.d`, can be compared with the wiring.

mod reading;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use super::Topology;
use super::matrix::{Accept, Initiate, Matrix};

pub use reading::{NftError, parse_nft};

/// Line 2, around the host's name.
const TITLE: (&str, &str) =
    ("# Wandergate: what host ", " may accept and initiate. Made from the wiring file by");
/// Line 3, around it again.
const ORIGIN: (&str, &str) = ("# `wandergate fabric rules ", "`; change that file, not this one.");
const FIRST: &str = "#!/usr/sbin/nft -f";

/// Above the rows of what is accepted. The second and third line make loading replace the table as one transaction.
const ACCEPTS: &[&str] = &[
    "# Whatever does not stand below is dropped, ssh and time too: keep another way to this host.",
    "table inet wandergate",
    "delete table inet wandergate",
    "table inet wandergate {",
    "\tchain accepts {",
    "\t\ttype filter hook input priority filter; policy drop;",
    "\t\tct state established,related accept",
    "\t\tiifname \"lo\" accept",
    "\t\ticmpv6 type { mld-listener-query, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept",
];
/// Between them and the rows of what is initiated.
const INITIATES: &[&str] = &[
    "\t}",
    "\tchain initiates {",
    "\t\ttype filter hook output priority filter; policy drop;",
    "\t\tct state established,related accept",
    "\t\toifname \"lo\" accept",
    "\t\ticmpv6 type { mld2-listener-report, nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept",
];
/// Below. No host of the fabric routes for another.
const FORWARDS: &[&str] =
    &["\t}", "\tchain forwards {", "\t\ttype filter hook forward priority filter; policy drop;", "\t}", "}"];

impl Topology {
    /// The rules of a host as text for `nft -f`; `None` for a host that is not there.
    pub fn nft(&self, host: &str) -> Option<String> {
        self.matrix(host).map(|matrix| matrix.to_nft())
    }
}

impl Matrix {
    /// As text for `nft -f`.
    pub fn to_nft(&self) -> String {
        let mut text = String::new();
        let mut line = |line: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{line}");
        };
        line(FIRST);
        line(&format!("{}{}{}", TITLE.0, self.host, TITLE.1));
        line(&format!("{}{}{}", ORIGIN.0, self.host, ORIGIN.1));
        ACCEPTS.iter().for_each(|fixed| line(fixed));
        self.accepts.iter().for_each(|row| line(&accept_line(row)));
        INITIATES.iter().for_each(|fixed| line(fixed));
        self.initiates.iter().for_each(|row| line(&initiate_line(row)));
        FORWARDS.iter().for_each(|fixed| line(fixed));
        text
    }
}

fn accept_line(row: &Accept) -> String {
    let at = row.at.map_or(String::new(), |at| format!("{} daddr {at} ", family(at)));
    let from = match row.from.first() {
        Some(first) => format!("{} saddr {} ", family(*first), set(&row.from)),
        None => String::new(),
    };
    format!("\t\t{at}{from}{} dport {} accept comment \"{}\"", row.protocol, row.port, row.purpose)
}

fn initiate_line(row: &Initiate) -> String {
    let (address, port) = (row.to.ip(), row.to.port());
    format!(
        "\t\t{} daddr {address} {} dport {port} accept comment \"{}\"",
        family(address),
        row.protocol,
        row.purpose
    )
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv6() { "ip6" } else { "ip" }
}

fn set(addresses: &BTreeSet<IpAddr>) -> String {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    format!("{{ {} }}", all.join(", "))
}
