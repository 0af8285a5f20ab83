//! The command line: which verb, and on what kind of runtime it runs.

use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::check::{self, CheckArgs};
use crate::config::MemberRole;
use crate::demo::{self, DemoArgs};
use crate::drill::{self, DrillArgs};
use crate::run::{self, RunArgs};
use crate::terminal::{complain, say};
use crate::verbs::{self, Globals, HubVerb};

/// Every authorized user has a private address, and it moves. Everyone else meets silence.
#[derive(Debug, Parser)]
#[command(name = "wandergate", version, disable_help_subcommand = false, arg_required_else_help = false)]
struct Command {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    globals: Globals,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the roles of a configuration in one process: all of them, if it names none
    Run(RunArgs),
    /// Run a main hub; or list, show and step down hubs, and make members' credentials
    Hub(HubCommand),
    /// Run a local hub
    LocalHub(RunArgs),
    /// Is a configuration possible? Every mistake with its place and a way out
    Check(CheckArgs),
    /// Try everything on loopback: two users, moving addresses, strangers
    Demo(DemoArgs),
    /// Act as strangers against your own gateway, within a budget
    Drill(DrillArgs),
    #[command(flatten)]
    Ops(verbs::Verb),
}

/// `wandergate hub --config F` runs one; a verb behind it asks about those that run.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
struct HubCommand {
    #[command(flatten)]
    run: RunArgs,
    #[command(subcommand)]
    verb: Option<HubVerb>,
}

/// What somebody sees who types the name alone.
const WELCOME: &str = concat!(
    "wandergate ",
    env!("CARGO_PKG_VERSION"),
    "  every authorized user has a private address, and it moves

  Try it here, nothing to install or configure:
    wandergate demo                       with a sample service
    wandergate demo --to 127.0.0.1:3000   with your own
  Put it on a server:      wandergate check FILE, then wandergate run --config FILE
  All commands:            wandergate help"
);

/// Reads the arguments and carries the verb out.
pub fn main() -> ExitCode {
    let matches = Command::command().get_matches();
    let command = Command::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    let Some(verb) = command.verb else {
        say(WELCOME);
        return ExitCode::SUCCESS;
    };
    if let Some(flag) = verb.idle_flag(&matches) {
        complain(&format!("--{flag} is for verbs that talk to a running gateway; here it would do nothing"));
        return ExitCode::from(2);
    }
    // The one TLS provider, for libraries that take the process's own.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        complain("another TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    let json = command.globals.json;
    match verb {
        Verb::Check(args) => check::run(&args, json),
        Verb::Run(args) => block_on(run::run(args, None, json)),
        Verb::LocalHub(args) => block_on(run::run(args, Some(MemberRole::LocalHub), json)),
        Verb::Hub(HubCommand { run, verb: None }) => block_on(run::run(run, Some(MemberRole::Hub), json)),
        Verb::Hub(HubCommand { verb: Some(verb), .. }) => {
            block_on(verbs::run(verbs::Verb::Hub(verb), &command.globals))
        }
        Verb::Demo(args) => block_on(demo::run(args)),
        Verb::Drill(args) => block_on(drill::run(args)),
        Verb::Ops(verb) => block_on(verbs::run(verb, &command.globals)),
    }
}

impl Verb {
    /// A flag of the operators' verbs that was given to a verb which has no use for it: told, not swallowed.
    fn idle_flag(&self, matches: &ArgMatches) -> Option<&'static str> {
        let idle: &[&str] = match self {
            Self::Run(_)
            | Self::LocalHub(_)
            | Self::Hub(HubCommand { verb: None, .. })
            | Self::Check(_)
            | Self::Demo(_) => &["socket", "server", "token_file", "dry_run"],
            Self::Drill(_) => &["server", "token_file", "dry_run"],
            Self::Ops(verbs::Verb::Fabric(_)) => &["socket", "server", "token_file", "dry_run"],
            Self::Hub(HubCommand { verb: Some(_), .. }) | Self::Ops(_) => &[],
        };
        let typed = |id: &&&str| matches.subcommand().is_some_and(|(_, sub)| given(sub, id));
        idle.iter().find(typed).map(|id| match *id {
            "token_file" => "token-file",
            "dry_run" => "dry-run",
            "server" => "server",
            _ => "socket",
        })
    }
}

fn given(matches: &ArgMatches, id: &str) -> bool {
    matches.try_contains_id(id).unwrap_or(false) && matches.value_source(id) == Some(ValueSource::CommandLine)
}

fn block_on(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // Tasks of roles that were told to stop must not hold the exit up.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            complain(&format!("no runtime: {error}"));
            ExitCode::FAILURE
        }
    }
}
