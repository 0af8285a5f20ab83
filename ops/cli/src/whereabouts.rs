//! Where a running process is to be found: for people, and for programs that drive it (`wandergate.ready/1`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::secrets;

/// Takes away what an earlier process left there: whoever waits for the file must not find yesterday's.
///
/// # Errors
/// There is something, and it can't be removed.
pub fn forget(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't replace {}", file.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Addresses and files of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    pub zone: String,
    pub dns: SocketAddr,
    pub join: SocketAddr,
    pub ops: SocketAddr,
    pub ca_file: PathBuf,
    pub ops_socket: PathBuf,
    pub ops_token_file: PathBuf,
}

impl Whereabouts {
    /// The public URL of registration.
    pub fn join_url(&self) -> String {
        format!("https://join.{}:{}/", self.zone, self.join.port())
    }

    /// The part of `wandergate.ready/1` that every process has. The demo adds its schedule and leases. URLs end without a
    /// slash, so that a path can be put behind them.
    pub fn to_json(&self) -> Value {
        json!({
            "schema": "wandergate.ready/1",
            "pid": std::process::id(),
            "ca_file": self.ca_file,
            "zone": self.zone,
            "dns": self.dns,
            "ops": {
                "url": format!("http://{}", self.ops),
                "token_file": self.ops_token_file,
                "socket": self.ops_socket,
            },
            "join": { "url": self.join_url().trim_end_matches('/'), "address": self.join },
        })
    }

    /// Writes it as a whole: whoever sees the file sees all of it.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        secrets::write(file, format!("{}\n", self.to_json()).as_bytes())
    }
}
