//! Which datagrams leave together: equal ones in one call, cut apart by the kernel or the card (GSO). Pure.

use std::ops::Range;

/// Longest UDP payload over IPv4 and IPv6 on an Ethernet of 1,500 bytes: longer segments are refused there.
const SEGMENT_MAX: usize = 1452;
/// Bytes of one call.
const TOGETHER_MAX: usize = 65_000;

/// The first datagrams that leave in one call: all of one length, but the last may be shorter. At least one, if there is
/// any; at most `segments_max`.
pub fn together(lengths: &[usize], segments_max: usize) -> Range<usize> {
    let Some((&first, rest)) = lengths.split_first() else { return 0..0 };
    if first == 0 || first > SEGMENT_MAX {
        return 0..1;
    }
    let most = segments_max.clamp(1, TOGETHER_MAX / first);
    let equal = 1 + rest.iter().take_while(|length| **length == first).count().min(most - 1);
    let has_tail = equal < most && lengths.get(equal).is_some_and(|tail| (1..first).contains(tail));
    0..equal + usize::from(has_tail)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_datagrams_leave_together_with_one_shorter_at_the_end() {
        assert_eq!(together(&[5, 5, 5, 3, 3], 64), 0..4);
        assert_eq!(together(&[5, 5, 6], 64), 0..2);
        assert_eq!(together(&[5, 0, 5], 64), 0..1, "an empty one would be lost");
        assert_eq!(together(&[0, 0], 64), 0..1);
        assert_eq!(together(&[5, 5, 5], 2), 0..2);
        assert_eq!(together(&[5, 5, 3], 2), 0..2);
        assert_eq!(together(&[5, 5], 1), 0..1, "a kernel that does not cut");
        assert_eq!(together(&[SEGMENT_MAX; 64], 64), 0..44);
        assert_eq!(together(&[SEGMENT_MAX + 1; 2], 64), 0..1);
        assert_eq!(together(&[], 64), 0..0);
    }

    proptest! {
        #[test]
        fn the_kernel_cuts_every_call_into_just_the_datagrams_that_went_in(
            lengths in vec(prop_oneof![Just(0), Just(7), Just(1200), 0..2000usize], 1..80), most in 1..70usize
        ) {
            let mut at = 0;
            while at < lengths.len() {
                let call = &lengths[at..][together(&lengths[at..], most)];
                prop_assert!((1..=most).contains(&call.len()));
                let total: usize = call.iter().sum();
                prop_assert!(call.len() == 1 || total <= TOGETHER_MAX);
                let cut: Vec<usize> = match call {
                    [one] => vec![*one],
                    _ => (0..total).step_by(call[0]).map(|from| call[0].min(total - from)).collect(),
                };
                prop_assert_eq!(&cut[..], call);
                at += call.len();
            }
        }
    }
}
