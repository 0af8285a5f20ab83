//! Counts of what was asked and answered: relaxed atomics in, plain numbers out.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::answer::Kind;
use crate::respond::Came;
use crate::wire::Transport;

macro_rules! tallies {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Counts while the front runs.
        #[derive(Debug, Default)]
        pub(crate) struct Tally {
            $(pub(crate) $name: AtomicU64,)+
        }

        /// Counts since the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Tally {
            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

tallies! {
    /// Queries that came by each transport, whatever became of them.
    udp,
    tcp,
    /// Packets that are no query: too short, or responses. Met with silence.
    ignored,
    /// Answers with a user's address.
    labels,
    /// Answers with a decoy's address.
    decoys,
    /// The zone's own records, and minimal answers to ANY.
    fixed,
    /// The name is there, the type is not.
    nodata,
    nxdomain,
    /// REFUSED: not our zone.
    foreign,
    /// REFUSED: transfers, meta types, other classes.
    closed,
    /// SERVFAIL: an epoch's key is missing.
    failed,
    /// FORMERR.
    malformed,
    /// NOTIMP and BADVERS.
    unsupported,
    /// By the defense's verdict: told to use TCP, refused, dropped in silence.
    slipped,
    refused,
    dropped,
    /// Answers that could not be sent, or not in time.
    unsent,
    /// TCP connections accepted, and those closed at once for want of a place.
    connections,
    turned_away,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Tally {
    pub(crate) fn arrived(&self, transport: Transport) {
        count(match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => &self.tcp,
        });
    }

    pub(crate) fn came(&self, came: Came) {
        count(match came {
            Came::Said(Kind::Label) => &self.labels,
            Came::Said(Kind::Decoy) => &self.decoys,
            Came::Said(Kind::Fixed | Kind::Any) => &self.fixed,
            Came::Said(Kind::NoData) => &self.nodata,
            Came::Said(Kind::NxDomain) => &self.nxdomain,
            Came::Said(Kind::Foreign) => &self.foreign,
            Came::Said(Kind::Closed) => &self.closed,
            Came::Said(Kind::Failed) => &self.failed,
            Came::Malformed => &self.malformed,
            Came::OpCode | Came::EdnsVersion => &self.unsupported,
            Came::Slipped => &self.slipped,
            Came::Refused => &self.refused,
            Came::Ignored => &self.ignored,
        });
    }
}
