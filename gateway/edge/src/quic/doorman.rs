//! Who may reach quinn: whoever can name the address it came to. Everybody else is not answered.
//!
//! quinn answers what it does not know or like: with a list of versions, a reset, a close. So nothing comes to it but
//! packets of connections that exist, told by IDs that only we can make, and Initial packets whose ClientHello names
//! a grant of their destination. A ClientHello may come in several datagrams: they wait here, within a bound.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use defense::{HookPoint, Reason, VerdictKind};
use rotator::GrantNo;
use rustls::Tls13CipherSuite;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use state::{Protocol, Transport};

use super::cid::{CID_BYTES, CidKey};
use super::initial::{Cid, Heard, Hello, NotInitial, destination, is_initial};
use crate::admission::{Candidate, Door, ServerName, identify};
use crate::bounds::{QUIC_HELLO_DATAGRAMS_MAX, QUIC_OPENINGS_MAX};
use crate::gate::Gate;

/// What becomes of one datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    Drop,
    /// It is another core's.
    Core(u8),
    /// It passes, and before it what came earlier of the same ClientHello.
    After(Vec<Bytes>),
}

/// A newcomer who could name the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// Whose it is, and the server name if that was needed.
    Open(Candidate, Option<Box<str>>),
    /// The address was the grant's own, until a moment ago.
    Tombstone(GrantNo),
}

/// The first packets of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub source: SocketAddr,
    pub local: IpAddr,
    pub destination: Cid,
}

/// One endpoint's.
pub struct Doorman {
    gate: Arc<Gate>,
    port: u16,
    cids: Arc<CidKey>,
    core: u8,
    suite: &'static Tls13CipherSuite,
    openings: Mutex<Openings>,
    /// As many paths as are in [`Openings::unproven`].
    unproven: AtomicUsize,
}

/// Attempts under way, and who was named by them; at most [`QUIC_OPENINGS_MAX`] of each, the oldest gives way.
#[derive(Default)]
struct Openings {
    attempts: Fifo<Attempt, Stage>,
    named: Fifo<(SocketAddr, IpAddr), Named>,
    /// Bytes that came from and went to addresses that nobody has answered from yet.
    unproven: Fifo<(SocketAddr, IpAddr), (u64, u64)>,
    /// Addresses from which somebody has answered: who forges one does not slow down what its owner is sent.
    proven: Fifo<(SocketAddr, IpAddr), ()>,
}

enum Stage {
    Reading(Hello, Vec<Bytes>),
    Passed,
}

impl Doorman {
    pub fn new(gate: Arc<Gate>, port: u16, cids: Arc<CidKey>, core: u8) -> Option<Self> {
        let suite = TLS13_AES_128_GCM_SHA256.tls13()?;
        Some(Self {
            gate,
            port,
            cids,
            core,
            suite,
            openings: Mutex::default(),
            unproven: AtomicUsize::new(0),
        })
    }

    /// Judges one datagram by what it is.
    pub fn judge(&self, source: SocketAddr, local: IpAddr, datagram: &[u8]) -> Fate {
        let Some(destination) = destination(datagram, CID_BYTES) else { return Fate::Drop };
        match self.cids.core(destination.as_bytes()) {
            // 0-RTT packets are the only others that a client may send with an ID that it chose; none is wanted.
            None if !is_initial(datagram) => Fate::Drop,
            None => self.judge_initial(Attempt { source, local, destination }, datagram),
            Some(core) if core == self.core => {
                self.came((source, local), datagram.len());
                Fate::Pass
            }
            Some(core) => Fate::Core(core),
        }
    }

    /// Who was named by the newest attempt from there.
    pub fn named(&self, source: SocketAddr, local: IpAddr) -> Option<Named> {
        self.openings().named.table.get(&(source, local)).cloned()
    }

    /// How many of those bytes may be sent there: three for each that came, until the address is proven (RFC 9000 §8.1).
    /// quinn itself would round up to a whole datagram.
    pub fn may_send(&self, to: SocketAddr, local: IpAddr, bytes: &[u8], segment: Option<usize>) -> usize {
        if self.unproven.load(Ordering::Relaxed) == 0 {
            return bytes.len();
        }
        let mut openings = self.openings();
        let Some((came, went)) = openings.unproven.table.get_mut(&(to, local)) else { return bytes.len() };
        let left = usize::try_from((*came * 3).saturating_sub(*went)).unwrap_or(usize::MAX);
        let segment = segment.unwrap_or(bytes.len()).max(1);
        let may = if bytes.len() <= left { bytes.len() } else { left / segment * segment };
        *went += may as u64;
        may
    }

    /// Somebody has answered from that address.
    pub fn proven(&self, source: SocketAddr, local: IpAddr) {
        let mut openings = self.openings();
        openings.unproven.remove(&(source, local));
        openings.proven.put((source, local), ());
        self.unproven.store(openings.unproven.table.len(), Ordering::Relaxed);
    }

