//! What the other modules check, as data.

/// Package, folder, row. Imports point to a lower row only; development dependencies are free.
pub(crate) const ROOMS: &[(&str, &str, u8)] = &[
    ("tests", "tests", 6),
    ("wandergate", "ops/cli", 5),
    ("ops", "ops", 4),
    ("edge", "gateway/edge", 3),
    ("dns-front", "dns-front", 3),
    ("registration", "registration", 3),
    ("fabric", "gateway/fabric", 2),
    ("state", "ops/state", 2),
    ("rotator", "rotator", 1),
    ("defense", "defense", 1),
];

/// Everything that stands at the top, dotfiles apart.
pub(crate) const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "defense",
    "dns-front",
    "gateway",
    "ops",
    "registration",
    "rotator",
    "tests",
];

/// Deciding code: a folder with all below it, or a module with the folder beside it.
pub(crate) const DECIDING: &[&str] = &[
    "rotator/src",
    "defense/src",
    "gateway/fabric/src/byte_queue.rs",
    "gateway/fabric/src/election.rs",
    "gateway/fabric/src/identity.rs",
    "gateway/fabric/src/mandate.rs",
    "gateway/fabric/src/mux.rs",
    "gateway/fabric/src/refusal.rs",
    "gateway/fabric/src/topology.rs",
    "gateway/fabric/src/wire.rs",
    "gateway/fabric/src/wiring.rs",
    "gateway/edge/src/admission.rs",
    "gateway/edge/src/http/headers.rs",
    "gateway/edge/src/roster.rs",
    "gateway/edge/src/udp/filter.rs",
    "gateway/edge/src/udp/segments.rs",
    "gateway/edge/src/udp/table.rs",
    "dns-front/src/answer.rs",
    "dns-front/src/decoy.rs",
    "dns-front/src/respond.rs",
    "dns-front/src/view.rs",
    "dns-front/src/wire.rs",
    "dns-front/src/zone.rs",
    "registration/src/challenge.rs",
    "registration/src/enrol.rs",
    "registration/src/examine.rs",
    "registration/src/invite.rs",
    "registration/src/keys.rs",
    "registration/src/renew.rs",
    "registration/src/spent.rs",
    "ops/state/src/audit.rs",
    "ops/state/src/grants.rs",
    "ops/state/src/names.rs",
    "ops/state/src/records.rs",
    "ops/state/src/txn.rs",
    "ops/src/exposure.rs",
    "ops/src/acts.rs",
    "ops/src/describe.rs",
    "ops/src/foresight.rs",
    "ops/src/why.rs",
    "ops/cli/src/config/conflicts.rs",
    "ops/cli/src/config/reader.rs",
    "ops/cli/src/config/sections.rs",
    "ops/cli/src/config/words.rs",
    "ops/cli/src/desired.rs",
    "ops/cli/src/wiring_file/sections.rs",
    "ops/cli/src/wiring_file/verdict.rs",
    "ops/cli/src/wiring_file/words.rs",
];

/// What deciding code never names, and what it does instead.
pub(crate) const IMPURE: &[(&str, &str)] = &[
    ("tokio", "return what to do, and let the shell around it do it"),
    ("hyper", "return what to do, and let the shell around it do it"),
    ("socket2", "sockets belong to the shell"),
    ("TcpStream", "sockets belong to the shell"),
    ("TcpListener", "sockets belong to the shell"),
    ("UdpSocket", "sockets belong to the shell"),
    ("UnixStream", "sockets belong to the shell"),
    ("UnixListener", "sockets belong to the shell"),
    ("SystemTime", "take `now` as an argument"),
    ("Instant::now", "take `now` as an argument"),
    ("DefaultClock", "take `now` as an argument"),
    ("QuantaClock", "take `now` as an argument"),
    ("MonotonicClock", "take `now` as an argument"),
    ("SystemRandom", "take random bytes as an argument"),
    ("thread_rng", "take random bytes as an argument"),
    ("getrandom", "take random bytes as an argument"),
];

/// The same for what the standard library has, by the path below `std`.
pub(crate) const IMPURE_STD: &[(&str, &str)] = &[
    ("time::Instant", "take `now` as an argument"),
    ("fs", "take the content as an argument"),
    ("thread", "threads belong to the shell"),
    ("process", "effects belong to the shell"),
    ("env", "take the setting as an argument"),
];

/// Never written, tests included.
pub(crate) const BANNED_MACROS: &[(&str, &str)] = &[
    ("dbg", "remove it, or log through tracing"),
    ("todo", "finish it, or leave the feature out"),
    ("unimplemented", "finish it, or leave the feature out"),
];

/// Only the program that owns the terminal prints.
pub(crate) const PRINTING_MACROS: &[&str] = &["println", "eprintln", "print", "eprint"];
pub(crate) const MAY_PRINT: &str = "ops/cli/";

/// Drawers rather than rooms.
pub(crate) const BANNED_FILE_STEMS: &[&str] =
    &["mod", "util", "utils", "helper", "helpers", "common", "misc", "manager", "types", "constants"];

/// Requirement 0.16: nothing is executed, nothing is loaded.
pub(crate) const EXECUTION: &[&str] = &["Command::new", "process::Command", "dlopen", "dlsym", "libloading"];

/// The one exception starts the very file that it was started from: an upgrade that loses no connection.
pub(crate) const MAY_EXECUTE: &str = "ops/cli/src/handover/giver.rs";
pub(crate) const FILE_LINES_90TH: usize = 400;
pub(crate) const FILE_LINES_MAX: usize = 600;
pub(crate) const TEST_FILE_LINES_MAX: usize = 800;
pub(crate) const FUNCTION_LINES_90TH: usize = 35;
pub(crate) const FUNCTION_LINES_MAX: usize = 70;
/// Half an `unwrap()` or `expect()` per thousand lines outside of tests; it may only fall.
pub(crate) const UNWRAPS_PER_2000_LINES: usize = 1;

/// ring is the only provider of cryptography; what else appears comes with a C toolchain or a system's library.
pub(crate) const BANNED_CRATES: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"];
/// Two versions of these would not speak with each other.
pub(crate) const ONE_VERSION: &[&str] = &["rustls", "ring", "hyper", "h2"];
/// Lowest version without a known hole. Absent is fine.
pub(crate) const FLOORS: &[(&str, [u64; 3], &str)] = &[
    ("h2", [0, 4, 16], "floods of empty frames"),
    ("rustls-webpki", [0, 103, 13], "RUSTSEC-2026-0104"),
    ("hickory-proto", [0, 26, 1], "RUSTSEC-2026-0119"),
    ("bytes", [1, 11, 1], "integer overflow in BytesMut::reserve"),
    ("ring", [0, 17, 12], "RUSTSEC-2025-0009"),
];

/// Licences of dependencies that go with Apache-2.0 OR MIT.
pub(crate) const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
