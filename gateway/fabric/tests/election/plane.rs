//! A plane in simulated time: instances with their clocks and disks, the network between them, and a member's bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use fabric::election::{Ballot, Election, Instance, Message, Output, Reason, Standing, Term, Timing};

use crate::dice::Dice;
use crate::faults::{FAIR, Fault, QUICK_DISK, Temper};
use crate::watch::{Judged, Watch, sign};

/// After the start and after healing there is an active within this time.
pub(crate) const HEALED_WITHIN: Duration = Duration::from_secs(2);
const CALM: Duration = Duration::from_secs(4);

/// What is broken on purpose, to see that the watch notices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flaws {
    /// The promise is so much too short.
    pub(crate) promise_cut: Duration,
    /// The disk forgets.
    pub(crate) forgets_votes: bool,
    /// A restarted instance does not wait.
    pub(crate) hears_at_once: bool,
    /// Clocks run so much faster or slower, millionths, where one percent is allowed.
    pub(crate) drift_ppm: Option<u64>,
    /// The lanes need longer from the look at the fence to the kernel than the arithmetic allows.
    pub(crate) slow_lanes: Duration,
}

/// What happened in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) steps: u64,
    pub(crate) elections: u64,
    pub(crate) leases_lost: u64,
    pub(crate) superseded: u64,
    pub(crate) hand_overs: u64,
    pub(crate) renewals: u64,
    pub(crate) crashes: u64,
    pub(crate) pauses: u64,
    pub(crate) cuts: u64,
    pub(crate) healed_in: Duration,
    pub(crate) begun_in: Duration,
    pub(crate) handed_over_in: Duration,
}

#[derive(Debug)]
enum Event {
    Deliver {
        from: Instance,
        to: Instance,
        message: Message,
    },
    Wake {
        who: Instance,
        life: u64,
    },
    Written {
        who: Instance,
        life: u64,
        ballot: Ballot,
    },
    Resume {
        who: Instance,
    },
    Fault,
    /// A member has something to send.
    Byte,
}

struct Hub {
    election: Option<Election>,
    life: u64,
    disk: Ballot,
    writing: Option<Ballot>,
    /// Own time = offset + true time × rate / 10^6.
    offset: Duration,
    rate_ppm: u64,
    fence: Duration,
    active_in: Option<Term>,
    paused_until: Duration,
    missed: Vec<Event>,
    wake: Option<Duration>,
}

struct Queued {
    at: Duration,
    order: u64,
    event: Event,
}

pub(crate) struct Plane {
    now: Duration,
    dice: Dice,
    timing: Timing,
    flaws: Flaws,
    hubs: Vec<Hub>,
    queue: BinaryHeap<Reverse<Queued>>,
    order: u64,
    cut: Vec<(usize, usize)>,
    delay_ms: (u64, u64),
    lost: u64,
    doubled: u64,
    disk_ms: (u64, u64),
    temper: Option<Temper>,
    watch: Watch,
    summary: Summary,
    changes: u64,
    trace: bool,
}

/// One story: a calm beginning, faults, healing, and calm again.
pub(crate) fn simulate(seed: u64, flaws: Flaws, trace: bool) -> Result<Summary, String> {
    let mut plane = Plane::new(seed, flaws, trace);
    plane.tell().map_err(|broken| format!("after {:?}: {broken}", plane.now))?;
    Ok(plane.summary)
}

impl Plane {
    pub(crate) fn new(seed: u64, flaws: Flaws, trace: bool) -> Self {
        let mut dice = Dice::new(seed);
        let instances = [1, 2, 3, 3, 3, 4, 5, 5][dice.index(8)];
        let timing = Timing {
            renewal: Duration::from_secs(3),
            patience: Duration::from_secs(1),
            promise_cut: flaws.promise_cut,
            ..Timing::STANDARD
        };
        let hubs = (0..instances).map(|_| Hub::new(&mut dice, flaws.drift_ppm.unwrap_or(10_000))).collect();
        let mut watched = timing;
        watched.grace += flaws.slow_lanes;
        let mut plane = Self {
            now: Duration::ZERO,
            dice,
            timing,
            flaws,
            hubs,
            queue: BinaryHeap::new(),
            order: 0,
            cut: Vec::new(),
            delay_ms: (0, 8),
            lost: 0,
            doubled: 0,
            disk_ms: (0, 6),
            temper: None,
            watch: Watch::new(instances, &watched),
            summary: Summary::default(),
            changes: 0,
            trace,
        };
        plane.after(Duration::ZERO, Event::Byte);
        plane
    }

