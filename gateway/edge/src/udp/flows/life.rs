//! One flow's life: the hook's delay, a socket at the service, answers until it is over; then its one report.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use defense::{HookPoint, Outcome, Passed, Reason, VerdictKind};
use fabric::{Flow, Refusal};
use quinn_udp::Transmit;
use tokio::time::timeout;

use super::inward::{Inward, Over};
use super::{Flows, Way};
use crate::admission::Candidate;
use crate::bounds::{ANSWERS_TOGETHER, OPEN_MAX};
use crate::budgets::{Direction, Taken};
use crate::connections::Seat;
use crate::udp::segments::together;
use crate::udp::table::{Ends, FlowId};
use crate::upstream::{Caller, reason};

/// A flow that has a place in the table.
pub(super) struct Life {
    pub(super) flows: Arc<Flows>,
    pub(super) way: Way,
    pub(super) candidate: Candidate,
    pub(super) ends: Ends,
    pub(super) id: FlowId,
    pub(super) inward: Arc<Inward>,
}

/// Everything that ends a flow.
enum End {
    /// In order: quiet, or its port is no longer served.
    Done,
    /// Cut, and why.
    Cut(Reason),
}

impl Life {
    /// To its end, whatever that is.
    pub(super) async fn run(self, passed: Passed, taken: Taken) {
        let gate = Arc::clone(&self.flows.gate);
        let ended = match self.begin(taken) {
            Ok(seat) => self.live(&seat, &passed).await,
            Err(reason) => Err(reason),
        };
        self.flows.table().leave(self.id);
        self.lost(Reason::DatagramDropped, self.inward.take_lost());
        let note = |reason| {
            let (source, grant) = (self.ends.source.ip(), self.candidate.card.grant);
            gate.note(HookPoint::Connection, VerdictKind::Drop, reason, source, Some(grant), None);
        };
        let since = passed.ticket().since;
        let log = |bytes, reason| {
            gate.log_session(&self.candidate, self.ends.source.ip(), since, bytes, reason);
        };
        match ended {
            Err(reason) => {
                note(reason);
                log((0, 0), Some(reason));
                let _ = passed.fail(reason, gate.moment());
            }
            Ok(end) => {
                let cut = match end {
                    End::Cut(reason) => Some(reason),
                    End::Done => None,
                };
                cut.into_iter().for_each(note);
                let (bytes_in, bytes_out) = self.inward.pulse().bytes();
                log((bytes_in, bytes_out), cut);
                passed.result(&Outcome { status: None, bytes_in, bytes_out }, gate.moment());
            }
        }
    }

    fn begin(&self, taken: Taken) -> Result<Seat, Reason> {
        let (gate, candidate) = (&self.flows.gate, &self.candidate);
        let since = gate.clock.now();
        let seat = gate.connections.enter(
            &candidate.card,
            candidate.lease,
            self.ends.source,
            since,
            self.inward.pulse(),
            taken,
        );
        // As for TCP: a revocation since the door was judged found nothing to close.
        match gate.roster.card(candidate.card.grant) {
            Some(_) => Ok(seat),
            None => Err(Reason::Revoked),
        }
    }

    /// The error is why no byte got through; the end why none does any more.
    async fn live(&self, seat: &Seat, passed: &Passed) -> Result<End, Reason> {
        let over = async {
            tokio::select! {
                reason = seat.ended() => End::Cut(reason),
                () = self.way.closed.cancelled() => End::Done,
                over = self.inward.ended() => match over {
                    Over::Quiet => End::Done,
                    Over::GaveWay => End::Cut(Reason::LeaseConcurrency),
                },
            }
        };
        let mut over = std::pin::pin!(over);
        let flow = tokio::select! {
            flow = self.open(passed) => flow?,
            over = &mut over => return match over {
                End::Cut(reason) => Err(reason),
                End::Done => Ok(End::Done),
            },
        };
        let flow = self.inward.open(flow);
        tokio::select! {
            over = over => Ok(over),
            refusal = self.answer(flow) => Ok(match refusal {
                // The local hub's patience ended first.
                Refusal::Deadline => End::Done,
                other => End::Cut(reason(other)),
            }),
        }
    }

