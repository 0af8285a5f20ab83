//! What a schedule will do: the windows of some tenures over a span of time, and how they overlap
//! (`wandergate schedule preview`).

use crate::bounds::PREVIEW_WINDOWS_MAX;
use crate::lease::{GrantNo, Lease};
use crate::tenure::{Cut, Rhythm, Tenure, Term};
use crate::time::UnixTime;

/// One window, as a person reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previewed {
    pub grant: GrantNo,
    pub number: u64,
    pub generation: u32,
    /// First second at which edges accept it.
    pub opens: UnixTime,
    /// First second at which DNS announces it.
    pub start: UnixTime,
    /// First second at which DNS no longer does.
    pub end: UnixTime,
    /// First second at which edges no longer accept it.
    pub closes: UnixTime,
    /// First second at which a newcomer meets silence.
    pub silent: UnixTime,
}

/// How the addresses of the previewed grants overlap, in one pool, over the span.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overlap {
    /// Most addresses that one grant has accepted at once.
    pub most_per_grant: usize,
    /// Most addresses accepted at once over all grants.
    pub most: usize,
    /// Addresses accepted at once over all grants, on average.
    pub mean: f64,
    /// Windows that begin within the span.
    pub turns: usize,
    /// Most of them in any one second: how well the phases spread the work.
    pub turns_at_once: usize,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// Windows that are accepted at some second of the span, in order of their start, then of their grant.
    pub windows: Vec<Previewed>,
    pub overlap: Overlap,
    /// Not all would fit in [`PREVIEW_WINDOWS_MAX`]: windows, and the statistics over them, end at this second.
    pub cut_off: Option<UnixTime>,
}

/// The windows of `tenures` from second `from`, for `for_s` seconds.
pub fn preview(tenures: &[(GrantNo, &Tenure)], from: UnixTime, for_s: u64) -> Preview {
    let mut until = from.plus(for_s);
    let mut cut_off = None;
    let mut leases: Vec<(Lease, u32)> = Vec::new();
    for (grant, tenure) in tenures {
        leases.extend(between(*grant, tenure, from, until));
        leases.sort_by_key(|(lease, _)| (lease.opens(), lease.grant, lease.start));
        if leases.len() > PREVIEW_WINDOWS_MAX {
            // What opens at the first second beyond the bound is left out whole, so that the rest is complete.
            let end = leases[PREVIEW_WINDOWS_MAX].0.opens().max(from);
            leases.retain(|(lease, _)| lease.opens() < end);
            leases.truncate(PREVIEW_WINDOWS_MAX);
            until = end;
            cut_off = Some(end);
        }
    }
    let overlap = overlap(&leases, from, until);
    let mut windows: Vec<Previewed> =
        leases.iter().map(|(lease, generation)| previewed(lease, *generation)).collect();
    windows.sort_by_key(|w| (w.start, w.grant));
    Preview { windows, overlap, cut_off }
}

/// The same for a schedule that no grant has yet: one grant of phase 0, or phases spread as many grants' would be.
pub fn preview_schedule(schedule: crate::Schedule, grants: u32, from: UnixTime, for_s: u64) -> Preview {
    let term = Term { from: UnixTime::ZERO, generation: 0, schedule, cut: Cut::Grace };
    let spread = |n: u32| u64::from(n) * u64::from(schedule.period_s) / u64::from(grants.max(1));
    let count = grants.min(PREVIEW_WINDOWS_MAX as u32);
    let tenures: Vec<Tenure> = (0..count).map(|n| Tenure::new(spread(n), vec![term])).collect();
    let numbered: Vec<(GrantNo, &Tenure)> = (0..count).zip(&tenures).collect();
    preview(&numbered, from, for_s)
}

/// Leases accepted at some second of `[from, until)`, no more than one beyond the bound.
fn between(
    grant: GrantNo,
    tenure: &Tenure,
    from: UnixTime,
    until: UnixTime,
) -> impl Iterator<Item = (Lease, u32)> + '_ {
    let standing = tenure.standing(from, Rhythm::Address);
    let begin = standing.open.iter().chain(&standing.ahead).map(|w| w.start).min();
    let lead_s = tenure.terms().iter().map(|term| u64::from(term.schedule.lead_s)).max().unwrap_or(0);
    begin
        .into_iter()
        .flat_map(move |begin| tenure.windows_from(begin, Rhythm::Address))
        .take_while(move |window| window.start < until.plus(lead_s))
        .map(move |window| (window.lease(grant), window.term.generation))
        .filter(move |(lease, _)| from < lease.closes() && lease.opens() < until)
        .take(PREVIEW_WINDOWS_MAX + 1)
}

fn previewed(lease: &Lease, generation: u32) -> Previewed {
    Previewed {
        grant: lease.grant,
        number: lease.window,
        generation,
        opens: lease.opens(),
        start: lease.start,
        end: lease.ends(),
        closes: lease.closes(),
        silent: lease.silent(),
    }
}

fn overlap(leases: &[(Lease, u32)], from: UnixTime, until: UnixTime) -> Overlap {
    let mut edges: Vec<(UnixTime, bool, GrantNo)> = Vec::with_capacity(leases.len() * 2);
    let mut starts: Vec<UnixTime> = Vec::new();
    let mut seconds = 0u64;
    for (lease, _) in leases {
        let (opens, closes) = (lease.opens().max(from), lease.closes().min(until));
        seconds = seconds.saturating_add(closes.since(opens));
        // `false` sorts first: what closes at a second is gone before what opens at it is counted.
        edges.extend([(opens, true, lease.grant), (closes, false, lease.grant)]);
        if from <= lease.start && lease.start < until {
            starts.push(lease.start);
        }
    }
    edges.sort_unstable();
    starts.sort_unstable();
    let (most, most_per_grant) = most_at_once(&edges);
    Overlap {
        most_per_grant,
        most,
        mean: seconds as f64 / until.since(from).max(1) as f64,
        turns: starts.len(),
        turns_at_once: starts.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap_or(0),
    }
}

fn most_at_once(edges: &[(UnixTime, bool, GrantNo)]) -> (usize, usize) {
    let mut of_grant: std::collections::HashMap<GrantNo, usize> = std::collections::HashMap::new();
    let (mut now, mut most, mut most_per_grant) = (0usize, 0, 0);
    for (_, opens, grant) in edges {
        let own = of_grant.entry(*grant).or_default();
        if *opens {
            *own += 1;
            now += 1;
            most = most.max(now);
            most_per_grant = most_per_grant.max(*own);
        } else {
            *own = own.saturating_sub(1);
            now = now.saturating_sub(1);
        }
    }
    (most, most_per_grant)
}
