//! `wandergate run`: the roles of one configuration in one process, until told to stop; `SIGHUP` reads it again, and begins the access log anew.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use state::Clock;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::assembly::{Assembly, Sockets, limits};
use crate::config::{self, Config, Log, LogFormat, MemberRole, Setup};
use crate::handover::{self, Heir};
use crate::notify::Notify;
use crate::{descriptors, inside, whereabouts};

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/wandergate/wandergate.toml")]
    pub config: PathBuf,
    /// Write the process's whereabouts here, as JSON, once everything works
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Take over from the process at the other end of standard input
    #[arg(long, hide = true)]
    pub inherit: bool,
}

/// The drain had to cut connections.
const EXIT_CUT: u8 = 3;

/// Runs until `SIGTERM` or `SIGINT`; a second one hastens the drain. Exit 3: connections had to be cut. With `json` the mistakes of a configuration are told as `wandergate check` does. `role`
/// is what the verb asks for: `wandergate hub`. Exit 2: the configuration; 1: anything else.
pub async fn run(args: RunArgs, role: Option<MemberRole>, json: bool) -> ExitCode {
    let setup = match config::load_setup(&args.config, role) {
        Ok(setup) => setup,
        Err(errors) => {
            match json {
                true => crate::terminal::say(&errors.to_json().to_string()),
                false => crate::terminal::complain(&errors.to_string()),
            }
            return ExitCode::from(2);
        }
    };
    let served = match setup {
        Setup::Gateway(config) => {
            let levels = log_to_stderr(config.log);
            serve(&args, *config, &levels).await
        }
        Setup::Member(member) => {
            let _ = log_to_stderr(member.log);
            inside::process::run(&member, args.ready_file.as_deref()).await.map(|()| 0)
        }
    };
    match served {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(EXIT_CUT),
        Err(error) => {
            crate::terminal::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: &RunArgs, config: Config, levels: &Levels) -> Result<usize> {
    let mut signals = Signals::new()?;
    tracing::info!(event = "process.descriptors", limit = descriptors::raise());
    let stop = CancellationToken::new();
    if let Some(file) = &args.ready_file {
        whereabouts::forget(file)?;
    }
    // Where it is now: an upgrade puts another program in its place.
    let program = std::env::current_exe()?;
    let assembly = match args.inherit {
        true => succeed(&config, stop).await?,
        false => {
            Assembly::start(&config, Sockets::bind(&config)?, limits(&config), Clock::system(), stop).await?
        }
    };
    tracing::info!(event = "edge.ready", zone = config.edge.zone, join = %assembly.whereabouts().join);
    if let Some(file) = &args.ready_file {
        assembly.whereabouts().write(file)?;
    }
    let notify = Arc::new(Notify::from_environment());
    notify.ready();
    let (ending, alive) = (assembly.ending(), Arc::clone(&notify));
    tokio::spawn(async move { alive.keep_alive(ending).await });
    loop {
        match signals.next().await {
            Word::End => break,
            Word::Reload => {
                notify.reloading();
                reload(&args.config, &assembly, levels).await;
                notify.ready();
            }
            Word::Upgrade => {
                if let Some(pid) = upgrade(args, &program, &assembly).await {
                    notify.replaced_by(pid);
                    assembly.hand_over();
                    return Ok(drain(assembly, &config, &mut signals).await);
                }
            }
        }
    }
    notify.stopping();
    Ok(leave(assembly, &config, &mut signals).await)
}

/// Takes over from the process that started this one.
async fn succeed(config: &Config, stop: CancellationToken) -> Result<Assembly> {
    let (heir, inherited) = tokio::task::spawn_blocking(Heir::begin).await??;
    let begun = async {
        let sockets = Sockets::inherit(config, inherited)?;
        // Nobody else uses this runtime yet.
        tokio::task::block_in_place(|| heir.ask_for_store())?;
        Assembly::start(config, sockets, limits(config), Clock::system(), stop).await
    };
    match begun.await {
        Ok(assembly) => {
            heir.ready()?;
            let unused = assembly.settle();
            tracing::info!(event = "edge.succeed", sockets_closed = unused);
            let (edge, store) = (Arc::clone(assembly.edge()), Arc::clone(assembly.store()));
            tokio::spawn(heir.follow(edge, store, assembly.ending()));
            Ok(assembly)
        }
        Err(error) => {
            heir.failed(&format!("{error:#}"));
            Err(error)
        }
    }
}

/// Starts the program that is on disk now, with this one's arguments, as successor. `None`: there is none, and all stays.
async fn upgrade(args: &RunArgs, program: &Path, assembly: &Assembly) -> Option<u32> {
    if !assembly.can_be_succeeded() {
        let why = "the hubs elsewhere take one process under this edge's certificate at a time: stop it, and start it again";
        tracing::error!(event = "edge.upgrade_failed", error = why);
        return None;
    }
    let (program, given) = (program.to_owned(), assembly.given());
    let mut words = vec!["run".to_owned(), "--config".to_owned(), args.config.display().to_string()];
    if let Some(file) = &args.ready_file {
        words.extend(["--ready-file".to_owned(), file.display().to_string()]);
    }
    words.push("--inherit".to_owned());
    tracing::info!(event = "edge.upgrade", program = %program.display());
    let handed = tokio::task::spawn_blocking(move || handover::give(&program, &words, &given)).await;
    match handed.map_err(anyhow::Error::from).and_then(|handed| handed) {
        Ok(pid) => {
            tracing::info!(event = "edge.upgraded", pid);
            Some(pid)
        }
        Err(error) => {
            tracing::error!(event = "edge.upgrade_failed", error = format!("{error:#}"));
            None
        }
    }
}

/// Readiness goes at once; after the pause, newcomers are turned away; who is here finishes. Tells how many were cut.
async fn leave(assembly: Assembly, config: &Config, signals: &mut Signals) -> usize {
    let pause = Duration::from_secs(config.edge.drain_pause_s.into());
    tracing::info!(event = "edge.drain.begin", pause_s = pause.as_secs(), max_s = config.edge.drain_max_s);
    assembly.leave();
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = signals.end() => {}
    }
    drain(assembly, config, signals).await
}

async fn drain(assembly: Assembly, config: &Config, signals: &mut Signals) -> usize {
    tracing::info!(event = "edge.drain", max_s = config.edge.drain_max_s);
    let cut = assembly.stop(signals.end()).await;
    match cut {
        0 => tracing::info!(event = "edge.stop"),
        _ => tracing::warn!(event = "edge.stop", cut),
    }
    cut
}

/// All that can wake a running process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    End,
    Reload,
    Upgrade,
}

