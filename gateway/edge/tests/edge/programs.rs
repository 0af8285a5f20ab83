//! Programs of others, each with a folder of its own, for as long as a test needs them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tokio::net::TcpStream;

pub(crate) struct Program {
    child: Child,
    folder: tempfile::TempDir,
}

impl Program {
    /// Starts it with its configuration as the last argument, in which `FOLDER` becomes its folder, and waits until it
    /// listens.
    pub(crate) async fn start(name: &str, config: &str, arguments: &[&str], at: (IpAddr, u16)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config.replace("FOLDER", folder.path().to_str().unwrap());
        std::fs::write(folder.path().join("config"), config).unwrap();
        let errors = std::fs::File::create(folder.path().join("stderr")).unwrap();
        let mut command = Command::new(name);
        command.args(arguments).arg(folder.path().join("config")).stdout(Stdio::null()).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let mut program = Self { child, folder };
        while TcpStream::connect(at).await.is_err() {
            if let Some(status) = program.child.try_wait().unwrap() {
                let told = std::fs::read_to_string(program.file("stderr")).unwrap();
                panic!("{name} ended: {status}: {told}");
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        program
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
