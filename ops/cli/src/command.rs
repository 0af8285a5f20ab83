//! The command line: which verb, and on what kind of runtime it runs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::check::{self, CheckArgs};
use crate::demo::{self, DemoArgs};
use crate::drill::{self, DrillArgs};
use crate::run::{self, RunArgs};
use crate::terminal::{complain, say};
use crate::verbs::{self, Globals};

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
    /// Run all roles of a configuration in one process
    Run(RunArgs),
    /// Is a configuration possible? Every mistake with its place and a way out
    Check(CheckArgs),
    Demo(DemoArgs),
    Drill(DrillArgs),
    #[command(flatten)]
    Ops(verbs::Verb),
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
    let command = Command::parse();
    let Some(verb) = command.verb else {
        say(WELCOME);
        return ExitCode::SUCCESS;
    };
    // The one TLS provider, for libraries that take the process's own.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        complain("another TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    match verb {
        Verb::Check(args) => check::run(&args, command.globals.json),
        Verb::Run(args) => block_on(run::run(args)),
        Verb::Demo(args) => block_on(demo::run(args)),
        Verb::Drill(args) => block_on(drill::run(args)),
        Verb::Ops(verb) => block_on(verbs::run(verb, &command.globals)),
    }
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
