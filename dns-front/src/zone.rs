//! What is fixed in the zone: its name, SOA, name servers and `join`. Pure.

use std::net::IpAddr;

use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{Name, RData, Record};

use crate::bounds::{
    APEX_TTL_S, FIXED_ADDRESSES_MAX, JOIN_TTL_S, NAME_SERVERS_MAX, NEGATIVE_TTL_S, SOA_EXPIRE_S,
    SOA_REFRESH_S, SOA_RETRY_S,
};

/// One name server of the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// Absolute name, with or without the last dot: `ns1.edge.example.net`. Within the zone it is one label below it.
    pub name: String,
    /// Its addresses, needed when its name lies within the zone.
    pub addresses: Vec<IpAddr>,
}

/// Why a zone is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    #[error("{name:?} is not a name that a zone can have: {why}")]
    Zone { name: String, why: String },
    #[error("a zone has 1 to {NAME_SERVERS_MAX} name servers, not {0}")]
    NameServers(usize),
    #[error("name server {0:?} is not an absolute name, or lies more than one label below the zone")]
    NameServer(String),
    #[error(
        "name server {0:?} lies within the zone and has no address there, or more than {FIXED_ADDRESSES_MAX}"
    )]
    Glue(String),
    #[error("join has no address, or more than {FIXED_ADDRESSES_MAX}")]
    Join,
}

/// The zone's fixed part.
#[derive(Clone, Debug)]
pub struct Zone {
    name: Name,
    labels: usize,
    servers: Vec<Name>,
    contact: Name,
    fixed: Vec<Fixed>,
}

/// A name one label below the zone, in lower case, with addresses that do not move.
#[derive(Clone, Debug)]
pub struct Fixed {
    label: Vec<u8>,
    pub addresses: Vec<IpAddr>,
    pub ttl_s: u32,
}

/// Where a name lies.
#[derive(Debug, PartialEq, Eq)]
pub enum Place<'a> {
    Outside,
    Apex,
    /// One label below the zone, as it was spelled.
    Label(&'a [u8]),
    /// Deeper: nothing is ever there.
    Below,
}

impl Zone {
    /// # Errors
    /// [`ZoneError`], naming what is wrong.
    pub fn new(zone: &str, servers: &[NameServer], join: &[IpAddr]) -> Result<Self, ZoneError> {
        let wrong = |why: &str| ZoneError::Zone { name: zone.to_owned(), why: why.to_owned() };
        let name = absolute(zone).map_err(|why| wrong(&why))?.to_lowercase();
        let contact = name.prepend_label("hostmaster").map_err(|e| wrong(&e.to_string()))?;
        let longest = name.prepend_label("a".repeat(rotator::label::LABEL_CHARS));
        if name.is_root() || longest.is_err() {
            return Err(wrong("it must leave room for a label of 26 characters and not be the root"));
        }
        if !(1..=NAME_SERVERS_MAX).contains(&servers.len()) {
            return Err(ZoneError::NameServers(servers.len()));
        }
        let mut made =
            Self { labels: name.iter().len(), name, servers: Vec::new(), contact, fixed: Vec::new() };
        for server in servers {
            made.add_server(server)?;
        }
        made.add_fixed(b"join", join, JOIN_TTL_S).map_err(|()| ZoneError::Join)?;
        Ok(made)
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Letters' case does not matter.
    pub fn place<'a>(&self, name: &'a Name) -> Place<'a> {
        if !self.name.zone_of(name) {
            return Place::Outside;
        }
        // `num_labels` would not count a `*`.
        match (name.iter().len() - self.labels, name.iter().next()) {
            (0, _) => Place::Apex,
            (1, Some(label)) => Place::Label(label),
            (_, _) => Place::Below,
        }
    }

    pub fn fixed(&self, label: &[u8]) -> Option<&Fixed> {
        self.fixed.iter().find(|fixed| fixed.label.eq_ignore_ascii_case(label))
    }

    /// The SOA record. `asked` lends its spelling of the zone, so that the record's name is a pointer to the question.
    pub fn soa(&self, asked: &Name, serial: u32, ttl_s: u32) -> Record {
        let soa = SOA::new(
            self.servers.first().unwrap_or(&self.name).clone(),
            self.contact.clone(),
            serial,
            SOA_REFRESH_S,
            SOA_RETRY_S,
            SOA_EXPIRE_S,
            NEGATIVE_TTL_S,
        );
        Record::from_rdata(self.spelled(asked), ttl_s, RData::SOA(soa))
    }

    pub fn ns(&self, asked: &Name) -> Vec<Record> {
        let record = |server: &Name| {
            Record::from_rdata(self.spelled(asked), APEX_TTL_S, RData::NS(NS(server.clone())))
        };
        self.servers.iter().map(record).collect()
    }

    /// Addresses of the name servers within the zone.
    pub fn glue(&self) -> Vec<Record> {
        let within = self.servers.iter().filter_map(|server| match self.place(server) {
            Place::Label(label) => Some((server, self.fixed(label)?)),
            Place::Outside | Place::Apex | Place::Below => None,
        });
        within
            .flat_map(|(server, fixed)| {
                fixed
                    .addresses
                    .iter()
                    .map(|a| Record::from_rdata(server.clone(), fixed.ttl_s, RData::from(*a)))
            })
            .collect()
    }

    fn spelled(&self, asked: &Name) -> Name {
        match self.place(asked) {
            Place::Outside => self.name.clone(),
            Place::Apex | Place::Label(_) | Place::Below => asked.trim_to(self.labels),
        }
    }

    fn add_server(&mut self, server: &NameServer) -> Result<(), ZoneError> {
        let refused = || ZoneError::NameServer(server.name.clone());
        let name = absolute(&server.name).map_err(|_| refused())?.to_lowercase();
        match self.place(&name) {
            Place::Outside => {}
            Place::Apex | Place::Below => return Err(refused()),
            Place::Label(label) => {
                let glue = || ZoneError::Glue(server.name.clone());
                self.add_fixed(label, &server.addresses, APEX_TTL_S).map_err(|()| glue())?;
            }
        }
        self.servers.push(name);
        Ok(())
    }

    fn add_fixed(&mut self, label: &[u8], addresses: &[IpAddr], ttl_s: u32) -> Result<(), ()> {
        if !(1..=FIXED_ADDRESSES_MAX).contains(&addresses.len()) || self.fixed(label).is_some() {
            return Err(());
        }
        self.fixed.push(Fixed { label: label.to_ascii_lowercase(), addresses: addresses.to_vec(), ttl_s });
        Ok(())
    }
}