    fn tell(&mut self) -> Judged {
        (0..self.hubs.len()).try_for_each(|who| self.start(who))?;
        self.summary.begun_in = self.until_active("the start")?;
        self.stay_calm()?;
        self.temper = Some(Temper::of(&mut self.dice, self.hubs.len()));
        self.after(Duration::ZERO, Event::Fault);
        let length = self.dice.ms(2_000..12_000);
        self.run_until(self.now + length)?;
        self.temper = None;
        self.heal()?;
        self.summary.healed_in = self.until_active("healing")?;
        self.stay_calm()?;
        self.hand_over()
    }

    /// A calm plane with its operator's wish.
    fn hand_over(&mut self) -> Judged {
        let before = self.active();
        let Some(active) = before.filter(|_| self.alive() > self.hubs.len() / 2 && self.alive() > 1) else {
            return Ok(());
        };
        let began = self.now;
        self.befall(Fault::StepDown(active))?;
        while self.active().is_none_or(|new| new == active) {
            if self.now > began + Duration::from_secs(1) {
                return Err("a hand-over took more than a second".into());
            }
            self.step()?;
        }
        self.summary.handed_over_in = self.now - began;
        self.stay_calm()
    }

    pub(crate) fn heal(&mut self) -> Judged {
        for fault in [Fault::Mend, FAIR, QUICK_DISK] {
            self.befall(fault)?;
        }
        let most_dead = (self.hubs.len() - 1) / 2;
        let spared = self.dice.index(most_dead + 1);
        let mut dead: Vec<usize> =
            (0..self.hubs.len()).filter(|who| self.hubs[*who].election.is_none()).collect();
        while dead.len() > spared {
            let chosen = self.dice.index(dead.len());
            let who = dead.swap_remove(chosen);
            self.befall(Fault::Start(who))?;
        }
        for who in 0..self.hubs.len() {
            self.hubs[who].paused_until = self.hubs[who].paused_until.min(self.now);
            self.resume(who)?;
        }
        Ok(())
    }

    /// There is one active soon, and everybody alive knows it soon after.
    pub(crate) fn until_active(&mut self, what: &str) -> Result<Duration, String> {
        let began = self.now;
        while self.active().is_none() || !self.all_agree() {
            if self.now > began + HEALED_WITHIN {
                return Err(format!("no active, or not one for all, {HEALED_WITHIN:?} after {what}"));
            }
            self.step()?;
        }
        Ok(self.now - began)
    }

    /// Without a fault nothing changes hands.
    fn stay_calm(&mut self) -> Judged {
        // Messages from before may still be under way.
        self.run_until(self.now + Duration::from_secs(1))?;
        let (before, active) = (self.changes, self.active());
        self.run_until(self.now + CALM)?;
        if self.changes != before || self.active() != active || active.is_none() {
            return Err(format!("flapping without a fault: {active:?}, then {:?}", self.active()));
        }
        Ok(())
    }

    pub(crate) fn run_until(&mut self, end: Duration) -> Judged {
        while self.now < end {
            self.step()?;
        }
        Ok(())
    }

    /// Whose fence is open.
    pub(crate) fn active(&self) -> Option<Instance> {
        let open = |hub: &Hub| hub.active_in.is_some() && hub.local(self.now) < hub.fence;
        self.hubs.iter().position(|hub| hub.election.is_some() && open(hub))
    }

    fn alive(&self) -> usize {
        self.hubs.iter().filter(|hub| hub.election.is_some()).count()
    }

    fn all_agree(&self) -> bool {
        let active = self.active();
        self.hubs.iter().all(|hub| {
            hub.election.as_ref().is_none_or(|election| {
                election.active(hub.local(self.now)) == active
                    && (election.standing() == Standing::Active) == hub.active_in.is_some()
            })
        })
    }

    pub(crate) fn step(&mut self) -> Judged {
        let Some(Reverse(Queued { at, event, .. })) = self.queue.pop() else {
            return Err("nothing will ever happen again".into());
        };
        self.now = self.now.max(at);
        self.summary.steps += 1;
        match event {
            Event::Fault => {
                let Some(temper) = &self.temper else { return Ok(()) };
                let (pause, fault) = temper.next(&mut self.dice);
                self.after(pause, Event::Fault);
                self.befall(fault)
            }
            Event::Byte => {
                let pause = self.dice.ms(1..30);
                self.after(pause, Event::Byte);
                self.move_byte()
            }
            Event::Resume { who } => self.resume(who),
            Event::Deliver { to: who, .. } | Event::Wake { who, .. } | Event::Written { who, .. } => {
                if self.hubs[who].paused_until > self.now {
                    self.hubs[who].missed.push(event);
                    return Ok(());
                }
                self.happen(who, event)
            }
        }
    }

