//! The order of work on one request: judge, examine, commit, settle, answer. Knows nothing of HTTP.

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use defense::{
    Asked, Event, Evidence, Facts, Finding, HookPoint, Hooks, Journal, Moment, Outcome, Passed, Reason,
    Ticket, VerdictKind, ask,
};
use ring::rand::{SecureRandom, SystemRandom};
use rotator::{Class, KeyEpochs, Keyring, UnixTime};
use state::{Clock, Refusal, Store, Txn};
use tokio::sync::watch;
use uuid::Uuid;

use crate::answer::{self, Enrolled};
use crate::bounds::SETTLE_MAX;
use crate::challenge::{Mint, Purpose, Sound};
use crate::client::{Challenge, EnrollBody, RenewBody};
use crate::counts::{Counts, count};
use crate::enrol::{self, Fresh, Newcomer};
use crate::examine::{self, Terms};
use crate::invite::Code;
use crate::problem::of_commit;
use crate::renew;
use crate::spent::Spent;

/// Everything that a request needs, shared by all connections.
pub(crate) struct Desk {
    pub(crate) terms: Terms,
    pub(crate) pow_bits: u8,
    pub(crate) epochs: KeyEpochs,
    pub(crate) mint: Mint,
    pub(crate) enrollments: Mutex<Spent>,
    /// Apart, so that a flood of solved enrollments takes no renewal's room.
    pub(crate) renewals: Mutex<Spent>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: watch::Receiver<Keyring>,
    pub(crate) clock: Clock,
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) counts: Counts,
    pub(crate) random: SystemRandom,
}

/// Where a request stands when it is judged.
pub(crate) struct Visit<'a> {
    pub(crate) point: HookPoint,
    pub(crate) source: IpAddr,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) bytes: Option<u64>,
}

/// Why there is no answer of the kind that was asked for.
pub(crate) enum Denied {
    /// The defense refused before any work.
    Shed(Finding, u128),
    /// The request was refused on its merits.
    Refused(Refusal, u128),
}