fn absolute(text: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(text).map_err(|e| e.to_string())?;
    name.set_fqdn(true);
    if name.is_root() { Err("it is the root".to_owned()) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, addresses: &[&str]) -> NameServer {
        NameServer { name: name.into(), addresses: addresses.iter().map(|a| a.parse().unwrap()).collect() }
    }

    fn zone(name: &str, servers: &[NameServer], join: &[&str]) -> Result<Zone, ZoneError> {
        let join: Vec<IpAddr> = join.iter().map(|a| a.parse().unwrap()).collect();
        Zone::new(name, servers, &join)
    }

    #[test]
    fn a_zone_that_could_not_be_served_is_refused_with_what_is_wrong() {
        let ns = [server("ns1.u.example", &["192.0.2.1"])];
        assert!(zone("u.example", &ns, &["192.0.2.2"]).is_ok());
        assert!(zone("u.example.", &ns, &["192.0.2.2"]).is_ok());
        assert!(zone("u.example", &[server("ns.other.example", &[])], &["192.0.2.2"]).is_ok());
        assert_eq!(zone("u.example", &[], &["192.0.2.2"]).unwrap_err(), ZoneError::NameServers(0));
        assert_eq!(zone("u.example", &ns, &[]).unwrap_err(), ZoneError::Join);
        for bad in ["", ".", "a..b", &format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(50))] {
            assert!(matches!(zone(bad, &ns, &["192.0.2.2"]), Err(ZoneError::Zone { .. })), "{bad}");
        }
        let no_glue = [server("ns1.u.example", &[])];
        assert!(matches!(zone("u.example", &no_glue, &["192.0.2.2"]), Err(ZoneError::Glue(_))));
        for bad in ["u.example", "a.ns1.u.example"] {
            let servers = [server(bad, &["192.0.2.1"])];
            assert!(
                matches!(zone("u.example", &servers, &["192.0.2.2"]), Err(ZoneError::NameServer(_))),
                "{bad}"
            );
        }
        let crowd = vec![ns[0].clone(); NAME_SERVERS_MAX + 1];
        assert!(matches!(zone("u.example", &crowd, &["192.0.2.2"]), Err(ZoneError::NameServers(14))));
    }

    #[test]
    fn a_name_lies_outside_at_the_apex_one_label_below_or_deeper() {
        let zone = zone("u.example", &[server("ns1.u.example", &["192.0.2.1"])], &["192.0.2.2"]).unwrap();
        let name = |text: &str| Name::from_ascii(text).unwrap();
        assert_eq!(zone.place(&name("U.eXample.")), Place::Apex);
        assert_eq!(zone.place(&name("Ab.u.example.")), Place::Label(b"Ab"));
        assert_eq!(zone.place(&name("*.u.example.")), Place::Label(b"*"));
        assert_eq!(zone.place(&name("*.b.u.example.")), Place::Below);
        for outside in [".", "example.", "xu.example.", "u.example.com."] {
            assert_eq!(zone.place(&name(outside)), Place::Outside, "{outside}");
        }
    }
}
