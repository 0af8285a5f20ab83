//! A device with a certificate of its own, made and shown by the README's lines as they stand there.

use std::process::Output;

use tempfile::TempDir;
use tests::island::{Island, name};
use tests::product::{Process, binary};
use tests::service::Hello;

const README: &str = include_str!("../../../README.md");

#[test]
fn the_readmes_lines_let_a_device_in_by_its_certificate_and_nobody_without_it() {
    let island = Island::new();
    let to = island.within(Hello::start).address();
    let product =
        island.run(&format!("[service.web]\nto = \"{to}\"\nlisten = [\"https/443\"]\nauth = \"key\"\n"));
    let lease = island.enroll(&product, "alice", &["web"]).remove(0);
    let [make, certify, enroll, ask] = lines(name(&lease));
    let place = Place::new(&island, &product);
    place.done(&make);
    place.done(&certify);
    place.refused(&ask);
    place.done(&enroll);
    assert_eq!(place.done(&ask), "hello alice\n");
    place.refused(ask.split(" --cert").next().unwrap());
    // Another key under the same subject is somebody else's.
    place.done(&make);
    place.done(&certify);
    place.refused(&ask);
    place.done(&enroll);
    assert_eq!(place.done(&ask), "hello alice\n", "the new key holds in the old one's place");
    product.ops(&["device", "revoke", "alice/laptop", "--reason", "lost"]);
    place.refused(&ask);
}

/// The block's lines, for this private name.
fn lines(name: &str) -> [String; 4] {
    let blocks = README.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut about = blocks.filter(|block| block.contains("openssl genpkey"));
    let block = about.next().expect("the README shows how a device makes its certificate");
    let lines: Vec<String> = block.lines().map(|line| line.replace("NAME", name)).collect();
    lines.try_into().expect("make, certify, enroll, ask")
}

/// A folder in which lines are typed, on a machine on which the product is installed in the usual way.
struct Place<'i> {
    island: &'i Island,
    folder: TempDir,
    state: String,
    ca: String,
}

impl<'i> Place<'i> {
    fn new(island: &'i Island, product: &Process) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(binary(), folder.path().join("wandergate")).unwrap();
        let state = product.dir.path().display().to_string();
        Self { island, folder, state, ca: product.text("/ca_file") }
    }

    fn typed(&self, line: &str) -> Output {
        // State has its usual place in the sight of this shell only.
        let script = format!("mount -t tmpfs none /var/lib && ln -s \"$0\" /var/lib/wandergate\n{line}");
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let mut command = self.island.command("sh");
        command.args(["-ec", &script, &self.state]).current_dir(self.folder.path());
        command.env("PATH", path).env("CURL_CA_BUNDLE", &self.ca).output().unwrap()
    }

    fn done(&self, line: &str) -> String {
        let output = self.typed(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, line: &str) {
        let output = self.typed(line);
        assert!(!output.status.success() && output.stdout.is_empty(), "{line}: {output:?}");
    }
}
