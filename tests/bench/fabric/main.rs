//! The fabric's benchmark: CPU, latency and throughput of three hops with mutual TLS, ours beside what else could carry it.
//!
//! `tests/bench/run fabric` installs the peers, builds, and runs this; `--quick` proves in seconds that the bench itself
//! works (its figures mean nothing) and leaves out, with a line, the peers that are not installed.
//!
//! | option | |
//! | --- | --- |
//! | `--quick` | few requests, one round |
//! | `--rounds N` | rounds (default 5) |
//! | `--only NAME,NAME` | these chains alone |
//! | `--work NAME,NAME` | these kinds of work alone: small, many, fresh, bulk, idle, beside, stalled, gigabit, memory |
//! | `--json FILE` | figures as one JSON object; `-` is standard output, and the tables are left out |
//!
//! **What is measured.** A client speaks HTTP/1.1 over clear TCP to the first process of a chain, the last one speaks clear
//! TCP to a service; between the chain's processes is TLS 1.3 with P-256 certificates on both sides. Every chain carries the
//! same bytes. Client and service share one core, the chain has another one for itself; every process of a chain has one
//! thread that works. CPU is user and system time of all the chain's processes together (`/proc/PID/task/*/schedstat`),
//! over a bounded number of requests; client and service are not in it.
//!
//! **Rounds.** In each round every chain does the same work once, in an order that turns around with each round, so that
//! drift of the machine meets all alike; the tables tell medians over the rounds (of ratios, the median of those within a round) and how far the rounds spread. All chains
//! stay up for the whole run.
//!
//! **Latency beside bulk** is measured twice. A transfer "at full speed" takes all that the chain's one core has, and then
//! the kernel's scheduler, which has three busy processes to share it among, decides what a request waits for. One at
//! 1 Gbit/s leaves a part of the core free, as a link that is slower than the processor does; then the chain itself decides.
//!
//! | chain | processes | TLS links |
//! | --- | --- | --- |
//! | `fabric` | gateway, hub, local hub; the gateway takes TCP connections and opens a stream for each | 2 × 6 lanes |
//! | `h2` | the same with streams of the h2 crate, on as many links, chosen by the same rule | 2 × 6 |
//! | `nginx-http`, `nginx-tcp` | three, as HTTP proxies that keep connections, and as TCP proxies | 2 a connection |
//! | `haproxy-http`, `haproxy-tcp` | the same | 2 a connection |
//! | `rathole` | server and client: one link only, and only the server shows a certificate (the client a token) | 1 a stream |
//! | `rathole-2` | two of these in a row: as many links as the others | 2 a stream |
//! | `copiers` | three that copy bytes over clear TCP: the floor without TLS and without links that are shared | none |
//! | `direct` | none: what client and service cost by themselves | none |

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints figures")]
#![allow(clippy::unwrap_used, reason = "a program that ends at the first thing that is not as it should be")]

mod chains;
mod figures;
mod h2_link;
mod load;
mod ours;
mod parts;
mod peers;
mod report;
mod rounds;

use tests::measure::options::Options;
use tests::measure::report::tell;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "part") {
        return parts::run(&arguments.split_off(1));
    }
    let options = Options::read("bench-fabric", arguments);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = runtime.block_on(rounds::run(&options));
    tell(&report::SUITE, &run, &options);
}