    /// A member sends a byte through whoever lets it.
    fn move_byte(&mut self) -> Judged {
        for who in 0..self.hubs.len() {
            let hub = &self.hubs[who];
            let is_running = hub.election.is_some() && hub.paused_until <= self.now;
            if let Some(term) = hub.active_in
                && is_running
                && hub.local(self.now) < hub.fence
            {
                self.watch.moved(who, term)?;
            }
        }
        Ok(())
    }

    fn happen(&mut self, who: Instance, event: Event) -> Judged {
        let now = self.hubs[who].local(self.now);
        let hub = &mut self.hubs[who];
        let Some(election) = &mut hub.election else { return Ok(()) };
        match event {
            Event::Deliver { from, message, .. } => election.handle_message(now, from, message),
            Event::Wake { life, .. } if life == hub.life => {
                hub.wake = None;
                election.handle_time(now);
            }
            Event::Written { life, ballot, .. } if life == hub.life => {
                if hub.writing.take() != Some(ballot) {
                    return Err(format!("{who} writes two ballots at once"));
                }
                if !self.flaws.forgets_votes && ballot.term <= hub.disk.term {
                    return Err(format!("{who} overwrites {:?} with {ballot:?}", hub.disk));
                }
                hub.disk = ballot;
                election.handle_persisted(now, ballot);
            }
            Event::Wake { .. } | Event::Written { .. } => return Ok(()),
            Event::Fault | Event::Byte | Event::Resume { .. } => {}
        }
        self.settle(who)
    }

    /// Does what the election wants, and plans its next waking.
    fn settle(&mut self, who: Instance) -> Judged {
        while let Some(output) = self.hubs[who].election.as_mut().and_then(Election::poll_output) {
            if self.trace {
                println!("{:>12?} {who} {output:?}", self.now);
            }
            self.carry_out(who, output)?;
        }
        let hub = &mut self.hubs[who];
        let Some(at) = hub.election.as_ref().map(Election::poll_timeout) else { return Ok(()) };
        let at = hub.true_time(at).max(self.now);
        if at != Duration::MAX && hub.wake.is_none_or(|planned| at < planned) {
            hub.wake = Some(at);
            // A timer fires late, never early.
            let late = Duration::from_micros(1 + self.dice.below(2000));
            let life = self.hubs[who].life;
            self.at(at + late, Event::Wake { who, life });
        }
        Ok(())
    }

    fn carry_out(&mut self, who: Instance, output: Output) -> Judged {
        match output {
            Output::Send { to, message } => self.send(who, to, message),
            Output::Persist(ballot) => {
                let delay = self.dice.ms(self.disk_ms.0..self.disk_ms.1 + 1);
                self.hubs[who].writing = Some(ballot);
                let life = self.hubs[who].life;
                self.after(delay, Event::Written { who, life, ballot });
            }
            Output::SignVote { to, term } => {
                self.watch.voted(who, term, to, self.hubs[who].disk)?;
                let message = Message::Granted { term, vote: sign(who, term, to) };
                if to == who {
                    let now = self.hubs[who].local(self.now);
                    if let Some(election) = &mut self.hubs[who].election {
                        election.handle_message(now, who, message);
                    }
                } else {
                    self.send(who, to, message);
                }
            }
            Output::Fence(until) => {
                self.hubs[who].fence = until;
                let end = self.hubs[who].true_time(until);
                self.watch.opened(self.now, who, end)?;
            }
            Output::Activate { term, votes } => {
                (self.changes, self.summary.elections) = (self.changes + 1, self.summary.elections + 1);
                self.hubs[who].active_in = Some(term);
                self.watch.proved(who, term, &votes)?;
            }
            Output::Mandate { term, votes } => {
                self.summary.renewals += 1;
                self.hubs[who].active_in = Some(term);
                self.watch.proved(who, term, &votes)?;
            }
            Output::Cease(reason) => {
                self.changes += 1;
                match reason {
                    Reason::LeaseLost => self.summary.leases_lost += 1,
                    Reason::Superseded => self.summary.superseded += 1,
                    Reason::SteppedDown => self.summary.hand_overs += 1,
                }
                let hub = &mut self.hubs[who];
                (hub.active_in, hub.fence) = (None, Duration::ZERO);
                self.watch.closed(self.now, who);
            }
        }
        Ok(())
    }

