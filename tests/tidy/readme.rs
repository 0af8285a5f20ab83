//! What the README links to and tells to type exists.

use std::collections::BTreeSet;

use crate::scan::{matching_brace, uses};
use crate::tree::{Findings, read, root, rust_files};

const README: &str = "README.md";

/// Line and target of each link that stays in the repository.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', ' ', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                found.push((i + 1, target.to_owned()));
            }
        }
    }
    found
}

/// Line and text of each command in a block fenced as `sh`, without prompt and comment.
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut fence = None;
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = if fence.is_none() { Some(language.trim()) } else { None };
        } else if fence == Some("sh") {
            let command = line.trim().trim_start_matches("$ ").trim_start_matches("sudo ");
            let command = command.split(" #").next().unwrap_or_default().trim();
            found.push((i + 1, command.to_owned()));
        }
    }
    found
}

/// The verb that a command gives to `wandergate`, if it calls it with one.
fn verb(command: &str) -> Option<&str> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let rest = match words.as_slice() {
        ["cargo", "run", rest @ ..] => rest.split(|word| *word == "--").nth(1)?,
        [program, rest @ ..] if program.rsplit('/').next() == Some("wandergate") => rest,
        _ => return None,
    };
    rest.first().copied().filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// Every subcommand that the program declares: the variants of enums that derive `Subcommand`.
fn verbs(text: &str, code: &str) -> BTreeSet<String> {
    let mut verbs = BTreeSet::from(["help".to_owned()]);
    for at in uses(code, "Subcommand").filter(|at| code[..*at].rfind("#[derive(").is_some()) {
        let Some(open) = code[at..].find('{').map(|length| at + length) else { continue };
        if !code[at..open].contains("enum ") {
            continue;
        }
        let end = matching_brace(code, open) - 1;
        verbs.extend(variants(&text[open + 1..end], &code[open + 1..end]));
    }
    verbs
}

/// Variants as clap spells them: in kebab-case, or as `name = "…"` says.
fn variants(text: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut depth, mut expecting, mut renamed) = (0, true, None);
    let mut i = 0;
    while let Some(byte) = code.as_bytes().get(i) {
        match byte {
            b'#' if depth == 0 => {
                let end = i + code[i..].find(']').unwrap_or(0);
                let name = text[i..end].split_once("name = \"").and_then(|(_, rest)| rest.split('"').next());
                renamed = name.map(str::to_owned).or(renamed);
                i = end;
            }
            b'{' | b'(' => depth += 1,
            b'}' | b')' => depth -= 1,
            b',' if depth == 0 => expecting = true,
            b if b.is_ascii_alphabetic() && expecting && depth == 0 => {
                let name: String = code[i..].chars().take_while(|c| c.is_alphanumeric()).collect();
                i += name.len() - 1;
                found.push(renamed.take().unwrap_or_else(|| kebab(&name)));
                expecting = false;
            }
            _ => {}
        }
        i += 1;
    }
    found
}

fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.extend(c.to_lowercase());
    }
    kebab
}

#[test]
fn links_of_the_readme_lead_somewhere() {
    let mut findings = Findings::default();
    for (line, target) in links(&read(README)) {
        if !root().join(&target).exists() {
            let what = format!("links to `{target}`, which does not exist");
            findings.add(
                &format!("{README}:{line}"),
                &what,
                "a reader is led nowhere",
                "correct or remove the link",
            );
        }
    }
    findings.none();
}

#[test]
fn commands_of_the_readme_exist() {
    let mut known = BTreeSet::new();
    for file in rust_files().iter().filter(|file| file.path.starts_with("ops/cli/src/")) {
        known.extend(verbs(&file.text, &file.scanned.code));
    }
    let mut findings = Findings::default();
    let commands = commands(&read(README));
    for (line, command) in &commands {
        let place = format!("{README}:{line}");
        let program = command.split_whitespace().next().unwrap_or_default();
        if let Some(verb) = verb(command).filter(|verb| !known.contains(*verb)) {
            let what = format!("`{command}`: wandergate has no command `{verb}`");
            findings.add(
                &place,
                &what,
                "a reader types it and fails",
                "correct the line, or build the command",
            );
        }
        if program.starts_with("tests/") && !root().join(program).is_file() {
            findings.add(
                &place,
                &format!("`{program}` does not exist"),
                "a reader types it and fails",
                "correct the line",
            );
        }
    }
    for promised in ["cargo run --release -- demo", "tests/run"] {
        if !commands.iter().any(|(_, command)| command.starts_with(promised)) {
            findings.add(
                README,
                &format!("does not show `{promised}`"),
                "it is one of the two commands to begin with",
                "show it",
            );
        }
    }
    findings.none();
}

#[test]
fn the_program_that_the_readme_starts_is_the_default_member() {
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    assert_eq!(
        workspace["workspace"]["default-members"].as_array().unwrap(),
        &[toml::Value::from("ops/cli")]
    );
}

#[test]
fn links_and_commands_are_read_as_a_reader_would() {
    let text = "[a](x/y.md#part) [b](https://example.net) [c](#here)\n```sh\n$ sudo wandergate user invite bob # why\ncargo run --release -- demo --for 30s\n```\n```text\nwandergate nothing\n```\nwandergate nothing\n";
    assert_eq!(links(text), [(1, "x/y.md".to_owned())]);
    let commands = commands(text);
    let verbs: Vec<_> = commands.iter().map(|(line, command)| (*line, verb(command))).collect();
    assert_eq!(verbs, [(3, Some("user")), (4, Some("demo"))]);
    assert_eq!((verb("cargo run --release"), verb("wandergate --help"), verb("curl x")), (None, None, None));
}

#[test]
fn subcommands_are_read_from_the_enums_that_declare_them() {
    let text = "#[derive(Debug, Subcommand)]\nenum Verb {\n    /// Says, so.\n    Demo(DemoArgs),\n    #[command(name = \"ls\", about)]\n    List { all: bool, x: u8 },\n    OpenApi,\n}\nenum Other { No }";
    let code = crate::scan::Scanned::of(text).code;
    assert_eq!(verbs(text, &code), ["demo", "help", "ls", "open-api"].map(str::to_owned).into());
}
