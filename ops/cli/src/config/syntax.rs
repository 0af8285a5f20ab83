//! Mistakes in TOML itself: where the parser stopped, and what was probably meant.

use defense::Reason;

use super::report::Report;

pub(crate) fn report(report: &Report<'_>, error: &toml::de::Error) {
    let span = error.span().unwrap_or(0..0);
    let text = report.source().text();
    let shown = report.source().shown(&(line_start(text, span.start)..line_end(text, span.start)));
    let message = format!("not valid TOML: {} in {}", plain(error.message()), quoted(shown.trim()));
    let fix = remedy(error.message(), line(text, span.start), &shown);
    report.error(Reason::ConfigSyntax, span, "", &message, &fix);
}

/// The parser's first clause says what is wrong; for an unquoted value it speaks of "literal string".
fn plain(message: &str) -> &str {
    message
        .strip_suffix(", expected literal string")
        .or(message.strip_suffix(", expected nothing"))
        .unwrap_or(message)
}

fn quoted(line: &str) -> String {
    match line {
        "" => "an empty line".to_owned(),
        line => format!("`{line}`"),
    }
}

fn remedy(message: &str, line: &str, shown: &str) -> String {
    if message.contains("duplicate key") {
        return "Keep one of the two, or give the sections different names.".to_owned();
    }
    if message.contains("unclosed") {
        return "Close the bracket or brace.".to_owned();
    }
    if message.contains("invalid basic string") || message.contains("invalid literal string") {
        return "Close the quotes on the same line.".to_owned();
    }
    if message.contains("escape") {
        return "Double the backslash, or use single quotes.".to_owned();
    }
    let key = line.split(['=', ':', ' ']).next().unwrap_or_default().trim();
    match (line.split_once('='), line.split_once(':')) {
        (Some((_, value)), _) if value.trim().is_empty() => {
            format!("Write a value after the equals sign: {key} = \"…\".")
        }
        (Some((_, value)), _) if !value.contains(['"', '\'', '[', '{']) && shown.contains('=') => {
            format!("Put the value in quotes: {key} = \"{}\".", clean(value))
        }
        (Some(_), _) => "Put text in quotes, and check the brackets.".to_owned(),
        (None, Some((_, value))) if !key.is_empty() => {
            format!("Use an equals sign instead of the colon: {key} = \"{}\".", clean(value))
        }
        (None, _) => "Write each line as key = value, or [section].".to_owned(),
    }
}

fn clean(value: &str) -> String {
    let value = value.split('#').next().unwrap_or_default().trim().trim_matches('"');
    value.chars().take(super::bounds::VALUE_SHOWN_CHARS_MAX).map(super::source::printable).collect()
}

fn line(text: &str, offset: usize) -> &str {
    text.get(line_start(text, offset)..line_end(text, offset)).unwrap_or_default()
}

/// Past the last byte, the last line that has something is meant.
fn line_start(text: &str, offset: usize) -> usize {
    text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |i| i + 1)
}

fn line_end(text: &str, offset: usize) -> usize {
    let rest = text.get(offset..).unwrap_or_default();
    offset.min(text.len()) + rest.find(['\n', '\r']).unwrap_or(rest.len())
}
