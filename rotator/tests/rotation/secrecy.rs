//! Unpredictable without the key: fixed seeds, so each figure is the same on every run.
//!
//! Thresholds are those of 5 standard deviations (chance below one in a million for a random source): monobit and
//! agreement counts are binomial with p = 1/2; chi-square over 256 byte values has mean 255 and deviation sqrt(510).

use std::net::IpAddr;

use rotator::{GrantKey, Pool};

use crate::stage::{Dice, grant, root};

const WINDOWS: u64 = 20_000;

fn key(n: u64) -> GrantKey {
    root().epoch_key(1).grant_key(&grant(n), 0)
}

fn pool(id: &str) -> Pool {
    Pool { id: id.into(), range: "2001:db8::/64".parse().unwrap() }
}

fn host(key: &GrantKey, pool: &Pool, window: u64) -> u64 {
    match pool.address(key, window) {
        IpAddr::V6(a) => u128::from(a) as u64,
        IpAddr::V4(_) => unreachable!(),
    }
}

fn hosts() -> Vec<u64> {
    let (key, pool) = (key(1), pool("six"));
    (30_000_000..30_000_000 + WINDOWS).map(|n| host(&key, &pool, n)).collect()
}

/// Distance of `ones` of `bits` fair bits from the expectation, in standard deviations.
fn deviation(ones: u64, bits: u64) -> f64 {
    (ones as f64 - bits as f64 / 2.0).abs() / (bits as f64 / 4.0).sqrt()
}

fn agreement(pairs: impl Iterator<Item = (u64, u64)>) -> f64 {
    let (mut same, mut bits) = (0, 0);
    for (a, b) in pairs {
        same += u64::from((!(a ^ b)).count_ones());
        bits += 64;
    }
    deviation(same, bits)
}

fn chi_square(bytes: impl Iterator<Item = u8>) -> f64 {
    let mut counts = [0u64; 256];
    bytes.for_each(|b| counts[usize::from(b)] += 1);
    let expected = counts.iter().sum::<u64>() as f64 / 256.0;
    let chi: f64 = counts.iter().map(|c| (*c as f64 - expected).powi(2) / expected).sum();
    (chi - 255.0).abs() / 510f64.sqrt()
}

#[test]
fn r0_23_every_host_bit_of_consecutive_windows_is_a_fair_coin() {
    let hosts = hosts();
    for bit in 0..64 {
        let ones = hosts.iter().filter(|h| *h >> bit & 1 == 1).count() as u64;
        assert!(deviation(ones, WINDOWS) < 5.0, "bit {bit}: {ones} of {WINDOWS}");
    }
    let ones = hosts.iter().map(|h| u64::from(h.count_ones())).sum();
    assert!(deviation(ones, WINDOWS * 64) < 5.0);
}

#[test]
fn r0_23_every_byte_value_is_as_frequent_as_any_other() {
    let hosts = hosts();
    assert!(chi_square(hosts.iter().flat_map(|h| h.to_be_bytes())) < 5.0);
    for byte in 0..8 {
        assert!(chi_square(hosts.iter().map(|h| h.to_be_bytes()[byte])) < 5.0, "byte {byte}");
    }
}

#[test]
fn r0_23_windows_grants_pools_generations_and_epochs_tell_nothing_of_one_another() {
    let hosts = hosts();
    for lag in [1, 2, 3, 60, 256] {
        let pairs = hosts.iter().zip(&hosts[lag..]).map(|(a, b)| (*a, *b));
        assert!(agreement(pairs) < 5.0, "windows {lag} apart");
    }
    let six = pool("six");
    let against =
        |other: &dyn Fn(u64) -> u64| agreement((0..WINDOWS).map(|n| (host(&key(1), &six, n), other(n))));
    assert!(against(&|n| host(&key(2), &six, n)) < 5.0, "grants");
    assert!(against(&|n| host(&key(1), &pool("siy"), n)) < 5.0, "pools");
    assert!(against(&|n| host(&root().epoch_key(1).grant_key(&grant(1), 1), &six, n)) < 5.0, "generations");
    assert!(against(&|n| host(&root().epoch_key(2).grant_key(&grant(1), 0), &six, n)) < 5.0, "epochs");
    assert!(
        against(&|n| rotator::Label::rotating(&key(1), n).bytes()[..8]
            .try_into()
            .map_or(0, u64::from_be_bytes))
            < 5.0
    );
}

