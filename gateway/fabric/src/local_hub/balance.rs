//! Which server of a service gets a stream: the least loaded first, equals in turn. Pure.

/// What is known of one server at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Streams it runs now.
    pub(super) load: usize,
    /// Healthy, and not draining.
    pub(super) is_usable: bool,
}

/// The usable servers' places in `candidates`, best first. `turn` grows with each call, so that equals share.
pub(super) fn in_turn(candidates: &[Candidate], turn: usize) -> Vec<usize> {
    let count = candidates.len();
    let mut order: Vec<usize> = (0..count).map(|n| (n + turn % count.max(1)) % count).collect();
    order.retain(|place| candidates[*place].is_usable);
    order.sort_by_key(|place| candidates[*place].load);
    order
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn candidates(loads: &[usize]) -> Vec<Candidate> {
        loads.iter().map(|load| Candidate { load: *load, is_usable: *load != usize::MAX }).collect()
    }

    #[test]
    fn the_least_loaded_comes_first_and_equals_take_turns() {
        assert_eq!(in_turn(&candidates(&[5, 1, 3]), 0), [1, 2, 0]);
        assert_eq!(in_turn(&candidates(&[2, 2, 2]), 0), [0, 1, 2]);
        assert_eq!(in_turn(&candidates(&[2, 2, 2]), 4), [1, 2, 0]);
        assert_eq!(in_turn(&candidates(&[0, usize::MAX]), 1), [0]);
        assert!(in_turn(&candidates(&[usize::MAX]), 7).is_empty());
        assert!(in_turn(&[], 7).is_empty());
    }

    proptest! {
        #[test]
        fn each_usable_server_appears_once_and_no_other(
            given in vec((0usize..4, any::<bool>()), 0..12), turn in any::<usize>()
        ) {
            let given: Vec<_> = given.into_iter().map(|(load, is_usable)| Candidate { load, is_usable }).collect();
            let order = in_turn(&given, turn);
            prop_assert!(order.iter().map(|place| given[*place].load).is_sorted());
            let mut sorted = order;
            sorted.sort_unstable();
            let usable: Vec<_> = (0..given.len()).filter(|place| given[*place].is_usable).collect();
            prop_assert_eq!(sorted, usable);
        }

        #[test]
        fn streams_that_stay_are_spread_evenly(servers in 1usize..8, streams in 0usize..200) {
            let mut loads = vec![0; servers];
            for turn in 0..streams {
                let first = in_turn(&candidates(&loads), turn)[0];
                loads[first] += 1;
            }
            prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1);
        }
    }
}
