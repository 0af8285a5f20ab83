//! How a demo begins: service, gateway, two enrollments, the first pages. All within seconds, or a sentence why not.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use defense::Rate;
use serde_json::json;
use state::Clock;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::super::cast::{Newcomers, Strangers, Users, address};
use super::super::scene::{Folder, POOL, Ports, SERVICE, WINDOW_S, ZONE, configuration};
use super::super::show::{Line, Show, line};
use super::super::{DemoArgs, Signals, ready};
use super::{Failed, Play, SUMMARY_PAUSE, Stage, arrivals, with_show};
use crate::assembly::{self, Assembly, Sockets};
use crate::config::Config;
use crate::rehearsal::bounds::{CALL_WAIT, DEMO_START_WAIT};
use crate::rehearsal::dial::{Conversation, Trust};
use crate::rehearsal::enroll::{Door, Member};
use crate::rehearsal::latency::millis;
use crate::rehearsal::operator::Operator;
use crate::rehearsal::sample;
use crate::rehearsal::user::Wanted;
use crate::whereabouts::Whereabouts;

/// Who takes part, and on what.
const USERS: [(&str, &str); 2] = [("alice", "laptop"), ("bob", "phone")];
/// Slow downloads last so long, or a little shorter than the demo.
const DOWNLOAD_S: u64 = 60;
const DOWNLOAD_S_MIN: u64 = 5;

/// Begins; a signal meanwhile ends it.
pub(super) async fn open(stage: Stage, folder: &Folder, started: Instant) -> Result<Play, Failed> {
    let Stage { args, mut show, keys, mut signals } = stage;
    let stop = CancellationToken::new();
    let outcome = begin(&args, &mut show, &mut signals, folder, &stop, started).await;
    if outcome.is_err() {
        // What was started ends before its folder goes.
        stop.cancel();
    }
    let (begun, show) = with_show(outcome, show)?;
    let Begun { config, clock, assembly, users, strangers, newcomers, operator } = begun;
    let (stage, ready) = (Stage { args, show, keys, signals }, Instant::now());
    let (next_newcomer, next_summary) = (ready, ready + SUMMARY_PAUSE);
    let arrivals = arrivals();
    Ok(Play {
        stage,
        config,
        clock,
        assembly,
        users,
        strangers,
        newcomers,
        operator,
        started,
        ready,
        arrivals,
        next_newcomer,
        next_summary,
    })
}

struct Begun {
    config: Config,
    clock: Clock,
    assembly: Assembly,
    users: Users,
    strangers: Strangers,
    newcomers: Newcomers,
    operator: Operator,
}

async fn begin(
    args: &DemoArgs,
    show: &mut Show,
    signals: &mut Signals,
    folder: &Folder,
    stop: &CancellationToken,
    started: Instant,
) -> Result<Begun> {
    let building = build(args, show, folder, stop);
    let mut begun = tokio::select! {
        built = building => built?,
        () = signals.any() => bail!("it was ended before all worked"),
    };
    tokio::select! {
        first = first_pages(&mut begun.users, show, started) => first?,
        () = signals.any() => bail!("it was ended before all worked"),
    }
    announce(args, show, &begun, started)?;
    Ok(begun)
}

async fn build(args: &DemoArgs, show: &mut Show, folder: &Folder, stop: &CancellationToken) -> Result<Begun> {
    show.text(&format!(
        "wandergate demo   no root, loopback only, state in {} (removed on exit)\n",
        folder.path().display()
    ));
    let (to, wanted) = service(args.to, show, stop).await?;
    let ports = Ports::find()?;
    let config = configuration(folder.path(), to, &ports)?;
    let sockets = Sockets::bind(&config)?;
    let clock = Clock::system();
    let assembly = Assembly::start(&config, sockets, limits(&config), clock.clone(), stop.clone()).await?;
    // The edge has its port now.
    drop(ports);
    show.text(&format!("  rotating over {POOL}, one new address every {WINDOW_S} s"));
    let whereabouts = assembly.whereabouts();
    let operator = Operator::new(&whereabouts.ops_socket);
    let trust = Trust::in_file(&whereabouts.ca_file)?;
    let door = Door { trust, at: whereabouts.join, zone: ZONE.to_owned() };
    let newcomers = Newcomers::new(operator.clone(), door);
    let mut members: Vec<Member> = Vec::new();
    for (user, device) in USERS {
        members
            .push(newcomers.enroll(user, device).await.with_context(|| format!("{user} could not enroll"))?);
    }
    let download_s = args.to.is_none().then(|| download_s(args));
    let users = Users::start(members, whereabouts, Arc::clone(assembly.store()), wanted, download_s)?;
    let strangers = Strangers::new(&config, whereabouts)?;
    Ok(Begun { config, clock, assembly, users, strangers, newcomers, operator })
}

