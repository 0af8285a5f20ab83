//! Typed access to a parsed table, which reports whatever is wrong and goes on.

use std::ops::{Range, RangeInclusive};

use defense::Reason;
use toml::de::{DeTable, DeValue};

use super::bounds::LIST_MAX;
use super::names::homes_of;
use super::report::Report;
use super::suggest::nearest;
use super::words::{self, Bad};

/// A table, or the absence of one: then every key has its default.
pub(super) struct Section<'a> {
    report: &'a Report<'a>,
    path: String,
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
}

/// One value and its place.
pub(super) struct Field<'a> {
    report: &'a Report<'a>,
    pub(super) path: String,
    pub(super) span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Section<'a> {
    pub(super) fn root(report: &'a Report<'a>, table: &'a DeTable<'a>) -> Self {
        Self { report, path: String::new(), table: Some(table), span: 0..0 }
    }

    pub(super) fn report(&self) -> &'a Report<'a> {
        self.report
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn field(&self, key: &str) -> Option<Field<'a>> {
        let (_, value) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(Field::new(self.report, self.join(key), value.span(), value.get_ref()))
    }

    pub(super) fn required(&self, key: &str, fix: &str) -> Option<Field<'a>> {
        let field = self.field(key);
        if field.is_none() {
            self.missing(key, fix);
        }
        field
    }

    pub(super) fn missing(&self, key: &str, fix: &str) {
        // It is there, only misspelt, and that has been said.
        if self.report.suggested(&self.join(key)) {
            return;
        }
        let message = match (self.table, self.path.as_str()) {
            (_, "") => format!("missing section [{key}]"),
            (Some(_), path) => format!("missing key \"{key}\" in [{path}]"),
            (None, path) => format!("missing section [{path}] with its key \"{key}\""),
        };
        self.report.error(Reason::ConfigMissingKey, self.span.clone(), &self.join(key), &message, fix);
    }

    /// Each name in this table with what it holds, and the place of the name itself.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Range<usize>, Field<'a>)> {
        self.table.into_iter().flat_map(DeTable::iter).map(|(name, value)| {
            let key: &str = name.get_ref();
            (key, name.span(), Field::new(self.report, self.join(key), value.span(), value.get_ref()))
        })
    }

    /// A section below this one; absent, it reads as an empty one.
    pub(super) fn section(&self, key: &str, keys: &[&str]) -> Option<Self> {
        match self.field(key) {
            Some(field) => field.section(keys),
            None => {
                Some(Self { report: self.report, path: self.join(key), table: None, span: self.span.clone() })
            }
        }
    }

    /// Reports every key that is not in `keys`.
    pub(super) fn only(&self, keys: &[&str]) {
        for (key, span, _) in self.entries() {
            if !keys.contains(&key) {
                self.unknown(key, span, keys);
            }
        }
    }

    fn unknown(&self, key: &str, span: Range<usize>, keys: &[&str]) {
        let shown = self.report.source().shown(&span).trim_matches(['"', '\'']).to_owned();
        let (message, list) = match self.path.as_str() {
            "" => (format!("unknown section [{shown}]"), "sections"),
            path => (format!("unknown key \"{shown}\" in [{path}]"), "keys here"),
        };
        let near = nearest(key, keys.iter().copied());
        let homes = homes_of(key);
        let fix = match (near, homes.as_slice()) {
            (_, [home, ..]) if self.path.is_empty() || near.is_none() => {
                format!("Move it to {home}, where \"{key}\" belongs.")
            }
            (Some(near), _) => format!("Write {near} instead of {shown}, or remove the line."),
            (None, _) => format!("Remove it. The {list} are: {}.", keys.join(", ")),
        };
        self.report.suggest(Reason::ConfigUnknownKey, span, &self.join(key), &message, near, &fix);
    }

    fn join(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

impl<'a> Field<'a> {
    fn new(report: &'a Report<'a>, path: String, span: Range<usize>, value: &'a DeValue<'a>) -> Self {
        report.remember(&path, span.clone());
        Self { report, path, span, value }
    }

    /// Its key alone: what stands left of the equals sign.
    pub(super) fn key(&self) -> &str {
        let end = self.path.find('[').unwrap_or(self.path.len());
        let path = self.path.get(..end).unwrap_or_default();
        path.rsplit('.').next().unwrap_or_default()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
                self.wrong_type("text", &format!("Put it in quotes: {} = \"{}\".", self.key(), self.shown()))
            }
            DeValue::Array(_) => {
                self.wrong_type("one text", &format!("Write one value: {} = \"…\".", self.key()))
            }
            DeValue::Table(_) => self.wrong_type("text", &format!("Write {} = \"…\".", self.key())),
        }
    }

    /// A text that `parse` understands.
    pub(super) fn parsed<T>(&self, parse: impl Fn(&str) -> Result<T, Bad>) -> Option<T> {
        self.accept(parse(self.text()?))
    }

    /// In seconds; bounds are the caller's.
    pub(super) fn duration(&self) -> Option<u32> {
        match self.value {
            DeValue::Integer(_) | DeValue::Float(_) => self.wrong_type(
                "a duration",
                &format!("Say the unit, in quotes: {} = \"{}s\".", self.key(), self.shown()),
            ),
            DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => self.parsed(words::duration),
        }
    }

    pub(super) fn whole(&self, bounds: RangeInclusive<u32>) -> Option<u32> {
        let DeValue::Integer(digits) = self.value else {
            let plain = self.value.as_str().and_then(|text| text.parse::<u32>().ok());
            let example = plain.unwrap_or(*bounds.start());
            return self.wrong_type(
                "a whole number",
                &format!("Write a whole number, without quotes: {} = {example}.", self.key()),
            );
        };
        let number = u32::from_str_radix(digits.as_str(), digits.radix()).ok().filter(|n| bounds.contains(n));
        if number.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            self.bad(&Bad::new(
                &format!("is not {least} to {most}"),
                &format!("Write a number from {least} to {most}."),
            ));
        }
        number
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(flag) => Some(*flag),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => self.wrong_type(
                "true or false",
                &format!("Write {0} = true or {0} = false, without quotes.", self.key()),
            ),
        }
    }

    /// One word of a closed list.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.value.as_str();
        let chosen = choices.iter().find(|(word, _)| Some(*word) == text).map(|(_, chosen)| *chosen);
        if chosen.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.not_one_of("is not a choice here", &words, "Write one of");
        }
        chosen
    }

    /// A name that has to exist already.
    pub(super) fn one_of(&self, what: &str, known: &[&str]) -> Option<String> {
        let text = self.text()?;
        if known.contains(&text) {
            return Some(text.to_owned());
        }
        self.not_one_of(
            &format!("names no {what}"),
            known,
            &format!("Define [{what}.NAME] for it, or name one of"),
        );
        None
    }

    pub(super) fn items(&self) -> Option<Vec<Self>> {
        let DeValue::Array(items) = self.value else {
            return self
                .wrong_type("a list", &format!("Put it in brackets: {} = [{}].", self.key(), self.shown()));
        };
        if items.len() > LIST_MAX {
            self.bad(&Bad::new(
                &format!("has {} entries", items.len()),
                &format!("Name at most {LIST_MAX}."),
            ));
            return None;
        }
        let item = |(i, value): (usize, &'a toml::Spanned<DeValue<'a>>)| {
            Self::new(self.report, format!("{}[{i}]", self.path), value.span(), value.get_ref())
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// A list, each entry read by `read`. One wrong entry spoils it, but all are looked at.
    pub(super) fn each<T>(&self, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        let read: Vec<Option<T>> = self.items()?.iter().map(read).collect();
        if read.is_empty() {
            self.bad(&Bad::new("is empty", "Name at least one, or remove the line for the default."));
            return None;
        }
        read.into_iter().collect()
    }

    pub(super) fn section(&self, keys: &[&str]) -> Option<Section<'a>> {
        let section = self.table()?;
        section.only(keys);
        Some(section)
    }

    pub(super) fn table_is_absent(&self) -> bool {
        !self.value.is_table()
    }

    /// Its own key, where that is a name that the operator chose; `span` is the place of it.
    pub(super) fn name(&self, key: &str, span: Range<usize>) -> Option<String> {
        let shown = self.report.source().shown(&span);
        let bad = |bad: Bad| {
            let message = format!("the name {shown} in [{}] {}", self.path, bad.why);
            self.report.error(Reason::ConfigInvalidValue, span.clone(), &self.path, &message, &bad.fix);
        };
        words::name(key).map_err(bad).ok()
    }

    /// As [`Field::section`], where any key may stand.
    pub(super) fn table(&self) -> Option<Section<'a>> {
        let DeValue::Table(table) = self.value else {
            let fix = match (self.value, self.path.matches('.').count()) {
                (DeValue::Array(_), 0) => {
                    format!("Write a section per name, in single brackets: [{}.NAME].", self.path)
                }
                (_, 0 | 1) => format!("Write a section: [{}], and its keys below.", self.path),
                (_, _) => format!("Write {} = {{ … }}.", self.key()),
            };
            return self.wrong_type("a section", &fix);
        };
        let (report, path, span) = (self.report, self.path.clone(), self.span.clone());
        Some(Section { report, path, table: Some(table), span })
    }

    pub(super) fn accept<T>(&self, read: Result<T, Bad>) -> Option<T> {
        read.map_err(|bad| self.bad(&bad)).ok()
    }

    pub(super) fn bad(&self, bad: &Bad) {
        let message = format!("{} = {} {}", self.path, self.shown(), bad.why);
        self.report.error(Reason::ConfigInvalidValue, self.span.clone(), &self.path, &message, &bad.fix);
    }

    fn not_one_of(&self, why: &str, words: &[&str], lead: &str) {
        let message = format!("{} = {} {why}", self.path, self.shown());
        let near = nearest(self.value.as_str().unwrap_or_default(), words.iter().copied());
        let fix = match words {
            [] => "Define one first.".to_owned(),
            words => format!("{lead}: {}.", words.join(", ")),
        };
        self.report.suggest(Reason::ConfigInvalidValue, self.span.clone(), &self.path, &message, near, &fix);
    }

    fn wrong_type<T>(&self, wanted: &str, fix: &str) -> Option<T> {
        let is = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a section",
        };
        self.bad(&Bad::new(&format!("is {is}, but {wanted} is needed"), fix));
        None
    }

    pub(super) fn shown(&self) -> String {
        self.report.source().shown(&self.span)
    }
}
