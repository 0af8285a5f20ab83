//! OpenSSH through a `tcp` service: the client knows nothing but a name.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::island::{Island, name, until};
use tests::product::Process;

const SERVICE: &str = "[service.shell]\nto = \"127.0.0.1:2222\"\nlisten = [\"tcp/22\"]\n";

#[test]
fn an_ssh_session_goes_on_while_its_address_moves_and_the_old_address_lets_nobody_in() {
    let island = Island::new();
    let server = Server::start(&island);
    let product = island.run(SERVICE);
    let lease = island.enroll(&product, "alice", &["shell"]).remove(0);
    let name = name(&lease);
    let first = island.address(&product, name);
    let mut session = server.session(&first.to_string());
    session.echoes("before");
    island.moved(&product, name, first);
    session.echoes("in the next window");
    assert!(server.lets_in(name), "by name, whoever comes now finds the new address");
    until("the old address is over", || !server.lets_in(&first.to_string()));
    session.echoes("after the grace of the address that it came to");
    assert!(!server.lets_in(&first.to_string()), "what is over stays over");
    assert!(server.lets_in(name));
    session.echoes("at last");
}

#[test]
fn an_ssh_session_ends_within_a_second_of_a_revocation_and_the_name_leads_nowhere() {
    let island = Island::new();
    let server = Server::start(&island);
    let product = island.run(SERVICE);
    let [alice, bob] = ["alice", "bob"].map(|user| island.enroll(&product, user, &["shell"]).remove(0));
    let (mut ends, mut stays) = (server.session(name(&alice)), server.session(name(&bob)));
    ends.echoes("here");
    stays.echoes("here, too");
    revoke(&product, "alice");
    let begun = Instant::now();
    ends.is_over();
    assert!(begun.elapsed() < Duration::from_secs(1), "after {:?}", begun.elapsed());
    assert!(!server.lets_in(name(&alice)));
    stays.echoes("still here");
}

fn revoke(product: &Process, user: &str) {
    let told = product.ops(&["user", "revoke", user, "--reason", "left"]);
    assert_eq!(told["closed_connections"], 1, "{told}");
}

/// A server with keys of its own, which ends with this.
struct Server<'i> {
    island: &'i Island,
    process: Child,
    dir: TempDir,
}

impl<'i> Server<'i> {
    fn start(island: &'i Island) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        for key in ["host", "user"] {
            let args = ["-q", "-t", "ed25519", "-N", "", "-f", &path(key)];
            let made = tests::clients::client("ssh-keygen", "openssh-client", &args);
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        let host = fs::read_to_string(path("host.pub")).unwrap();
        fs::write(path("known"), format!("* {host}")).unwrap();
        let config = format!(
            "Port 2222\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
             PasswordAuthentication no\nPermitRootLogin prohibit-password\n",
            path("host"),
            path("user.pub")
        );
        fs::write(path("config"), config).unwrap();
        let log = fs::File::create(path("log")).unwrap();
        // It wants a folder that the machine's own service makes: here it sees one of its own.
        let script = "mount -t tmpfs none /run && mkdir /run/sshd && exec $(command -v sshd) -D -e -f \"$1\"";
        let mut command = island.command("sh");
        let process = command.args(["-c", script, "sshd", &path("config")]).stderr(log).spawn().unwrap();
        let server = Self { island, process, dir };
        until("sshd listens", || {
            fs::read_to_string(server.path("log")).is_ok_and(|log| log.contains("listening"))
        });
        server
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn ssh(&self, to: &str) -> Command {
        let mut command = self.island.command("ssh");
        let known = format!("UserKnownHostsFile={}", self.path("known"));
        command.args([
            "-F",
            "none",
            "-i",
            &self.path("user"),
            "-o",
            &known,
            "-o",
            "StrictHostKeyChecking=yes",
        ]);
        // A server that is silent for half a minute has gone.
        command.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=10"]);
        command.arg(to);
        command
    }

    /// Whether a newcomer gets to run a command.
    fn lets_in(&self, to: &str) -> bool {
        let output = self.ssh(to).args(["echo", "in"]).output().unwrap();
        let is_in = output.status.success();
        assert_eq!(output.stdout, if is_in { &b"in\n"[..] } else { b"" });
        is_in
    }

    fn session(&self, to: &str) -> Session {
        let mut command = self.ssh(to);
        let mut process =
            command.arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ssh starts");
        let heard = BufReader::new(process.stdout.take().unwrap());
        Session { process, heard }
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Somebody who is logged in, and gets back what he types.
struct Session {
    process: Child,
    heard: BufReader<ChildStdout>,
}

impl Session {
    fn echoes(&mut self, line: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
        let mut heard = String::new();
        self.heard.read_line(&mut heard).unwrap();
        assert_eq!(heard.trim_end(), line, "the session is over");
    }

    fn is_over(&mut self) {
        let mut heard = String::new();
        self.heard.read_line(&mut heard).unwrap();
        assert_eq!(heard, "");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
