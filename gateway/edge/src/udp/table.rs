//! The flows of one core: who has one, how long it lasts, who gives way when places are short, and how much may be
//! answered to a source that may be forged. Pure: moments are milliseconds of any clock that does not go back.
//!
//! # Who gives way
//!
//! A flow that *goes on* (its source has sent again after an answer) is never cut for a newcomer. All others give way,
//! the one that was quiet for longest first, and only within the share that is spent: of the source's network, of the
//! grant, or of the grant that has most. So neither forged sources nor a leaked address take a place from another user.
//!
//! # What a forged source is worth
//!
//! UDP proves no source. Who would have the edge answer to a victim needs a live private address, which names its owner;
//! and gets, per source, three times what it sent (as QUIC does, RFC 9000 §8.1), and beyond that a small allowance of the
//! whole grant. The allowance lets a person's questions have long answers, and is of no worth to a flood. A source that
//! goes on is not proven either: its answers are bounded by the budget of the lease.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use defense::Reason;
use rotator::GrantNo;

use crate::bounds::{
    ANSWER_ALLOWANCE, ANSWER_ALLOWANCE_PER_S, ANSWER_FACTOR, FLOW_IDLE, FLOW_NEW_IDLE, FLOWS_MAX,
    FLOWS_PER_GRANT_MAX, FLOWS_PER_GRANT_MIN, FLOWS_PER_NETWORK_PART,
};

/// Who talks to what: the two ends of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// How many flows one core has places for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    pub all: usize,
    /// Of one grant.
    pub grant: usize,
    /// Of one grant from one IPv4 address or IPv6 /64.
    pub network: usize,
}

/// A flow's place. Never that of another flow, also when the place is taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId {
    slot: u32,
    turn: u32,
}

/// All flows of one core, each with what its shell keeps for it. Bounded by its [`Caps`].
#[derive(Debug)]
pub struct Table<V> {
    caps: Caps,
    slots: Vec<Slot<V>>,
    free: Vec<u32>,
    by_ends: HashMap<Ends, u32>,
    shares: HashMap<GrantNo, Share>,
    /// When each flow is to be looked at next: never after it is due.
    looks: BTreeSet<(u64, u32)>,
}

#[derive(Debug)]
struct Slot<V> {
    turn: u32,
    held: Option<Held<V>>,
}

#[derive(Debug)]
struct Held<V> {
    ends: Ends,
    grant: GrantNo,
    stage: Stage,
    last_ms: u64,
    look_ms: u64,
    came: u64,
    went: u64,
    value: V,
}

/// How far a conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Answered,
    GoesOn,
}

/// What one grant has of the table.
#[derive(Debug)]
struct Share {
    flows: Vec<u32>,
    allowance: u64,
    since_ms: u64,
}

impl Caps {
    /// The edge's limits in equal parts for so many cores: the kernel spreads sources evenly.
    pub fn of_one_core(cores: usize) -> Self {
        let cores = cores.max(1);
        let grant = (FLOWS_PER_GRANT_MAX / cores).max(FLOWS_PER_GRANT_MIN);
        Self { all: FLOWS_MAX / cores, grant, network: grant / FLOWS_PER_NETWORK_PART }
    }
}

impl<V> Table<V> {
    pub fn new(caps: Caps) -> Self {
        Self {
            caps,
            slots: Vec::new(),
            free: Vec::new(),
            by_ends: HashMap::new(),
            shares: HashMap::new(),
            looks: BTreeSet::new(),
        }
    }

    /// A datagram of an established flow came; gives what is kept for it. `None`: there is no such flow.
    pub fn came(&mut self, ends: &Ends, bytes: usize, now_ms: u64) -> Option<&V> {
        let slot = *self.by_ends.get(ends)?;
        let held = self.slots[slot as usize].held.as_mut()?;
        held.came = held.came.saturating_add(bytes as u64);
        held.last_ms = now_ms;
        if held.stage == Stage::Answered {
            held.stage = Stage::GoesOn;
        }
        Some(&held.value)
    }

