//! A network namespace with one cable to the rest, which can be cut. Needs root and iproute2.

use std::fs::File;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Goes, with its cable, when it is dropped.
pub struct Namespace {
    name: String,
    cable: String,
    network: String,
}

impl Namespace {
    /// Host number of the side within.
    pub const INSIDE: usize = 2;
    /// Host numbers of this side: all but that one.
    const HERE: [usize; 90] = {
        let mut all = [0; 90];
        let mut i = 0;
        while i < 90 {
            all[i] = i + 3;
            i += 1;
        }
        all
    };

    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        let name = format!("wgt{id}n{number}");
        let made = Self {
            cable: format!("wg{}n{number}", id % 1_000_000),
            network: format!("10.{}.{}", 100 + id % 100, (id / 100 + number) % 250),
            name,
        };
        ip(&format!("netns add {}", made.name));
        let (cable, within) = (&made.cable, format!("{}i", made.cable));
        ip(&format!("link add {cable} type veth peer name {within} netns {}", made.name));
        for number in Self::HERE {
            ip(&format!("addr add {}.{number}/24 dev {cable}", made.network));
        }
        ip(&format!("link set {cable} up"));
        ip(&format!("-n {} addr add {}.{}/24 dev {within}", made.name, made.network, Self::INSIDE));
        ip(&format!("-n {} link set {within} up", made.name));
        ip(&format!("-n {} link set lo up", made.name));
        made
    }

    /// Its first three numbers.
    pub fn network(&self) -> &str {
        &self.network
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Acts within: sockets that are made there, and threads that are begun there, stay there.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
        let inside = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        };
        std::thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Nothing passes any more, and nobody is told: the far end of the cable goes down.
    pub fn cut(&self) {
        ip(&format!("-n {} link set {}i down", self.name, self.cable));
    }

    /// It passes again.
    pub fn mend(&self) {
        ip(&format!("-n {} link set {}i up", self.name, self.cable));
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["link", "del", &self.cable]).status());
        drop(Command::new("ip").args(["netns", "del", &self.name]).status());
    }
}

pub(crate) fn ip(args: &str) {
    let output = Command::new("ip").args(args.split(' ')).output();
    let output = output.unwrap_or_else(|e| panic!("ip does not start ({e}): apt-get install iproute2"));
    assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
}
