//! A mistake in the configuration, for people and for programs.

use std::fmt;

use defense::Reason;
use serde_json::{Value, json};

/// Both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// The source line of a mistake, free of control characters; counts are in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    pub text: String,
    pub caret_at: usize,
    pub carets: usize,
}

/// One mistake. `message` is one sentence that names the value; `fix` says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub reason: Reason,
    /// Absent where the file as a whole is at fault.
    pub at: Option<Position>,
    /// Where in the structure: `service.web.port`, `edge.listen[1]`.
    pub key: String,
    pub message: String,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
    pub fix: String,
    pub excerpt: Option<Excerpt>,
}

/// Every mistake of one file, in the order of their places. Its `Display` is the report for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    file: String,
    errors: Vec<ConfigError>,
    omitted: usize,
}

impl ConfigErrors {
    pub(crate) fn new(file: &str, mut errors: Vec<ConfigError>, omitted: usize) -> Self {
        errors.sort_by_key(|error| error.at);
        Self { file: file.to_owned(), errors, omitted }
    }

    /// One mistake that has no place.
    pub(crate) fn whole_file(file: &str, message: &str, fix: &str) -> Self {
        let error = ConfigError {
            reason: Reason::ConfigSyntax,
            at: None,
            key: String::new(),
            message: message.to_owned(),
            suggestion: None,
            fix: fix.to_owned(),
            excerpt: None,
        };
        Self { file: file.to_owned(), errors: vec![error], omitted: 0 }
    }

    pub fn file(&self) -> &str {
        &self.file
    }

    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.errors.iter()
    }

    /// How many there are, with those that were only counted.
    pub fn len(&self) -> usize {
        self.errors.len() + self.omitted
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `wandergate.check/1`, for `check --json` and the ops API.
    pub fn to_json(&self) -> Value {
        let errors: Vec<Value> = self.errors.iter().map(ConfigError::to_json).collect();
        json!({
            "schema": "wandergate.check/1",
            "file": self.file,
            "ok": false,
            "errors": errors,
            "omitted": self.omitted,
        })
    }
}

impl ConfigError {
    fn to_json(&self) -> Value {
        json!({
            "code": self.reason.code(),
            "reason": self.reason.name(),
            "line": self.at.map(|at| at.line),
            "column": self.at.map(|at| at.column),
            "key": self.key,
            "message": self.message,
            "why": self.reason.why(),
            "suggestion": self.suggestion,
            "fix": self.fix,
        })
    }

    fn write(&self, file: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(file)?;
        if let Some(Position { line, column }) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, " {} {}", self.reason.code(), self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, " Did you mean \"{suggestion}\"?")?;
        }
        writeln!(f)?;
        if let (Some(at), Some(excerpt)) = (self.at, &self.excerpt) {
            writeln!(f, "{:>5} | {}", at.line, excerpt.text)?;
            writeln!(f, "      | {}{}", " ".repeat(excerpt.caret_at), "^".repeat(excerpt.carets))?;
        }
        writeln!(f, "  fix: {}", self.fix)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.errors {
            error.write(&self.file, f)?;
        }
        match self.omitted {
            0 => Ok(()),
            more => writeln!(f, "and {more} more of the same file"),
        }
    }
}

impl std::error::Error for ConfigErrors {}
