//! Broken configurations: every kind of mistake is reported at its place, with the value and with a way out.
//!
//! Each file in `broken_configs/` is a configuration, then one line per mistake that it has to be told:
//! `#! LINE:COLUMN CODE | what the message names | what the suggestion or the fix offers`.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its own files has to stop")]

#[path = "broken_configs/good.rs"]
mod good;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wandergate_cli::config::{self, ConfigError, ConfigErrors, bounds};

struct Expected<'t> {
    place: &'t str,
    code: &'t str,
    named: &'t str,
    offered: &'t str,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken_configs")
}

/// File name, configuration, expectations as lines.
fn cases() -> Vec<(String, String, Vec<String>)> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let (config, footer) =
                text.split_once("#!").unwrap_or_else(|| panic!("{path:?} expects nothing"));
            let expected = footer.split("#!").map(|line| line.trim().to_owned()).collect();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), config.to_owned(), expected)
        })
        .collect();
    cases.sort();
    cases
}

fn expected(line: &str) -> Expected<'_> {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let [head, named, offered] = parts[..] else { panic!("not LINE:COLUMN CODE | named | offered: {line}") };
    let (place, code) = head.split_once(' ').unwrap();
    Expected { place, code, named, offered }
}

fn place(error: &ConfigError) -> String {
    error.at.map_or("-".to_owned(), |at| format!("{}:{}", at.line, at.column))
}

fn refused(text: &str, name: &str) -> ConfigErrors {
    match config::parse(text, name) {
        Ok(config) => panic!("{name} was taken as good: {config:?}"),
        Err(errors) => errors,
    }
}

#[test]
fn every_kind_of_mistake_has_its_place_its_value_and_a_way_out() {
    let cases = cases();
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    for (name, text, lines) in &cases {
        let errors = refused(text, name);
        let told: Vec<_> = errors.iter().map(|e| (place(e), e.reason.code())).collect();
        let expected: Vec<_> = lines.iter().map(|line| expected(line)).collect();
        let wanted: Vec<_> = expected.iter().map(|e| (e.place.to_owned(), e.code)).collect();
        assert_eq!(told, wanted, "{name}:\n{errors}");
        for (error, expected) in errors.iter().zip(&expected) {
            let offer = format!("{} {}", error.suggestion.as_deref().unwrap_or_default(), error.fix);
            assert!(
                error.message.contains(expected.named),
                "{name}: {:?} lacks {:?}",
                error.message,
                expected.named
            );
            assert!(offer.contains(expected.offered), "{name}: {offer:?} lacks {:?}", expected.offered);
            assert!(error.message.ends_with('.') && error.fix.ends_with('.'), "{name}: {error:?}");
        }
    }
}

#[test]
fn every_code_of_the_configuration_is_met_by_a_case() {
    let lines = cases().into_iter().flat_map(|(_, _, lines)| lines);
    let codes: BTreeSet<String> = lines.map(|line| expected(&line).code.to_owned()).collect();
    let all = ["W-1300", "W-1301", "W-1302", "W-1303", "W-1304", "W-3201"];
    assert_eq!(codes, all.map(str::to_owned).into());
}

#[test]
fn a_report_shows_the_line_with_a_caret_below_the_fault() {
    let text = "[edge]\nzone = \"edge.example.net\"\n[pool.v6]\nrange = \"2001:db8:42::/64\"\n[service.web]\nto = \"127.0.0.1:3000\"\nschedul = \"standard\"\n";
    let report = refused(text, "wandergate.toml").to_string();
    let shown = "wandergate.toml:7:1 W-1301 unknown key \"schedul\" in [service.web]. Did you mean \"schedule\"?\n    \
        7 | schedul = \"standard\"\n      | ^^^^^^^\n  fix: Write schedule instead of schedul, or remove the line.\n";
    assert_eq!(report, shown);
}

#[test]
fn programs_get_the_same_report_as_json() {
    let errors = refused("[edge]\nzone = 5\n", "w.toml");
    let json = errors.to_json();
    assert_eq!((json["schema"].as_str(), json["ok"].as_bool()), (Some("wandergate.check/1"), Some(false)));
    let listed = json["errors"].as_array().unwrap();
    assert_eq!(listed.len(), errors.len());
    assert_eq!(listed[1]["code"], "W-1302");
    assert_eq!(listed[1]["reason"], "config_invalid_value");
    assert_eq!((listed[1]["line"].as_u64(), listed[1]["column"].as_u64()), (Some(2), Some(8)));
    assert_eq!(listed[1]["key"], "edge.zone");
}

