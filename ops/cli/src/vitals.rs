//! The process as the kernel sees it: descriptors, memory, threads.

use std::fs;

use ops::eyes::ProcessSection;

use crate::descriptors;

/// Read now; what cannot be read is 0.
pub fn read(is_single: bool, tasks: usize) -> ProcessSection {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    // The folder that is read is one of them.
    let open = fs::read_dir("/proc/self/fd").map_or(0, |all| all.count().saturating_sub(1));
    ProcessSection {
        pid: std::process::id(),
        descriptors: open as u64,
        descriptors_max: descriptors::limit(),
        descriptors_wanted: descriptors::wanted(is_single),
        resident_bytes: number("VmRSS:") * 1024,
        threads: number("Threads:"),
        tasks: tasks as u64,
    }
}