    async fn open(&self, passed: &Passed) -> Result<Flow, Reason> {
        self.flows.gate.hold(passed, self.inward.purse()).await?;
        let Candidate { card, reached, .. } = &self.candidate;
        let caller = Caller { card, reached: *reached, source: self.ends.source };
        let opening =
            self.flows.fabric.open_flow(card.service.as_str(), caller.port(), Some(caller.origin()));
        let opened = timeout(OPEN_MAX, opening).await.map_err(|_| Reason::ServiceTimeout)?;
        opened.map_err(|error| reason(error.refusal))
    }

    /// Sends what the service answers, until the fabric says why there is no more.
    async fn answer(&self, flow: &Flow) -> Refusal {
        let mut answers = Vec::new();
        loop {
            match flow.recv().await {
                Ok(first) => answers.push(first),
                Err(refusal) => return refusal,
            }
            let more = std::iter::from_fn(|| flow.try_recv());
            answers.extend(more.take(ANSWERS_TOGETHER - 1));
            self.withhold(&mut answers);
            self.send(&answers).await;
            answers.clear();
            self.lost(Reason::DatagramDropped, self.inward.take_lost());
            // However much the service has to say: others on this core get their turn.
            tokio::task::consume_budget().await;
        }
    }

    /// Leaves only what its source may be answered, and its lease may have.
    fn withhold(&self, answers: &mut Vec<Bytes>) {
        let (before, now_ms) = (answers.len(), self.flows.now_ms());
        {
            let mut table = self.flows.table();
            answers.retain(|answer| table.answers(self.id, answer.len(), now_ms));
        }
        self.lost(Reason::AnswerWithheld, (before - answers.len()) as u64);
        let (before, now) = (answers.len(), self.flows.gate.moment());
        answers.retain(|answer| self.inward.purse().datagram(Direction::Out, answer.len(), now));
        self.lost(Reason::RateLease, (before - answers.len()) as u64);
    }

    async fn send(&self, answers: &[Bytes]) {
        let lengths: Vec<usize> = answers.iter().map(Bytes::len).collect();
        let mut at = 0;
        while at < answers.len() {
            let most = self.way.socket.max_transmit_segments();
            let part = &answers[at..][together(&lengths[at..], most)];
            at += part.len();
            let lost = match self.send_together(part).await {
                Ok(()) => 0,
                // A link with shorter datagrams than most: one by one, they may be cut.
                Err(_) if part.len() > 1 => {
                    let mut lost = 0;
                    for one in part.chunks(1) {
                        lost += u64::from(self.send_together(one).await.is_err());
                    }
                    lost
                }
                Err(_) => 1,
            };
            self.inward.pulse().went(part.iter().map(Bytes::len).sum());
            self.lost(Reason::DatagramDropped, lost);
        }
    }

    async fn send_together(&self, part: &[Bytes]) -> io::Result<()> {
        loop {
            match self.try_send(part) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.way.socket.writable().await?,
                sent => return sent,
            }
        }
    }

    fn try_send(&self, part: &[Bytes]) -> io::Result<()> {
        let transmit = |contents, segment_size| Transmit {
            destination: self.ends.source,
            ecn: None,
            contents,
            segment_size,
            src_ip: Some(self.ends.destination.ip()),
        };
        match part {
            [] => Ok(()),
            [one] => self.way.socket.try_send_cut(&transmit(one, None)),
            [first, ..] => {
                let mut together = self.flows.together();
                together.clear();
                part.iter().for_each(|datagram| together.extend_from_slice(datagram));
                self.way.socket.try_send(&transmit(&together, Some(first.len())))
            }
        }
    }

    fn lost(&self, reason: Reason, count: u64) {
        self.flows.note_lost(&self.inward, self.ends.source, reason, count);
    }
}
