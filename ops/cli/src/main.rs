//! The one binary: reads the command line and calls the verb.

use std::process::ExitCode;

fn main() -> ExitCode {
    wandergate_cli::main()
}
