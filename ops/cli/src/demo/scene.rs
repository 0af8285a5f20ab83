//! Where a demo takes place: a folder of its own that is gone at the end, free ports, and an ordinary configuration.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use data_encoding::HEXLOWER;
use socket2::{Domain, Socket, Type};

use crate::config::bounds::SOCKET_PATH_BYTES_MAX;
use crate::config::{self, Config};
use crate::rehearsal::bounds::PORT_TRIES;
use crate::secrets;

/// The demo's zone, pool and schedule.
pub const ZONE: &str = "wander.test";
pub const POOL: &str = "127.83.0.0/16";
pub const SERVICE: &str = "web";
pub const WINDOW_S: u32 = 15;
pub const GRACE_S: u32 = 10;

/// A new folder below the system's place for temporary files. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// # Errors
    /// It can't be made.
    pub fn make(parent: &Path) -> Result<Self> {
        let path = parent.join(format!("wandergate-demo-{}", HEXLOWER.encode(&secrets::random::<4>()?)));
        // Made by us and by nobody else before us: a folder that exists is refused.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("can't make {}", path.display()))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Removes it, though parts that are still ending may write into it meanwhile.
    pub async fn remove(self) {
        for _ in 0..10 {
            match fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Ok(()) | Err(_) => break,
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whatever ended the demo: nothing is left behind. An error here has nobody to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The system's place for temporary files, unless its path leaves no room for a Unix socket's.
pub fn place(system: PathBuf) -> PathBuf {
    let needed = system.as_os_str().len() + "/wandergate-demo-00000000/ops.sock".len();
    if needed <= SOCKET_PATH_BYTES_MAX { system } else { PathBuf::from("/tmp") }
}

/// Ports that were free just now.
#[derive(Debug)]
pub struct Ports {
    pub edge: u16,
    pub dns: u16,
    pub join: u16,
    pub hub: u16,
    pub ops: u16,
    /// Keeps the edge's port ours until the edge has it: the edge's own sockets may share it, nobody else's.
    _edge: Socket,
}

impl Ports {
    /// # Errors
    /// There are none.
    pub fn find() -> Result<Self> {
        let mut last = None;
        for _ in 0..PORT_TRIES {
            match Self::try_find() {
                Ok(ports) => return Ok(ports),
                Err(error) => last = Some(error),
            }
        }
        Err(anyhow!("no free ports on loopback: {}", last.map_or_else(String::new, |e| e.to_string())))
    }

    fn try_find() -> io::Result<Self> {
        let edge = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        edge.set_reuse_address(true)?;
        edge.set_reuse_port(true)?;
        edge.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
        let edge_port = edge.local_addr()?.as_socket().map_or(0, |at| at.port());
        // All held at once, so that they differ.
        let tcp = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (dns, join, hub, ops) = (tcp()?, tcp()?, tcp()?, tcp()?);
        let port = |listener: &TcpListener| listener.local_addr().map(|at| at.port());
        // DNS needs the same number for UDP.
        UdpSocket::bind((Ipv4Addr::LOCALHOST, port(&dns)?))?;
        Ok(Self {
            edge: edge_port,
            dns: port(&dns)?,
            join: port(&join)?,
            hub: port(&hub)?,
            ops: port(&ops)?,
            _edge: edge,
        })
    }
}

/// The demo's configuration, as a user would write it; it lies in the demo's folder for whoever wants to look.
///
/// # Errors
/// The folder's path is no text, or the configuration does not hold (a path too long for a socket).
pub fn configuration(folder: &Path, to: SocketAddr, ports: &Ports) -> Result<Config> {
    let file = folder.join("wandergate.toml");
    let text = text(
        folder.to_str().context("the folder for temporary files has a path that is no text")?,
        to,
        ports,
    );
    fs::write(&file, &text).with_context(|| format!("can't write {}", file.display()))?;
    config::parse(&text, &file.display().to_string()).map_err(|errors| anyhow!("{errors}"))
}

fn text(folder: &str, to: SocketAddr, ports: &Ports) -> String {
    let Ports { edge, dns, join, hub, ops, _edge: _ } = ports;
    let folder = toml::Value::String(folder.to_owned());
    let times = format!(
        "window = \"{WINDOW_S}s\", lead = \"3s\", grace = \"{GRACE_S}s\", ttl = \"2s\", tombstone = \"30s\""
    );
    format!(
        r#"# The configuration of one run of `wandergate demo`. Everything is on loopback.
[edge]
name = "demo"
zone = "{ZONE}"
listen = ["0.0.0.0"]
listen_port = {edge}
device = "lo"                # nothing from outside this machine reaches the wildcard sockets

[pool.v4]
range = "{POOL}"

[service.{SERVICE}]
to = "{to}"
auth = "name"
schedule = "demo"

[schedule.demo]
name = {{ {times} }}
agent = {{ {times}, label = "1m" }}

[dns]
listen = ["127.0.0.1:{dns}"]

[join]
listen = "127.0.0.1:{join}"
pow_bits = 12
rate = "100/s"

[fabric]
hub = "127.0.0.1:{hub}"

[state]
dir = {folder}

[ops]
listen = "127.0.0.1:{ops}"

[defense]                    # wide enough for load tests from outside; one lease is still one lane
lease_connections = "2000/s"
lease_requests = "40000/s"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_that_users_could_write() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::make(parent.path()).unwrap();
        let ports = Ports::find().unwrap();
        let config = configuration(folder.path(), "127.0.0.1:3000".parse().unwrap(), &ports).unwrap();
        assert_eq!((config.edge.zone.as_str(), config.edge.listen_port), (ZONE, ports.edge));
        let schedule = config.schedules[&config.services[SERVICE].schedule];
        assert_eq!((schedule.name.period_s, schedule.name.grace_s), (WINDOW_S, GRACE_S));
        assert_eq!(config.state.dir, folder.path());
        assert_eq!(config::load(&folder.path().join("wandergate.toml")).unwrap(), config);
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_avoided_and_the_longest_that_fits_is_not() {
        let long = |length: usize| PathBuf::from(format!("/{}", "x".repeat(length - 1)));
        let most = SOCKET_PATH_BYTES_MAX - "/wandergate-demo-00000000/ops.sock".len();
        assert_eq!(place(long(most)), long(most));
        assert_eq!(place(long(most + 1)), Path::new("/tmp"));
    }

    #[test]
    fn ports_differ_and_a_folder_is_private_and_gone_when_dropped() {
        use std::os::unix::fs::PermissionsExt;
        let ports = Ports::find().unwrap();
        let all = std::collections::BTreeSet::from([ports.edge, ports.dns, ports.join, ports.hub, ports.ops]);
        assert!(all.len() == 5 && !all.contains(&0));
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::make(parent.path()).unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("left"), "x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(folder);
        assert!(!path.exists());
    }
}
