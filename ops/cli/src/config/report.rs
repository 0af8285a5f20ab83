//! Collects mistakes, and remembers where each value stood.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use defense::Reason;

use super::bounds::ERRORS_MAX;
use super::error::{ConfigError, ConfigErrors, Position};
use super::source::{Source, printable};

/// Everything found so far. Readers share it, so it is mutable inside.
pub(super) struct Report<'a> {
    source: &'a Source<'a>,
    found: RefCell<Vec<ConfigError>>,
    omitted: RefCell<usize>,
    places: RefCell<BTreeMap<String, Range<usize>>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(source: &'a Source<'a>) -> Self {
        Self { source, found: RefCell::default(), omitted: RefCell::default(), places: RefCell::default() }
    }

    pub(super) fn source(&self) -> &'a Source<'a> {
        self.source
    }

    pub(super) fn error(&self, reason: Reason, span: Range<usize>, key: &str, message: &str, fix: &str) {
        self.suggest(reason, span, key, message, None, fix);
    }

    pub(super) fn suggest(
        &self,
        reason: Reason,
        span: Range<usize>,
        key: &str,
        message: &str,
        suggestion: Option<&str>,
        fix: &str,
    ) {
        let mut found = self.found.borrow_mut();
        if found.len() >= ERRORS_MAX {
            *self.omitted.borrow_mut() += 1;
            return;
        }
        let clean = |text: &str| text.chars().map(printable).collect::<String>();
        let error = ConfigError {
            reason,
            at: Some(self.source.position(span.start)),
            key: clean(key),
            message: clean(&format!("{}.", message.trim_end_matches('.'))),
            suggestion: suggestion.map(str::to_owned),
            fix: clean(fix),
            // What is missing from the file as a whole has no line to show.
            excerpt: self
                .source
                .excerpt(&span)
                .filter(|_| reason != Reason::ConfigMissingKey || !span.is_empty()),
        };
        found.push(match self.source.holds_a_key() {
            true => without_content(error),
            false => error,
        });
    }

    /// Whether this key, or a section around it, was already offered in the place of an unknown one.
    pub(super) fn suggested(&self, key: &str) -> bool {
        let found = self.found.borrow();
        let offered = |error: &&ConfigError| {
            let parent = error.key.rsplit_once('.').map_or("", |(parent, _)| parent);
            let offer = error.suggestion.as_deref().filter(|_| error.reason == Reason::ConfigUnknownKey);
            offer.is_some_and(|offer| {
                let offer = if parent.is_empty() { offer.to_owned() } else { format!("{parent}.{offer}") };
                key == offer || key.strip_prefix(&offer).is_some_and(|rest| rest.starts_with('.'))
            })
        };
        found.iter().find(offered).is_some()
    }

    /// Where a value stands, or else the nearest thing around it that was written.
    pub(super) fn place(&self, key: &str) -> Range<usize> {
        let places = self.places.borrow();
        let mut key = key;
        loop {
            if let Some(span) = places.get(key) {
                return span.clone();
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = key.get(..end).unwrap_or_default(),
                None => return 0..0,
            }
        }
    }

    /// As [`Report::place`], for "(line 7)"; nothing for a default.
    pub(super) fn line_of(&self, key: &str) -> String {
        match self.places.borrow().get(key) {
            Some(span) => {
                let Position { line, column: _ } = self.source.position(span.start);
                format!("line {line}")
            }
            None => "the default".to_owned(),
        }
    }

    pub(super) fn wrote(&self, key: &str) -> bool {
        self.places.borrow().contains_key(key)
    }

    pub(super) fn into_errors(self) -> ConfigErrors {
        ConfigErrors::new(self.source.file(), self.found.into_inner(), self.omitted.into_inner())
    }

    pub(super) fn remember(&self, key: &str, span: Range<usize>) {
        self.places.borrow_mut().insert(key.to_owned(), span);
    }
}

/// Any part of a text that holds a private key may be the key, so that only the place is told.
fn without_content(error: ConfigError) -> ConfigError {
    ConfigError {
        key: String::new(),
        message: format!(
            "{} Nothing is repeated here, since the file holds a private key.",
            error.reason.what()
        ),
        suggestion: None,
        fix: "Put the key into a file of mode 0600, and name that file.".to_owned(),
        excerpt: None,
        ..error
    }
}
