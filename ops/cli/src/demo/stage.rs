//! The course of a demo: the gateway starts, two users enroll, pages arrive, addresses move, strangers come and go.

mod act;
mod opening;
mod view;

use std::time::Duration;

use anyhow::Result;
use state::Clock;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::cast::{Arrival, Newcomers, Strangers, Users};
use super::figures::{Figures, Mischief, Times};
use super::live::Key;
use super::scene::{Folder, WINDOW_S};
use super::show::{Show, line};
use super::{DemoArgs, Signals};
use crate::assembly::Assembly;
use crate::config::Config;
use crate::rehearsal::bounds::{DEMO_STOP_WAIT, HAPPENINGS_MAX};
use crate::rehearsal::operator::Operator;

/// Pause between two newcomers during an attack.
const NEWCOMER_PAUSE: Duration = Duration::from_secs(4);
/// How often the view is drawn and strangers learn news.
const TICK: Duration = Duration::from_millis(250);
/// How often plain lines tell how users fare.
const SUMMARY_PAUSE: Duration = Duration::from_secs(10);

/// Everything before the curtain.
pub struct Stage {
    pub args: DemoArgs,
    pub show: Show,
    pub keys: mpsc::Receiver<Key>,
    pub signals: Signals,
}

/// What is left when it falls.
pub struct Ending {
    pub show: Show,
    pub figures: Figures,
    /// Whether there was anything to measure.
    pub began: bool,
}

/// A demo under way.
struct Play {
    stage: Stage,
    config: Config,
    clock: Clock,
    assembly: Assembly,
    users: Users,
    strangers: Strangers,
    newcomers: Newcomers,
    operator: Operator,
    /// The program's start, and the moment when all worked.
    started: Instant,
    ready: Instant,
    arrivals: (mpsc::Sender<Arrival>, mpsc::Receiver<Arrival>),
    next_newcomer: Instant,
    next_summary: Instant,
}

impl Stage {
    /// From the first line to the figures. Whatever goes wrong is in them.
    pub async fn run(self, folder: &Folder) -> Ending {
        let started = Instant::now();
        match opening::open(self, folder, started).await {
            Ok(play) => play.run().await,
            Err(failed) => {
                let times = Times { ran: started.elapsed(), first_success: None };
                let mut figures = Figures::of(&[], &Mischief::default(), times);
                figures.why.clear();
                figures.spoil(format!("{:#}", failed.error));
                Ending { show: failed.show, figures, began: false }
            }
        }
    }
}

impl Play {
    async fn run(mut self) -> Ending {
        let end = self.stage.args.span.map(|span| self.ready + span);
        let attack = self.attack_at();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut attacked = false;
        loop {
            tokio::select! {
                Some(happening) = self.users.happenings.recv() => self.tell(line(happening)),
                Some(arrival) = self.arrivals.1.recv() => self.tell(super::show::arrival(&arrival)),
                Some(key) = self.stage.keys.recv() => if self.obey(key).await { break },
                _ = tick.tick() => self.tick(),
                () = until(attack), if !attacked => {
                    attacked = true;
                    self.attack();
                }
                () = until(end) => break,
                () = self.stage.signals.any() => break,
            }
        }
        self.finish(attacked).await
    }

    /// In the second half of a demo with an end; after one window otherwise.
    fn attack_at(&self) -> Option<Instant> {
        if !self.stage.args.attack {
            return None;
        }
        let quiet = self.stage.args.span.map_or(Duration::from_secs(u64::from(WINDOW_S)), |span| span / 2);
        Some(self.ready + quiet)
    }

    async fn finish(mut self, attacked: bool) -> Ending {
        let ran = self.ready.elapsed();
        self.strangers.leave().await;
        // Read before users are stopped: downloads under way are counted as such.
        let tallies = self.users.tallies();
        let mischief = self.strangers.mischief(&self.config, self.members(), &self.newcomers);
        self.users.stop().await;
        // Connections of outside programs may take long to drain; a demo does not wait for them.
        let _ = tokio::time::timeout(DEMO_STOP_WAIT, self.assembly.stop(std::future::pending())).await;
        let first_success = Some(self.ready.duration_since(self.started));
        let mut figures = Figures::of(&tallies, &mischief, Times { ran, first_success });
        if attacked {
            figures.expect_strangers();
        }
        Ending { show: self.stage.show, figures, began: true }
    }

    /// Everybody who has an address, those of outside programs too.
    fn members(&self) -> u64 {
        self.assembly.store().read().grants().count() as u64
    }
}

/// A moment that may never come.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Room for newcomers' stories.
fn arrivals() -> (mpsc::Sender<Arrival>, mpsc::Receiver<Arrival>) {
    mpsc::channel(HAPPENINGS_MAX)
}

/// Why it did not begin, and where that is to be shown.
struct Failed {
    show: Show,
    error: anyhow::Error,
}

/// Carries the audience along with an error.
fn with_show<T>(outcome: Result<T>, show: Show) -> Result<(T, Show), Failed> {
    match outcome {
        Ok(value) => Ok((value, show)),
        Err(error) => Err(Failed { show, error }),
    }
}