    /// A place for a new flow, whose first datagram has so many bytes. Another flow may have to give way for it: then it
    /// is no longer in the table, and what was kept for it is returned.
    ///
    /// # Errors
    /// `rate_prefix`, `lease_concurrency`, `overload`: the network's, the grant's, or the core's places are taken by
    /// conversations that go on. Nothing has changed then. Ends that have a flow already keep it, and their newcomer is
    /// refused as `lease_concurrency`.
    pub fn enter(
        &mut self,
        ends: Ends,
        grant: GrantNo,
        bytes: usize,
        value: V,
        now_ms: u64,
    ) -> Result<(FlowId, Option<V>), Reason> {
        if self.by_ends.contains_key(&ends) {
            return Err(Reason::LeaseConcurrency);
        }
        let evicted = match self.gives_way(&ends, grant)? {
            Some(slot) => self.take_out(slot),
            None => None,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { turn: 0, held: None });
            self.slots.len() as u32 - 1
        });
        let look_ms = now_ms + FLOW_NEW_IDLE.as_millis() as u64;
        let held = Held {
            ends,
            grant,
            stage: Stage::New,
            last_ms: now_ms,
            look_ms,
            came: bytes as u64,
            went: 0,
            value,
        };
        let place = &mut self.slots[slot as usize];
        place.held = Some(held);
        let id = FlowId { slot, turn: place.turn };
        self.by_ends.insert(ends, slot);
        self.looks.insert((look_ms, slot));
        let full = Share { flows: Vec::new(), allowance: ANSWER_ALLOWANCE, since_ms: now_ms };
        self.shares.entry(grant).or_insert(full).flows.push(slot);
        Ok((id, evicted))
    }

    /// May so many bytes be answered? If so, they count as sent. `false` for a flow that is gone.
    pub fn answers(&mut self, id: FlowId, bytes: usize, now_ms: u64) -> bool {
        let Some(held) = held(&mut self.slots, id) else { return false };
        let bytes = bytes as u64;
        if held.stage != Stage::GoesOn {
            let free = (ANSWER_FACTOR * held.came).saturating_sub(held.went);
            let beyond = bytes.saturating_sub(free);
            let Some(share) = self.shares.get_mut(&held.grant) else { return false };
            if !share.spend(beyond, now_ms) {
                return false;
            }
            held.stage = Stage::Answered;
        }
        held.went = held.went.saturating_add(bytes);
        held.last_ms = now_ms;
        true
    }

    /// The flow is over; gives what was kept for it.
    pub fn leave(&mut self, id: FlowId) -> Option<V> {
        held(&mut self.slots, id)?;
        self.take_out(id.slot)
    }

    /// Takes out the flows that were quiet for too long: [`FLOW_IDLE`] if they go on, else [`FLOW_NEW_IDLE`]; or
    /// `at_most_ms`, if that is less.
    pub fn expire(&mut self, now_ms: u64, at_most_ms: u64) -> Vec<V> {
        let mut gone = Vec::new();
        // Looks were planned with the usual patience; what has less of it is looked at now.
        let ahead = (FLOW_IDLE.as_millis() as u64).saturating_sub(at_most_ms);
        let mut later = Vec::new();
        while let Some(&(look_ms, slot)) = self.looks.first() {
            if look_ms > now_ms.saturating_add(ahead) {
                break;
            }
            let Some(held) = self.slots[slot as usize].held.as_ref() else { break };
            let due_ms = held.last_ms + held.patience_ms().min(at_most_ms);
            if due_ms <= now_ms {
                gone.extend(self.take_out(slot));
            } else {
                self.looks.pop_first();
                later.push((held.last_ms + held.patience_ms(), slot));
            }
        }
        for (look_ms, slot) in later {
            if let Some(held) = self.slots[slot as usize].held.as_mut() {
                held.look_ms = look_ms;
                self.looks.insert((look_ms, slot));
            }
        }
        gone
    }

    pub fn len(&self) -> usize {
        self.by_ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_ends.is_empty()
    }

    /// Who has to give way for a newcomer of this grant; `None` if there is room.
    fn gives_way(&self, ends: &Ends, grant: GrantNo) -> Result<Option<u32>, Reason> {
        let own: &[u32] = self.shares.get(&grant).map_or(&[], |share| &share.flows);
        let network = network(ends.source.ip());
        let is_near =
            |slot: u32| self.held(slot).is_some_and(|h| self::network(h.ends.source.ip()) == network);
        if own.len() >= self.caps.network && own.iter().filter(|s| is_near(**s)).count() >= self.caps.network
        {
            return self.quietest(own, is_near).map(Some).ok_or(Reason::RatePrefix);
        }
        if own.len() >= self.caps.grant {
            return self.quietest(own, |_| true).map(Some).ok_or(Reason::LeaseConcurrency);
        }
        if self.by_ends.len() < self.caps.all {
            return Ok(None);
        }
        let fattest = self.shares.values().map(|share| &share.flows).max_by_key(|flows| flows.len());
        let from = fattest.filter(|flows| flows.len() > own.len()).map_or(own, Vec::as_slice);
        self.quietest(from, |_| true).map(Some).ok_or(Reason::Overload)
    }

    /// Of these flows the one that may be cut and was quiet for longest.
    fn quietest(&self, flows: &[u32], wanted: impl Fn(u32) -> bool) -> Option<u32> {
        let mut may_go = flows.iter().copied().filter(|slot| wanted(*slot)).filter_map(|slot| {
            let held = self.held(slot).filter(|held| held.stage != Stage::GoesOn)?;
            Some((held.last_ms, slot))
        });
        let first = may_go.next()?;
        Some(may_go.fold(first, Ord::min).1)
    }

    fn held(&self, slot: u32) -> Option<&Held<V>> {
        self.slots.get(slot as usize)?.held.as_ref()
    }

    fn take_out(&mut self, slot: u32) -> Option<V> {
        let place = self.slots.get_mut(slot as usize)?;
        let held = place.held.take()?;
        place.turn = place.turn.wrapping_add(1);
        self.free.push(slot);
        self.by_ends.remove(&held.ends);
        self.looks.remove(&(held.look_ms, slot));
        if let Some(share) = self.shares.get_mut(&held.grant) {
            share.flows.retain(|other| *other != slot);
            if share.flows.is_empty() {
                // Made anew it is full; it fills up again within the shortest life of a flow anyway.
                self.shares.remove(&held.grant);
            }
        }
        Some(held.value)
    }
}

