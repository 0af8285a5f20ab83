//! The wiring file: one TOML file that hubs, local hubs and edges read, checked as a whole.
//!
//! [`load`] reads a file, [`parse`] a text; both report every mistake at once, as [`crate::config`] does: with its place, the
//! value, and what to do. `ops/wiring.example.toml` shows everything that may be written.
//!
//! In reading order: `sections` (what may be written), `words` (the syntax of single values), `names` (every section and
//! key), `verdict` (the rules of [`fabric::topology`], told with their lines).

mod names;
mod sections;
mod verdict;
mod words;

use std::path::Path;

use fabric::Topology;
use toml::de::DeTable;

use crate::config::report::Report;
use crate::config::{self, ConfigErrors};

/// Every mistake of a wiring file.
pub type Errors = ConfigErrors;

/// A wiring that is possible, and what is worth knowing about it nevertheless.
#[derive(Clone, Debug)]
pub struct Checked {
    pub topology: Topology,
    pub warnings: ConfigErrors,
}

/// Reads and checks a file.
///
/// # Errors
/// Every mistake in it, or why it cannot be read.
pub fn load(path: &Path) -> Result<Topology, Errors> {
    Ok(load_checked(path)?.topology)
}

/// As [`load`], with the warnings.
///
/// # Errors
/// As [`load`].
pub fn load_checked(path: &Path) -> Result<Checked, Errors> {
    parse_bytes(&config::bytes_of(path)?, &path.display().to_string())
}

/// Checks a text; `file_name` is for messages.
///
/// # Errors
/// Every mistake in it; of mistakes in TOML's own syntax the first only.
pub fn parse(text: &str, file_name: &str) -> Result<Checked, Errors> {
    parse_bytes(text.as_bytes(), file_name)
}

/// As [`parse`], for bytes that may not be text.
///
/// # Errors
/// As [`parse`].
pub fn parse_bytes(bytes: &[u8], file_name: &str) -> Result<Checked, Errors> {
    let read = |report: &Report<'_>, table: &DeTable<'_>| {
        let topology = sections::read(report, table);
        if let Some(topology) = &topology {
            verdict::check(report, topology);
        }
        topology
    };
    let (topology, warnings) = config::parse_toml(bytes, file_name, names::HOMES, read)?;
    Ok(Checked { topology, warnings })
}

/// Whether a text looks like a wiring file rather than a configuration: it has a section that only a wiring file has.
pub fn is_one(text: &str) -> bool {
    let Ok(table) = DeTable::parse(text) else { return false };
    let has = |key: &str| table.get_ref().iter().any(|(name, _)| name.get_ref() == key);
    names::ONLY_HERE.iter().any(|key| has(key))
}
