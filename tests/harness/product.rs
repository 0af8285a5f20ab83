//! The product as its users start it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::namespace::Namespace;

/// The binary under test: `WANDERGATE_BIN`, else the newest build in the target folder.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("WANDERGATE_BIN") {
        return path.into();
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let built = ["release", "debug"].map(|profile| target.join(profile).join("wandergate"));
    let newest =
        built.into_iter().filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path))).max();
    newest.expect("no binary: run `cargo build --release` first, or set WANDERGATE_BIN").1
}

/// Runs a verb to its end.
pub fn verb(args: &[&str]) -> Output {
    Command::new(binary()).args(args).stdin(Stdio::null()).output().expect("the binary starts")
}

/// A process of the product; told to end, then killed, when dropped.
pub struct Process {
    child: Child,
    pub ready: Value,
    pub dir: TempDir,
    /// The program that it is started by, with its arguments: of a network namespace, or of limits.
    within: Vec<String>,
    /// The process that took over from `child`.
    heir: Option<u32>,
}

impl Process {
    /// `wandergate demo` with these arguments besides `--ready-file`; waits until it says that it works.
    pub fn demo(args: &[&str]) -> Self {
        let args = [&["demo", "--plain"], args].concat();
        Self::start(|_| args.iter().map(|a| (*a).to_owned()).collect())
    }

    /// `wandergate run` with the configuration that `text` makes of the state's folder.
    pub fn run(text: impl FnOnce(&Path) -> String) -> Self {
        Self::run_in(None, text)
    }

    /// As [`Process::run`], within a network namespace.
    pub fn run_in(namespace: Option<&Namespace>, text: impl FnOnce(&Path) -> String) -> Self {
        // It becomes the program, so that the child's number is the program's.
        let enter = |name: &str| ["ip", "netns", "exec", name].map(str::to_owned).to_vec();
        Self::run_by(namespace.map(|namespace| enter(namespace.name())).unwrap_or_default(), text)
    }

    /// As [`Process::run`], started by another program, which has to become it.
    pub fn run_by(within: Vec<String>, text: impl FnOnce(&Path) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("wandergate.toml");
        fs::write(&file, text(dir.path())).unwrap();
        let args = ["run".into(), "--config".into(), file.display().to_string()];
        let (child, ready) = spawn(dir.path(), &args, &within);
        Self { child, ready, dir, within, heir: None }
    }

    /// Has it replaced by a process of the program that is on disk now, and waits until that one says that it works.
    pub fn upgrade(&mut self) {
        let (old, file) = (self.pid(), self.dir.path().join("ready.json"));
        self.signal("-USR2");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let told: Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some(pid) = told["pid"].as_u64().filter(|pid| *pid != u64::from(old)) {
                self.heir = Some(u32::try_from(pid).unwrap());
                let leases = self.ready["leases"].take();
                self.ready = told;
                self.ready["leases"] = leases;
                return;
            }
            assert!(Instant::now() < deadline, "nobody took over:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts again in the same folder, as after a crash.
    pub fn restart(&mut self) {
        self.kill();
        let file = self.dir.path().join("wandergate.toml").display().to_string();
        drop(fs::remove_file(self.dir.path().join("ready.json")));
        let args = ["run".into(), "--config".into(), file];
        (self.child, self.ready) = spawn(self.dir.path(), &args, &self.within);
        self.heir = None;
    }

    fn start(args: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (child, ready) = spawn(dir.path(), &args(dir.path()), &[]);
        Self { child, ready, dir, within: Vec::new(), heir: None }
    }

    /// Of whoever serves now.
    pub fn pid(&self) -> u32 {
        self.heir.unwrap_or_else(|| self.child.id())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr.log")).unwrap_or_default()
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Whether the process that was started has not ended, nor is about to be waited for.
    pub fn is_running(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
    }

    /// As [`Process::signal`], unless it has ended by now.
    pub fn signal_if_alive(&self, signal: &str) {
        drop(Command::new("kill").args([signal, &self.pid().to_string()]).stderr(Stdio::null()).status());
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Kills it at once, as a power cut would, and keeps its folder.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Waits for the end, by itself, of the process that was started; gives its exit code.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// Resident memory in KiB.
    pub fn rss_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Threads, as a proof that none has been lost.
    pub fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().count()
    }

    /// Runs a verb of the product against this process; panics when it fails.
    pub fn ops(&self, args: &[&str]) -> Value {
        let output = self.ops_output(args);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
    }

    pub fn ops_output(&self, args: &[&str]) -> Output {
        let socket =
            self.ready["ops"]["socket"].as_str().expect("the ready file names the socket").to_owned();
        verb(&[args, &["--json", "--socket", &socket]].concat())
    }

    /// A lease of the ready file by its user.
    pub fn lease(&self, user: &str) -> &Value {
        let leases = self.ready["leases"].as_array().unwrap();
        leases.iter().find(|l| l["user"] == user).unwrap_or_else(|| panic!("no lease of {user}"))
    }

    pub fn text(&self, pointer: &str) -> String {
        let value = self.ready.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {}", self.ready));
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(heir) = self.heir {
            // It is nobody's child here; it leaves with its predecessor's end, or by this.
            drop(Command::new("kill").args(["-TERM", &heir.to_string()]).status());
        }
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            drop(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status());
            if self.wait(Duration::from_secs(10)).is_none() {
                self.kill();
            }
        }
    }
}

/// Starts the binary in a folder and waits for its ready file.
fn spawn(dir: &Path, args: &[String], within: &[String]) -> (Child, Value) {
    let ready_file = dir.join("ready.json");
    let log = fs::File::options().create(true).append(true).open(dir.join("stderr.log")).unwrap();
    let mut command = match within {
        [program, rest @ ..] => {
            let mut command = Command::new(program);
            command.args(rest).arg(binary());
            command
        }
        [] => Command::new(binary()),
    };
    let mut child = command
        .args(args)
        .arg("--ready-file")
        .arg(&ready_file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("the binary starts");
    drain(child.stdout.take().unwrap());
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(text) = fs::read_to_string(&ready_file) {
            return (child, serde_json::from_str(&text).expect("the ready file is one JSON object"));
        }
        let ended = child.try_wait().unwrap();
        if ended.is_some() || Instant::now() > deadline {
            drop(child.kill());
            let log = fs::read_to_string(dir.join("stderr.log")).unwrap_or_default();
            panic!("not ready (exit {ended:?}); it said:\n{log}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads what the process prints, so that its pipe never fills.
fn drain(out: impl Read + Send + 'static) {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(out).lines();
        while let Some(Ok(_)) = lines.next() {}
    });
}
