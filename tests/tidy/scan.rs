//! A scanner of Rust text: what is code, what is a comment or a literal, where functions and test parts lie.
//!
//! It is no parser. It knows comments (nested), strings (escaped, raw, byte, C), characters and lifetimes, and counts
//! brackets in what is left.

use std::ops::Range;

/// A file without its comments and literals.
pub(crate) struct Scanned {
    /// As long as the text, line for line, with blanks for comments and the insides of literals.
    pub(crate) code: String,
    pub(crate) functions: Vec<Function>,
    /// Byte ranges of items under `#[cfg(test)]` or `#[test]`.
    pub(crate) tests: Vec<Range<usize>>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Line of its `fn`, from 1.
    pub(crate) line: usize,
    /// From the line of `fn` to that of the closing brace, both counted.
    pub(crate) lines: usize,
    pub(crate) at: usize,
}

impl Scanned {
    pub(crate) fn of(text: &str) -> Self {
        let code = mask(text);
        let functions = functions(&code);
        let tests = test_items(&code);
        Self { code, functions, tests }
    }

    pub(crate) fn in_test(&self, at: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&at))
    }

    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.code.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
    }

    /// Lines that are not in test items.
    pub(crate) fn product_lines(&self) -> usize {
        let inside: usize =
            self.tests.iter().map(|range| self.line_of(range.end) - self.line_of(range.start)).sum();
        self.code.lines().count() - inside.min(self.code.lines().count())
    }

    /// Places outside of tests where `word` stands as a whole word of code.
    pub(crate) fn product_uses<'s>(&'s self, word: &'s str) -> impl Iterator<Item = usize> + 's {
        uses(&self.code, word).filter(|at| !self.in_test(*at))
    }
}

/// Places of a word that no letter, digit or underscore lengthens.
pub(crate) fn uses<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = usize> + 'c {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).and_then(|i| bytes.get(i)).is_some_and(|b| in_word(*b));
        let after = bytes.get(at + word.len()).is_some_and(|b| in_word(*b));
        !before && !after
    })
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let end = literal_end(bytes, i);
        match end {
            Some(end) => {
                code.extend(bytes[i..end].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
                i = end;
            }
            None => {
                code.push(if bytes[i].is_ascii() { bytes[i] } else { b'_' });
                i += 1;
            }
        }
    }
    String::from_utf8(code).unwrap()
}

