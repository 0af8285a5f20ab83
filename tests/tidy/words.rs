//! What is never written.

use crate::rules::{
    BANNED_MACROS, EXECUTION, MAY_EXECUTE, MAY_PRINT, PRINTING_MACROS, UNWRAPS_PER_2000_LINES,
};
use crate::scan::{Scanned, uses};
use crate::tree::{Findings, RustFile, rust_files};

/// Places of `name!`.
fn macros(code: &str, name: &str) -> Vec<usize> {
    uses(code, name).filter(|at| code[at + name.len()..].starts_with('!')).collect()
}

fn place(file: &RustFile, at: usize) -> String {
    format!("{}:{}", file.path, file.scanned.line_of(at))
}

#[test]
fn nothing_is_left_unfinished() {
    let mut findings = Findings::default();
    for file in rust_files() {
        for (name, fix) in BANNED_MACROS {
            for at in macros(&file.scanned.code, name) {
                findings.add(
                    &place(&file, at),
                    &format!("calls `{name}!`"),
                    "what is committed is finished",
                    fix,
                );
            }
        }
    }
    findings.none();
}

#[test]
fn only_the_program_prints() {
    let mut findings = Findings::default();
    let silent = |file: &RustFile| file.is_product() && !file.path.starts_with(MAY_PRINT);
    for file in rust_files().iter().filter(|file| silent(file)) {
        for name in PRINTING_MACROS {
            for at in macros(&file.scanned.code, name).into_iter().filter(|at| !file.scanned.in_test(*at)) {
                let why = "standard output belongs to the program, and a library's line cannot be filtered or counted";
                findings.add(
                    &place(file, at),
                    &format!("calls `{name}!`"),
                    why,
                    "use tracing, or return the text",
                );
            }
        }
    }
    findings.none();
}

/// Places of `.unwrap()` and `.expect(` outside of tests.
fn unwraps(scanned: &Scanned) -> Vec<usize> {
    let calls = [".unwrap()", ".expect("].iter().flat_map(|call| scanned.code.match_indices(call));
    calls.map(|(at, _)| at).filter(|at| !scanned.in_test(*at)).collect()
}

#[test]
fn what_may_panic_is_rare_and_has_its_proof_beside_it() {
    let mut findings = Findings::default();
    let (mut calls, mut lines) = (0, 0);
    for file in rust_files().iter().filter(|file| file.is_product()) {
        lines += file.scanned.product_lines();
        for at in unwraps(&file.scanned) {
            calls += 1;
            let line = file.scanned.line_of(at);
            let beside: Vec<&str> =
                file.text.lines().skip(line.saturating_sub(6)).take(line.min(6)).collect();
            if !beside.iter().any(|line| line.contains("//") || line.contains("reason = \"")) {
                let why = "a panic that anything from outside can reach ends the service";
                let fix = "return an error, or say in a comment beside it why it cannot fail";
                findings.add(&place(file, at), "may panic", why, fix);
            }
        }
    }
    findings.none();
    let most = (lines * UNWRAPS_PER_2000_LINES).div_ceil(2000);
    assert!(calls <= most, "{calls} calls of unwrap() or expect() in {lines} lines, at most {most}");
}

#[test]
fn r0_16_nothing_is_executed_and_nothing_is_loaded() {
    let mut findings = Findings::default();
    let may_not = |file: &&RustFile| file.is_product() && file.path != MAY_EXECUTE;
    for file in rust_files().iter().filter(may_not) {
        for word in EXECUTION {
            for at in file.scanned.product_uses(word) {
                let why = "requirement 0.16: no remote program download and execution; what is not there cannot be abused";
                findings.add(
                    &place(file, at),
                    &format!("names `{word}`"),
                    why,
                    "do it in the process, or leave it to the operator",
                );
            }
        }
    }
    findings.none();
}

#[test]
fn a_macro_is_found_by_its_bang_and_a_call_that_may_panic_by_its_name() {
    let code = Scanned::of("todo!(); my_todo!(); todo(); // todo!()").code;
    assert_eq!(macros(&code, "todo"), [0]);
    let text = "fn f() { a.unwrap(); b.expect(\"x\"); c.unwrap_or(1); }\n#[test]\nfn t() { a.unwrap(); }";
    assert_eq!(unwraps(&Scanned::of(text)).len(), 2);
}
