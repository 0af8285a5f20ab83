//! The published vectors: what this code computes is what the file says, and an independent script agrees.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test is a crate of its own, and an unwrap is its assertion"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use rotator::pool::Range;
use rotator::tenure::{Rhythm, Term};
use rotator::{
    Cut, GrantId, GrantKey, KeyEpochs, Label, Pool, Root, Schedule, Tenure, UnixTime, announce::ttl,
};
use serde_json::{Value, json};

const ROOT: [u8; 32] = *b"wandergate test vectors, not key";
const DEVICES: [(&str, u128); 2] = [
    ("00112233-4455-6677-8899-aabbccddeeff", 0x00112233_4455_6677_8899_aabbccddeeff),
    ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 0xf81d4fae_7dec_11d0_a765_00a0c91e6bf6),
];
const NOW: u64 = 1_800_000_123;

fn root() -> Root {
    Root::new(ROOT)
}

fn id(device: usize, service: &str) -> GrantId {
    GrantId { device: DEVICES[device].1.to_be_bytes(), service: service.into() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Grants that the vectors are about: a service name beyond ASCII and an empty one among them.
fn grants() -> Vec<(usize, &'static str)> {
    vec![(0, "web"), (1, "web"), (0, "ssh"), (1, "büro-telefon"), (0, "")]
}

fn epoch_keys() -> Vec<Value> {
    let seconds =
        [(0, 604_800), (604_799, 604_800), (604_800, 604_800), (NOW, 604_800), (NOW, 100), (u64::MAX, 1)];
    let of = |(t, period): (u64, u64)| {
        let epoch = KeyEpochs::every(period).at(UnixTime::from_secs(t));
        let key = hex(&*root().epoch_secret(epoch));
        json!({"unix": t, "key_period_s": period, "epoch": epoch, "key": key})
    };
    seconds.into_iter().map(of).collect()
}

fn purpose_keys() -> Vec<Value> {
    let of = |purpose: &str| json!({"purpose": purpose, "key": hex(&*root().purpose_key(purpose))});
    ["decoy", "challenge"].map(of).to_vec()
}

fn key(device: usize, service: &str, generation: u32, epoch: u64) -> GrantKey {
    root().epoch_key(epoch).grant_key(&id(device, service), generation)
}

fn grant_keys() -> Vec<Value> {
    let mut all = Vec::new();
    for (device, service) in grants() {
        for (generation, epoch) in [(0, 2976), (1, 2976), (u32::MAX, 2977)] {
            let key = hex(key(device, service, generation, epoch).expose());
            all.push(json!({
                "device": DEVICES[device].0, "service": service, "generation": generation, "epoch": epoch, "key": key,
            }));
        }
    }
    all
}

fn phases() -> Vec<Value> {
    let of = |(device, service): (usize, &str)| {
        let phase = format!("{:016x}", id(device, service).phase());
        json!({"device": DEVICES[device].0, "service": service, "phase": phase})
    };
    grants().into_iter().map(of).collect()
}

fn tenure(device: usize, service: &str, schedule: Schedule, next: Option<(u64, Cut)>) -> Tenure {
    let first = Term { from: UnixTime::ZERO, generation: 0, schedule, cut: Cut::Grace };
    let next = next.map(|(from, cut)| Term { from: UnixTime::from_secs(from), generation: 1, cut, ..first });
    Tenure::new(id(device, service).phase(), [first].into_iter().chain(next).collect())
}

fn windows() -> Vec<Value> {
    let mut all = Vec::new();
    for (device, service) in [(0, "web"), (1, "ssh")] {
        for (period_s, key_period) in [(60, 604_800), (1800, 604_800), (7, 100), (2_592_000, 604_800)] {
            let schedule = Schedule { period_s, ..Schedule::NAME };
            let tenure = tenure(device, service, schedule, None);
            let now = tenure.window_at(UnixTime::from_secs(NOW), Rhythm::Address).unwrap();
            // The first second of all, any second, and both sides of a window's end.
            for t in [0, NOW, now.end.secs() - 1, now.end.secs()] {
                let window = tenure.window_at(UnixTime::from_secs(t), Rhythm::Address).unwrap();
                all.push(json!({
                    "device": DEVICES[device].0, "service": service, "period_s": period_s, "unix": t,
                    "key_period_s": key_period, "number": window.number, "start": window.start.secs(),
                    "end": window.end.secs(), "epoch": KeyEpochs::every(key_period).at(window.origin),
                }));
            }
        }
    }
    all
}

/// How often the derivation had to skip a reserved address: counted here anew, from the unskipped tags.
fn skips(range: &str, pool: &str, key: &GrantKey, window: u64) -> u32 {
    let (first, last) = match range.parse::<Range>().unwrap() {
        Range::V4 { first, last, whole: true } => (u32::from(first), u32::from(last)),
        // A reserved identifier in IPv6 is too rare to be met here (2^-16 in a /96).
        Range::V4 { .. } => return 0,
        Range::V6(net) => return v6_skips(net, pool, key, window),
    };
    let lands_on_an_end = |counter: u32| {
        let tag = tag(key, pool, window, counter);
        let top = u64::from_be_bytes(tag[..8].try_into().unwrap());
        let offset = ((u128::from(top) * (u128::from(last - first) + 1)) >> 64) as u32;
        offset == 0 || offset == last - first
    };
    (0..16).find(|counter| !lands_on_an_end(*counter)).unwrap_or(16)
}

fn v6_skips(net: ipnet::Ipv6Net, pool: &str, key: &GrantKey, window: u64) -> u32 {
    let host = |counter| {
        let tag = tag(key, pool, window, counter);
        u128::from_be_bytes(tag[..16].try_into().unwrap()) >> net.prefix_len()
    };
    (0..16).find(|counter| host(*counter) >= 1 << 16).unwrap_or(16)
}

fn tag(key: &GrantKey, pool: &str, window: u64, counter: u32) -> [u8; 32] {
    let (window, counted) = (window.to_be_bytes(), counter.to_be_bytes());
    let fields: [&[u8]; 3] = [pool.as_bytes(), &window, &counted];
    key.derive("address", if counter == 0 { &fields[..2] } else { &fields })
}

fn addresses() -> Vec<Value> {
    let mut all = Vec::new();
    let mut add = |device: usize, service: &str, pool: &str, range: &str, window: u64| {
        let key = key(device, service, 3, 2976);
        let address = Pool { id: pool.into(), range: range.parse().unwrap() }.address(&key, window);
        let skips = skips(range, pool, &key, window);
        all.push(json!({
            "device": DEVICES[device].0, "service": service, "generation": 3, "epoch": 2976, "pool": pool,
            "range": range, "window": window, "address": address.to_string(), "skips": skips,
        }));
        skips
    };
    let ranges = [
        "2001:db8:42::/64",
        "2001:db8::/32",
        "2001:db8:0:0:42::/80",
        "2001:db8::dead:0:0/96",
        "2001:db8:1::/61",
        "203.0.113.0/24",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "203.0.113.10-203.0.113.99",
        "127.64.0.1-127.95.255.254",
    ];
    for range in ranges {
        for (device, service) in [(0, "web"), (1, "büro-telefon")] {
            for window in [0, 30_000_002, 30_000_003, u64::MAX] {
                add(device, service, "main", range, window);
            }
        }
        add(0, "web", "second", range, 30_000_002);
    }
    // Windows that meet a reserved address: once, and more than once, in a small prefix; once in a /96.
    let rare = key(0, "web", 3, 2976);
    for (range, least) in [("203.0.113.16/28", 1), ("203.0.113.16/28", 3), ("2001:db8::dead:0:0/96", 1)] {
        let window = (0..).find(|n| skips(range, "rare", &rare, *n) >= least).unwrap();
        assert!(add(0, "web", "rare", range, window) >= least);
    }
    all
}

fn stable_labels() -> Vec<Value> {
    let mut mixed = [0; 16];
    mixed.iter_mut().zip(0..).for_each(|(byte, n): (&mut u8, u8)| *byte = n.wrapping_mul(37));
    let of = |random: [u8; 16]| json!({"random": hex(&random), "label": Label::stable(random).to_string()});
    [[0; 16], [0xff; 16], mixed].map(of).to_vec()
}

fn rotating_labels() -> Vec<Value> {
    let mut all = Vec::new();
    for (device, service) in grants() {
        for label_window in [0, 500_000, 500_001, u64::MAX] {
            let label = Label::rotating(&key(device, service, 0, 2976), label_window).to_string();
            all.push(json!({
                "device": DEVICES[device].0, "service": service, "generation": 0, "epoch": 2976,
                "label_window": label_window, "label": label,
            }));
        }
    }
    all
}

fn ttls() -> Vec<Value> {
    let tight = Schedule { period_s: 20, lead_s: 3, grace_s: 4, ttl_s: 5, ..Schedule::NAME };
    let mut all = Vec::new();
    for schedule in [Schedule::NAME, Schedule::AGENT, tight] {
        let window = tenure(0, "web", schedule, None).window_at(UnixTime::from_secs(NOW), Rhythm::Address);
        let (start, end) = window.map(|w| (w.start.secs(), w.end.secs())).unwrap();
        let cut = end - 6;
        for next in [None, Some((cut, Cut::Grace)), Some((cut, Cut::Now))] {
            let tenure = tenure(0, "web", schedule, next);
            let last = next.map_or(end, |(from, _)| from) - 1;
            for t in [start, last - 3, last] {
                let now = UnixTime::from_secs(t);
                let window = tenure.window_at(now, Rhythm::Address).unwrap();
                let next = next.map(|(from, cut)| {
                    json!({"from": from, "cut": match cut { Cut::Grace => "grace", Cut::Now => "now" }})
                });
                all.push(json!({
                    "device": DEVICES[0].0, "service": "web", "unix": t, "period_s": schedule.period_s,
                    "lead_s": schedule.lead_s, "grace_s": schedule.grace_s, "ttl_s": schedule.ttl_s, "next_term": next,
                    "closes": window.lease(0).closes().secs(), "ttl": ttl(&window, now),
                }));
            }
        }
    }
    all
}

fn computed() -> Value {
    json!({
        "schema": "wandergate.vectors/1",
        "root": hex(&ROOT),
        "epoch_keys": epoch_keys(),
        "purpose_keys": purpose_keys(),
        "grant_keys": grant_keys(),
        "phases": phases(),
        "windows": windows(),
        "addresses": addresses(),
        "stable_labels": stable_labels(),
        "rotating_labels": rotating_labels(),
        "ttls": ttls(),
    })
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

#[test]
fn the_published_vectors_are_what_this_code_computes() {
    let path = folder().join("vectors.json");
    let text = format!("{:#}\n", computed());
    if std::env::var_os("REWRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert!(
        published == text,
        "vectors.json is stale: write it anew with REWRITE_VECTORS=1, and say why in the commit"
    );
}

#[test]
fn an_independent_script_reproduces_every_vector_from_the_written_rules() {
    let done = Command::new("python3").arg(folder().join("check.py")).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{err}");
    let count: usize = out.strip_suffix(" vectors reproduced\n").unwrap().parse().unwrap();
    assert!(count > 250, "{count}");
}

#[test]
fn the_script_refuses_a_file_in_which_any_one_vector_is_wrong() {
    let dir = std::env::temp_dir().join(format!("wandergate-vectors-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    for (part, field, lie) in [
        ("epoch_keys", "key", json!("00")),
        ("purpose_keys", "key", json!("00")),
        ("grant_keys", "key", json!("00")),
        ("phases", "phase", json!("0")),
        ("windows", "number", json!(1)),
        ("windows", "epoch", json!(1)),
        ("addresses", "address", json!("::1")),
        ("addresses", "skips", json!(9)),
        ("ttls", "ttl", json!(999)),
        ("stable_labels", "label", json!("a")),
        ("rotating_labels", "label", json!("a")),
    ] {
        let mut vectors = computed();
        vectors[part][0][field] = lie;
        let path = dir.join("wrong.json");
        std::fs::write(&path, vectors.to_string()).unwrap();
        let done = Command::new("python3").arg(folder().join("check.py")).arg(&path).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{part}.{field}");
        assert!(String::from_utf8_lossy(&done.stderr).contains("1 of "), "{part}.{field}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
