//! What the tests share: a seeded generator, grants, schedules, and a world of one name server and three skewed edges.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use rotator::tenure::Term;
use rotator::{
    Cut, Found, GrantId, GrantNo, KeyEpochs, Keyring, LeaseTable, Life, Newcomer, Plan, Planner, Pool, Root,
    Schedule, Stale, Tenure, UnixTime, announce,
};

/// SplitMix64: a fixed seed gives the same test everywhere.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn roll(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// A schedule that keeps every rule, with windows of 5 s to 60 s.
    pub fn schedule(&mut self) -> Schedule {
        let period_s = self.roll(5, 60) as u32;
        let lead_s = self.roll(1, u64::from(period_s.min(8))) as u32;
        Schedule {
            period_s,
            lead_s,
            grace_s: self.roll(u64::from(lead_s) + 1, 70) as u32,
            tombstone_s: self.roll(0, 40) as u32,
            ttl_s: self.roll(1, u64::from(period_s / 4)) as u32,
            label_period_s: self.roll(u64::from(period_s), 200) as u32,
            max_session_s: self.roll(0, 500) as u32,
            stale: Stale::Reset,
        }
        .checked()
        .unwrap()
    }
}

pub fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs)
}

pub fn root() -> Root {
    Root::new([42; 32])
}

pub fn grant(n: u64) -> GrantId {
    let mut device = [0xd0; 16];
    device[8..].copy_from_slice(&n.to_be_bytes());
    GrantId { device, service: "web".into() }
}

/// A /64, and 23 IPv4 addresses: so few that windows of one grant often meet.
pub fn pools() -> Arc<[Pool]> {
    Arc::new([
        Pool { id: "six".into(), range: "2001:db8:42::/64".parse().unwrap() },
        Pool { id: "four".into(), range: "192.0.2.10-192.0.2.32".parse().unwrap() },
    ])
}

pub fn term(from: u64, generation: u32, schedule: Schedule, cut: Cut) -> Term {
    Term { from: at(from), generation, schedule, cut }
}

pub fn tenure(id: &GrantId, terms: Vec<Term>) -> Tenure {
    Tenure::new(id.phase(), terms)
}

/// Keys as a role holds them at `now` for whatever these terms may need.
pub fn ring(epochs: KeyEpochs, terms: &[Term], now: u64) -> Keyring {
    let life = terms.iter().map(|t| t.schedule.key_life_s()).max().unwrap_or(0);
    Keyring::around(&root(), epochs, life, at(now))
}

pub fn sorted(leases: &[(IpAddr, rotator::Lease)]) -> Vec<(IpAddr, rotator::Lease)> {
    let mut leases = leases.to_vec();
    leases.sort_by_key(|(address, lease)| (*address, lease.start));
    leases
}

/// An edge: its clock's distance from the name server's, its planner and its table.
pub struct Edge {
    pub skew: i64,
    pub planner: Planner,
    pub table: LeaseTable,
}

impl Edge {
    pub fn new(skew: i64) -> Self {
        Self { skew, planner: Planner::new(), table: LeaseTable::new() }
    }

    pub fn clock(&self, t: u64) -> u64 {
        t.saturating_add_signed(self.skew)
    }

    pub fn put(&mut self, no: GrantNo, plan: Plan, keys: &Keyring, t: u64) {
        let now = at(self.clock(t));
        self.table.apply(&self.planner.put(no, plan, keys, now));
    }

    pub fn advance(&mut self, keys: &Keyring, t: u64) {
        let now = at(self.clock(t));
        let turn = self.planner.advance(keys, now);
        assert_eq!(turn.epochs_missing, [0u64; 0], "at {t}, skew {}", self.skew);
        self.table.apply(&turn);
    }

    pub fn accepts(&self, no: GrantNo, address: IpAddr, t: u64) -> bool {
        let now = at(self.clock(t));
        let accepted = |lease: &rotator::Lease| lease.grant == no && lease.newcomer(now) == Newcomer::Accept;
        match self.table.find(address) {
            Found::Never => false,
            Found::One(lease) => accepted(&lease),
            Found::Shared(leases) => leases.iter().any(accepted),
        }
    }
}

/// What the name server has told of one grant, and must hold.
#[derive(Clone, Copy)]
struct Told {
    from: u64,
    until: u64,
    /// First second of the window that was announced.
    start: u64,
}

/// One name server, three edges (behind, exact, ahead), some grants; stepped second by second.
pub struct World {
    pub epochs: KeyEpochs,
    pub ids: Vec<GrantId>,
    /// What the name server knows of each grant.
    pub tenures: Vec<Tenure>,
    pub edges: Vec<Edge>,
    pub answers: u64,
    pub changes_of_address: u64,
    told: Vec<HashMap<IpAddr, Told>>,
    last: Vec<Option<(u64, u32)>>,
}

impl World {
    /// `skew`: by how much edges' clocks differ from the name server's.
    pub fn new(epochs: KeyEpochs, skew: u32, tenures: Vec<Vec<Term>>, t: u64) -> Self {
        let ids: Vec<_> = (0..tenures.len() as u64).map(grant).collect();
        let tenures: Vec<_> = ids.iter().zip(tenures).map(|(id, terms)| tenure(id, terms)).collect();
        let skew = i64::from(skew);
        let mut world = Self {
            epochs,
            told: vec![HashMap::new(); ids.len()],
            last: vec![None; ids.len()],
            ids,
            tenures,
            edges: [-skew, 0, skew].map(Edge::new).into(),
            answers: 0,
            changes_of_address: 0,
        };
        for no in 0..world.ids.len() {
            world.edges_learn(no, t);
        }
        world
    }

