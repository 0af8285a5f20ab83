//! dig and kdig, asked for one thing at a time.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

/// A client program and the package that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    Dig,
    Kdig,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    Udp,
    Tcp,
}

pub(crate) const BOTH: [(Client, Over); 4] = [
    (Client::Dig, Over::Udp),
    (Client::Dig, Over::Tcp),
    (Client::Kdig, Over::Udp),
    (Client::Kdig, Over::Tcp),
];

/// What a client printed.
#[derive(Clone, Debug)]
pub(crate) struct Seen(pub(crate) String);

impl Client {
    /// Runs one query with more options; whatever comes is what was seen.
    pub(crate) fn ask(self, at: SocketAddr, over: Over, options: &[&str]) -> Seen {
        let (program, package) = match self {
            Self::Dig => ("dig", "bind9-dnsutils"),
            Self::Kdig => ("kdig", "knot-dnsutils"),
        };
        let mut command = Command::new(program);
        command.args([&format!("@{}", at.ip()), "-p", &at.port().to_string()]);
        command.args(match over {
            Over::Udp => ["+notcp", "+time=5"],
            Over::Tcp => ["+tcp", "+time=5"],
        });
        let run = || command.args(options).output();
        let output = tokio::task::block_in_place(run);
        let output =
            output.unwrap_or_else(|e| panic!("{program} can't be run ({e}): install Debian's {package}"));
        Seen(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Seen {
    /// `NOERROR`, `NXDOMAIN`, …
    pub(crate) fn status(&self) -> &str {
        let rest = self.0.split("status: ").nth(1).unwrap_or("");
        rest.split([',', ';', '\n']).next().unwrap_or("").trim()
    }

    /// Records of the section with this title, as words.
    pub(crate) fn section(&self, title: &str) -> Vec<Vec<String>> {
        let from = self.0.lines().skip_while(|line| !line.contains(&format!("{title} SECTION")));
        let records = from.skip(1).take_while(|line| !line.is_empty() && !line.starts_with(";;"));
        records.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    pub(crate) fn answer(&self) -> Vec<Vec<String>> {
        self.section("ANSWER")
    }

    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.answer().iter().filter_map(|record| record.get(4)?.parse().ok()).collect()
    }

    /// All that tells answers apart but names and addresses: code, flags, counts, types, TTLs.
    pub(crate) fn look(&self) -> Vec<String> {
        let head = self.0.lines().filter(|line| line.contains("flags:")).map(str::to_owned);
        let records = ["ANSWER", "AUTHORITY", "ADDITIONAL"].map(|title| self.section(title)).concat();
        let shapes = records.iter().map(|record| record.get(1..4).unwrap_or_default().join(" "));
        std::iter::once(self.status().to_owned()).chain(head).chain(shapes).collect()
    }
}
