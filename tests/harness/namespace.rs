//! A network namespace, alone or with one cable to the rest, which can be cut. Needs root and iproute2.

use std::fs::File;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Taken by whoever changes the machine's own networks: browsers begin anew when these change.
static CABLES: RwLock<()> = RwLock::new(());

/// The machine's networks stay as they are as long as this is there.
pub fn steady() -> RwLockReadGuard<'static, ()> {
    CABLES.read().unwrap_or_else(PoisonError::into_inner)
}

/// Goes, with its cable, when it is dropped.
pub struct Namespace {
    name: String,
    cable: Option<Cable>,
}

/// A pair of interfaces: this side's is called so, the side's within has an `i` behind.
struct Cable {
    name: String,
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

    /// Without a cable. Whatever is done to it, nobody outside hears of.
    pub fn alone() -> Self {
        let made = Self { name: format!("wgt{}n{}", std::process::id(), number()), cable: None };
        ip(&format!("netns add {}", made.name));
        ip(&format!("-n {} link set lo up", made.name));
        made
    }

    pub fn new() -> Self {
        let mut made = Self::alone();
        let (id, number) = (std::process::id(), number());
        let cable = format!("wg{}n{number}", id % 1_000_000);
        let network = format!("10.{}.{}", 100 + id % 100, (id / 100 + number) % 250);
        let within = format!("{cable}i");
        let _alone = CABLES.write().unwrap_or_else(PoisonError::into_inner);
        made.cable = Some(Cable { name: cable.clone(), network: network.clone() });
        ip(&format!("link add {cable} type veth peer name {within} netns {}", made.name));
        for number in Self::HERE {
            ip(&format!("addr add {network}.{number}/24 dev {cable}"));
        }
        ip(&format!("link set {cable} up"));
        ip(&format!("-n {} addr add {network}.{}/24 dev {within}", made.name, Self::INSIDE));
        ip(&format!("-n {} link set {within} up", made.name));
        made
    }

    /// Its first three numbers.
    pub fn network(&self) -> &str {
        &self.cable().network
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
        ip(&format!("-n {} link set {}i down", self.name, self.cable().name));
    }

    /// It passes again.
    pub fn mend(&self) {
        ip(&format!("-n {} link set {}i up", self.name, self.cable().name));
    }

    fn cable(&self) -> &Cable {
        self.cable.as_ref().expect("it was not made alone")
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Some(cable) = &self.cable {
            let _alone = CABLES.write().unwrap_or_else(PoisonError::into_inner);
            drop(Command::new("ip").args(["link", "del", &cable.name]).status());
        }
        drop(Command::new("ip").args(["netns", "del", &self.name]).status());
    }
}

/// One that nothing else of this process has.
fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn ip(args: &str) {
    let output = Command::new("ip").args(args.split(' ')).output();
    let output = output.unwrap_or_else(|e| panic!("ip does not start ({e}): apt-get install iproute2"));
    assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
}
