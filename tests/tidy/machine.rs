//! Nothing of the machine on which it was written, and no secret, is committed.

use crate::tree::{Findings, files, root};

/// Split here, so that this file does not hold what it looks for.
const MACHINE_PATHS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Lines with a path of a machine.
fn machine_lines(text: &str) -> Vec<(usize, &'static str)> {
    let lines = text.lines().enumerate();
    let named = |(i, line): (usize, &str)| {
        // A longer path that only ends so, such as a URL's, is somebody else's.
        let starts = |path: &&&str| {
            line.match_indices(**path)
                .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-".contains(c)))
        };
        MACHINE_PATHS.iter().find(starts).map(|path| (i + 1, *path))
    };
    lines.filter_map(named).collect()
}

/// Lines where a private key begins, with its content below or behind.
fn key_lines(text: &str) -> Vec<usize> {
    let begin = concat!("PRIVATE", " KEY-----");
    let dense = |text: &str| {
        let run =
            |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || "+/=".contains(*c)).count();
        run(text.trim_start().trim_start_matches("\\n")) >= 40
    };
    let lines: Vec<&str> = text.lines().collect();
    let keyed = |(i, line): (usize, &&str)| {
        let (_, behind) = line.split_once(begin)?;
        (dense(behind) || lines.get(i + 1).is_some_and(|next| dense(next))).then_some(i + 1)
    };
    lines.iter().enumerate().filter_map(keyed).collect()
}

#[test]
fn nothing_names_the_machine_it_was_written_on_and_no_key_is_committed() {
    let mut findings = Findings::default();
    for file in files() {
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else { continue };
        for (line, path) in machine_lines(&text) {
            let why = "it means nothing elsewhere";
            findings.add(
                &format!("{file}:{line}"),
                &format!("names a path below `{path}`"),
                why,
                "make it relative, or a parameter",
            );
        }
        for line in key_lines(&text) {
            let why = "what was committed once is public for ever";
            findings.add(
                &format!("{file}:{line}"),
                "holds a private key",
                why,
                "make keys when the test runs",
            );
        }
    }
    findings.none();
}

#[test]
fn a_path_of_a_machine_is_told_from_a_url_and_a_key_from_its_mention() {
    let path = format!("x = \"{}a\"\nhttps://example.net{}b\n", MACHINE_PATHS[0], MACHINE_PATHS[0]);
    assert_eq!(machine_lines(&path), [(1, MACHINE_PATHS[0])]);
    let begin = concat!("-----BEGIN PRIVATE", " KEY-----");
    let content = "A".repeat(64);
    assert_eq!(key_lines(&format!("{begin}\n{content}\n")), [1]);
    assert_eq!(key_lines(&format!("x\n\"{begin}\\n{content}\"\n")), [2]);
    assert_eq!(key_lines(&format!("{begin}\nnot a key\n")), []);
}