/// Everybody here comes from loopback. One budget per network at the public door is kept, wide enough for programs that
/// drive the demo, so that the flood (out of a /24 of its own) spends its own and not the newcomers'.
fn limits(config: &Config) -> defense::Limits {
    let mut limits = assembly::limits(config).without_prefixes();
    let network = Some(Rate::per_second(20, 100));
    limits.enrolment.claimed.site = network;
    limits.enrolment.proven.site = network;
    limits
}

/// The user's own service, checked, or the sample.
async fn service(
    to: Option<SocketAddr>,
    show: &mut Show,
    stop: &CancellationToken,
) -> Result<(SocketAddr, Wanted)> {
    let Some(to) = to else {
        return Ok((sample::start(stop.clone()).await?, Wanted::Greeting));
    };
    let began = Instant::now();
    let status = timeout(CALL_WAIT, status_of(to)).await;
    let status = status.context("no answer in time").and_then(|asked| asked);
    let status =
        status.with_context(|| format!("{to} does not answer HTTP: start your service there first"))?;
    ensure!(status < 500, "{to} answers {status} itself: there is nothing to demonstrate behind it");
    show.text(&format!("  checked  {to} answers HTTP ({status}, {:.0} ms)", millis(began.elapsed())));
    Ok((to, Wanted::Page { status }))
}

async fn status_of(to: SocketAddr) -> Result<u16> {
    let stream = TcpStream::connect(to).await?;
    let mut line = Conversation::over(stream, to.to_string()).await?;
    Ok(line.get("/").await?.status().as_u16())
}

/// A demo with an end shows at least one download that comes whole.
fn download_s(args: &DemoArgs) -> u32 {
    let fits = args.span.map_or(DOWNLOAD_S, |span| span.as_secs().saturating_sub(4));
    fits.clamp(DOWNLOAD_S_MIN, DOWNLOAD_S) as u32
}

/// Until every user has had a page.
async fn first_pages(users: &mut Users, show: &mut Show, started: Instant) -> Result<()> {
    let limit = Instant::now() + DEMO_START_WAIT;
    while !users.all.iter().all(|user| user.tally().had_a_page) {
        tokio::select! {
            Some(happening) = users.happenings.recv() => show.line(started.elapsed(), line(happening)),
            () = sleep_until(limit) => bail!("no page within {} s", DEMO_START_WAIT.as_secs()),
        }
    }
    // What was seen before all works is told before it.
    while let Ok(happening) = users.happenings.try_recv() {
        show.line(started.elapsed(), line(happening));
    }
    Ok(())
}

/// Tells people and programs where everything is.
fn announce(args: &DemoArgs, show: &mut Show, begun: &Begun, started: Instant) -> Result<()> {
    let whereabouts = begun.assembly.whereabouts();
    let leases: Option<Vec<(&Member, IpAddr)>> =
        begun.users.all.iter().map(|user| Some((&*user.member, address(user)?))).collect();
    let leases = leases.context("a user with a page has no address")?;
    if let Some(file) = &args.ready_file {
        ready::write(file, whereabouts, &leases)?;
    }
    let took = started.elapsed();
    let fields = json!({
        "ms": millis(took),
        "zone": whereabouts.zone,
        "dns": whereabouts.dns,
        "join": whereabouts.join_url(),
        "ca_file": whereabouts.ca_file,
        "ops_socket": whereabouts.ops_socket,
    });
    let text = format!("all works, {:.0} ms after the start", millis(took));
    show.line(took, Line::new("ready", text, fields));
    if let Some((member, _)) = leases.first() {
        show.text(&by_hand(member, whereabouts));
    }
    Ok(())
}

/// Lines with which anybody can follow on foot.
fn by_hand(member: &Member, whereabouts: &Whereabouts) -> String {
    let (name, port, dns) = (&member.name, member.port, whereabouts.dns);
    let ca_file = whereabouts.ca_file.display();
    format!(
        "  {}'s {SERVICE} by hand, in another terminal:\n    N={name}; A=$(dig +short -p {} @{} $N)\n    curl --cacert {ca_file} --resolve $N:{port}:$A https://$N:{port}/\n  the operator's side: wandergate status --socket {}\n",
        member.user,
        dns.port(),
        dns.ip(),
        whereabouts.ops_socket.display(),
    )
}
