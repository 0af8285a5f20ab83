//! What people and programs see while a demo runs: plain lines, JSON lines, or a live view of a terminal.

use std::time::Duration;

use serde_json::{Value, json};

use super::cast::Arrival;
use super::figures::Figures;
use super::live::Live;
use crate::rehearsal::latency::millis;
use crate::rehearsal::user::Happening;
use crate::terminal::say;

/// Errors that are shown one by one; all are counted.
const ERRORS_SHOWN_MAX: u32 = 50;

/// One way of showing.
pub enum Show {
    Json { errors: u32 },
    Plain { errors: u32 },
    Live(Live),
}

/// A line for people, and the same for programs.
pub struct Line {
    pub text: String,
    pub json: Value,
    pub error: bool,
}

impl Line {
    /// `fields` is an object; its `event` names it.
    pub fn new(event: &str, text: String, mut fields: Value) -> Self {
        fields["schema"] = "wandergate.demo.event/1".into();
        fields["event"] = event.into();
        Self { text, json: fields, error: false }
    }

    fn error(self) -> Self {
        Self { error: true, ..self }
    }
}

impl Show {
    pub fn line(&mut self, at: Duration, mut line: Line) {
        let seconds = (at.as_secs_f64() * 10.0).round() / 10.0;
        match self {
            Self::Json { errors } | Self::Plain { errors } if line.error => {
                *errors += 1;
                if *errors > ERRORS_SHOWN_MAX {
                    return;
                }
            }
            Self::Json { .. } | Self::Plain { .. } | Self::Live(_) => {}
        }
        match self {
            Self::Json { .. } => {
                line.json["at_s"] = seconds.into();
                say(&line.json.to_string());
            }
            Self::Plain { .. } => say(&format!("{seconds:>6.1} s  {}", line.text)),
            Self::Live(live) => live.note(format!("{seconds:>6.1} s  {}", line.text)),
        }
    }

    /// Lines without a time, for people only.
    pub fn text(&mut self, text: &str) {
        match self {
            Self::Json { .. } => {}
            Self::Plain { .. } => say(text),
            Self::Live(live) => text.lines().for_each(|line| live.header(line)),
        }
    }

    /// The end: figures, in the form that was asked for. People are shown them only with a closing word: without one
    /// there was nothing to measure.
    pub fn end(self, figures: &Figures, closing: Option<&str>) {
        let text = closing.map(|closing| format!("\n{}\n{closing}", figures.to_text()));
        match self {
            Self::Json { .. } => return say(&figures.to_json()),
            Self::Plain { .. } => {}
            Self::Live(live) => live.close(),
        }
        if let Some(text) = text {
            say(&text);
        }
    }
}

/// What a happening is to people and to programs.
pub fn line(happening: Happening) -> Line {
    match happening {
        Happening::FirstPage { user, path, at, status, took } => Line::new(
            "first_page",
            format!("measured: GET {path} as {user} via {at}: {status} in {:.0} ms", millis(took)),
            json!({ "user": user, "path": path, "address": at, "status": status, "ms": millis(took) }),
        ),
        Happening::Moved { user, from, to } => Line::new(
            "moved",
            format!("{user} moved from {from} to {}", to.ip()),
            json!({ "user": user, "from": from, "to": to }),
        ),
        Happening::OldAddressDead { user, address, how, after } => Line::new(
            "old_address_dead",
            format!("{user}'s old address {address} is dead ({how} after {:.1} ms)", millis(after)),
            json!({ "user": user, "address": address, "how": how, "ms": millis(after) }),
        ),
        Happening::OldAddressAnswered { user, address } => Line::new(
            "old_address_answered",
            format!("{user}'s old address {address} STILL ANSWERS"),
            json!({ "user": user, "address": address }),
        )
        .error(),
        Happening::DownloadWhole { user, bytes, outlived } => Line::new(
            "download_whole",
            format!(
                "{user}'s slow download came whole: {} KiB{}",
                bytes / 1024,
                if outlived { ", begun on an address that is no more" } else { "" }
            ),
            json!({ "user": user, "bytes": bytes, "outlived": outlived }),
        ),
        Happening::DownloadCut { user, cause } => Line::new(
            "download_cut",
            format!("{user}'s download was CUT: {cause}"),
            json!({ "user": user, "cause": cause }),
        )
        .error(),
        Happening::Revoked { user } => Line::new(
            "revoked",
            format!("{user} is revoked, and the next request was refused"),
            json!({ "user": user }),
        ),
        Happening::Error { user, cause } => {
            Line::new("error", format!("{user}: ERROR {cause}"), json!({ "user": user, "cause": cause }))
                .error()
        }
    }
}

/// How a newcomer fared at the public door during the flood.
pub fn arrival(arrival: &Arrival) -> Line {
    let ms = millis(arrival.took);
    let text = match &arrival.cause {
        None => format!("newcomer {} enrolled through the flood in {ms:.0} ms", arrival.number),
        Some(cause) => format!("newcomer {} was turned away by the flood: {cause}", arrival.number),
    };
    Line::new(
        "newcomer",
        text,
        json!({ "enrolled": arrival.cause.is_none(), "ms": ms, "cause": arrival.cause }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_for_programs_names_its_event_and_schema() {
        let at = "127.83.0.1:4".parse().unwrap();
        let user = || "alice".to_owned();
        let took = Duration::from_millis(4);
        let all = [
            Happening::FirstPage { user: user(), path: "/", at, status: 200, took },
            Happening::Moved { user: user(), from: at, to: at },
            Happening::OldAddressDead { user: user(), address: at, how: "reset", after: took },
            Happening::OldAddressAnswered { user: user(), address: at },
            Happening::DownloadWhole { user: user(), bytes: 4096, outlived: true },
            Happening::DownloadCut { user: user(), cause: "x".to_owned() },
            Happening::Revoked { user: user() },
            Happening::Error { user: user(), cause: "x".to_owned() },
        ];
        for happening in all {
            let line = line(happening);
            assert_eq!(line.json["schema"], "wandergate.demo.event/1");
            assert!(line.json["event"].is_string() && line.json["user"] == "alice" && !line.text.is_empty());
        }
    }

    #[test]
    fn a_measured_line_says_what_was_measured() {
        let at = "127.83.200.14:8443".parse().unwrap();
        let took = Duration::from_micros(4_200);
        let first = Happening::FirstPage { user: "alice".to_owned(), path: "/", at, status: 200, took };
        assert_eq!(line(first).text, "measured: GET / as alice via 127.83.200.14:8443: 200 in 4 ms");
    }
}
