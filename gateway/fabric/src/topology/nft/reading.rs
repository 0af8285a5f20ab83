//! Our own rules, read back into the matrix that they came from. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::{ACCEPTS, FIRST, FORWARDS, INITIATES, ORIGIN, TITLE, family};
use crate::topology::Protocol;
use crate::topology::is_wiring_name;
use crate::topology::matrix::{Accept, Initiate, Matrix, Purpose};

/// A line that we did not write, from 1; one past the last where lines are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not one of ours: {why}")]
pub struct NftError {
    /// Which.
    pub line: usize,
    /// What was expected there.
    pub why: &'static str,
}

/// Reads what [`super::Matrix::to_nft`] wrote, and nothing else, however near.
///
/// # Errors
/// The first line that it could not have written.
pub fn parse_nft(text: &str) -> Result<Matrix, NftError> {
    let mut lines = Lines { rest: text.lines().collect(), at: 0 };
    lines.exactly(FIRST)?;
    let host = lines.around(TITLE)?;
    if lines.around(ORIGIN)? != host || !is_wiring_name(&host) {
        return Err(lines.error("the same host in both lines of the head"));
    }
    let mut matrix = Matrix { host, ..Matrix::default() };
    lines.all(ACCEPTS)?;
    while let Some(line) = lines.row() {
        let row = accept(line).ok_or_else(|| lines.error("a row of what is accepted"))?;
        if !matrix.accepts.insert(row) {
            return Err(lines.error("each row once"));
        }
    }
    lines.all(INITIATES)?;
    while let Some(line) = lines.row() {
        let row = initiate(line).ok_or_else(|| lines.error("a row of what is initiated"))?;
        if !matrix.initiates.insert(row) {
            return Err(lines.error("each row once"));
        }
    }
    lines.all(FORWARDS)?;
    match lines.next() {
        None if matrix.to_nft() == text => Ok(matrix),
        None => Err(lines.error("rows in their order, and nothing besides")),
        Some(_) => Err(lines.error("the end")),
    }
}

struct Lines<'t> {
    rest: Vec<&'t str>,
    at: usize,
}

impl<'t> Lines<'t> {
    fn next(&mut self) -> Option<&'t str> {
        let line = self.rest.get(self.at).copied();
        self.at += 1;
        line
    }

    /// The next line, if it is a row; fixed lines after the rows begin with one tab at most.
    fn row(&mut self) -> Option<&'t str> {
        let row = self.rest.get(self.at)?.strip_prefix("\t\t")?;
        self.at += 1;
        Some(row)
    }

    fn exactly(&mut self, line: &str) -> Result<(), NftError> {
        match self.next() {
            Some(found) if found == line => Ok(()),
            Some(_) | None => Err(self.error("another line, or none missing")),
        }
    }

    fn all(&mut self, lines: &[&str]) -> Result<(), NftError> {
        lines.iter().try_for_each(|line| self.exactly(line))
    }

    fn around(&mut self, (before, behind): (&str, &str)) -> Result<String, NftError> {
        let line = self.next().unwrap_or_default();
        let name = line.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
        name.map(str::to_owned).ok_or_else(|| self.error("the head with the host's name"))
    }

    fn error(&self, why: &'static str) -> NftError {
        NftError { line: self.at, why }
    }
}

/// `ip daddr 10.0.0.1 ip saddr { 10.0.0.2, 10.0.0.3 } tcp dport 7000 accept comment "members of hub a1 in plane A"`
fn accept(line: &str) -> Option<Accept> {
    let (rule, purpose) = commented(line)?;
    let (rule, at) = match addressed(rule, "daddr") {
        Some((address, rest)) => (rest, Some(single(address)?)),
        None => (rule, None),
    };
    let (rule, from) = match addressed(rule, "saddr") {
        Some((addresses, rest)) => (rest, several(addresses)?),
        None => (rule, BTreeSet::new()),
    };
    let (protocol, port) = ported(rule)?;
    Some(Accept { purpose, at, port, protocol, from })
}

/// `ip daddr 10.0.0.1 tcp dport 7000 accept comment "members of hub a1 in plane A"`
fn initiate(line: &str) -> Option<Initiate> {
    let (rule, purpose) = commented(line)?;
    let (address, rule) = addressed(rule, "daddr")?;
    let (protocol, port) = ported(rule)?;
    Some(Initiate { purpose, to: SocketAddr::new(single(address)?, port), protocol })
}

fn commented(line: &str) -> Option<(&str, Purpose)> {
    let (rule, comment) = line.strip_suffix('"')?.split_once(" accept comment \"")?;
    Some((rule, Purpose::from_text(comment)?))
}

/// Family and addresses in front, and what follows them.
fn addressed<'l>(rule: &'l str, side: &str) -> Option<((&'l str, &'l str), &'l str)> {
    let (family, rest) = rule.split_once(' ')?;
    let rest = rest.strip_prefix(side)?.strip_prefix(' ')?;
    let end = match rest.starts_with('{') {
        true => rest.find('}')? + 1,
        false => rest.find(' ')?,
    };
    Some(((family, rest.get(..end)?), rest.get(end..)?.strip_prefix(' ')?))
}

fn single((of, address): (&str, &str)) -> Option<IpAddr> {
    let address: IpAddr = address.parse().ok()?;
    (family(address) == of).then_some(address)
}

fn several((of, addresses): (&str, &str)) -> Option<BTreeSet<IpAddr>> {
    let list = addresses.strip_prefix("{ ")?.strip_suffix(" }")?;
    list.split(", ").map(|address| single((of, address))).collect()
}

fn ported(rule: &str) -> Option<(Protocol, u16)> {
    let (protocol, port) = rule.split_once(" dport ")?;
    let protocol = [Protocol::Tcp, Protocol::Udp].into_iter().find(|known| known.as_str() == protocol)?;
    Some((protocol, port.parse().ok()?))
}