    fn came(&self, path: (SocketAddr, IpAddr), bytes: usize) {
        if self.unproven.load(Ordering::Relaxed) > 0
            && let Some((came, _)) = self.openings().unproven.table.get_mut(&path)
        {
            *came += bytes as u64;
        }
    }

    fn judge_initial(&self, attempt: Attempt, datagram: &[u8]) -> Fate {
        let mut openings = self.openings();
        let (mut hello, mut held) = match openings.attempts.table.get_mut(&attempt) {
            Some(Stage::Passed) => {
                if let Some((came, _)) = openings.unproven.table.get_mut(&(attempt.source, attempt.local)) {
                    *came += datagram.len() as u64;
                }
                return Fate::Pass;
            }
            Some(Stage::Reading(hello, held)) => (std::mem::take(hello), std::mem::take(held)),
            None => (Hello::default(), Vec::new()),
        };
        let heard = match hello.hear(datagram, self.suite) {
            Ok(Heard::More) if held.len() + 1 >= QUIC_HELLO_DATAGRAMS_MAX => Err(NotInitial),
            heard => heard,
        };
        match heard {
            Ok(Heard::More) => {
                held.push(Bytes::copy_from_slice(datagram));
                openings.attempts.put(attempt, Stage::Reading(hello, held));
                Fate::Drop
            }
            Ok(Heard::Whole(name)) => match self.identify(attempt.local, name) {
                Ok(named) => {
                    let path = (attempt.source, attempt.local);
                    let came = datagram.len() + held.iter().map(Bytes::len).sum::<usize>();
                    openings.named.put(path, named);
                    openings.attempts.put(attempt, Stage::Passed);
                    let before = openings.unproven.table.get(&path).copied().unwrap_or_default();
                    if !openings.proven.table.contains_key(&path) {
                        openings.unproven.put(path, (before.0 + came as u64, before.1));
                    }
                    self.unproven.store(openings.unproven.table.len(), Ordering::Relaxed);
                    if held.is_empty() { Fate::Pass } else { Fate::After(held) }
                }
                Err((reason, grant)) => {
                    openings.attempts.remove(&attempt);
                    self.note(attempt.source, reason, grant);
                    Fate::Drop
                }
            },
            Err(NotInitial) => {
                openings.attempts.remove(&attempt);
                self.note(attempt.source, Reason::NotTls, None);
                Fate::Drop
            }
        }
    }

    fn identify(&self, local: IpAddr, name: Option<Box<str>>) -> Result<Named, (Reason, Option<GrantNo>)> {
        let (roster, now) = (&self.gate.roster, self.gate.clock.now());
        let server_name = roster.server_name(name.as_deref(), now);
        match roster.door(local, (Transport::Udp, self.port), now) {
            Door::Open(mut candidates) => {
                candidates.retain(|candidate| candidate.reached.protocol == Protocol::Https);
                let known = match &candidates[..] {
                    [only] => Some(only.card.grant),
                    _ => None,
                };
                let candidate = identify(&candidates, server_name).map_err(|reason| (reason, known))?;
                Ok(Named::Open(candidate.clone(), name))
            }
            // A stranger could find it by trying all addresses of a small pool: there, too, the name is asked for.
            Door::Reset(grant) => match server_name {
                ServerName::Ours(Some(named)) if named == grant => Ok(Named::Tombstone(grant)),
                ServerName::Ours(_) | ServerName::Foreign | ServerName::Missing => {
                    Err((Reason::Tombstone, Some(grant)))
                }
            },
            Door::Dark(reason, grant) => Err((reason, grant)),
        }
    }

    fn note(&self, source: SocketAddr, reason: Reason, grant: Option<GrantNo>) {
        let source = source.ip().to_canonical();
        self.gate.note(HookPoint::Connection, VerdictKind::Drop, reason, source, grant, None);
    }

    fn openings(&self) -> MutexGuard<'_, Openings> {
        self.openings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A table whose oldest entries give way.
struct Fifo<K, V> {
    table: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Fifo<K, V> {
    fn default() -> Self {
        Self { table: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Copy + Eq + std::hash::Hash, V> Fifo<K, V> {
    fn put(&mut self, key: K, value: V) {
        if self.table.insert(key, value).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > QUIC_OPENINGS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.table.remove(&oldest);
        }
    }

    /// Seldom of use: what is removed was usually never put there.
    fn remove(&mut self, key: &K) {
        if self.table.remove(key).is_some() {
            self.order.retain(|other| other != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_and_nobody_is_kept_twice() {
        let mut fifo = Fifo::default();
        for i in 0..QUIC_OPENINGS_MAX + 10 {
            fifo.put(i, ());
            fifo.put(i, ());
        }
        assert_eq!((fifo.table.len(), fifo.order.len()), (QUIC_OPENINGS_MAX, QUIC_OPENINGS_MAX));
        assert!(!fifo.table.contains_key(&9) && fifo.table.contains_key(&10));
        fifo.remove(&10);
        fifo.remove(&9);
        assert_eq!((fifo.table.len(), fifo.order.len()), (QUIC_OPENINGS_MAX - 1, QUIC_OPENINGS_MAX - 1));
    }
}