impl Desk {
    /// Asks the defense, then does the work, and reports how it ended. `status` is that of a good answer.
    pub(crate) async fn judged<T>(
        &self,
        visit: &Visit<'_>,
        status: u16,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Denied> {
        let facts = Facts { bytes: visit.bytes, ..Facts::new(visit.point, visit.source, Evidence::Proven) };
        let facts = facts.request(visit.method, visit.path);
        let passed = match ask(&self.hooks, &facts, self.moment()) {
            Asked::Passed(passed) => passed,
            Asked::Refused(refused) => {
                count(&self.counts.shed);
                let finding = refused.finding;
                self.note(&refused.ticket, finding.verdict.kind(), finding.reason);
                return Err(Denied::Shed(finding, refused.ticket.refid.0));
            }
        };
        self.hold(passed.ticket().since, passed.floor_ms()).await;
        match work.await {
            Ok(value) => {
                let outcome =
                    Outcome { status: Some(status), bytes_in: visit.bytes.unwrap_or(0), bytes_out: 0 };
                passed.result(&outcome, self.moment());
                Ok(value)
            }
            Err(refusal) => Err(self.failed(passed, refusal).await),
        }
    }

    async fn failed(&self, passed: Passed, refusal: Refusal) -> Denied {
        let ticket = *passed.ticket();
        self.counts.refuse(refusal.reason);
        self.note(&ticket, VerdictKind::Reject, refusal.reason);
        if let Some(floor_ms) = passed.fail(refusal.reason, self.moment()) {
            self.hold(ticket.since, floor_ms).await;
        }
        Denied::Refused(refusal, ticket.refid.0)
    }

    pub(crate) fn note(&self, ticket: &Ticket, verdict: VerdictKind, reason: Reason) {
        self.journal.record(&Event {
            at_unix_s: self.clock.now().secs(),
            point: ticket.point,
            verdict,
            reason,
            source: ticket.source,
            lease: None,
            request: Some(ticket.refid.0),
            count: 1,
        });
    }

    /// Notes a refusal before any request was read.
    pub(crate) fn note_connection(&self, source: IpAddr, reason: Reason) {
        self.counts.refuse(reason);
        self.journal.record(&Event {
            at_unix_s: self.clock.now().secs(),
            point: HookPoint::Enrolment,
            verdict: VerdictKind::Drop,
            reason,
            source,
            lease: None,
            request: None,
            count: 1,
        });
    }

    /// A challenge for `source`. Enrollment's costs work; a renewal is paid for by its signature.
    pub(crate) fn challenge(&self, purpose: Purpose, source: IpAddr) -> Result<Challenge, Refusal> {
        let bits = match purpose {
            Purpose::Enrollment if !self.terms.open => return Err(Reason::InviteRequired.into()),
            Purpose::Enrollment => self.pow_bits,
            Purpose::Renewal => 0,
        };
        let (challenge, expires) =
            self.mint.challenge(purpose, bits, source, self.clock.now(), self.random()?);
        count(&self.counts.challenges);
        Ok(Challenge {
            schema: "wandergate.challenge/1".to_owned(),
            purpose: purpose.name().to_owned(),
            challenge,
            bits: bits.min(crate::bounds::POW_BITS_MAX),
            algorithm: "sha256-leading-zero-bits".to_owned(),
            expires,
        })
    }

    pub(crate) async fn enroll(&self, source: IpAddr, body: &EnrollBody) -> Result<Enrolled, Refusal> {
        let now = self.clock.now();
        let examined = examine::enrollment(&self.terms, &self.mint, source, now, body)?;
        if let Some(sound) = &examined.sound {
            take(&self.enrollments, sound, now)?;
        }
        self.admit(examined.newcomer).await
    }

    /// Redeems an invite from a page's form.
    pub(crate) async fn redeem(&self, code: Code, device: &str) -> Result<Enrolled, Refusal> {
        self.admit(examine::form(code, device)?).await
    }

    /// Whose invite it is and for what. Changes nothing.
    pub(crate) fn offer(&self, code: Code) -> Result<state::records::Invite, Refusal> {
        enrol::redeemable(&self.store.read(), self.clock.now(), &code.hash()).cloned()
    }

    async fn admit(&self, newcomer: Newcomer) -> Result<Enrolled, Refusal> {
        if newcomer.class == Class::Agent {
            answer::holds_epochs(&self.keys.borrow(), self.clock.now())?;
        }
        let fresh = self.fresh()?;
        let clock = self.clock.clone();
        let decided = state::commit(&*self.store, move |records| {
            enrol::decide(records, clock.now(), &newcomer, &fresh)
        });
        let (revision, device) = decided.await.map_err(of_commit)?;
        self.settle(revision).await;
        let answer = self.answer(device)?;
        count(&self.counts.enrolled);
        tracing::info!(event = "registration.enrolled", user = %answer.user, device = %answer.device, revision);
        Ok(answer)
    }

    pub(crate) async fn renew(&self, source: IpAddr, body: &RenewBody) -> Result<Enrolled, Refusal> {
        let now = self.clock.now();
        let (key, sound) = examine::renewal(&self.terms, &self.mint, source, now, body)?;
        // Known before the challenge is remembered: only enrolled devices take room.
        let device = renew::renewing(&self.store.read(), &key)?.id;
        take(&self.renewals, &sound, now)?;
        if body.reissue {
            let fresh = self.fresh()?;
            let clock = self.clock.clone();
            let decided = state::commit(&*self.store, move |records| {
                renew::reissue(records, clock.now(), &key, &fresh).map(|txn: Txn| (txn, ()))
            });
            let (revision, ()) = decided.await.map_err(of_commit)?;
            self.settle(revision).await;
        }
        let answer = self.answer(device)?;
        count(&self.counts.renewed);
        Ok(answer)
    }

    fn answer(&self, device: Uuid) -> Result<Enrolled, Refusal> {
        let records = self.store.read();
        let device = records.device(device).ok_or(Refusal::from(Reason::DeviceUnknown))?;
        let now = self.clock.now();
        answer::enrolled(&records, device, &self.terms.zone, self.epochs, &self.keys.borrow(), now)
    }

    /// Edges and DNS serve what was committed before the client hears of it; one that is late is named in the log.
    async fn settle(&self, revision: u64) {
        for ack in self.store.followers().settled(revision, SETTLE_MAX).await {
            if ack.ack_ms.is_none() {
                tracing::warn!(event = "registration.follower_late", follower = ack.name, revision);
            }
        }
    }

    fn fresh(&self) -> Result<Fresh, Refusal> {
        Ok(Fresh { user: self.random()?, device: self.random()?, labels: self.random()? })
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], Refusal> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).map_err(|_| Refusal::from(Reason::InternalError))?;
        Ok(bytes)
    }

    fn moment(&self) -> Moment {
        Moment::from_nanos(self.clock.monotonic_ns())
    }

    /// Waits until `floor_ms` after `since`.
    async fn hold(&self, since: Moment, floor_ms: u32) {
        let spent = Duration::from_nanos(self.moment().nanos_since(since));
        let rest = Duration::from_millis(u64::from(floor_ms)).saturating_sub(spent);
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }
}

fn take(spent: &Mutex<Spent>, sound: &Sound, now: UnixTime) -> Result<(), Refusal> {
    Ok(spent.lock().unwrap_or_else(PoisonError::into_inner).take(sound, now)?)
}
