//! The running process as the ops API sees it: the one place where it looks into edge, DNS, registration and fabric.

use std::net::IpAddr;
use std::sync::Arc;

use defense::{Engine, HookPoint, Journal, Reason, VerdictKind};
use dns_front::Front;
use edge::Edge;
use ops::eyes::{
    DnsSection, EdgeSection, Eyes, FabricEyes, FabricSection, LeaseCounts, PressureSection,
    RegistrationSection, Sections, ShedCount,
};
use registration::Registration;
use rotator::{Found, GrantNo, Label, Lease};
use state::Clock;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::inside::Inside;
use crate::vitals;
use crate::whereabouts::Whereabouts;

/// Handles to every part.
pub struct Sight {
    pub edge: Arc<Edge>,
    pub edge_name: String,
    pub front: Arc<Front>,
    pub registration: Arc<Registration>,
    pub open: bool,
    pub pow_bits: u8,
    pub inside: Arc<Inside>,
    pub engine: Arc<Engine>,
    pub journal: Arc<Journal>,
    pub clock: Clock,
    pub whereabouts: Whereabouts,
    /// Canceled when the process was told to stop.
    pub leaving: CancellationToken,
    /// Where its tasks run, but for the edge's.
    pub runtimes: Vec<Handle>,
}

impl FabricEyes for Sight {
    fn fabric(&self) -> FabricSection {
        self.inside.section()
    }

    fn step_down(&self, hub: &str) -> Result<(), Reason> {
        self.inside.step_down(hub)
    }
}

impl Eyes for Sight {
    fn leases_at(&self, address: IpAddr) -> Vec<Lease> {
        match self.edge.roster().leases().find(address) {
            Found::Never => Vec::new(),
            Found::One(lease) => vec![lease],
            Found::Shared(leases) => leases,
        }
    }

    fn grant_of_label(&self, label: &str) -> Option<GrantNo> {
        let label = Label::parse(label.as_bytes())?;
        self.edge.roster().read_labels().find(label, self.clock.now())
    }

    fn addresses_of(&self, grant: GrantNo) -> Vec<(IpAddr, Lease)> {
        self.edge.roster().leases_of(grant)
    }

    fn names_of(&self, grant: GrantNo) -> Vec<String> {
        let labels = self.edge.roster().read_labels();
        let bears_now =
            labels.labels_of(grant).iter().filter(|l| labels.find(**l, self.clock.now()) == Some(grant));
        bears_now.map(|label| format!("{label}.{}", self.whereabouts.zone)).collect()
    }

    fn connections_of(&self, grant: GrantNo) -> usize {
        self.edge.connections().of_grant(grant).len()
    }

    fn close_grants(&self, grants: &[GrantNo], reason: Reason) -> usize {
        self.edge.connections().close_grants(grants, reason)
    }

    fn sections(&self) -> Sections {
        Sections {
            edge: self.edge_section(),
            dns: self.dns_section(),
            fabric: self.fabric(),
            registration: self.registration_section(),
            process: vitals::read(self.inside.address().is_some(), self.tasks()),
        }
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }
}

impl Sight {
    fn tasks(&self) -> usize {
        let others = self.runtimes.iter().map(|runtime| runtime.metrics().num_alive_tasks());
        others.sum::<usize>() + self.edge.status().tasks
    }

    fn edge_section(&self) -> EdgeSection {
        let status = self.edge.status();
        let stage = |name: &str| status.stages.get(name).map_or(0, |n| *n as u64);
        EdgeSection {
            name: self.edge_name.clone(),
            zone: self.whereabouts.zone.clone(),
            engine: "user".into(),
            listen: status.ports,
            http3: status.http3,
            serving: status.is_open && !self.leaving.is_cancelled(),
            draining: self.leaving.is_cancelled(),
            cut_total: status.cut as u64,
            places: status.places as u64,
            places_free: status.places_free as u64,
            connections: status.connections as u64,
            connections_draining: status.draining as u64,
            leases: LeaseCounts {
                early: stage("early"),
                live: stage("live"),
                grace: stage("grace"),
                tombstone: stage("tombstone"),
            },
            pressure: PressureSection {
                level: status.pressure.level.name().into(),
                by: status.pressure.by.map(|signal| signal.name().into()),
                raised_total: status.pressure.raised_total,
                shed: status
                    .pressure
                    .shed
                    .map(|(what, count)| ShedCount { what: what.name().into(), count })
                    .into(),
            },
            connections_total: self.passed(HookPoint::Connection),
            requests_total: self.passed(HookPoint::Request),
        }
    }

    fn dns_section(&self) -> DnsSection {
        let status = self.front.status();
        DnsSection {
            listen: vec![self.whereabouts.dns.to_string()],
            serving: true,
            labels: status.labels,
            queries_total: status.queries,
            decoys_total: status.counts.decoys,
        }
    }

    fn registration_section(&self) -> RegistrationSection {
        let status = self.registration.status();
        RegistrationSection {
            url: self.whereabouts.join_url(),
            serving: true,
            open: self.open,
            pow_bits: self.pow_bits,
            enrolled_total: status.enrolled,
            refused_total: status.refused.iter().map(|(_, n)| n).sum::<u64>() + status.shed,
        }
    }

    /// Calls that went on, at once or after a delay.
    fn passed(&self, point: HookPoint) -> u64 {
        let tallies = self.engine.tallies();
        let verdicts = tallies[point.index()].verdicts;
        verdicts[VerdictKind::Pass as usize] + verdicts[VerdictKind::Delay as usize]
    }
}
