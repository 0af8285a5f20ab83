//! h2load of the nghttp2 project: HTTP/1.1 and HTTP/2 over TLS, connections kept.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tests::measure::processes::find;

use super::Outcome;
use crate::proxies::Door;

/// It ends by itself after so long, whatever happens.
const PATIENCE_S: &str = "100";

/// How it presses.
pub(crate) struct Press<'a> {
    pub(crate) is_h1: bool,
    pub(crate) connections: usize,
    /// Of each connection at a time.
    pub(crate) streams: usize,
    pub(crate) requests: usize,
    pub(crate) path: &'a str,
}

impl Press<'_> {
    /// Runs it on the core of this process, which waits for it; `dir` takes its log.
    pub(crate) fn run(&self, door: &Door, dir: &Path) -> Outcome {
        let program = find("h2load", "BENCH_H2LOAD").unwrap();
        let log = dir.join("h2load.log");
        // It appends.
        drop(std::fs::remove_file(&log));
        let mut command = Command::new("timeout");
        command.args([PATIENCE_S, &program.display().to_string()]);
        if self.is_h1 {
            command.arg("--h1");
        }
        let ran = command
            .args(["-n", &self.requests.to_string(), "-c", &self.connections.to_string()])
            .args(["-m", &self.streams.to_string(), &format!("--connect-to={}", door.at)])
            .arg(format!("--log-file={}", log.display()))
            .arg(format!("https://{}:{}{}", door.name, door.at.port(), self.path))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success(), "h2load: {said}{}", String::from_utf8_lossy(&ran.stderr));
        let elapsed = elapsed(&said).unwrap_or_else(|| panic!("h2load said {said}"));
        let latencies = latencies(&std::fs::read_to_string(&log).unwrap());
        let errors = (self.requests - latencies.len().min(self.requests)) as u64;
        Outcome { latencies, bytes: 0, errors, elapsed }
    }
}

/// Of `finished in 1.20s, 8000.00 req/s, 1.00MB/s`.
fn elapsed(said: &str) -> Option<Duration> {
    let word = said.lines().find_map(|line| line.strip_prefix("finished in "))?.split(',').next()?;
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((word.strip_suffix(name)?, unit)))?;
    Some(Duration::from_secs_f64(number.parse::<f64>().ok()? * unit))
}

/// Of a line for each request: when it began, its status, µs. Those alone that were answered with 200.
fn latencies(log: &str) -> Vec<Duration> {
    let good = log.lines().filter_map(|line| {
        let mut columns = line.split('\t').skip(1);
        let (status, took) = (columns.next()?, columns.next()?);
        (status == "200").then(|| took.parse().ok().map(Duration::from_micros))?
    });
    good.collect()
}
