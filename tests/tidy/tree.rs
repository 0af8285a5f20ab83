//! The files of the repository, and what is found in them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scan::Scanned;

/// The repository's top folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file that is or would be committed, as paths from the top with slashes, sorted.
pub(crate) fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let mut files: Vec<String> = match listed {
        Ok(out) if out.status.success() => {
            String::from_utf8(out.stdout).unwrap().split_terminator('\0').map(str::to_owned).collect()
        }
        // Not a clone, or no git here: an unpacked archive has nothing but its files.
        Ok(_) | Err(_) => {
            let mut found = Vec::new();
            walk(&root(), "", &mut found);
            found
        }
    };
    // A file that was removed stays in git's index until the next commit.
    files.retain(|file| root().join(file).is_file());
    files.sort();
    assert!(files.len() > 20, "the tree has only {} files", files.len());
    files
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && name != "target" && name != ".git" {
            walk(&entry.path(), &format!("{path}/"), found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
}

pub(crate) fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|cause| panic!("{file}: {cause}"))
}

/// One Rust file, with its comments, strings and test parts known.
pub(crate) struct RustFile {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) scanned: Scanned,
    /// Its module is declared under `#[cfg(test)]`.
    declared_as_test: bool,
}

impl RustFile {
    /// Tests, benchmarks and examples: whole files of them, by their place.
    pub(crate) fn is_test(&self) -> bool {
        let in_test_folder =
            |part: &str| part == "tests" || part == "benches" || part == "examples" || part == "tests.rs";
        self.declared_as_test || self.path.split('/').any(in_test_folder)
    }

    /// The product's own code.
    pub(crate) fn is_product(&self) -> bool {
        !self.is_test()
    }
}

pub(crate) fn rust_files() -> Vec<RustFile> {
    let rust = files().into_iter().filter(|path| Path::new(path).extension().is_some_and(|end| end == "rs"));
    let mut files: Vec<RustFile> = rust
        .map(|path| {
            let text = read(&path);
            let scanned = Scanned::of(&text);
            RustFile { path, text, scanned, declared_as_test: false }
        })
        .collect();
    let declared: Vec<String> = files.iter().flat_map(test_modules).collect();
    for file in &mut files {
        let under = |module: &String| {
            let below = file.path.strip_prefix(module.as_str());
            below.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        file.declared_as_test = declared.iter().any(under);
    }
    files
}

/// Where the modules lie that this file declares for tests alone, without their ending.
fn test_modules(file: &RustFile) -> Vec<String> {
    let stem = file.path.strip_suffix(".rs").unwrap_or(&file.path);
    let folder = match stem.rsplit_once('/') {
        Some((folder, "lib" | "main")) => folder,
        _ => stem,
    };
    let declarations = file.scanned.tests.iter().filter_map(|range| {
        let name = file.scanned.code[range.clone()].trim_end().strip_suffix(';')?.rsplit_once("mod ")?.1;
        Some(format!("{folder}/{}", name.trim()))
    });
    declarations.collect()
}

/// What is wrong, gathered so that one run tells all of it.
#[derive(Default)]
pub(crate) struct Findings(Vec<String>);

impl Findings {
    pub(crate) fn add(&mut self, place: &str, what: &str, why: &str, fix: &str) {
        self.0.push(format!("{place}: {what}\n    why: {why}\n    fix: {fix}"));
    }

    #[track_caller]
    pub(crate) fn none(self) {
        assert!(self.0.is_empty(), "{} finding(s)\n{}\n", self.0.len(), self.0.join("\n"));
    }
}
