//! The benchmarks themselves work: every chain carries every kind of work without an error. No figure is judged.
#![allow(clippy::unwrap_used, reason = "in a test, an unwrap is an assertion")]

use std::process::Command;

use serde_json::Value;

#[test]
fn every_chain_of_the_fabrics_bench_that_is_installed_gives_every_figure_without_an_error() {
    let ran =
        Command::new(env!("CARGO_BIN_EXE_bench-fabric")).args(["--quick", "--json", "-"]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let run: Value = serde_json::from_slice(&ran.stdout).unwrap();
    for left_out in run["left_out"].as_array().unwrap() {
        println!("not tried: {}: {}", left_out["chain"], left_out["why"]);
    }
    let chains = run["chains"].as_array().unwrap();
    let names: Vec<&str> = chains.iter().map(|chain| chain["chain"].as_str().unwrap()).collect();
    for ours in ["fabric", "h2", "copiers", "direct"] {
        assert!(names.contains(&ours), "{ours} is not among {names:?}");
    }
    let figures = |chain: &Value| chain["figures"].as_object().unwrap().len();
    for chain in chains {
        assert_eq!(chain["errors"], 0, "{chain}");
        assert_eq!(figures(chain), figures(&chains[0]), "{chain}");
    }
    assert!(figures(&chains[0]) > 10);
    let cpu = |chain: &Value| chain["figures"]["small_cpu_us"]["median"].as_f64().unwrap();
    assert!(chains.iter().all(|chain| (cpu(chain) > 0.0) == (chain["chain"] != "direct")));
}