impl<V> Held<V> {
    fn patience_ms(&self) -> u64 {
        let patience = match self.stage {
            Stage::New | Stage::Answered => FLOW_NEW_IDLE,
            Stage::GoesOn => FLOW_IDLE,
        };
        patience.as_millis() as u64
    }
}

impl Share {
    fn spend(&mut self, bytes: u64, now_ms: u64) -> bool {
        let earned = now_ms.saturating_sub(self.since_ms).saturating_mul(ANSWER_ALLOWANCE_PER_S) / 1000;
        if earned > 0 {
            self.allowance = self.allowance.saturating_add(earned).min(ANSWER_ALLOWANCE);
            self.since_ms = now_ms;
        }
        match self.allowance.checked_sub(bytes) {
            Some(left) => self.allowance = left,
            None => return false,
        }
        true
    }
}

fn held<V>(slots: &mut [Slot<V>], id: FlowId) -> Option<&mut Held<V>> {
    slots.get_mut(id.slot as usize).filter(|place| place.turn == id.turn)?.held.as_mut()
}

/// An IPv4 address, or the /64 of an IPv6 one.
fn network(source: IpAddr) -> u64 {
    match source.to_canonical() {
        IpAddr::V4(ip) => u64::from(u32::from(ip)),
        IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64,
    }
}

#[cfg(test)]
mod tests;
