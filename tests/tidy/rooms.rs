//! Who may import whom.

use std::collections::BTreeSet;

use crate::rules::ROOMS;
use crate::tree::{Findings, read};

fn manifest(path: &str) -> toml::Table {
    read(path).parse().unwrap_or_else(|cause| panic!("{path}: {cause}"))
}

fn row(package: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _, _)| *name == package).map(|(_, _, row)| *row)
}

/// Names below `[dependencies]`, `[build-dependencies]` and those of targets.
fn imports(manifest: &toml::Table) -> Vec<String> {
    let mut tables = vec![manifest];
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    tables.extend(targets.into_iter().flat_map(|t| t.values()).filter_map(toml::Value::as_table));
    let kinds = ["dependencies", "build-dependencies"];
    let dependencies = tables.into_iter().flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)));
    dependencies.filter_map(toml::Value::as_table).flat_map(|table| table.keys().cloned()).collect()
}

/// What is wrong with `package` importing `import`.
fn objection(package: &str, import: &str) -> Option<String> {
    let (from, to) = (row(package)?, row(import)?);
    match from > to {
        true => None,
        false if from == to => Some(format!("`{package}` imports `{import}`, which stands in the same row")),
        false => Some(format!("`{package}` imports `{import}`, which stands above it")),
    }
}

#[test]
fn imports_point_downwards_only() {
    let mut findings = Findings::default();
    for (package, folder, _) in ROOMS {
        let path = format!("{folder}/Cargo.toml");
        for import in imports(&manifest(&path)) {
            if let Some(what) = objection(package, &import) {
                let why =
                    "a room that knows what uses it can no longer be understood, tested or replaced alone";
                findings.add(
                    &path,
                    &what,
                    why,
                    "pass the value or a trait in from above, or move the shared type down",
                );
            }
        }
    }
    findings.none();
}

#[test]
fn the_members_of_the_workspace_are_the_rooms_of_the_plan() {
    let workspace = manifest("Cargo.toml");
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let members: BTreeSet<&str> = members.iter().filter_map(toml::Value::as_str).collect();
    let planned: BTreeSet<&str> = ROOMS.iter().map(|(_, folder, _)| *folder).collect();
    assert_eq!(members, planned, "fix: give the member its row in tests/tidy/rules.rs, or remove it");
    for (package, folder, _) in ROOMS {
        let manifest = manifest(&format!("{folder}/Cargo.toml"));
        assert_eq!(manifest["package"]["name"].as_str(), Some(*package), "{folder}/Cargo.toml");
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(
            lints.and_then(toml::Value::as_bool),
            Some(true),
            "{folder}/Cargo.toml: add [lints] workspace = true"
        );
    }
}

#[test]
fn an_import_upwards_or_sideways_is_objected_to_and_one_downwards_is_not() {
    assert_eq!(objection("edge", "fabric"), None);
    assert_eq!(objection("edge", "tokio"), None);
    assert!(objection("fabric", "edge").unwrap().contains("above"));
    assert!(objection("edge", "registration").unwrap().contains("same row"));
    let text = "[dependencies]\na = \"1\"\n[dev-dependencies]\nb = \"1\"\n[target.'cfg(unix)'.dependencies]\nc = \"1\"\n";
    assert_eq!(imports(&text.parse().unwrap()), ["a", "c"]);
}
