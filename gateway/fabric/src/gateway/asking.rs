//! Asks planes for a stream, as the choice and the race decide.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;

use futures_util::future::select_all;
use tokio::time::{Instant, sleep, sleep_until};

use super::choice::{self, Facts};
use super::race::{self, Race, Step};
use super::{Plane, Shared};
use crate::bounds::OPEN_AGAIN;
use crate::lane::Class;
use crate::lane::stream::LaneStream;
use crate::refusal::{Fault, Refusal};
use crate::wire::{Open, Opened};

/// How a stream is asked for.
pub(super) struct Ask<F> {
    pub(super) service: String,
    pub(super) class: Class,
    /// Makes the Open of one attempt.
    pub(super) open: F,
    /// May two planes be asked at once?
    pub(super) may_hedge: bool,
    /// What an attempt is told that nobody waits for any more.
    pub(super) farewell: Refusal,
}

/// A stream that was asked for and is not answered yet; reset when it is dropped.
struct Attempt<'a> {
    index: usize,
    plane: &'a Plane,
    stream: Option<LaneStream>,
    session: [u8; 16],
    farewell: Refusal,
    /// When the answer is late.
    late: Instant,
}

/// A stream that was opened, what its far end said, and the session that this attempt asked for.
pub(super) type Won = (LaneStream, Opened, [u8; 16]);

/// What ends a wait.
enum Answer {
    /// The attempt of that index was answered.
    Of(usize, Result<Opened, Refusal>),
    /// It takes long enough to ask the other plane.
    Late,
}

impl Shared {
    /// Opens a stream over the planes as they are, or waits for one that may come back.
    pub(super) async fn ask<F: Fn() -> Open>(&self, ask: &Ask<F>) -> Result<Won, Refusal> {
        let begun = Instant::now();
        loop {
            let refusal = match self.race(ask).await {
                Ok(opened) => return Ok(opened),
                Err(refusal) => refusal,
            };
            let youngest = self.planes.iter().filter_map(|plane| Some(plane.follower.link()?.age())).min();
            if self.stop.is_cancelled() || !race::is_worth_waiting(refusal, begun.elapsed(), youngest) {
                return Err(refusal);
            }
            let mut changes: Vec<_> = self.planes.iter().map(|plane| plane.follower.changes()).collect();
            tokio::select! {
                _ = select_all(changes.iter_mut().map(|changes| Box::pin(changes.changed()))) => {}
                () = sleep(OPEN_AGAIN) => {}
            }
        }
    }

    async fn race<F: Fn() -> Open>(&self, ask: &Ask<F>) -> Result<Won, Refusal> {
        let facts = self.facts(&ask.service, ask.class);
        let order = choice::order(&facts, Some(self.preferred.load(Ordering::Relaxed)));
        if let Some(first) = order.first() {
            self.preferred.store(*first, Ordering::Relaxed);
        }
        let mut race = Race::new(order, ask.may_hedge);
        let (mut attempts, mut late) = (Vec::<Attempt<'_>>::new(), None);
        let mut step = race.begin();
        loop {
            step = match step {
                Step::Refused(refusal) => return Err(refusal),
                Step::Ask(index) => match self.attempt(index, &facts[index], ask) {
                    Ok(attempt) => {
                        late = race.is_hedgeable().then_some(attempt.late);
                        attempts.push(attempt);
                        Step::Wait
                    }
                    Err(refusal) => self.refused(&mut race, index, refusal),
                },
                Step::Wait => match answer(&attempts, late).await {
                    Answer::Late => {
                        late = None;
                        race.handle_late()
                    }
                    Answer::Of(index, answer) => {
                        let mut attempt = attempts.swap_remove(index);
                        match (answer, attempt.stream.take()) {
                            (Ok(opened), Some(stream)) => {
                                self.note_won(&race, attempt.index);
                                return Ok((stream, opened, attempt.session));
                            }
                            (Ok(_), None) => self.refused(&mut race, attempt.index, Refusal::LinkDown),
                            (Err(refusal), _) => self.refused(&mut race, attempt.index, refusal),
                        }
                    }
                },
            };
        }
    }

    fn attempt<F: Fn() -> Open>(
        &self,
        index: usize,
        facts: &Facts,
        ask: &Ask<F>,
    ) -> Result<Attempt<'_>, Refusal> {
        let plane = self.planes.get(index).ok_or(Refusal::LinkDown)?;
        let link = plane.follower.link().ok_or(Refusal::LinkDown)?;
        let open = (ask.open)();
        let session = open.session;
        let stream = Some(link.open(ask.class, open)?);
        let late = Instant::now() + race::hedge_after(facts.srtt, facts.is_suspect);
        Ok(Attempt { index, plane, stream, session, farewell: ask.farewell, late })
    }

    fn refused(&self, race: &mut Race, plane: usize, refusal: Refusal) -> Step {
        if let Some(plane) = self.planes.get(plane).filter(|_| refusal.fault() == Fault::Fabric) {
            plane.note_failure();
        }
        race.handle_refusal(plane, refusal)
    }

    fn note_won(&self, race: &Race, winner: usize) {
        if let Some(plane) = self.planes.get(winner) {
            count(&plane.chosen);
        }
        if let Some(hedge) = race.hedge().and_then(|index| self.planes.get(index)) {
            count(if race.hedge() == Some(winner) { &hedge.hedges_won } else { &hedge.hedges_lost });
        }
    }

    fn facts(&self, service: &str, class: Class) -> Vec<Facts> {
        let notices = self.notices();
        let facts = |(index, plane): (usize, &Plane)| {
            let link = plane.follower.link();
            let link = link.as_deref();
            Facts {
                is_usable: link.is_some_and(|link| link.is_established()),
                srtt: link.and_then(|link| link.srtt()),
                is_suspect: link.is_some_and(|link| link.is_suspect()),
                is_backlogged: link.is_some_and(|link| link.is_backlogged(class)),
                streams: link.map_or(0, |link| link.streams()),
                failed_ago: plane.failed_ago(),
                says: notices.says(index, service),
            }
        };
        self.planes.iter().enumerate().map(facts).collect()
    }
}

/// The first answer, or the word that none came in time.
async fn answer(attempts: &[Attempt<'_>], late: Option<Instant>) -> Answer {
    let answered = poll_fn(|cx| {
        for (index, stream) in attempts.iter().enumerate().filter_map(|(n, a)| Some((n, a.stream.as_ref()?)))
        {
            if let Poll::Ready(answer) = stream.poll_opened(cx) {
                return Poll::Ready(Answer::Of(index, answer));
            }
        }
        Poll::Pending
    });
    match late {
        None => answered.await,
        Some(late) => tokio::select! {
            biased;
            answer = answered => answer,
            () = sleep_until(late) => Answer::Late,
        },
    }
}

fn count(counter: &std::sync::atomic::AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Some(stream) = &self.stream else { return };
        stream.reset(self.farewell);
        // A plane that does not answer is as good as broken for a while, even if its hub is heard: the way behind the hub
        // may be dead.
        if Instant::now() > self.late {
            self.plane.note_failure();
        }
    }
}
