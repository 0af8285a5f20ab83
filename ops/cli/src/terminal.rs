//! The two channels of a command: what was asked for on standard output, everything else on standard error.

use std::io::Write;

/// One line (or more) of what was asked for. A reader that has left is no error of ours.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
}

/// What went wrong, or progress.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
}
