//! A computer of its own with an IPv6 pool, in a network namespace: nothing there is shared with other tests, ports are those
//! that people use, and every program resolves private names as anywhere, by the system's resolver. Needs root.

use std::fs;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clients::dig;
use crate::deployment::enroll_for;
use crate::namespace::{Namespace, ip};
use crate::product::Process;

/// Whence users come.
pub const USERS: &str = "fd00:84::2";
const POOL: &str = "2001:db8:84::/64";
/// An answer holds for longer than a client on a busy machine takes to use it: it is given within the window only, and the
/// grace is still to come.
const SCHEDULE: &str =
    r#"name = { window = "6s", lead = "2s", grace = "12s", ttl = "1s", tombstone = "30s" }"#;
/// From an address's first second to its grace's end, by that schedule.
pub const ADDRESS_LIFE: Duration = Duration::from_secs(18);
/// Until whatever has to happen has happened.
const PATIENCE: Duration = Duration::from_secs(90);

/// Goes when it is dropped; whatever runs there has to end before.
pub struct Island {
    namespace: Namespace,
    resolver: PathBuf,
}

impl Island {
    pub fn new() -> Self {
        let namespace = Namespace::alone();
        let name = namespace.name();
        ip(&format!("-n {name} -6 route add local {POOL} dev lo"));
        ip(&format!("-n {name} -6 addr add {USERS}/128 dev lo nodad"));
        // `ip netns exec` puts what is there in the place of the machine's own.
        let resolver = PathBuf::from(format!("/etc/netns/{name}"));
        fs::create_dir_all(&resolver).unwrap();
        fs::write(resolver.join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
        Self { namespace, resolver }
    }

    /// `wandergate run` with these sections of services.
    pub fn run(&self, services: &str) -> Process {
        let text = |dir: &Path| {
            format!(
                "[edge]\nzone = \"wander.test\"\nlisten = [\"::\"]\ndevice = \"lo\"\n[pool.v6]\nrange = \"{POOL}\"\n\
                 [schedule.standard]\n{SCHEDULE}\n{services}\n[dns]\nlisten = [\"127.0.0.1:53\"]\n\
                 [join]\nlisten = \"127.0.0.1:443\"\naddress = \"127.0.0.1\"\nrate = \"100000/min\"\n\
                 [state]\ndir = \"{dir}\"\n[ops]\nsocket = \"{dir}/ops.sock\"\n",
                dir = dir.display()
            )
        };
        Process::run_in(Some(&self.namespace), text)
    }

    /// A user's laptop: a lease of each service, in their order.
    pub fn enroll(&self, product: &Process, user: &str, services: &[&str]) -> Vec<Value> {
        self.within(|| enroll_for(product, user, "laptop", services))
    }

    /// Where a private name is now.
    pub fn address(&self, product: &Process, name: &str) -> Ipv6Addr {
        let answers = self.within(|| dig(product, name, "AAAA"));
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers[0].parse().unwrap()
    }

    /// Waits until a private name is elsewhere.
    pub fn moved(&self, product: &Process, name: &str, from: Ipv6Addr) -> Ipv6Addr {
        let mut now = from;
        until("it moves", || {
            now = self.address(product, name);
            now != from
        });
        now
    }

    /// A program that is run here.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.namespace.name(), program]).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn client(&self, program: &str, args: &[&str]) -> Output {
        self.command(program).args(args).output().expect("ip starts: apt-get install iproute2")
    }

    /// As [`Namespace::within`].
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        self.namespace.within(act)
    }
}

impl Default for Island {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.resolver));
    }
}

/// Waits until it is so, for a generous while.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: never");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Name of a lease.
pub fn name(lease: &Value) -> &str {
    lease["name"].as_str().unwrap()
}
