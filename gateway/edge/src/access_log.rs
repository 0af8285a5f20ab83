//! The access log: one JSON line for each request and each session of bytes, written by a thread of its own.
//!
//! Who serves appends to a buffer of its core under a lock that nobody else wants, and never waits for the disk. A full
//! buffer drops lines and counts them; the last quarter of it is kept for refusals, which are never sampled away.
//! Nothing secret is in it: no query, no header field, no private address or name.

mod line;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use state::Clock;

use crate::bounds::{LOG_BATCH, LOG_BUFFER_BYTES_MAX, LOG_BUFFERS};
pub use line::{Entry, Who};

/// Where the log goes, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    pub path: PathBuf,
    /// One of so many passes is written; at least 1.
    pub sample: u32,
}

/// A log that is being written.
pub struct AccessLog {
    desk: Arc<Desk>,
    writer: Option<JoinHandle<()>>,
}

struct Desk {
    buffers: Box<[Mutex<Buffer>]>,
    sink: Mutex<Sink>,
    state: Mutex<State>,
    woken: Condvar,
    path: PathBuf,
    sample: u32,
    clock: Clock,
}

#[derive(Default)]
struct Buffer {
    lines: Vec<u8>,
    dropped: u64,
    passes: u32,
}

struct Sink {
    file: File,
    /// What could not be written was said, and is not said again until writing works.
    is_failing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Asleep,
    Woken,
    Over,
}

impl AccessLog {
    /// Opens the file (made with mode 0640) and starts the writer.
    ///
    /// # Errors
    /// The file can't be opened, or there is no thread to be had.
    pub fn start(config: LogConfig, clock: Clock) -> io::Result<Self> {
        let LogConfig { path, sample } = config;
        let sink = Mutex::new(Sink { file: open(&path)?, is_failing: false });
        let buffers = (0..LOG_BUFFERS).map(|_| Mutex::default()).collect();
        let (state, woken, sample) = (Mutex::new(State::Asleep), Condvar::new(), sample.max(1));
        let desk = Arc::new(Desk { buffers, sink, state, woken, path, sample, clock });
        let writing = Arc::clone(&desk);
        let writer = std::thread::Builder::new().name("access-log".into()).spawn(move || writing.run())?;
        Ok(Self { desk, writer: Some(writer) })
    }

    /// Takes one line. A pass may be left out by sampling; a refusal never is. (`abandoned` is no refusal.)
    pub fn take(&self, who: &Who, entry: &Entry<'_>) {
        let desk = &*self.desk;
        let is_pass = matches!(entry.reason, None | Some(defense::Reason::Abandoned));
        let mut buffer = lock(&desk.buffers[place() % desk.buffers.len()]);
        if is_pass {
            buffer.passes = (buffer.passes + 1) % desk.sample;
            if buffer.passes != 0 {
                return;
            }
        }
        let room = if is_pass { LOG_BUFFER_BYTES_MAX / 4 * 3 } else { LOG_BUFFER_BYTES_MAX };
        let was_empty = buffer.lines.is_empty() && buffer.dropped == 0;
        match buffer.lines.len() < room {
            true => entry.write(&mut buffer.lines, who, desk.clock.now_ms()),
            false => buffer.dropped += 1,
        }
        drop(buffer);
        if was_empty {
            desk.wake(State::Woken);
        }
    }

    /// Writes what was taken so far before it returns.
    pub fn flush(&self) {
        self.desk.write_out(&mut lock(&self.desk.sink));
    }

    /// Goes on in a new file of the same name: the old one was renamed by whoever rotates logs. Where that fails, the
    /// old one stays in use.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn reopen(&self) -> io::Result<()> {
        let mut sink = lock(&self.desk.sink);
        self.desk.write_out(&mut sink);
        *sink = Sink { file: open(&self.desk.path)?, is_failing: false };
        Ok(())
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.desk.wake(State::Over);
        if let Some(writer) = self.writer.take() {
            // Had it panicked, it would have said so.
            let _ = writer.join();
        }
    }
}

impl Desk {
    fn run(&self) {
        loop {
            let state = self.woken.wait_while(lock(&self.state), |state| *state == State::Asleep);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            // Lines that come meanwhile go the same way, with one write for all.
            while *state != State::Over {
                let waited = self.woken.wait_timeout(state, LOG_BATCH);
                let (again, time) = waited.unwrap_or_else(PoisonError::into_inner);
                state = again;
                if time.timed_out() {
                    break;
                }
            }
            let is_over = *state == State::Over;
            if !is_over {
                *state = State::Asleep;
            }
            drop(state);
            self.write_out(&mut lock(&self.sink));
            if is_over {
                return;
            }
        }
    }

    fn wake(&self, to: State) {
        let mut state = lock(&self.state);
        if *state != State::Over {
            *state = to;
        }
        self.woken.notify_one();
    }

    fn write_out(&self, sink: &mut Sink) {
        for buffer in &self.buffers {
            let (mut lines, dropped) = {
                let mut buffer = lock(buffer);
                (std::mem::take(&mut buffer.lines), std::mem::take(&mut buffer.dropped))
            };
            if dropped > 0 {
                line::write_dropped(&mut lines, dropped, self.clock.now_ms());
            }
            if !lines.is_empty() {
                sink.write(&lines, &self.path);
            }
            lines.clear();
            // Its memory is used again, unless the core has begun anew.
            let mut buffer = lock(buffer);
            if buffer.lines.capacity() == 0 {
                buffer.lines = lines;
            }
        }
    }
}

impl Sink {
    fn write(&mut self, lines: &[u8], path: &Path) {
        match self.file.write_all(lines) {
            Ok(()) => self.is_failing = false,
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::error!(event = "edge.access_log_failed", path = %path.display(), %error);
            }
            Err(_) => {}
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number of this thread's own, so that each core has its buffer.
fn place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    PLACE.with(|place| *place)
}

#[cfg(test)]
mod tests;