#[test]
fn r0_23_who_lacks_the_key_tells_an_address_from_a_random_one_no_better_than_a_coin() {
    // Each strategy names one of two numbers as the derived one, having seen the 16 windows before.
    type Strategy = fn(&[u64], u64) -> u64;
    let strategies: [(&str, Strategy); 5] = [
        ("nearest to the last", |seen, x| x.abs_diff(seen[15])),
        ("fewest bits changed", |seen, x| u64::from((x ^ seen[15]).count_ones())),
        ("most ones", |_, x| u64::from(x.count_zeros())),
        ("on the line of the last two", |seen, x| {
            x.abs_diff(seen[15].wrapping_mul(2).wrapping_sub(seen[14]))
        }),
        ("like the mean", |seen, x| x.abs_diff(seen.iter().map(|s| s / 16).sum())),
    ];
    let hosts = hosts();
    let mut dice = Dice(99);
    for (name, score) in strategies {
        let right = hosts
            .windows(17)
            .filter(|seen| score(&seen[..16], seen[16]) < score(&seen[..16], dice.next()))
            .count() as u64;
        // Ties of bit counts go to the random one: the strategies that count bits lose about one in ten so.
        let rounds = WINDOWS - 16;
        let better = right as f64 - rounds as f64 / 2.0;
        assert!(better < 5.0 * (rounds as f64 / 4.0).sqrt(), "{name}: {right} of {rounds}");
    }
}

#[test]
fn r0_23_changing_any_one_bit_of_the_key_changes_half_the_address() {
    let base = *key(1).expose();
    let six = pool("six");
    let first = host(&GrantKey::from_bytes(base), &six, 5);
    let flips = (0..256).map(|bit| {
        let mut bytes = base;
        bytes[bit / 8] ^= 1 << (bit % 8);
        (first, host(&GrantKey::from_bytes(bytes), &six, 5))
    });
    assert!(agreement(flips) < 5.0);
}

#[test]
fn r0_23_the_addresses_of_a_range_that_is_no_power_of_two_are_equally_likely() {
    let pool = Pool { id: "four".into(), range: "192.0.2.10-192.0.2.109".parse().unwrap() };
    let mut counts = [0u32; 100];
    for n in 0..100_000 {
        match pool.address(&key(1), n) {
            IpAddr::V4(a) => counts[usize::from(a.octets()[3]) - 10] += 1,
            IpAddr::V6(_) => unreachable!(),
        }
    }
    let chi: f64 = counts.iter().map(|c| (f64::from(*c) - 1000.0).powi(2) / 1000.0).sum();
    assert!((chi - 99.0).abs() / 198f64.sqrt() < 5.0, "{chi}");
}

#[test]
fn reserved_addresses_are_never_given_out() {
    let prefix = Pool { id: "four".into(), range: "192.0.2.16/28".parse().unwrap() };
    for n in 0..20_000 {
        let address = prefix.address(&key(1), n).to_string();
        assert!(address != "192.0.2.16" && address != "192.0.2.31", "window {n}");
    }
    let small = Pool { id: "six".into(), range: "2001:db8::/96".parse().unwrap() };
    for n in 0..300_000 {
        match small.address(&key(1), n) {
            IpAddr::V6(a) => assert!(u128::from(a) & 0xffff_ffff >= 1 << 16, "window {n}"),
            IpAddr::V4(_) => unreachable!(),
        }
    }
}

#[test]
fn no_secret_is_printed() {
    let key = key(1);
    let hex: String = key.expose()[..4].iter().map(|b| format!("{b:02x}")).collect();
    let ring = rotator::Keyring::around(&root(), rotator::KeyEpochs::WEEKLY, 0, crate::stage::at(9));
    let label = rotator::Label::rotating(&key, 1);
    for text in [
        format!("{key:?}"),
        format!("{:?}", root()),
        format!("{ring:?}"),
        format!("{:?}", root().epoch_key(1)),
    ] {
        assert!(text.contains("masked") && !text.contains(&hex) && !text.contains("42, 42"), "{text}");
    }
    assert!(!format!("{label:?}").contains(&label.to_string()));
}
