//! A schedule's preview as a picture of plain characters: `█` a window, `▒` its grace, one line per grant.

use serde_json::Value;

use super::change::list;
use crate::output::{cell, figure, span};

/// Characters of a bar.
const WIDTH: usize = 60;

pub(super) fn preview(answer: &Value) -> String {
    let span_s = answer["span_s"].as_u64().unwrap_or(1).max(1);
    let mut lines = vec![format!("{:<14}{}", "", scale(span_s))];
    let mut shortest_s = i64::MAX;
    for row in list(&answer["rows"]) {
        let whose = match row["user"].as_str() {
            Some(user) => format!("{user}/{} to {}", cell(&row["device"]), cell(&row["service"])),
            None => "nobody yet".to_owned(),
        };
        let class = cell(&row["class"]);
        for (word, key, version) in [("now", "before", &answer["before"]), ("new", "after", &answer["after"])]
        {
            if version.is_null() {
                continue;
            }
            let windows: Vec<&Value> = list(&row[key]).collect();
            let times = &version[class.as_str()];
            shortest_s = shortest_s.min(whole(&times["window_s"]));
            let head = format!("{word} {}/{}", brief(&times["window_s"]), brief(&times["grace_s"]));
            let starts = windows
                .iter()
                .filter(|w| (0..=i64::try_from(span_s).unwrap_or(i64::MAX)).contains(&whole(&w["starts_s"])));
            lines.push(format!(
                "{head:<14}{}  {class}  {whose}: {} moves",
                bar(&windows, span_s),
                starts.count()
            ));
        }
    }
    lines.push(format!(
        "{:<14}█ window   ▒ grace   · nothing   each character {}",
        "",
        span(span_s.div_ceil(WIDTH as u64))
    ));
    let two_characters_s = i64::try_from(2 * span_s.div_ceil(WIDTH as u64)).unwrap_or(i64::MAX);
    if shortest_s < two_characters_s {
        lines.push(format!(
            "{:<14}windows shorter than two characters run together: look closer with --for 5m",
            ""
        ));
    }
    lines.extend(impact(answer));
    lines.join("\n")
}

/// Which part of each character's time is announced, or only accepted.
fn bar(windows: &[&Value], span_s: u64) -> String {
    let at = |column: usize| {
        let middle = (2 * column as u64 + 1) * span_s / (2 * WIDTH as u64);
        i64::try_from(middle).unwrap_or(i64::MAX)
    };
    let within = |t: i64, from: &Value, until: &Value| whole(from) <= t && t < whole(until);
    // A window's last character is its grace, so that moves are seen where windows follow each other closely.
    let ends = |t: i64, column: usize| {
        let next = if column + 1 < WIDTH { at(column + 1) } else { t };
        let long = |w: &Value| whole(&w["ends_s"]) - whole(&w["starts_s"]) >= 2 * (at(1) - at(0));
        windows.iter().any(|w| t < whole(&w["ends_s"]) && whole(&w["ends_s"]) <= next && long(w))
    };
    let draw = |column: usize| {
        let t = at(column);
        let live = windows.iter().any(|w| within(t, &w["starts_s"], &w["ends_s"]));
        let grace = windows.iter().any(|w| within(t, &w["opens_s"], &w["closes_s"]));
        match (live && !ends(t, column), grace) {
            (true, _) => '█',
            (false, true) => '▒',
            (false, false) => '·',
        }
    };
    (0..WIDTH).map(draw).collect()
}

/// Times from now under every quarter of the bar.
fn scale(span_s: u64) -> String {
    let quarter = WIDTH / 4;
    let marks = (0..4u64).map(|n| {
        format!("{:<quarter$}", if n == 0 { "now".to_owned() } else { format!("+{}", span(span_s * n / 4)) })
    });
    marks.collect::<String>().trim_end().to_owned()
}

fn impact(answer: &Value) -> Vec<String> {
    if answer["after"].is_null() {
        return vec![format!(
            "no change asked for: wandergate schedule preview {} window=2m",
            cell(&answer["schedule"])
        )];
    }
    let number = |value: &Value| value.as_f64().map_or_else(|| "never".to_owned(), figure);
    let mut lines = vec![format!("begins {}", cell(&answer["after"]["from"])), "impact".to_owned()];
    for class in list(&answer["impact"]) {
        lines.push(format!(
            "  {:<6} {} grants   moves an hour {} -> {}   DNS at most {} -> {} queries/s",
            cell(&class["class"]),
            cell(&class["grants"]),
            number(&class["moves_per_hour_before"]),
            number(&class["moves_per_hour_after"]),
            number(&class["dns_per_s_before"]),
            number(&class["dns_per_s_after"]),
        ));
    }
    for pool in list(&answer["exposure"]) {
        lines.push(format!(
            "  pool {} {}: guesses until a hit {} -> {}",
            cell(&pool["before"]["pool"]),
            cell(&pool["before"]["range"]),
            number(&pool["before"]["guesses_until_hit"]),
            number(&pool["after"]["guesses_until_hit"]),
        ));
    }
    lines
        .push(format!("  sessions cut {} (established connections are kept)", cell(&answer["sessions_cut"])));
    lines
}

fn whole(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// `30m`, `90s`: without a remainder, in the largest unit.
fn brief(seconds: &Value) -> String {
    let seconds = seconds.as_u64().unwrap_or(0);
    let unit = [(86_400, 'd'), (3600, 'h'), (60, 'm')]
        .into_iter()
        .find(|(length, _)| seconds > 0 && seconds.is_multiple_of(*length));
    unit.map_or_else(|| format!("{seconds}s"), |(length, letter)| format!("{}{letter}", seconds / length))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bar_shows_windows_graces_and_gaps_where_they_are() {
        let window = json!({ "opens_s": -10, "starts_s": 0, "ends_s": 30, "closes_s": 45 });
        let drawn = bar(&[&window], 60);
        assert_eq!(drawn, format!("{}{}{}", "█".repeat(29), "▒".repeat(16), "·".repeat(15)));
        assert_eq!(bar(&[], 60), "·".repeat(WIDTH));
    }

    #[test]
    fn spans_are_brief_only_when_nothing_is_lost() {
        let text = |s: u64| brief(&json!(s));
        assert_eq!(
            (text(0), text(90), text(120), text(7200)),
            ("0s".into(), "90s".into(), "2m".into(), "2h".into())
        );
    }
}
