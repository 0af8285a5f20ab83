//! The run: every chain does every kind of work in every round, in an order that turns around with each round, so that
//! drift of the machine meets all alike.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::figures::Figures;
use super::options::Options;
use super::processes::Cores;

/// No work takes longer; who needs more is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// All that came out.
pub struct Run<F> {
    pub figures: Vec<Figures<F>>,
    /// Chains that could not be started, and why.
    pub missing: Vec<(&'static str, String)>,
    pub rounds: usize,
    pub is_quick: bool,
    pub cores: Cores,
    pub load_before: String,
    pub load_after: String,
}

/// Those of all kinds of work that have one of these names, or all if there is none.
///
/// # Panics
/// For a name that no work has.
pub fn chosen<W: Copy + Debug>(all: &[W], names: &[String]) -> Vec<W> {
    let name = |work: &W| format!("{work:?}").to_lowercase();
    let unknown = names.iter().find(|wanted| !all.iter().any(|work| name(work) == **wanted));
    assert!(unknown.is_none(), "no such work: {unknown:?}");
    all.iter().copied().filter(|work| names.is_empty() || names.contains(&name(work))).collect()
}

/// Lets every chain do every work in every round; `rest` passes between two pieces of work, so that the ends of the one
/// are not in the other.
///
/// # Panics
/// When a piece of work does not end.
pub async fn take_turns<C, F, W: Copy + Debug>(
    options: &Options,
    works: &[W],
    rest: Duration,
    chains: &mut [C],
    figures: &mut [Figures<F>],
    mut measure: impl AsyncFnMut(W, &mut C, &mut Figures<F>),
) {
    for round in 0..options.rounds {
        for work in works {
            let mut order: Vec<usize> = (0..chains.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for at in order {
                eprintln!("round {} of {}: {work:?}, {}", round + 1, options.rounds, figures[at].chain);
                let done = timeout(PATIENCE, measure(*work, &mut chains[at], &mut figures[at])).await;
                assert!(done.is_ok(), "{}: {work:?} took over {PATIENCE:?}", figures[at].chain);
                sleep(rest).await;
            }
        }
    }
}

pub fn load_average() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap().trim().to_owned()
}
