//! A site that people visit, as somebody would host it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A site of aiohttp. Ends with its guard.
pub(crate) struct Site {
    process: Child,
    address: SocketAddr,
}

impl Site {
    pub(crate) fn start() -> Self {
        let python = std::env::var("WANDERGATE_PYTHON").unwrap_or_else(|_| "python3".into());
        let mut command = Command::new(python);
        command.args(["-c", include_str!("site.py")]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python3 starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("aiohttp is there: pip install aiohttp");
        Self { process, address: ([127, 0, 0, 1], port).into() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
