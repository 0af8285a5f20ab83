//! The benchmarks themselves work: every chain carries every kind of work without an error. No figure is judged.
#![allow(clippy::unwrap_used, reason = "in a test, an unwrap is an assertion")]
#![allow(clippy::print_stdout, reason = "what was left out is told")]

use std::process::Command;

use serde_json::Value;

/// Runs a bench quickly; gives its JSON.
fn quick(program: &str) -> Value {
    let ran = Command::new(program).args(["--quick", "--json", "-"]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let run: Value = serde_json::from_slice(&ran.stdout).unwrap();
    for left_out in run["left_out"].as_array().unwrap() {
        println!("not tried: {}: {}", left_out["chain"], left_out["why"]);
    }
    run
}

/// The first chain, which is ours, has every figure, and so has each other one that is not among `partly`, without an error;
/// those of these names have to be among them.
fn assert_whole<'r>(run: &'r Value, wanted: &[&str], partly: &[&str]) -> &'r Vec<Value> {
    let chains = run["chains"].as_array().unwrap();
    let names: Vec<&str> = chains.iter().map(|chain| chain["chain"].as_str().unwrap()).collect();
    assert!(wanted.iter().all(|name| names.contains(name)), "{wanted:?} are not all among {names:?}");
    let figures = |chain: &Value| chain["figures"].as_object().unwrap().len();
    for chain in chains {
        assert_eq!(chain["errors"], 0, "{chain}");
        let may_lack = partly.contains(&chain["chain"].as_str().unwrap());
        assert!(figures(chain) == figures(&chains[0]) || may_lack, "{chain}");
    }
    assert!(figures(&chains[0]) > 10);
    chains
}

fn median(chain: &Value, figure: &str) -> f64 {
    chain["figures"][figure]["median"].as_f64().unwrap()
}

#[test]
fn every_chain_of_the_fabrics_bench_that_is_installed_gives_every_figure_without_an_error() {
    let run = quick(env!("CARGO_BIN_EXE_bench-fabric"));
    let chains = assert_whole(&run, &["fabric", "h2", "copiers", "direct"], &[]);
    assert!(chains.iter().all(|chain| (median(chain, "small_cpu_us") > 0.0) == (chain["chain"] != "direct")));
}

#[test]
fn every_front_of_the_edges_bench_that_is_installed_gives_every_figure_without_an_error() {
    let run = quick(env!("CARGO_BIN_EXE_bench-edge"));
    let fronts = assert_whole(&run, &["wandergate"], &["nginx-chain", "haproxy"]);
    for cpu in [
        "h1_cpu_us",
        "h2_cpu_us",
        "new_tls_cpu_us",
        "again_tls_cpu_us",
        "down_cpu_s_per_gb",
        "up_cpu_s_per_gb",
    ] {
        assert!(fronts.iter().all(|front| median(front, cpu) > 0.0), "{cpu}: {run}");
    }
}