#[test]
fn a_private_key_that_was_pasted_in_is_never_repeated() {
    let secret = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49";
    let pasted = format!("-----BEGIN PRIVATE KEY-----\\n{secret}");
    for text in [
        format!("[tls]\nkey = \"{pasted}\"\n"),
        format!("[tls]\nkey = {pasted}\n"),
        format!("[join]\nopen = \"{pasted}\"\nrate = \"1/{pasted}\"\n"),
        format!("[edge]\nname = \"{secret}{pasted}\"\n[edge.\"{pasted}\"]\n"),
        format!("[service.a]\nmax_session = \"5{pasted}\"\nauth = [\"{pasted}\"]\n"),
    ] {
        let errors = refused(&text, "w.toml");
        let report = format!("{errors}{}", errors.to_json());
        assert!(!report.contains("MIGH") && !report.contains("BEGIN"), "{report}");
    }
}

#[test]
fn nothing_in_the_file_reaches_the_terminal_as_a_control_character() {
    let text = "[log]\nlevel = \"\u{9b}2J\u{202e}\u{7f}\"\n\"\\u001b[2J\" = 1\n[join]\nrate = \"1/\\u001b[2J\"\n[\"\u{9b}31m\"]\n";
    let report = refused(text, "w.toml").to_string();
    let bad = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!report.contains(bad), "{report:?}");
}

#[test]
fn columns_count_characters_and_a_byte_order_mark_counts_nothing() {
    let errors = refused("\u{feff}[log]\n\"ä\" = { x = 1 }\nlevel = \"ö\"", "w.toml");
    let places: Vec<String> = errors.iter().map(place).collect();
    assert_eq!(places, ["1:1", "1:1", "2:1", "3:9"]);
}

#[test]
fn bytes_that_are_no_text_are_refused_at_their_place() {
    let errors = config::parse_bytes(b"[edge]\nzone = \"\xff\"\n", "w.toml").unwrap_err();
    let error = errors.iter().next().unwrap();
    assert_eq!((place(error), error.reason.code(), errors.len()), ("2:9".to_owned(), "W-1300", 1));
    assert!(error.message.contains("UTF-8"));
}

#[test]
fn a_file_at_the_limit_is_read_and_one_byte_more_is_refused() {
    let mut text = good::SMALLEST.to_owned();
    text.push('#');
    text.push_str(&"x".repeat(bounds::FILE_BYTES_MAX - text.len()));
    assert!(config::parse(&text, "w.toml").is_ok());
    text.push('x');
    assert!(refused(&text, "w.toml").to_string().contains("larger than"));
}

#[test]
fn a_file_full_of_mistakes_is_reported_up_to_a_bound_and_counted_beyond() {
    let lines: String = (0..200).map(|i| format!("wrong{i} = 1\n")).collect();
    let errors = refused(&format!("{}[log]\n{lines}", good::SMALLEST), "w.toml");
    assert_eq!((errors.len(), errors.iter().count()), (200, bounds::ERRORS_MAX));
    assert!(errors.to_string().ends_with("and 150 more of the same file\n"));
    assert_eq!(errors.to_json()["omitted"], 150);
}

#[test]
fn a_file_that_is_not_there_is_named_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let errors = config::load(&folder.path().join("absent.toml")).unwrap_err();
    let report = errors.to_string();
    assert!(report.contains("absent.toml W-1300 cannot be read") && report.contains("fix: "), "{report}");
    assert!(config::load(folder.path()).is_err());
}

#[test]
fn a_certificate_that_is_not_there_is_refused_when_the_file_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wandergate.toml");
    std::fs::write(&path, format!("{}[tls]\ncert = \"tls.pem\"\nkey = \"tls.key\"\n", good::SMALLEST))
        .unwrap();
    std::fs::write(folder.path().join("tls.pem"), "").unwrap();
    let errors = config::load(&path).unwrap_err();
    let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(keys, ["tls.key"]);
    std::fs::write(folder.path().join("tls.key"), "").unwrap();
    assert_eq!(config::load(&path).unwrap().tls.unwrap().key, folder.path().join("tls.key"));
}
