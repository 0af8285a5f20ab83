//! `wandergate demo`: the whole gateway on loopback, two users, strangers on demand, and measured figures at the end.
//!
//! No root, no network, nothing outside one folder that is gone at the end. The gateway is the very one that
//! `wandergate run` starts, from a configuration that a user could write; users enroll at its public door, resolve at
//! its name server and come over TLS.
//!
//! In reading order: [`scene`] (folder, ports, configuration), [`stage`] (the course of events), [`cast`] (users and
//! strangers), [`show`] and [`live`] (what is seen meanwhile), [`ready`] (for programs that drive it), [`figures`] (the
//! end).

pub mod cast;
pub mod figures;
pub mod live;
pub mod ready;
pub mod scene;
pub mod show;
pub mod stage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::drill::span;
use crate::rehearsal::bounds::DEMO_SECONDS_MAX;
use crate::terminal::complain;
use crate::whereabouts;
use live::{Key, Live};
use scene::Folder;
use show::Show;
use stage::{Ending, Stage};

/// Try it here: no root, no network, nothing to install or configure.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Your own HTTP service instead of the built-in sample
    #[arg(long, value_name = "ADDR", value_parser = own_service)]
    pub to: Option<SocketAddr>,
    /// End after this time, such as 30s or 5m, with figures
    #[arg(long = "for", value_name = "D", value_parser = demo_time)]
    pub span: Option<Duration>,
    /// Let strangers attack: in the second half with --for, else after one window
    #[arg(long)]
    pub attack: bool,
    /// Print JSON lines; the last one holds the figures (wandergate.demo/1)
    #[arg(long)]
    pub json: bool,
    /// Plain lines, also on a terminal
    #[arg(long)]
    pub plain: bool,
    /// Write where everything is to this file once all works (wandergate.ready/1)
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// What may end a demo from outside.
pub struct Signals {
    term: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Until one comes.
    pub async fn any(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// Exit 0: no user met an error, no stranger got anything, and all began well; else 1, and a sentence says which.
pub async fn run(args: DemoArgs) -> ExitCode {
    // Before anything is made that would have to be removed.
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("can't listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if let Some(Err(error)) = args.ready_file.as_deref().map(whereabouts::forget) {
        complain(&format!("{error:#}"));
        return ExitCode::FAILURE;
    }
    let folder = match Folder::make(&scene::place(std::env::temp_dir())) {
        Ok(folder) => folder,
        Err(error) => {
            complain(&format!("{error:#}"));
            return ExitCode::FAILURE;
        }
    };
    let (show, keys) = audience(&args);
    let path = folder.path().display().to_string();
    let stage = Stage { args, show, keys, signals };
    let ending = stage.run(&folder).await;
    folder.remove().await;
    finish(ending, &path)
}

/// Live on a terminal, unless plain lines or JSON were asked for.
fn audience(args: &DemoArgs) -> (Show, mpsc::Receiver<Key>) {
    let (_, no_keys) = mpsc::channel(1);
    if args.json {
        return (Show::Json { errors: 0 }, no_keys);
    }
    if args.plain || !live::possible() {
        return (Show::Plain { errors: 0 }, no_keys);
    }
    match Live::open() {
        Ok((live, keys)) => (Show::Live(live), keys),
        Err(_) => (Show::Plain { errors: 0 }, no_keys),
    }
}

fn finish(ending: Ending, folder: &str) -> ExitCode {
    let Ending { show, figures, began } = ending;
    let closing = began.then(|| format!(
        "This used no root and no network, and left nothing behind: {folder} is gone.\nNext: `wandergate check FILE` and `wandergate run --config FILE` on a server."
    ));
    let failed = figures.why.join("; ");
    let ok = figures.ok;
    show.end(&figures, closing.as_deref());
    if ok {
        return ExitCode::SUCCESS;
    }
    let what = if began { "the demo did not keep its promises" } else { "the demo did not begin well" };
    complain(&format!("{what}: {failed}"));
    ExitCode::FAILURE
}

/// `127.0.0.1:3000`, or `localhost:3000`.
fn own_service(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let example = "give an address and a port, such as 127.0.0.1:3000";
    numeric.as_deref().unwrap_or(text).parse().map_err(|_| example.to_owned())
}

/// `30s`, `5m`, `1h`, at least a second.
fn demo_time(text: &str) -> Result<Duration, String> {
    span(text, DEMO_SECONDS_MAX)
}