/// What operators and the system say to it.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
    usr2: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
            SignalKind::user_defined2(),
        ];
        let [term, int, hup, usr2] = kinds.map(signal);
        Ok(Self { term: term?, int: int?, hup: hup?, usr2: usr2? })
    }

    async fn next(&mut self) -> Word {
        tokio::select! {
            _ = self.term.recv() => Word::End,
            _ = self.int.recv() => Word::End,
            _ = self.hup.recv() => Word::Reload,
            _ = self.usr2.recv() => Word::Upgrade,
        }
    }

    /// The word to end; whoever leaves reads no new configuration.
    async fn end(&mut self) {
        while self.next().await != Word::End {}
    }
}

/// Takes a new configuration whole, or keeps the old one and says why.
async fn reload(file: &Path, assembly: &Assembly, levels: &Levels) {
    // Whoever renamed the log waits for a new one, whatever the configuration is worth.
    if let Err(error) = assembly.edge().reopen_log() {
        tracing::error!(event = "edge.access_log_failed", %error);
    }
    match config::load(file) {
        Err(errors) => {
            crate::terminal::complain(&errors.to_string());
            tracing::error!(event = "config.reject", errors = errors.len());
        }
        Ok(config) => match assembly.reload(&config).await {
            Ok(waits) => {
                levels.set(config.log);
                let how = if waits.is_empty() { "" } else { "SIGUSR2 does it without losing a connection" };
                tracing::info!(event = "config.load", needs_restart = waits.join(", "), how);
            }
            Err(error) => tracing::error!(event = "config.reject", error = format!("{error:#}")),
        },
    }
}

/// The log's level, which can be changed while it is written.
struct Levels(Option<reload::Handle<EnvFilter, Registry>>);

impl Levels {
    fn set(&self, log: Log) {
        if let Some(Err(error)) = self.0.as_ref().map(|levels| levels.reload(filter(log))) {
            tracing::error!(event = "log.level_failed", %error);
        }
    }
}

fn log_to_stderr(log: Log) -> Levels {
    let json = match log.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let (levels, handle) = reload::Layer::new(filter(log));
    let (log, lines) =
        (tracing_subscriber::registry().with(levels), fmt::layer().with_writer(std::io::stderr));
    let begun = if json { log.with(lines.json()).try_init() } else { log.with(lines).try_init() };
    // A second subscriber in one process (tests) leaves the first in place.
    Levels(begun.is_ok().then_some(handle))
}

/// Dependencies speak up only when something is wrong. rustls never does: it warns of each stranger's handshake, with the
/// server name in it, which may be a user's secret.
fn filter(log: Log) -> EnvFilter {
    EnvFilter::new(format!(
        "error,rustls=off,tokio_rustls=off,wandergate_cli={0},edge={0},dns_front={0},registration={0},ops={0},state={0},fabric={0}",
        log.level.word()
    ))
}
