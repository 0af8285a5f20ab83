//! HTTP/1.1 clients of another make: what they send is understood, and they understand what they get.

use std::process::Output;

use tokio::process::Command;

use crate::backend::{Heard, Say};
use crate::scene::{ALICE, Scene, soon};

/// Answers with what it got: with a length to a GET, in chunks otherwise.
fn echo(heard: &Heard) -> Say {
    let (length, method) = (heard.body.len(), heard.line().split(' ').next().unwrap_or_default());
    let mut bytes = match method {
        "GET" | "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec(),
        _ => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
    };
    match method {
        "HEAD" => {}
        "GET" => bytes.extend_from_slice(b"hello"),
        _ => {
            bytes.extend_from_slice(format!("{length:x}\r\n").as_bytes());
            bytes.extend_from_slice(&heard.body);
            bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        }
    }
    Say::Bytes(bytes)
}

struct Outside {
    scene: Scene,
    folder: tempfile::TempDir,
}

impl Outside {
    async fn new() -> Self {
        let (scene, folder) = (Scene::new().await, tempfile::tempdir().unwrap());
        scene.backend.says(echo);
        std::fs::write(folder.path().join("ca.pem"), &scene.chain).unwrap();
        Self { scene, folder }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    async fn run(&self, program: &str, args: &[&str]) -> Output {
        let running = Command::new(program).args(args).output();
        let output = soon(program, running).await;
        let output = output.unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    async fn curl(&self, path: &str, more: &[&str]) -> Output {
        let (name, port) = (self.scene.name(ALICE), self.scene.port);
        let to = format!("{name}:{port}:{}", self.scene.address(ALICE));
        let (ca, url) = (self.file("ca.pem"), format!("https://{name}:{port}{path}"));
        let fixed = ["-sS", "--fail", "--http1.1", "--cacert", &ca, "--resolve", &to, &url];
        self.run("curl", &[&fixed, more].concat()).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_uploads_with_and_without_a_length_and_a_go_ahead_and_keeps_its_connection() {
    let outside = Outside::new().await;
    assert_eq!(outside.curl("/", &[]).await.stdout, b"hello");
    let head = outside.curl("/", &["--head"]).await;
    assert!(String::from_utf8(head.stdout).unwrap().to_lowercase().contains("content-length: 5\r\n"));
    let body: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    let (file, expect) = (outside.file("body"), "Expect: 100-continue");
    std::fs::write(&file, &body).unwrap();
    let data = format!("@{file}");
    for more in [
        &["--data-binary", &data][..],
        &["--data-binary", &data, "-H", expect],
        &["--data-binary", &data, "-H", "Transfer-Encoding: chunked"],
        &["--data-binary", &data, "-H", "Transfer-Encoding: chunked", "-H", expect],
        &["--upload-file", &file],
    ] {
        assert!(outside.curl("/up", more).await.stdout == body, "{more:?}");
    }
    let url = format!("https://{}:{}/b", outside.scene.name(ALICE), outside.scene.port);
    let told = outside.curl("/a", &["-w", " %{num_connects}\n", &url]).await;
    assert_eq!(String::from_utf8(told.stdout).unwrap(), "hello 1\nhello 0\n");
    let old = outside.curl("/", &["--http1.0", "--no-alpn"]).await;
    assert_eq!(old.stdout, b"hello");
}

const PYTHON: &str = r#"
import http.client, socket, ssl, sys
address, port, name, ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
connection = http.client.HTTPSConnection(name, int(port), context=context, timeout=20)
connection.sock = context.wrap_socket(socket.create_connection((address, int(port)), 20), server_hostname=name)
connection.auto_open = 0
for turn in range(50):
    connection.request("GET", f"/{turn}")
    answer = connection.getresponse()
    assert (answer.status, answer.version, answer.read()) == (200, 11, b"hello"), answer.status
    body = bytes(turn % 256 for _ in range(turn * 1000))
    pieces = [body[i:i + 777] for i in range(0, len(body), 777)]
    connection.request("POST", "/up", body=iter(pieces), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().read() == body
    connection.request("HEAD", "/head")
    answer = connection.getresponse()
    assert (answer.getheader("content-length"), answer.read()) == ("5", b"")
print("kept")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pythons_own_client_keeps_one_connection_for_requests_of_every_kind() {
    let outside = Outside::new().await;
    let scene = &outside.scene;
    let (address, port) = (scene.address(ALICE).to_string(), scene.port.to_string());
    let told = outside
        .run("python3", &["-c", PYTHON, &address, &port, &scene.name(ALICE), &outside.file("ca.pem")])
        .await;
    assert_eq!(told.stdout, b"kept\n");
    assert_eq!(scene.backend.heard().len(), 150);
}
