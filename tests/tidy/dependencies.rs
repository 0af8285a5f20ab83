//! What the workspace is built from: one provider of cryptography, no known holes, licences that fit.

use std::process::Command;

use crate::rules::{BANNED_CRATES, FLOORS, LICENCES, ONE_VERSION};
use crate::tree::{Findings, read, root};

/// Name and version of everything in the lock.
fn locked() -> Vec<(String, String)> {
    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
    lock["package"].as_array().unwrap().iter().map(|p| (text(p, "name"), text(p, "version"))).collect()
}

/// One line for each package that is built into the product or builds it, in `format`.
fn built(format: &str) -> Vec<String> {
    let out = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--edges", "normal,build", "--offline", "--locked", "--prefix", "none"])
        .args(["--format", format])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "cargo tree: {}", String::from_utf8_lossy(&out.stderr));
    let mut lines: Vec<String> = String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.retain(|line| !line.is_empty());
    lines.sort();
    lines.dedup();
    assert!(lines.len() > 20, "cargo tree printed {} lines", lines.len());
    lines
}

fn version(text: &str) -> [u64; 3] {
    let mut parts = text.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// Whether an SPDX expression can be met with [`LICENCES`] alone.
fn accepted(expression: &str) -> bool {
    let expression = expression.trim();
    if let Some((left, right)) = split_outside(expression, " OR ").or_else(|| split_outside(expression, "/"))
    {
        return accepted(left) || accepted(right);
    }
    if let Some((left, right)) = split_outside(expression, " AND ") {
        return accepted(left) && accepted(right);
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => accepted(inner),
        None => LICENCES.contains(&expression),
    }
}

/// Splits at the first `word` that stands outside of brackets.
fn split_outside<'e>(expression: &'e str, word: &str) -> Option<(&'e str, &'e str)> {
    let outside = |at: &usize| {
        let before = &expression[..*at];
        before.matches('(').count() == before.matches(')').count()
    };
    let at = expression.match_indices(word).map(|(at, _)| at).find(outside)?;
    Some((&expression[..at], &expression[at + word.len()..]))
}

#[test]
fn ring_is_the_only_provider_of_cryptography() {
    let mut findings = Findings::default();
    for line in built("{p}") {
        let name = line.split_whitespace().next().unwrap_or_default();
        if BANNED_CRATES.contains(&name) {
            let why =
                "two providers mean two sets of flaws, and a C toolchain or a system's library to build with";
            let fix = "find who asks for it (`cargo tree -i NAME`), and take that crate without its default features";
            findings.add("Cargo.toml", &format!("`{name}` is built in"), why, fix);
        }
    }
    findings.none();
}

#[test]
fn there_is_one_version_of_what_must_agree() {
    let locked = locked();
    for name in ONE_VERSION {
        let versions: Vec<&str> = locked.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
        assert_eq!(
            versions.len(),
            1,
            "Cargo.lock has {name} {versions:?}; fix: `cargo tree -d`, then agree on one"
        );
    }
}

#[test]
fn no_dependency_is_below_the_version_that_closed_its_hole() {
    let mut findings = Findings::default();
    for (name, found) in locked() {
        let Some((_, floor, hole)) = FLOORS.iter().find(|(floored, _, _)| *floored == name) else { continue };
        if version(&found) < *floor {
            let [major, minor, patch] = floor;
            let what = format!("{name} {found} is below {major}.{minor}.{patch}");
            findings.add(
                "Cargo.lock",
                &what,
                &format!("known hole: {hole}"),
                &format!("`cargo update -p {name}`"),
            );
        }
    }
    findings.none();
}

#[test]
fn r3_01_every_dependency_is_open_source_under_a_licence_that_fits() {
    let mut findings = Findings::default();
    for line in built("{p}|{l}") {
        let (package, licence) = line.split_once('|').unwrap();
        if !accepted(licence.trim_end_matches(" (*)")) {
            let why = "requirement 3.01, and the licence of the whole";
            findings.add(
                "Cargo.lock",
                &format!("{package} is under `{licence}`"),
                why,
                "choose another crate, or extend LICENCES",
            );
        }
    }
    findings.none();
}

#[test]
fn r3_02_everything_comes_from_the_source_registry_under_a_lock() {
    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    for package in lock["package"].as_array().unwrap() {
        let Some(source) = package.get("source").and_then(toml::Value::as_str) else { continue };
        assert!(source.starts_with("registry+"), "Cargo.lock: {package}: fix: take it from the registry");
        assert!(package.get("checksum").is_some(), "Cargo.lock: {package} has no checksum");
    }
}

#[test]
fn versions_compare_as_numbers_and_licences_as_expressions() {
    assert!(
        version("0.103.9") < version("0.103.13")
            && version("1.2") == [1, 2, 0]
            && version("1.1.5+spec") == [1, 1, 5]
    );
    assert!(accepted("MIT OR GPL-3.0") && accepted("MIT/Apache-2.0") && accepted("(MIT OR X) AND ISC"));
    assert!(
        accepted("Apache-2.0 WITH LLVM-exception OR X") && accepted("(MIT OR Apache-2.0) AND Unicode-3.0")
    );
    assert!(!accepted("GPL-3.0") && !accepted("MIT AND GPL-3.0") && !accepted(""));
}
