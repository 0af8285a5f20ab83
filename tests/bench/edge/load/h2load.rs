//! h2load of the nghttp2 project: HTTP/1.1 and HTTP/2 over TLS, connections kept.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tests::measure::processes::find;

use super::Outcome;
use crate::proxies::Door;

/// It ends by itself after so long, whatever happens.
const PATIENCE_S: &str = "100";

/// How it presses.
pub(crate) struct Press<'a> {
    pub(crate) is_h1: bool,
    /// Without TLS.
    pub(crate) is_clear: bool,
    /// Processes, each on a door of its own as far as there are doors; they share what follows evenly.
    pub(crate) processes: usize,
    pub(crate) connections: usize,
    /// Of each connection at a time.
    pub(crate) streams: usize,
    pub(crate) requests: usize,
    pub(crate) path: &'a str,
}

impl Press<'_> {
    /// Runs it on the core of this process, which waits for it; `dir` takes its logs.
    pub(crate) fn run(&self, doors: &[Door], dir: &Path) -> Outcome {
        let log = |number: usize| dir.join(format!("h2load-{number}.log"));
        let start = |number: usize| self.start(&doors[number % doors.len()], &log(number));
        let running: Vec<Child> = (0..self.processes).map(start).collect();
        let mut whole = Outcome::default();
        for (number, child) in running.into_iter().enumerate() {
            let ran = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&ran.stdout).into_owned();
            assert!(ran.status.success(), "h2load: {said}{}", String::from_utf8_lossy(&ran.stderr));
            let elapsed = elapsed(&said).unwrap_or_else(|| panic!("h2load said {said}"));
            whole.elapsed = whole.elapsed.max(elapsed);
            whole.latencies.extend(latencies(&std::fs::read_to_string(log(number)).unwrap()));
        }
        let asked = self.requests / self.processes * self.processes;
        whole.errors = asked.saturating_sub(whole.latencies.len()) as u64;
        whole
    }

    fn start(&self, door: &Door, log: &Path) -> Child {
        let program = find("h2load", "BENCH_H2LOAD").unwrap();
        // It appends.
        drop(std::fs::remove_file(log));
        let mut command = Command::new("timeout");
        command.args([PATIENCE_S, &program.display().to_string()]);
        if self.is_h1 {
            command.arg("--h1");
        }
        let scheme = if self.is_clear { "http" } else { "https" };
        let share = |of: usize| (of / self.processes).to_string();
        command
            .args(["-n", &share(self.requests), "-c", &share(self.connections)])
            .args(["-m", &self.streams.to_string(), &format!("--connect-to={}", door.at)])
            .arg(format!("--log-file={}", log.display()))
            .arg(format!("{scheme}://{}:{}{}", door.name, door.at.port(), self.path))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
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