/// Where the comment or literal that begins at `i` ends; nothing if none begins there.
fn literal_end(bytes: &[u8], i: usize) -> Option<usize> {
    let rest = &bytes[i..];
    if rest.starts_with(b"//") {
        return Some(i + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(block_comment_end(bytes, i));
    }
    match rest[0] {
        b'"' => Some(quoted_end(bytes, i + 1, b'"')),
        b'\'' => character_end(bytes, i),
        b'r' | b'b' | b'c' if i == 0 || !in_word(bytes[i - 1]) => prefixed_end(bytes, i),
        _ => None,
    }
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut i = start;
    while i < bytes.len() {
        match &bytes[i..] {
            [b'/', b'*', ..] => (depth, i) = (depth + 1, i + 2),
            [b'*', b'/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    bytes.len()
}

/// `from` is past the opening quote.
fn quoted_end(bytes: &[u8], from: usize, quote: u8) -> usize {
    let mut i = from;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b if b == quote => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// A character literal, not a lifetime: `'a'`, `'\n'`, `'é'`, but neither `'a,` nor `'a: loop`.
fn character_end(bytes: &[u8], i: usize) -> Option<usize> {
    match bytes.get(i + 1)? {
        b'\\' => Some(quoted_end(bytes, i + 1, b'\'')),
        first => {
            let width = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            (bytes.get(i + 1 + width) == Some(&b'\'')).then_some(i + 2 + width)
        }
    }
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br#"…"#`, `c"…"`, `cr"…"`, `b'…'`; a raw identifier (`r#type`) is none.
fn prefixed_end(bytes: &[u8], i: usize) -> Option<usize> {
    let letters = bytes[i..].iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let prefix = &bytes[i..i + letters];
    let raw = match prefix {
        b"r" | b"br" | b"cr" => true,
        b"b" | b"c" => false,
        _ => return None,
    };
    let after = i + letters;
    if !raw {
        return match bytes.get(after)? {
            b'"' => Some(quoted_end(bytes, after + 1, b'"')),
            b'\'' if prefix == b"b" => character_end(bytes, after),
            _ => None,
        };
    }
    let hashes = bytes[after..].iter().take_while(|b| **b == b'#').count();
    let open = after + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.extend(std::iter::repeat_n(b'#', hashes));
    let body = open + 1;
    let length = bytes[body..].windows(close.len()).position(|window| window == close);
    Some(length.map_or(bytes.len(), |length| body + length + close.len()))
}

fn functions(code: &str) -> Vec<Function> {
    let newline_count = |range: Range<usize>| code[range].matches('\n').count();
    uses(code, "fn")
        .filter_map(|at| {
            let after = code[at + 2..].trim_start();
            let name: String =
                after.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '#').collect();
            // `fn(u8)` is a type.
            if name.is_empty() {
                return None;
            }
            let open = body_start(code, at)?;
            let close = matching_brace(code, open);
            Some(Function { name, line: newline_count(0..at) + 1, lines: newline_count(at..close) + 1, at })
        })
        .collect()
}

/// The brace that opens an item's body; nothing if a semicolon ends the item before.
fn body_start(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (i, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(i),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// One past the brace that closes the one at `open`.
pub(crate) fn matching_brace(code: &str, open: usize) -> usize {
    let mut depth = 0_i32;
    for (i, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    code.len()
}

fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    let marks = ["#[cfg(test)]", "#[test]", "#[tokio::test"];
    let mut starts: Vec<usize> =
        marks.iter().flat_map(|mark| code.match_indices(mark)).map(|(at, _)| at).collect();
    starts.sort_unstable();
    for start in starts {
        if items.last().is_some_and(|item| item.contains(&start)) {
            continue;
        }
        let end = match body_start(code, start) {
            Some(open) => matching_brace(code, open),
            None => code[start..].find(';').map_or(code.len(), |length| start + length + 1),
        };
        items.push(start..end);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_and_lines(text: &str) -> Vec<(String, usize, usize)> {
        Scanned::of(text).functions.into_iter().map(|f| (f.name, f.line, f.lines)).collect()
    }

    #[test]
    fn comments_and_literals_become_blanks_of_the_same_length() {
        let cases = [
            ("a ", "// }{", "\nb"),
            ("a ", "/* { /* } */ { */", " b"),
            ("x(", "\"{\\\"}\"", ")"),
            ("x(", "r\"\\\"", ") + 1"),
            ("x(", "r#\"\"{\"#", ")"),
            ("x(", "b\"}\"", ", y)"),
            ("x(", "c\"{\"", ", y)"),
            ("x(", "br##\"\"#{\"##", ")"),
            ("(", "'{'", ")"),
            ("(", "'\\''", ")"),
            ("(", "'\\u{7b}'", ")"),
            ("(", "b'}'", ")"),
            ("let _ = ", "'…'", ";"),
            ("for", "\"x\"", ""),
            ("r#type + ", "\"never closed {", ""),
            ("", "/* never closed {", ""),
            ("fn f<'a>(x: &'a str) {}", "", ""),
            ("'outer: loop {}", "", ""),
        ];
        for (before, literal, after) in cases {
            let blanks = " ".repeat(literal.len());
            let text = format!("{before}{literal}{after}");
            assert_eq!(Scanned::of(&text).code, format!("{before}{blanks}{after}"), "{text}");
        }
        assert_eq!(Scanned::of("é \"a\nb\"").code, "__   \n  ");
    }

    #[test]
    fn functions_are_measured_from_their_name_to_their_brace() {
        let text = "struct A;\nimpl A {\n    /// fn none() {\n    fn one(&self) {}\n\n    fn three(\n        x: fn(u8) -> u8,\n    ) -> [u8; 2] {\n        if x(1) == b'{' { \"}\" };\n        [1; 2]\n    }\n}\n";
        let expected = [("one".to_owned(), 4, 1), ("three".to_owned(), 6, 6)];
        assert_eq!(names_and_lines(text), expected);
    }

    #[test]
    fn a_function_without_a_body_and_a_function_type_are_no_functions() {
        assert_eq!(names_and_lines("trait T { fn f(&self) -> [u8; 3]; }\ntype F = fn(u8);"), []);
        assert_eq!(names_and_lines("trait T {\n fn f(&self);\n fn g() where Self: Sized {\n }\n}").len(), 1);
    }

    #[test]
    fn a_function_inside_a_function_is_counted_on_its_own_too() {
        let text = "fn a() {\n    fn b() {\n    }\n}\n";
        assert_eq!(names_and_lines(text), [("a".to_owned(), 1, 4), ("b".to_owned(), 2, 2)]);
    }

    #[test]
    fn test_items_are_known_and_what_follows_them_is_not_one() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod apart;\nfn d() {}\n";
        let scanned = Scanned::of(text);
        let tested: Vec<_> =
            scanned.functions.iter().map(|f| (f.name.as_str(), scanned.in_test(f.at))).collect();
        assert_eq!(tested, [("a", false), ("b", true), ("c", false), ("d", false)]);
        assert_eq!(scanned.tests.len(), 2);
    }

    #[test]
    fn a_word_is_found_whole_and_outside_of_comments_and_strings_only() {
        let scanned = Scanned::of("use tokio::net; // tokio\nlet x = \"tokio\"; tokio_util();");
        assert_eq!(scanned.product_uses("tokio").collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn product_lines_leave_tests_out() {
        let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        assert_eq!(Scanned::of(text).product_lines(), 3);
    }
}