    fn send(&mut self, from: Instance, to: Instance, message: Message) {
        let copies = 1 + u32::from(self.dice.chance(self.doubled));
        for _ in 0..copies {
            let is_lost = self.dice.chance(self.lost) || self.cut.contains(&(from, to));
            let delay = self.dice.ms(self.delay_ms.0..self.delay_ms.1 + 1);
            if !is_lost {
                self.after(delay, Event::Deliver { from, to, message: message.clone() });
            }
        }
    }

    pub(crate) fn befall(&mut self, fault: Fault) -> Judged {
        if self.trace {
            println!("{:>12?} {fault:?}", self.now);
        }
        match fault {
            Fault::Cut(pairs) => {
                self.summary.cuts += 1;
                self.cut = pairs;
            }
            Fault::Mend => self.cut.clear(),
            Fault::Weather { delay_ms, lost, doubled } => {
                (self.delay_ms, self.lost, self.doubled) = (delay_ms, lost, doubled);
            }
            Fault::Disk { ms } => self.disk_ms = ms,
            Fault::Crash(who) => self.crash(who),
            Fault::Start(who) => return self.start(who),
            Fault::Pause(who, length) => {
                self.summary.pauses += 1;
                let until = self.now + length;
                self.hubs[who].paused_until = self.hubs[who].paused_until.max(until);
                self.at(until, Event::Resume { who });
            }
            Fault::StepDown(who) => {
                let hub = &mut self.hubs[who];
                let now = hub.local(self.now);
                if let Some(election) = hub.election.as_mut().filter(|_| hub.paused_until <= self.now) {
                    election.handle_step_down(now);
                    return self.settle(who);
                }
            }
        }
        Ok(())
    }

    fn crash(&mut self, who: Instance) {
        let tears = self.dice.chance(50);
        let hub = &mut self.hubs[who];
        if hub.election.take().is_none() {
            return;
        }
        self.summary.crashes += 1;
        self.changes += 1;
        // A write that was under way is done or not.
        if let Some(ballot) = hub.writing.take().filter(|_| tears) {
            hub.disk = ballot;
        }
        (hub.active_in, hub.fence, hub.wake) = (None, Duration::ZERO, None);
        hub.missed.clear();
        hub.life += 1;
        self.watch.died(self.now, who);
    }

    fn start(&mut self, who: Instance) -> Judged {
        let (count, seed) = (self.hubs.len(), self.dice.next());
        let flaws = self.flaws;
        let hub = &mut self.hubs[who];
        if hub.election.is_some() {
            return Ok(());
        }
        if flaws.forgets_votes {
            hub.disk = Ballot::default();
        }
        let mut now = hub.local(self.now);
        if flaws.hears_at_once && hub.life > 0 {
            now = now.saturating_sub(self.timing.promise());
        }
        hub.election = Some(Election::new(who, count, hub.disk, self.timing, seed, now));
        self.settle(who)
    }

    fn resume(&mut self, who: Instance) -> Judged {
        if self.hubs[who].paused_until > self.now {
            return Ok(());
        }
        let missed = std::mem::take(&mut self.hubs[who].missed);
        missed.into_iter().try_for_each(|event| self.happen(who, event))
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.order += 1;
        self.queue.push(Reverse(Queued { at, order: self.order, event }));
    }
}

impl Hub {
    fn new(dice: &mut Dice, drift_ppm: u64) -> Self {
        // Often at the very edge of what is allowed.
        let rate_ppm = match dice.below(4) {
            0 => 1_000_000 - drift_ppm,
            1 => 1_000_000 + drift_ppm,
            _ => 1_000_000 - drift_ppm + dice.below(2 * drift_ppm + 1),
        };
        Self {
            election: None,
            life: 0,
            disk: Ballot::default(),
            writing: None,
            offset: Duration::from_secs(1 + dice.below(1_000_000)),
            rate_ppm,
            fence: Duration::ZERO,
            active_in: None,
            paused_until: Duration::ZERO,
            missed: Vec::new(),
            wake: None,
        }
    }

    fn local(&self, now: Duration) -> Duration {
        let nanos = now.as_nanos() * u128::from(self.rate_ppm) / 1_000_000;
        self.offset + Duration::from_nanos(nanos as u64)
    }

    /// The true time at which the own clock shows `local`, rounded up.
    fn true_time(&self, local: Duration) -> Duration {
        if local == Duration::MAX {
            return local;
        }
        let nanos = local.saturating_sub(self.offset).as_nanos() * 1_000_000;
        Duration::from_nanos(nanos.div_ceil(u128::from(self.rate_ppm)) as u64)
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
