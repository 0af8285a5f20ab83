//! The edge's benchmark: CPU, latency, throughput and memory of the product as users meet it, beside nginx and HAProxy.
//!
//! `tests/bench/run edge` installs the peers, builds, and runs this; `--quick` proves in seconds that the bench itself works
//! (its figures mean nothing). What is measured, the figures, and what was tried stand in `README.md` beside this file.
//!
//! | option | |
//! | --- | --- |
//! | `--quick` | few requests, one round |
//! | `--rounds N` | rounds (default 5) |
//! | `--only NAME,NAME` | these proxies alone: wandergate, nginx, nginx-chain, haproxy, and before |
//! | `--work NAME,NAME` | these kinds of work alone: h1, h2, fresh, again, tcp, tls, udp, down, up, h2down, idle, memory |
//! | `--json FILE` | figures as one JSON object; `-` is standard output, and the tables are left out |
//!
//! With `BENCH_BEFORE=PROGRAM`, an earlier build of the product, that one is measured in the same rounds as `before`.

#![allow(clippy::unwrap_used, reason = "a program that ends at the first thing that is not as it should be")]

mod figures;
mod load;
mod ours;
mod peers;
mod proxies;
mod report;
mod rounds;

use tests::measure::options::Options;
use tests::measure::report::tell;
use tests::measure::service;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let [part, listen] = arguments.as_slice()
        && part == "part"
    {
        return runtime.block_on(service::serve(listen.parse().unwrap()));
    }
    let options = Options::read("bench-edge", arguments);
    let run = runtime.block_on(rounds::run(&options));
    tell(&report::SUITE, &run, &options);
}
