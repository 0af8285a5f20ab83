//! Broken wirings: every kind of mistake is reported at its place, with the value and with a way out.
//!
//! Each file in `broken_wirings/` is a wiring, then one line per mistake that it has to be told:
//! `#! LINE:COLUMN CODE | what the message names | what the suggestion or the fix offers`.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its own files has to stop")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use wandergate_cli::wiring_file::{self, Errors};

/// File name, wiring, expectations as lines.
fn cases() -> Vec<(String, String, Vec<String>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken_wirings");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let (wiring, footer) = text.split_once("#!").unwrap_or((&text, ""));
            let expected = footer.split("#!").map(|line| line.trim().to_owned()).collect();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), wiring.to_owned(), expected)
        })
        .collect();
    cases.sort();
    cases
}

fn refused(text: &str, name: &str) -> Errors {
    match wiring_file::parse(text, name) {
        Ok(checked) => panic!("{name} was taken as good: {checked:?}"),
        Err(errors) => errors,
    }
}

#[test]
fn every_kind_of_mistake_has_its_place_its_value_and_a_way_out() {
    let cases = cases();
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    let mut wrong = String::new();
    for (name, text, lines) in &cases {
        let errors = refused(text, name);
        let told: Vec<String> = errors
            .iter()
            .map(|error| {
                let place = error.at.map_or("-".to_owned(), |at| format!("{}:{}", at.line, at.column));
                let offer = format!("{} {}", error.suggestion.as_deref().unwrap_or_default(), error.fix);
                assert!(error.message.ends_with('.') && error.fix.ends_with('.'), "{name}: {error:?}");
                format!("{place} {} | {} | {offer}", error.reason.code(), error.message)
            })
            .collect();
        let meets = |(told, wanted): (&String, &String)| {
            let (told, wanted) = (thirds(told), thirds(wanted));
            told[0] == wanted[0] && told[1].contains(wanted[1]) && told[2].contains(wanted[2])
        };
        if told.len() != lines.len() || !told.iter().zip(lines).all(meets) {
            writeln!(
                wrong,
                "{name}\n  told\n    {}\n  wanted\n    {}",
                told.join("\n    "),
                lines.join("\n    ")
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Place and code, what is named, what is offered.
fn thirds(line: &str) -> [&str; 3] {
    let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
    parts.try_into().unwrap_or_else(|_| panic!("not LINE:COLUMN CODE | named | offered: {line}"))
}

#[test]
fn every_code_of_the_wiring_is_met_by_a_case() {
    let lines = cases().into_iter().flat_map(|(_, _, lines)| lines);
    let codes: BTreeSet<String> =
        lines.map(|line| thirds(&line)[0].rsplit(' ').next().unwrap().to_owned()).collect();
    let all = ["W-1300", "W-1301", "W-1302", "W-1303", "W-1304", "W-1311", "W-1312", "W-1313"];
    assert_eq!(codes, all.map(str::to_owned).into());
}
