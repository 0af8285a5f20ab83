//! The live view of a terminal: a few lines that are drawn again in place, and keys. Restores the terminal however it ends.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal::{Clear, ClearType, disable_raw_mode, enable_raw_mode, size};
use crossterm::{cursor, queue};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Notes that stay in sight.
const NOTES_MAX: usize = 8;
/// Keys pressed that wait to be obeyed.
const KEYS_MAX: usize = 8;
/// How often the keys' thread looks whether it is still wanted.
const KEY_POLL: Duration = Duration::from_millis(100);

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Attack,
    Rotate,
    Revoke,
    Quit,
}

/// The view. Dropping it restores the terminal.
pub struct Live {
    notes: VecDeque<String>,
    /// Lines drawn last time, to be drawn over.
    drawn: u16,
    stop: CancellationToken,
    keys: Option<JoinHandle<()>>,
}

/// Whether there is a terminal at both ends.
pub fn possible() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

impl Live {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It can't be read key by key.
    pub fn open() -> Result<(Self, mpsc::Receiver<Key>)> {
        let (sender, keys) = mpsc::channel(KEYS_MAX);
        let stop = CancellationToken::new();
        enable_raw_mode()?;
        // From here on, dropping it restores the terminal.
        let mut live = Self { notes: VecDeque::new(), drawn: 0, stop: stop.clone(), keys: None };
        queue!(io::stdout(), cursor::Hide)?;
        live.keys = Some(
            std::thread::Builder::new().name("demo-keys".to_owned()).spawn(move || read(&sender, &stop))?,
        );
        Ok((live, keys))
    }

    /// A line that stays above the view, whole: what is to be copied must not be cut, and nothing is drawn over it.
    pub fn header(&mut self, line: &str) {
        let mut out = Vec::new();
        self.erase(&mut out);
        let _ = write!(out, "{}\r\n", printable(line));
        put(&out);
    }

    /// A line among the last few.
    pub fn note(&mut self, line: String) {
        if self.notes.len() == NOTES_MAX {
            self.notes.pop_front();
        }
        self.notes.push_back(line);
    }

    /// Draws `lines` and the notes below them over what was there.
    pub fn draw(&mut self, lines: &[String]) {
        let mut out = Vec::new();
        self.erase(&mut out);
        let (width, height) = room();
        // What does not fit on the screen could not be drawn over.
        for line in lines.iter().chain(&self.notes).take(height) {
            let _ = write!(out, "{}\r\n", clipped(line, width));
            self.drawn += 1;
        }
        put(&out);
    }

    /// Gives the terminal back; the last picture stays.
    pub fn close(self) {
        drop(self);
    }

    fn erase(&mut self, out: &mut Vec<u8>) {
        if self.drawn > 0 {
            // Into memory: cannot fail.
            let _ = queue!(
                out,
                cursor::MoveUp(self.drawn),
                cursor::MoveToColumn(0),
                Clear(ClearType::FromCursorDown)
            );
        }
        self.drawn = 0;
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(keys) = self.keys.take() {
            let _ = keys.join();
        }
        // If the terminal is gone there is nothing to restore.
        let _ = disable_raw_mode();
        let mut out = Vec::new();
        let _ = queue!(out, cursor::Show);
        put(&out);
    }
}

fn put(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// The terminal's columns, and the lines that a view may have; a small one if it does not say.
fn room() -> (usize, usize) {
    size().map_or((80, 23), |(columns, rows)| (usize::from(columns.max(20)), usize::from(rows.max(4)) - 1))
}

/// A line that fits, or a wrapped one would be counted wrongly.
fn clipped(line: &str, width: usize) -> String {
    printable(line).chars().take(width.saturating_sub(1)).collect()
}

fn printable(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).collect()
}

fn read(keys: &mpsc::Sender<Key>, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match event::poll(KEY_POLL) {
            Ok(false) => {}
            Ok(true) => match event::read() {
                Ok(event) => {
                    if let Some(key) = meaning(&event) {
                        // A key too many while others wait is not obeyed.
                        let _ = keys.try_send(key);
                    }
                }
                Err(_) => return,
            },
            Err(_) => return,
        }
    }
}

fn meaning(event: &Event) -> Option<Key> {
    let Event::Key(key) = event else { return None };
    if key.kind != KeyEventKind::Press {
        return None;
    }
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('a') => Some(Key::Attack),
        KeyCode::Char('r') => Some(Key::Rotate),
        KeyCode::Char('v') => Some(Key::Revoke),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn keys_mean_what_the_view_says_and_control_c_ends_it() {
        let press = |code, modifiers| meaning(&Event::Key(KeyEvent::new(code, modifiers)));
        let plain = |c| press(KeyCode::Char(c), KeyModifiers::NONE);
        assert_eq!(
            (plain('a'), plain('r'), plain('v')),
            (Some(Key::Attack), Some(Key::Rotate), Some(Key::Revoke))
        );
        assert_eq!((plain('q'), plain('c')), (Some(Key::Quit), None));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Quit));
        assert_eq!(meaning(&Event::FocusGained), None);
    }

    #[test]
    fn a_line_never_wraps_and_never_steers_the_terminal() {
        assert_eq!(clipped("abcdef", 4), "abc");
        assert_eq!(clipped("a\u{1b}[31mb", 80), "a[31mb");
    }
}
