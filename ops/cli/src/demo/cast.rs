//! Who takes part: users and strangers, each kind on a thread of its own, so that neither is measured by the other's
//! turn on a runtime.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use rotator::exposure::{Exposure, Share};
use state::{Records, Store};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::figures::Mischief;
use super::scene::{GRACE_S, POOL, SERVICE, ZONE};
use crate::config::Config;
use crate::drill::pace::Budget;
use crate::drill::register::Flood;
use crate::drill::scan::Scan;
use crate::drill::stale::{Knocker, Target, Targets};
use crate::rehearsal::bounds::{
    DEMO_FLOOD_CONCURRENCY, DEMO_FLOOD_RATE, DEMO_SCAN_CONCURRENCY, DEMO_SCAN_RATE, DEMO_STALE_CONCURRENCY,
    DEMO_STALE_RATE, HAPPENINGS_MAX,
};
use crate::rehearsal::dial::Trust;
use crate::rehearsal::enroll::{Door, Member};
use crate::rehearsal::operator::Operator;
use crate::rehearsal::tally::Tally;
use crate::rehearsal::user::{Happening, Standing, User, Wanted, World};
use crate::whereabouts::Whereabouts;

/// The two users, alive.
pub struct Users {
    pub all: Vec<User>,
    pub happenings: mpsc::Receiver<Happening>,
    world: Arc<World>,
    thread: JoinHandle<()>,
}

impl Users {
    /// Lets enrolled members live as ordinary clients do.
    ///
    /// # Errors
    /// The certificate authority's file can't be read, or there is no thread.
    pub fn start(
        members: Vec<Member>,
        whereabouts: &Whereabouts,
        store: Arc<dyn Store>,
        wanted: Wanted,
        download_s: Option<u32>,
    ) -> Result<Self> {
        let (sender, happenings) = mpsc::channel(HAPPENINGS_MAX);
        let world = Arc::new(World {
            dns: whereabouts.dns,
            trust: Trust::in_file(&whereabouts.ca_file)?,
            wanted,
            download_s,
            grace: Duration::from_secs(u64::from(GRACE_S)),
            attack: AtomicBool::new(false),
            standing: Box::new(move |user| standing(&store.read(), user)),
            happenings: sender,
            stop: CancellationToken::new(),
        });
        let all: Vec<User> =
            members.into_iter().map(|member| User::new(member, Arc::clone(&world))).collect();
        let living = all.clone();
        let thread = on_thread("demo-users", async move {
            futures_util::future::join_all(living.into_iter().map(User::live)).await;
        })?;
        Ok(Self { all, happenings, world, thread })
    }

    pub fn under_attack(&self, attack: bool) {
        self.world.attack.store(attack, Ordering::Relaxed);
    }

    pub fn tallies(&self) -> Vec<Tally> {
        self.all.iter().map(|user| user.tally().clone()).collect()
    }

    /// Ends them; what they have under way is given up and is no error.
    pub async fn stop(self) {
        self.world.stop.cancel();
        join(self.thread).await;
    }
}

/// What the operator knows of a user: the name given last, or that there is none any more.
fn standing(records: &Records, user: &str) -> Standing {
    let user =
        user.parse().ok().and_then(|name| records.user_named(&name)).filter(|user| user.revoked.is_none());
    let devices = user.into_iter().flat_map(|user| records.devices_of(user.id));
    let devices = devices.filter(|device| device.revoked.is_none());
    let mut grants = devices.flat_map(|device| records.grants_of(device.id));
    let label = grants.find_map(|(_, grant)| grant.label.filter(|_| grant.service.as_str() == SERVICE));
    label.map_or(Standing::Revoked, |label| Standing::Granted { name: format!("{label}.{ZONE}") })
}