    pub fn keys(&self, t: u64) -> Keyring {
        let terms: Vec<Term> = self.tenures.iter().flat_map(|t| t.terms()).copied().collect();
        ring(self.epochs, &terms, t)
    }

    pub fn edges_learn(&mut self, no: usize, t: u64) {
        let keys = self.keys(t);
        let plan = Plan { id: self.ids[no].clone(), tenure: self.tenures[no].clone(), pools: pools() };
        for edge in &mut self.edges {
            edge.put(no as GrantNo, plan.clone(), &keys, t);
        }
    }

    /// (IPv6: in a small IPv4 pool the next window may come upon the leaked address again by chance.)
    /// A leak at second `t`: whatever was told of the grant before is void, and no edge past `t` may accept it.
    pub fn leaked(&mut self, no: usize, t: u64) {
        let announced = self.announced(no, t, &self.keys(t));
        for address in
            std::mem::take(&mut self.told[no]).into_keys().filter(|a| a.is_ipv6() && !announced.contains(a))
        {
            for edge in self.edges.iter().filter(|edge| edge.clock(t) >= t) {
                assert!(!edge.accepts(no as GrantNo, address, t), "{address} leaked and lives at {t}");
            }
        }
    }

    fn announced(&self, no: usize, t: u64, keys: &Keyring) -> Vec<IpAddr> {
        let answer = announce(&self.ids[no], &self.tenures[no], &pools(), keys, at(t)).unwrap();
        answer.map(|a| a.addresses).unwrap_or_default()
    }

    /// One second: edges turn, the name server answers, and every answer not yet expired is tried at every edge.
    pub fn step(&mut self, t: u64, keys: &Keyring) {
        for edge in &mut self.edges {
            edge.advance(keys, t);
        }
        for no in 0..self.ids.len() {
            self.answer(no, t, keys);
            self.told[no].retain(|_, told| told.until >= t);
            for (address, told) in &self.told[no] {
                self.held(no, *address, told, t);
            }
        }
    }

    fn answer(&mut self, no: usize, t: u64, keys: &Keyring) {
        let answer = announce(&self.ids[no], &self.tenures[no], &pools(), keys, at(t)).unwrap();
        let Some(answer) = answer else { return };
        assert!(answer.window.start <= at(t) && at(t) < answer.window.end);
        let key = (answer.window.start.secs(), answer.window.term.generation);
        self.changes_of_address += u64::from(self.last[no].is_some_and(|last| last != key));
        self.last[no] = Some(key);
        for address in answer.addresses {
            self.answers += 1;
            let until = t + u64::from(answer.ttl_s);
            let told = Told { from: t, until, start: answer.window.start.secs() };
            let held = self.told[no].entry(address).or_insert(told);
            if held.until <= until {
                *held = told;
            }
        }
    }

    fn held(&self, no: usize, address: IpAddr, told: &Told, t: u64) {
        for edge in &self.edges {
            if edge.accepts(no as GrantNo, address, t) {
                continue;
            }
            // A cut that was known beforehand: only an answer that nobody may keep can miss.
            let known = self.tenures[no].terms().iter().any(|term| {
                term.cut == Cut::Now && term.from > at(told.start) && term.from <= at(edge.clock(t))
            });
            let unkept = told.until == told.from;
            assert!(
                known && unkept,
                "grant {no}: {address} told at {} until {}, refused at {t} by an edge {}s off, \
                terms {:?}",
                told.from,
                told.until,
                edge.skew,
                self.tenures[no].terms()
            );
        }
    }

    /// At every edge's own second: one live address per grant and pool, and it is the one that is announced there.
    pub fn one_live_address(&self, t: u64, keys: &Keyring) {
        for edge in &self.edges {
            for no in 0..self.ids.len() {
                let now = edge.clock(t);
                let open = edge.planner.leases_of(no as GrantNo);
                let live: Vec<_> = open
                    .iter()
                    .filter(|(_, lease)| lease.life(at(now)) == Life::Live)
                    .map(|(a, _)| *a)
                    .collect();
                let mut announced = self.announced(no, now, keys);
                announced.sort();
                let mut live_sorted = live.clone();
                live_sorted.sort();
                assert_eq!(live_sorted, announced, "at {now}");
            }
        }
    }

    /// What turns have built up is what would be built afresh now, and the table holds just that.
    pub fn as_if_fresh(&self, t: u64, keys: &Keyring) {
        for edge in &self.edges {
            let mut addresses = std::collections::HashSet::new();
            for no in 0..self.ids.len() {
                let plan =
                    Plan { id: self.ids[no].clone(), tenure: self.tenures[no].clone(), pools: pools() };
                let mut fresh = Planner::new();
                let _ = fresh.put(no as GrantNo, plan, keys, at(edge.clock(t)));
                let open = edge.planner.leases_of(no as GrantNo);
                assert_eq!(
                    sorted(open),
                    sorted(fresh.leases_of(no as GrantNo)),
                    "at {t}, {}s off",
                    edge.skew
                );
                assert!(open.windows(2).all(|pair| pair[0].1.start <= pair[1].1.start));
                for (address, lease) in open {
                    addresses.insert(*address);
                    match edge.table.find(*address) {
                        Found::Never => panic!("{address} is missing in the table"),
                        Found::One(found) => assert_eq!(found, *lease),
                        Found::Shared(found) => {
                            assert!(found.contains(lease));
                            assert_eq!(found.iter().filter(|l| l.grant == lease.grant).count(), 1);
                        }
                    }
                }
            }
            assert_eq!(edge.table.len(), addresses.len(), "the table holds what no planner knows");
        }
    }
}
