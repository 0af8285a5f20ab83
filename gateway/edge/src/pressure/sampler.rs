//! One core's sampler: how late its timers are, and what memory and places say. The shell of [`Pressure`](super::Pressure).

use std::fs::read_to_string;
use std::sync::Arc;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::memory;
use crate::bounds::{LAG_SAMPLES, MEMORY_EVERY, SAMPLE_EVERY};
use crate::gate::Gate;

/// Samples until cancelled. Runs on the core whose timers it watches; `limit` is the configured bound of memory, in bytes.
pub async fn sample(gate: Arc<Gate>, limit: Option<u64>, stop: CancellationToken) {
    let limit = limit.into_iter().chain(group_limit()).chain(machine()).min();
    let mut late = [0; LAG_SAMPLES];
    let mut turn = 0_u32;
    loop {
        if turn.is_multiple_of(MEMORY_EVERY) {
            let resident = read_to_string("/proc/self/status").ok().and_then(|s| memory::resident(&s));
            let part = resident.zip(limit).map_or(0, |(used, limit)| memory::thousandths(used, limit));
            gate.pressure.memory(part);
        }
        let begun = Instant::now();
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(SAMPLE_EVERY) => {}
        }
        let over = begun.elapsed().saturating_sub(SAMPLE_EVERY).as_millis();
        late[turn as usize % LAG_SAMPLES] = u32::try_from(over).unwrap_or(u32::MAX);
        turn = turn.wrapping_add(1);
        // The best of several: one pause is none of ours, one after the other is.
        let lag = late.iter().copied().min().unwrap_or(0);
        if let Some((level, by)) = gate.pressure.feel(lag, gate.places_taken(), gate.moment()) {
            let by = by.map_or("", super::Signal::name);
            tracing::warn!(event = "edge.pressure", level = level.name(), by);
        }
    }
}

/// The least limit of the process's group and those above it.
fn group_limit() -> Option<u64> {
    let cgroup = read_to_string("/proc/self/cgroup").ok()?;
    let old = || read_to_string("/sys/fs/cgroup/memory/memory.limit_in_bytes").ok();
    let mut path = memory::group(&cgroup).unwrap_or("/");
    let mut least = old().and_then(|text| memory::limit(&text));
    loop {
        let at = format!("/sys/fs/cgroup{}/memory.max", path.trim_end_matches('/'));
        let here = read_to_string(at).ok().and_then(|text| memory::limit(&text));
        least = least.into_iter().chain(here).min();
        match path.rsplit_once('/') {
            Some((above, name)) if !name.is_empty() => path = above,
            _ => return least,
        }
    }
}

fn machine() -> Option<u64> {
    read_to_string("/proc/meminfo").ok().and_then(|text| memory::total(&text))
}
