//! Typed access to a parsed table, which reports whatever is wrong and goes on.

use std::ops::{Range, RangeInclusive};

use defense::Reason;
use toml::de::{DeTable, DeValue};

use super::bounds::{LIST_MAX, SECTIONS_MAX};
use super::report::Report;
use super::suggest::nearest;
use super::words::{self, Bad};

/// A table, or the absence of one: then every key has its default.
pub(crate) struct Section<'a> {
    report: &'a Report<'a>,
    path: String,
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
}

/// One value and its place.
pub(crate) struct Field<'a> {
    report: &'a Report<'a>,
    pub(crate) path: String,
    pub(crate) span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Section<'a> {
    pub(crate) fn root(report: &'a Report<'a>, table: &'a DeTable<'a>) -> Self {
        Self { report, path: String::new(), table: Some(table), span: 0..0 }
    }

    pub(crate) fn report(&self) -> &'a Report<'a> {
        self.report
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn field(&self, key: &str) -> Option<Field<'a>> {
        let (_, value) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(Field::new(self.report, self.join(key), value.span(), value.get_ref()))
    }

    pub(crate) fn required(&self, key: &str, fix: &str) -> Option<Field<'a>> {
        let field = self.field(key);
        if field.is_none() {
            self.missing(key, fix);
        }
        field
    }

    pub(crate) fn missing(&self, key: &str, fix: &str) {
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
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, Range<usize>, Field<'a>)> {
        self.table.into_iter().flat_map(DeTable::iter).map(|(name, value)| {
            let key: &str = name.get_ref();
            (key, name.span(), Field::new(self.report, self.join(key), value.span(), value.get_ref()))
        })
    }

    /// A section below this one; absent, it reads as an empty one.
    pub(crate) fn section(&self, key: &str, keys: &[&str]) -> Option<Self> {
        match self.field(key) {
            Some(field) => field.section(keys),
            None => {
                Some(Self { report: self.report, path: self.join(key), table: None, span: self.span.clone() })
            }
        }
    }

    /// Sections that stand once per name, in the order of their lines; `name` checks each name, and `read` takes each section.
    pub(crate) fn named<T>(
        &self,
        kind: &str,
        keys: &[&str],
        name: fn(&str) -> Result<String, Bad>,
        read: impl Fn(&str, Self) -> Option<T>,
    ) -> Option<Vec<(String, T)>> {
        let Some(field) = self.field(kind) else {
            return Some(Vec::new());
        };
        let section = field.table()?;
        if section.entries().nth(SECTIONS_MAX).is_some() {
            field.bad(&Bad::new("has too many sections", &format!("Keep at most {SECTIONS_MAX}.")));
            return None;
        }
        let one = |(key, span, entry): (&'a str, Range<usize>, Field<'a>)| {
            if keys.contains(&key) && entry.table_is_absent() {
                let kind = &field.path;
                let fix = format!("Write [{kind}.NAME] instead of [{kind}], with a name of your own.");
                entry.bad(&Bad::new(&format!("stands in [{kind}], which needs a name"), &fix));
                return None;
            }
            let name = entry.name(key, span, name);
            let value = entry.section(keys).and_then(|section| read(key, section));
            Some((name?, value?))
        };
        let mut entries: Vec<_> = section.entries().collect();
        entries.sort_by_key(|(_, span, _)| span.start);
        let read: Vec<_> = entries.into_iter().map(one).collect();
        read.into_iter().collect()
    }

    /// Reports every key that is not in `keys`.
    pub(crate) fn only(&self, keys: &[&str]) {
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
        let homes = self.report.homes_of(key);
        let fix = match (near, homes.as_slice()) {
            _ if key == "port" && self.path.starts_with("service.") => {
                let port = self.field(key).map_or_else(String::new, |field| field.shown());
                format!("Write listen = [\"https/{}\"].", port.trim_matches('"'))
            }
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
    pub(crate) fn key(&self) -> &str {
        let end = self.path.find('[').unwrap_or(self.path.len());
        let path = self.path.get(..end).unwrap_or_default();
        path.rsplit('.').next().unwrap_or_default()
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
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
    pub(crate) fn parsed<T>(&self, parse: impl Fn(&str) -> Result<T, Bad>) -> Option<T> {
        self.accept(parse(self.text()?))
    }

    /// In seconds; bounds are the caller's.
    pub(crate) fn duration(&self) -> Option<u32> {
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

    pub(crate) fn whole(&self, bounds: RangeInclusive<u32>) -> Option<u32> {
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

    pub(crate) fn flag(&self) -> Option<bool> {
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
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.value.as_str();
        let chosen = choices.iter().find(|(word, _)| Some(*word) == text).map(|(_, chosen)| *chosen);
        if chosen.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.not_one_of("is not a choice here", &words, "Write one of");
        }
        chosen
    }

    /// A name that has to exist already.
    pub(crate) fn one_of(&self, what: &str, known: &[&str]) -> Option<String> {
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

    pub(crate) fn items(&self) -> Option<Vec<Self>> {
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
    pub(crate) fn each<T>(&self, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        let read: Vec<Option<T>> = self.items()?.iter().map(read).collect();
        if read.is_empty() {
            self.bad(&Bad::new("is empty", "Name at least one, or remove the line for the default."));
            return None;
        }
        read.into_iter().collect()
    }

    pub(crate) fn section(&self, keys: &[&str]) -> Option<Section<'a>> {
        let section = self.table()?;
        section.only(keys);
        Some(section)
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.value.is_integer()
    }

    pub(crate) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    pub(crate) fn table_is_absent(&self) -> bool {
        !self.value.is_table()
    }

    /// Its own key, where that is a name that the operator chose; `span` is the place of it.
    pub(crate) fn name(
        &self,
        key: &str,
        span: Range<usize>,
        read: fn(&str) -> Result<String, Bad>,
    ) -> Option<String> {
        let shown = self.report.source().shown(&span);
        let bad = |bad: Bad| {
            let message = format!("the name {shown} in [{}] {}", self.path, bad.why);
            self.report.error(Reason::ConfigInvalidValue, span.clone(), &self.path, &message, &bad.fix);
        };
        read(key).map_err(bad).ok()
    }

    /// As [`Field::section`], where any key may stand.
    pub(crate) fn table(&self) -> Option<Section<'a>> {
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

    pub(crate) fn accept<T>(&self, read: Result<T, Bad>) -> Option<T> {
        read.map_err(|bad| self.bad(&bad)).ok()
    }

    pub(crate) fn bad(&self, bad: &Bad) {
        let message = format!("{} = {} {}", self.path, self.shown(), bad.why);
        self.report.error(Reason::ConfigInvalidValue, self.span.clone(), &self.path, &message, &bad.fix);
    }

    /// It could stand here, but not beside the rest.
    pub(super) fn conflict(&self, message: &str, fix: &str) {
        self.report.error(Reason::ConfigConflict, self.span.clone(), &self.path, message, fix);
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

    pub(crate) fn shown(&self) -> String {
        self.report.source().shown(&self.span)
    }
}
