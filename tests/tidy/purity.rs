//! Deciding code knows no clock, socket, file, thread or dice.

use crate::rules::{DECIDING, IMPURE, IMPURE_STD};
use crate::scan::{Scanned, uses};
use crate::tree::{Findings, RustFile, rust_files};

/// Whether an entry of [`DECIDING`] covers a file: it is it, or lies in the folder, or in the folder beside it.
fn covers(entry: &str, path: &str) -> bool {
    let folder = entry.strip_suffix(".rs").unwrap_or(entry);
    path == entry || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Places, words and remedies.
fn impurities(scanned: &Scanned) -> Vec<(usize, String, &'static str)> {
    let words = IMPURE.iter().flat_map(|(word, instead)| {
        scanned.product_uses(word).map(move |at| (at, (*word).to_owned(), *instead))
    });
    let mut found: Vec<_> = words.collect();
    for at in scanned.product_uses("std") {
        let path = scanned.code[at..].split(';').next().unwrap_or_default();
        let Some(rest) = path.strip_prefix("std::") else { continue };
        for (impure, instead) in IMPURE_STD.iter().filter(|(impure, _)| names(rest, impure)) {
            found.push((at, format!("std::{impure}"), instead));
        }
    }
    found
}

/// Whether a path, which may end in a group, names `wanted`: `fs::read`, `{fmt, fs}`, `time::{Duration, Instant}`.
fn names(path: &str, wanted: &str) -> bool {
    if let Some(group) = path.strip_prefix('{') {
        return wanted.split("::").all(|part| uses(group, part).next().is_some());
    }
    match wanted.split_once("::") {
        Some((outer, inner)) => path
            .strip_prefix(outer)
            .and_then(|rest| rest.strip_prefix("::"))
            .is_some_and(|rest| names(rest, inner)),
        None => uses(path, wanted).next() == Some(0),
    }
}

#[test]
fn deciding_code_knows_no_clock_socket_file_thread_or_dice() {
    let mut findings = Findings::default();
    let files: Vec<RustFile> = rust_files();
    for file in files.iter().filter(|file| file.is_product()) {
        let Some(entry) = DECIDING.iter().find(|entry| covers(entry, &file.path)) else { continue };
        for (at, word, instead) in impurities(&file.scanned) {
            let place = format!("{}:{}", file.path, file.scanned.line_of(at));
            let why = format!("`{entry}` decides: given the same arguments it must give the same answer");
            findings.add(&place, &format!("names `{word}`"), &why, instead);
        }
    }
    findings.none();
}

#[test]
fn every_deciding_module_on_the_list_exists() {
    let files = rust_files();
    let mut findings = Findings::default();
    for entry in DECIDING.iter().filter(|entry| !files.iter().any(|file| covers(entry, &file.path))) {
        let why = "a rule about a module that moved away protects nothing";
        findings.add(
            "tests/tidy/rules.rs",
            &format!("DECIDING names `{entry}`, which does not exist"),
            why,
            "correct the list",
        );
    }
    findings.none();
}

#[test]
fn impure_words_are_found_in_every_spelling_and_not_in_tests() {
    let found = |text: &str| impurities(&Scanned::of(text)).len();
    assert_eq!(found("use tokio::net::TcpStream;"), 2);
    assert_eq!(found("use std::fs;"), 1);
    assert_eq!(found("use std::{fmt, thread};"), 1);
    assert_eq!(found("fn f() { std::thread::sleep(d) }"), 1);
    assert_eq!(found("let t = std::time::Instant::now();"), 2);
    assert_eq!(found("use std::time::{Duration, Instant};"), 1);
    assert_eq!(found("use std::{fmt, time::{Duration, Instant}};"), 1);
    assert_eq!(found("use std::time::Duration; impl Clock for C { type Instant = Nanos; }"), 0);
    assert_eq!(found("use std::{fmt, net::IpAddr}; use crate::fs; // tokio"), 0);
    assert_eq!(found("#[cfg(test)]\nmod tests { use std::fs; }"), 0);
    assert!(
        covers("a/mux.rs", "a/mux/window.rs")
            && covers("a/src", "a/src/b.rs")
            && !covers("a/mux.rs", "a/muxer.rs")
    );
}
