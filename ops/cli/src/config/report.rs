//! Collects mistakes, and remembers where each value stood.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use defense::Reason;

use super::bounds::ERRORS_MAX;
use super::error::{ConfigError, ConfigErrors, Position};
use super::source::{Source, printable};

/// A section as people write it, and the keys that belong there.
pub(crate) type Home = (&'static str, &'static [&'static str]);

/// Everything found so far. Readers share it, so it is mutable inside.
pub(crate) struct Report<'a> {
    source: &'a Source<'a>,
    homes: &'static [Home],
    found: RefCell<Vec<ConfigError>>,
    /// What is possible, and yet worth knowing.
    warned: RefCell<Vec<ConfigError>>,
    omitted: RefCell<usize>,
    places: RefCell<BTreeMap<String, Range<usize>>>,
}

impl<'a> Report<'a> {
    /// `homes` says where each key belongs, for one that stands in the wrong section.
    pub(crate) fn new(source: &'a Source<'a>, homes: &'static [Home]) -> Self {
        Self {
            source,
            homes,
            found: RefCell::default(),
            warned: RefCell::default(),
            omitted: RefCell::default(),
            places: RefCell::default(),
        }
    }

    /// The sections that do have this key.
    pub(crate) fn homes_of(&self, key: &str) -> Vec<&'static str> {
        self.homes.iter().filter(|(_, keys)| keys.contains(&key)).map(|(home, _)| *home).collect()
    }

    pub(crate) fn source(&self) -> &'a Source<'a> {
        self.source
    }

    pub(crate) fn error(&self, reason: Reason, span: Range<usize>, key: &str, message: &str, fix: &str) {
        self.suggest(reason, span, key, message, None, fix);
    }

    pub(crate) fn suggest(
        &self,
        reason: Reason,
        span: Range<usize>,
        key: &str,
        message: &str,
        suggestion: Option<&str>,
        fix: &str,
    ) {
        if self.found.borrow().len() >= ERRORS_MAX {
            *self.omitted.borrow_mut() += 1;
            return;
        }
        let error = self.made(reason, span, key, message, suggestion, fix);
        self.found.borrow_mut().push(error);
    }

    /// As [`Report::suggest`], for what does not refuse the file; beyond the bound it is dropped.
    pub(crate) fn warn(
        &self,
        reason: Reason,
        span: Range<usize>,
        key: &str,
        message: &str,
        suggestion: Option<&str>,
        fix: &str,
    ) {
        if self.warned.borrow().len() < ERRORS_MAX {
            let warning = self.made(reason, span, key, message, suggestion, fix);
            self.warned.borrow_mut().push(warning);
        }
    }

    fn made(
        &self,
        reason: Reason,
        span: Range<usize>,
        key: &str,
        message: &str,
        suggestion: Option<&str>,
        fix: &str,
    ) -> ConfigError {
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
        match self.source.holds_a_key() {
            true => without_content(error),
            false => error,
        }
    }

    /// Whether this key, or a section around it, was already offered in the place of an unknown one.
    pub(crate) fn suggested(&self, key: &str) -> bool {
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
    pub(crate) fn place(&self, key: &str) -> Range<usize> {
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
    pub(crate) fn line_of(&self, key: &str) -> String {
        match self.places.borrow().get(key) {
            Some(span) => {
                let Position { line, column: _ } = self.source.position(span.start);
                format!("line {line}")
            }
            None => "the default".to_owned(),
        }
    }

    pub(crate) fn wrote(&self, key: &str) -> bool {
        self.places.borrow().contains_key(key)
    }

    pub(crate) fn into_errors(self) -> ConfigErrors {
        self.into_findings().0
    }

    /// Errors, then warnings.
    pub(crate) fn into_findings(self) -> (ConfigErrors, ConfigErrors) {
        let file = self.source.file();
        let errors = ConfigErrors::new(file, self.found.into_inner(), self.omitted.into_inner());
        (errors, ConfigErrors::new(file, self.warned.into_inner(), 0))
    }

    pub(crate) fn remember(&self, key: &str, span: Range<usize>) {
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
