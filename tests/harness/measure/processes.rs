//! Child processes: pinned, measured, and ended with the bench however that ends.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Which core has which work; none where the machine has one only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cores {
    /// Client and service.
    pub load: Option<usize>,
    /// The chain that is measured.
    pub chain: Option<usize>,
}

impl Cores {
    /// The first two that this process may use.
    pub fn choose() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
        let allowed: Vec<usize> = list.split(',').flat_map(span).collect();
        match allowed.as_slice() {
            [load, chain, ..] => Self { load: Some(*load), chain: Some(*chain) },
            _ => Self::default(),
        }
    }

    /// Puts this process where the load belongs.
    pub fn pin_self(self) {
        if let Some(core) = self.load {
            pin(std::process::id(), core);
        }
    }
}

/// `0-3` of a list of cores, or `2`.
fn span(text: &str) -> std::ops::RangeInclusive<usize> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    first.parse().unwrap()..=last.parse().unwrap()
}

/// A child; killed when dropped, and by the kernel when the bench is killed.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts it with one thread to work with; what it says goes to a file in `dir`.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        core: Option<usize>,
        dir: &Path,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let log = dir.join(format!("{name}.log"));
        let out = File::create(&log).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(core) = core {
            command.args(["taskset", "-c", &core.to_string()]);
        }
        let child = command
            .arg(program)
            .args(arguments)
            .env("TOKIO_WORKER_THREADS", "1")
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .expect("setpriv starts");
        Self { child, name: name.to_owned(), log }
    }

    /// CPU time of all its threads.
    pub fn cpu(&mut self) -> Duration {
        self.check();
        cpu(self.child.id())
    }

    /// Resident memory now.
    pub fn rss_kib(&mut self) -> u64 {
        self.check();
        rss_kib(self.child.id())
    }

    /// What it said last.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(8).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!("{}:\n{}", self.name, last.join("\n"))
    }

    /// Panics if it has ended.
    fn check(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("it ended by itself ({status}): {}", self.last_words());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// CPU time that all threads of a process have had, user and system.
///
/// # Panics
/// When there is no such process.
pub fn cpu(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = tasks.map(|task| {
        // A thread may end between the listing and the reading.
        let stat = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        stat.split_whitespace().next().map_or(0, |first| first.parse::<u64>().unwrap())
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Resident memory of a process.
///
/// # Panics
/// When there is no such process.
pub fn rss_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Moves all threads of a process to a core.
///
/// # Panics
/// When taskset can't.
pub fn pin(pid: u32, core: usize) {
    let pinned =
        Command::new("taskset").args(["-a", "-c", "-p", &core.to_string(), &pid.to_string()]).output();
    assert!(pinned.expect("taskset starts").status.success(), "taskset could not pin {pid}");
}

/// The program by its name, or where the variable says.
///
/// # Errors
/// It is not installed.
pub fn find(program: &str, variable: &str) -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(system).map(|dir| dir.join(program));
    found.into_iter().find(|file| file.is_file()).ok_or(format!("{program} is not installed"))
}

/// A port that is free now.
pub fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
