//! Services that are told by PROXY protocol version 2 who is at the other end: our own reader, nginx and HAProxy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fabric::status::ServerState;
use fabric::{Class, Health, OpenRequest, Origin, Protocol, ProxyProtocol, Service, Services, Thresholds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;

use crate::world::{World, service, soon, until};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn origin(source: &str, destination: &str) -> Origin {
    Origin::new(source.parse().unwrap(), destination.parse().unwrap()).with_names("anna", "laptop").unwrap()
}

fn web(address: SocketAddr, protocol: Protocol, health: Health) -> Services {
    let service = Service { protocol, health, proxy: ProxyProtocol::V2, ..address.into() };
    [("web".to_owned(), service)].into()
}

fn texts(mut fields: &[u8]) -> Vec<(u8, String)> {
    let mut all = Vec::new();
    while let [kind, high, low, rest @ ..] = fields {
        let (text, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        all.push((*kind, String::from_utf8(text.to_vec()).unwrap()));
        fields = after;
    }
    all
}

#[tokio::test]
async fn a_service_that_asked_for_it_reads_the_user_before_the_first_byte() {
    let (heads, mut heard) = mpsc::channel(4);
    let address = service(move |mut tcp| {
        let heads = heads.clone();
        async move {
            let mut head = vec![0; 16];
            tcp.read_exact(&mut head).await.unwrap();
            let mut body = vec![0; usize::from(u16::from_be_bytes([head[14], head[15]]))];
            tcp.read_exact(&mut body).await.unwrap();
            let mut rest = String::new();
            tcp.read_to_string(&mut rest).await.unwrap();
            heads.send((head, body, rest)).await.unwrap();
        }
    })
    .await;
    let (_world, gateway, _local) = World::with_services(web(address, Protocol::Tcp, Health::Unasked)).await;
    let mut sessions = Vec::new();
    for origin in [Some(origin("192.0.2.7:5000", "198.51.100.1:443")), None] {
        let has_origin = origin.is_some();
        let request = OpenRequest { service: "web", class: Class::Interactive, port: 0, origin };
        let mut stream = gateway.open_with(request).await.unwrap();
        stream.write_all(b"and then the bytes").await.unwrap();
        stream.shutdown().await.unwrap();
        let (head, body, rest) = soon("the service", heard.recv()).await.unwrap();
        assert_eq!((&head[..12], rest.as_str()), (SIGNATURE, "and then the bytes"));
        let texts = match has_origin {
            true => {
                assert_eq!(head[12..14], [0x21, 0x11]);
                assert_eq!(body[..12], [192, 0, 2, 7, 198, 51, 100, 1, 0x13, 0x88, 0x01, 0xBB]);
                let texts = texts(&body[12..]);
                assert_eq!(texts[1..3], [(0xE0, "anna".into()), (0xE1, "laptop".into())]);
                texts
            }
            false => {
                assert_eq!(head[12..14], [0x21, 0x00]);
                texts(&body)
            }
        };
        assert_eq!(texts.last().unwrap(), &(0xE2, "edge/e1".to_owned()));
        assert_eq!((texts[0].0, texts[0].1.len()), (5, 32));
        sessions.push(texts[0].1.clone());
    }
    assert_ne!(sessions[0], sessions[1], "each stream has an id of its own");
}

#[tokio::test]
async fn each_datagram_to_a_service_that_asked_for_it_has_the_header_in_front() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (_world, gateway, _local) = World::with_services(web(address, Protocol::Udp, Health::Unasked)).await;
    let flow =
        gateway.open_flow("web", 0, Some(origin("[2001:db8::7]:53", "[2001:db8::1]:443"))).await.unwrap();
    for text in [&b"one"[..], b"two"] {
        assert!(flow.send(text));
        let mut room = [0; 2048];
        let (count, from) = soon("a datagram", socket.recv_from(&mut room)).await.unwrap();
        let length = usize::from(u16::from_be_bytes([room[14], room[15]]));
        assert_eq!((&room[..12], &room[12..14]), (SIGNATURE, &[0x21, 0x22][..]));
        assert_eq!(room[16..32], [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(&room[16 + length..count], text);
        // What the service says goes back as it is.
        socket.send_to(b"answer", from).await.unwrap();
        assert_eq!(soon("an answer", flow.recv()).await.unwrap(), &b"answer"[..]);
    }
}

/// A program that runs until dropped, with a folder of its own.
struct Program {
    child: Child,
    folder: PathBuf,
}

impl Program {
    async fn start(name: &str, config: &str, arguments: &[&str], port: u16) -> Self {
        let folder = std::env::temp_dir().join(format!("wandergate-{name}-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config"), config.replace("FOLDER", folder.to_str().unwrap())).unwrap();
        let child = Command::new(name)
            .args(arguments)
            .arg(folder.join("config"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let program = Self { child, folder };
        let listening = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon(name, listening).await;
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Health by HTTP behind LOCAL headers, then a request in the name of a user; what the server says of them.
async fn told_by(port: u16, origin: Origin) -> String {
    let health = Health::Http { path: "/".into(), thresholds: Thresholds::default() };
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let (_world, gateway, local) = World::with_services(web(address, Protocol::Tcp, health)).await;
    until("it is well", || local.status().services[0].servers[0].state == ServerState::Well).await;
    let request = OpenRequest { service: "web", class: Class::Interactive, port: 0, origin: Some(origin) };
    let mut stream = gateway.open_with(request).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon("the answer", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.rsplit("\r\n").next().unwrap().to_owned()
}

#[tokio::test]
async fn nginx_reads_our_header() {
    let port = free_port().await;
    let config = format!(
        "daemon off;\nmaster_process off;\npid FOLDER/pid;\nerror_log FOLDER/errors;\nevents {{}}\nhttp {{\n\
         access_log off;\nclient_body_temp_path FOLDER/a;\nproxy_temp_path FOLDER/b;\nfastcgi_temp_path FOLDER/c;\n\
         uwsgi_temp_path FOLDER/d;\nscgi_temp_path FOLDER/e;\nserver {{ listen 127.0.0.1:{port} proxy_protocol;\n\
         return 200 '$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr \
         $proxy_protocol_server_port'; }} }}\n"
    );
    let _nginx = Program::start("nginx", &config, &["-c"], port).await;
    let four = told_by(port, origin("192.0.2.7:5000", "198.51.100.1:443")).await;
    assert_eq!(four, "192.0.2.7 5000 198.51.100.1 443");
    let six = told_by(port, origin("[2001:db8::7]:5000", "198.51.100.1:443")).await;
    assert_eq!(six, "2001:db8::7 5000 ::ffff:198.51.100.1 443");
}

#[tokio::test]
async fn haproxy_reads_our_header_and_the_sessions_id() {
    let port = free_port().await;
    let config = format!(
        "defaults\n  mode http\n  timeout client 5s\n  timeout connect 5s\n  timeout server 5s\nfrontend f\n  \
         bind 127.0.0.1:{port} accept-proxy\n  http-request return status 200 content-type text/plain \
         lf-string \"%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_unique_id]\"\n"
    );
    let _haproxy = Program::start("haproxy", &config, &["-db", "-f"], port).await;
    let told = told_by(port, origin("192.0.2.7:5000", "198.51.100.1:443")).await;
    let (addresses, id) = told.rsplit_once(' ').unwrap();
    assert_eq!(addresses, "192.0.2.7 5000 198.51.100.1 443");
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
}
