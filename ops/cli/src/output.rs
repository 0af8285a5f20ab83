//! What a person or a program reads: aligned plain tables, or JSON. No color is ever needed to understand it.

use serde_json::Value;

/// A table of text: columns are as wide as their widest cell, two spaces apart.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    /// Without its head line.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The text; for an empty table what stands in its place.
    pub fn text(&self, empty: &str) -> String {
        if self.is_empty() {
            return empty.to_owned();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// A cell has no control characters: nothing from a record may steer a terminal. Nothing is a dash.
pub fn plain(text: &str) -> String {
    match text.chars().filter(|c| !c.is_control()).collect::<String>() {
        empty if empty.is_empty() => "-".to_owned(),
        clean => clean,
    }
}

/// A member of an answer as a cell.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => plain(text),
        Value::Array(items) => plain(&items.iter().map(cell).collect::<Vec<_>>().join(",")),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// `2 d 3 h`, `5 min 4 s`: two units, the larger ones.
pub fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds;
    let mut words = Vec::new();
    for (length, unit) in units {
        let count = left / length;
        left %= length;
        if count > 0 {
            words.push(format!("{count} {unit}"));
        }
        if words.len() == 2 || (!words.is_empty() && count == 0) {
            break;
        }
    }
    if words.is_empty() { "0 s".to_owned() } else { words.join(" ") }
}

/// `1 connection`, `2 connections`.
pub fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A figure of any size for people: `1.8e19`, `65534`, `0.0025`.
pub fn figure(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e7).contains(&size) {
        return format!("{value:.1e}");
    }
    if size >= 100.0 || size == size.trunc() { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_control_characters_never_reach_a_terminal() {
        let mut table = Table::new(&["USER", "STATE"]);
        table.row(["al\u{1b}[31mice".to_owned(), "active".to_owned()]);
        table.row(["bo".to_owned(), String::new()]);
        assert_eq!(table.text(""), "USER       STATE\nal[31mice  active\nbo         -");
        assert_eq!(Table::new(&["USER"]).text("No users."), "No users.");
    }

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (90_061, "1 d 1 h"), (86_401, "1 d")]
        {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|n| count(n, "grant")), ["0 grants", "1 grant", "2 grants"]);
    }

    #[test]
    fn figures_stay_short_at_any_size() {
        for (value, text) in
            [(0.0, "0"), (65_534.0, "65534"), (0.5, "0.50"), (1.8e19, "1.8e19"), (2.5e-10, "2.5e-10")]
        {
            assert_eq!(figure(value), text);
        }
    }
}
