//! What stands where, and how files begin.

use std::collections::BTreeSet;
use std::path::Path;

use crate::rules::{BANNED_FILE_STEMS, TOP};
use crate::tree::{Findings, files, rust_files};

#[test]
fn nothing_stands_at_the_top_but_the_rooms_and_what_tools_demand() {
    let files = files();
    let top: BTreeSet<&str> = files.iter().filter_map(|file| file.split('/').next()).collect();
    let top: BTreeSet<&str> = top.into_iter().filter(|name| !name.starts_with('.')).collect();
    let planned: BTreeSet<&str> = TOP.iter().copied().collect();
    let mut findings = Findings::default();
    for name in top.difference(&planned) {
        findings.add(
            name,
            "stands at the top",
            "the top level is fixed by the design",
            "move it into the room it belongs to",
        );
    }
    for name in planned.difference(&top) {
        findings.add(name, "is missing at the top", "the top level is fixed by the design", "restore it");
    }
    findings.none();
}

#[test]
fn every_file_says_in_its_first_line_what_it_is_for() {
    let mut findings = Findings::default();
    for file in rust_files() {
        let first = file.text.lines().next().unwrap_or_default();
        let said = first.strip_prefix("//! ").map_or(0, |said| said.trim().chars().count());
        if said < 6 {
            let why = "who opens a file should know at once whether it is the right one";
            findings.add(
                &format!("{}:1", file.path),
                "does not begin with a sentence in `//!`",
                why,
                "add one",
            );
        }
    }
    findings.none();
}

#[test]
fn no_file_is_a_drawer() {
    let mut findings = Findings::default();
    for file in rust_files() {
        let stem = Path::new(&file.path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if BANNED_FILE_STEMS.contains(&stem) {
            let fix = match stem {
                "mod" => "name it after its module, beside the folder: `foo.rs` and `foo/`",
                _ => "name it after what is in it, or move each part to where it is used",
            };
            findings.add(
                &file.path,
                &format!("is called `{stem}`"),
                "such a name attracts what has no place",
                fix,
            );
        }
    }
    findings.none();
}
