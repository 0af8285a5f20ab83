//! The text of a configuration, its places, and how much of it a message may repeat.

use std::ops::Range;

use super::bounds::{LINE_SHOWN_CHARS_MAX, VALUE_SHOWN_CHARS_MAX};
use super::error::{Excerpt, Position};

pub(crate) struct Source<'a> {
    text: &'a str,
    file: &'a str,
}

impl<'a> Source<'a> {
    /// The source, and the offset of the first byte that is not UTF-8.
    pub(crate) fn new(bytes: &'a [u8], file: &'a str) -> (Self, Option<usize>) {
        let (text, wrong) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let good = error.valid_up_to();
                (std::str::from_utf8(bytes.get(..good).unwrap_or_default()).unwrap_or_default(), Some(good))
            }
        };
        // Windows' editors begin a file with a byte order mark, which TOML does not count.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        (Self { text, file }, wrong.map(|_| text.len()))
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn file(&self) -> &'a str {
        self.file
    }

    /// A private key was pasted into it, so that nothing of it may be repeated.
    pub(crate) fn holds_a_key(&self) -> bool {
        self.text.contains("PRIVATE KEY")
    }

    /// Line and column of a byte offset; one past the end is a place too.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let before = self.before(offset);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Position { line: before.matches('\n').count() + 1, column }
    }

    /// The line that a span begins on, with the part of it that the span covers.
    pub(crate) fn excerpt(&self, span: &Range<usize>) -> Option<Excerpt> {
        let before = self.before(span.start);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = self.text.get(line_start..)?.lines().next().unwrap_or_default();
        let column = before.get(line_start..)?.chars().count();
        let covered = self.text.get(span.clone()).unwrap_or_default().lines().next().unwrap_or_default();
        let skipped = match column + 20 > LINE_SHOWN_CHARS_MAX {
            true => column - 20,
            false => 0,
        };
        let text: String = line.chars().skip(skipped).take(LINE_SHOWN_CHARS_MAX).map(printable).collect();
        let room = text.chars().count().saturating_sub(column - skipped);
        let carets = covered.chars().count().min(room).max(1);
        Some(Excerpt { text, caret_at: column - skipped, carets })
    }

    /// A value as it was written, fit for one line of a message.
    pub(crate) fn shown(&self, span: &Range<usize>) -> String {
        let raw = self.text.get(span.clone()).unwrap_or_default();
        let mut shown: String = raw.chars().take(VALUE_SHOWN_CHARS_MAX).map(printable).collect();
        if raw.chars().nth(VALUE_SHOWN_CHARS_MAX).is_some() {
            shown.push('…');
        }
        shown
    }

    fn before(&self, offset: usize) -> &'a str {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.get(..end).unwrap_or_default()
    }
}

/// Control characters and those that turn text around would let a file write on the operator's terminal.
pub(crate) fn printable(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}
