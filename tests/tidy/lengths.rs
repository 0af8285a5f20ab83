//! How long files and functions are.

use crate::rules::{
    FILE_LINES_90TH, FILE_LINES_MAX, FUNCTION_LINES_90TH, FUNCTION_LINES_MAX, TEST_FILE_LINES_MAX,
};
use crate::tree::{Findings, RustFile, rust_files};

/// The smallest value that nine in ten do not exceed.
fn ninetieth(values: &mut [usize]) -> usize {
    values.sort_unstable();
    let rank = (values.len() * 9).div_ceil(10);
    rank.checked_sub(1).and_then(|i| values.get(i)).copied().unwrap_or(0)
}

#[test]
fn files_stay_short() {
    let (tests, product): (Vec<RustFile>, Vec<RustFile>) =
        rust_files().into_iter().partition(RustFile::is_test);
    let mut findings = Findings::default();
    let why = "a file that cannot be read in one go is not understood in one go";
    let mut too_long = |file: &RustFile, lines: usize, most: usize| {
        if lines > most {
            let what = format!("has {lines} lines, at most {most}");
            findings.add(&file.path, &what, why, "split it where its subject splits");
        }
    };
    for file in &tests {
        too_long(file, file.text.lines().count(), TEST_FILE_LINES_MAX);
    }
    for file in &product {
        too_long(file, file.scanned.product_lines(), FILE_LINES_MAX);
        too_long(file, file.text.lines().count(), TEST_FILE_LINES_MAX);
    }
    findings.none();
    let mut lengths: Vec<usize> = product.iter().map(|file| file.scanned.product_lines()).collect();
    let long = ninetieth(&mut lengths);
    assert!(
        long <= FILE_LINES_90TH,
        "one file in ten has over {long} lines; {FILE_LINES_90TH} is the budget"
    );
}

#[test]
fn functions_stay_short() {
    let mut findings = Findings::default();
    let mut lengths = Vec::new();
    for file in rust_files() {
        for function in &file.scanned.functions {
            if file.is_product() && !file.scanned.in_test(function.at) {
                lengths.push(function.lines);
            }
            if function.lines > FUNCTION_LINES_MAX {
                let what =
                    format!("`{}` has {} lines, at most {FUNCTION_LINES_MAX}", function.name, function.lines);
                let why = "a function should fit on a screen";
                findings.add(&format!("{}:{}", file.path, function.line), &what, why, "name its steps");
            }
        }
    }
    findings.none();
    assert!(!lengths.is_empty());
    let long = ninetieth(&mut lengths);
    assert!(
        long <= FUNCTION_LINES_90TH,
        "one function in ten has over {long} lines; {FUNCTION_LINES_90TH} is the budget"
    );
}

#[test]
fn the_ninetieth_of_ten_is_the_ninth_and_of_eleven_the_tenth() {
    assert_eq!(ninetieth(&mut (1..=10).collect::<Vec<_>>()), 9);
    assert_eq!(ninetieth(&mut (1..=11).rev().collect::<Vec<_>>()), 10);
    assert_eq!((ninetieth(&mut [7]), ninetieth(&mut [])), (7, 0));
}
