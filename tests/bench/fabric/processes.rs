//! Child processes: pinned, measured, and ended with the bench however that ends.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Which core has which work; none where the machine has one only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cores {
    /// Client and service.
    pub(crate) load: Option<usize>,
    /// The chain that is measured.
    pub(crate) chain: Option<usize>,
}

impl Cores {
    /// The first two that this process may use.
    pub(crate) fn choose() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
        let allowed: Vec<usize> = list.split(',').flat_map(span).collect();
        match allowed.as_slice() {
            [load, chain, ..] => Self { load: Some(*load), chain: Some(*chain) },
            _ => Self::default(),
        }
    }

    /// Puts this process where the load belongs.
    pub(crate) fn pin_self(self) {
        if let Some(core) = self.load {
            let own = std::process::id().to_string();
            let pinned = Command::new("taskset").args(["-a", "-c", "-p", &core.to_string(), &own]).output();
            assert!(pinned.expect("taskset starts").status.success(), "taskset could not pin the bench");
        }
    }
}

/// `0-3` of a list of cores, or `2`.
fn span(text: &str) -> std::ops::RangeInclusive<usize> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    first.parse().unwrap()..=last.parse().unwrap()
}

/// A child; killed when dropped, and by the kernel when the bench is killed.
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts it with one thread to work with; what it says goes to a file in `dir`.
    pub(crate) fn start<A: AsRef<OsStr>>(
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
    pub(crate) fn cpu(&mut self) -> Duration {
        self.check();
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds = tasks.map(|task| {
            // A thread may end between the listing and the reading.
            let stat = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
            stat.split_whitespace().next().map_or(0, |first| first.parse::<u64>().unwrap())
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// Resident memory now.
    pub(crate) fn rss_kib(&mut self) -> u64 {
        self.check();
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// What it said last.
    pub(crate) fn last_words(&self) -> String {
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

/// A port that is free now.
pub(crate) fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