/// Everybody who has no right to be here. They come and go; what they got is kept.
pub struct Strangers {
    scan: Arc<Scan>,
    stale: Arc<Knocker>,
    crossed: Arc<Knocker>,
    flood: Arc<Flood>,
    at_work: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Strangers {
    /// # Errors
    /// The demo's own pool is not one: never.
    pub fn new(config: &Config, whereabouts: &Whereabouts) -> Result<Self> {
        let range = POOL.parse().context("the demo's own pool")?;
        let knocker = || Knocker::new(Targets::default()).map(Arc::new);
        Ok(Self {
            scan: Arc::new(Scan::new(vec![range], vec![config.edge.listen_port], ZONE)?),
            stale: knocker()?,
            crossed: knocker()?,
            flood: Arc::new(Flood::new(whereabouts.join, ZONE)?),
            at_work: None,
        })
    }

    pub fn at_work(&self) -> bool {
        self.at_work.is_some()
    }

    /// # Errors
    /// There is no thread for them.
    pub fn come(&mut self) -> Result<()> {
        if self.at_work() {
            return Ok(());
        }
        let stop = CancellationToken::new();
        let (scan, flood) = (Arc::clone(&self.scan), Arc::clone(&self.flood));
        let (stale, crossed) = (Arc::clone(&self.stale), Arc::clone(&self.crossed));
        let until = stop.clone();
        let knocks = Budget { rate: DEMO_STALE_RATE, concurrency: DEMO_STALE_CONCURRENCY };
        let thread = on_thread("demo-strangers", async move {
            tokio::join!(
                scan.run(Budget { rate: DEMO_SCAN_RATE, concurrency: DEMO_SCAN_CONCURRENCY }, &until),
                flood.run(Budget { rate: DEMO_FLOOD_RATE, concurrency: DEMO_FLOOD_CONCURRENCY }, &until),
                stale.run(knocks, &until),
                crossed.run(knocks, &until),
            );
        })?;
        self.at_work = Some((stop, thread));
        Ok(())
    }

    pub async fn leave(&mut self) {
        if let Some((stop, thread)) = self.at_work.take() {
            stop.cancel();
            join(thread).await;
        }
    }

    /// Tells them what a thief could know: users' closed addresses, live ones, and names.
    pub fn learn(&self, users: &Users) {
        let known: Vec<(String, Tally)> =
            users.all.iter().map(|user| user.member.name.clone()).zip(users.tallies()).collect();
        let closed = |(name, tally): &(String, Tally)| -> Vec<Target> {
            let alive = |at| known.iter().any(|(_, tally)| tally.address == Some(at));
            tally.closed.iter().filter(|at| !alive(**at)).map(|at| (*at, name.clone())).collect()
        };
        self.stale.targets.replace(known.iter().flat_map(closed).collect());
        let others = known.iter().zip(known.iter().cycle().skip(1));
        let crossed = others.filter(|(mine, other)| mine.1.address != other.1.address);
        let crossed = crossed.filter_map(|((_, tally), (name, _))| Some((tally.address?, name.clone())));
        self.crossed.targets.replace(crossed.collect());
    }

    pub fn mischief(&self, config: &Config, members: u64, newcomers: &Newcomers) -> Mischief {
        Mischief {
            scan: self.scan.counts.read(),
            stale: self.stale.counts.read(),
            crossed: self.crossed.counts.read(),
            flood: self.flood.counts.read(),
            chance_per_guess: chance_per_guess(config, members),
            newcomers: newcomers.came(),
            enrolled: newcomers.enrolled(),
        }
    }
}

/// That a random address of the pool is accepted, on average over time.
fn chance_per_guess(config: &Config, members: u64) -> f64 {
    let schedule = config.services.get(SERVICE).and_then(|service| config.schedules.get(&service.schedule));
    let (Some(schedule), Ok(range)) = (schedule, POOL.parse()) else { return 0.0 };
    let share = Share { range, grants: members, schedule: schedule.name };
    Exposure::of(&range, &[share]).per_guess()
}

/// Real newcomers with an invite, who come while the door is under attack.
#[derive(Clone)]
pub struct Newcomers {
    operator: Operator,
    door: Door,
    came: Arc<AtomicU64>,
    enrolled: Arc<AtomicU64>,
}

impl Newcomers {
    pub fn new(operator: Operator, door: Door) -> Self {
        Self { operator, door, came: Arc::default(), enrolled: Arc::default() }
    }

    /// Enrolls one; tried once, like everything here.
    ///
    /// # Errors
    /// The ops API's or the door's refusal.
    pub async fn enroll(&self, user: &str, device: &str) -> Result<Member> {
        let code = self.operator.invite(user, SERVICE).await?;
        self.door.enroll(&code, device).await
    }

    /// One comes during the attack, in the background; `told` hears how it went.
    pub fn come(&self, told: mpsc::Sender<Arrival>) {
        let one = self.clone();
        let number = one.came.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::spawn(async move {
            let began = tokio::time::Instant::now();
            let outcome = one.enroll(&format!("guest{number}"), "phone").await;
            one.enrolled.fetch_add(u64::from(outcome.is_ok()), Ordering::Relaxed);
            let cause = outcome.err().map(|error| format!("{error:#}"));
            // Nobody waits for it at the end.
            let _ = told.try_send(Arrival { number, took: began.elapsed(), cause });
        });
    }

    pub fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    pub fn enrolled(&self) -> u64 {
        self.enrolled.load(Ordering::Relaxed)
    }
}

/// How a newcomer fared.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub number: u64,
    pub took: Duration,
    /// Why not.
    pub cause: Option<String>,
}

/// Where a member is now, by its own view.
pub fn address(user: &User) -> Option<IpAddr> {
    user.tally().address.map(|at| at.ip())
}

fn on_thread(name: &str, work: impl Future<Output = ()> + Send + 'static) -> Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(name.to_owned());
    Ok(thread.spawn(move || runtime.block_on(work))?)
}

/// Waits for a thread without blocking this one. If it panicked, it has said so.
async fn join(thread: JoinHandle<()>) {
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::scene::{Folder, Ports, configuration};

    #[test]
    fn two_users_are_met_by_chance_about_once_in_seventeen_thousand_guesses() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::make(parent.path()).unwrap();
        let ports = Ports::find().unwrap();
        let config = configuration(folder.path(), "127.0.0.1:3000".parse().unwrap(), &ports).unwrap();
        let guesses = 1.0 / chance_per_guess(&config, 2);
        // Each user has (3 + 15 + 10) / 15 accepted addresses out of 65,534.
        assert!((17_000.0..18_000.0).contains(&guesses), "{guesses}");
    }
}
