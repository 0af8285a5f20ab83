//! Who may reach the API: the socket's owner, or loopback with the token and a loopback host name.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use http::StatusCode;
use ops::http::{Ops, OpsConfig, StartError, Token, bind_unix};
use serde_json::json;
use state::{Clock, Embedded};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Api, exchange};

#[tokio::test]
async fn r2_12_loopback_demands_the_token_and_the_socket_only_its_owner() {
    let api = Api::start().await;
    let host = api.tcp.to_string();
    let right = format!("Bearer {}", api.token());
    let answer = api.tcp(&[("host", &host), ("authorization", &right)]).await;
    assert_eq!(answer.status, StatusCode::OK);
    let short = format!("Bearer {}", &api.token()[1..]);
    for wrong in ["", "Bearer ", "Bearer x", short.as_str(), "Basic dXNlcjpwdw==", &api.token()] {
        let answer = api.tcp(&[("host", &host), ("authorization", wrong)]).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (StatusCode::UNAUTHORIZED, &json!("W-7109")),
            "{wrong}"
        );
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    let without = api.tcp(&[("host", &host)]).await;
    assert_eq!(without.status, StatusCode::UNAUTHORIZED);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&api.socket), mode(&api.token_file)), (0o600, 0o600));
    assert_eq!(api.get("/v1/status").await.status, StatusCode::OK, "no token over the socket");
}

#[tokio::test]
async fn a_page_of_elsewhere_reaches_nothing_even_with_the_token() {
    let api = Api::start().await;
    let right = format!("Bearer {}", api.token());
    let port = api.tcp.port();
    let own = format!("localhost:{port}");
    assert_eq!(api.tcp(&[("host", &own), ("authorization", &right)]).await.status, StatusCode::OK);
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("10.0.0.1:{port}"),
        "localhost:1".to_owned(),
    ] {
        let answer = api.tcp(&[("host", &host), ("authorization", &right)]).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    for (origin, status) in [
        (format!("http://{own}"), StatusCode::OK),
        ("http://evil.example".to_owned(), StatusCode::MISDIRECTED_REQUEST),
        ("null".to_owned(), StatusCode::MISDIRECTED_REQUEST),
    ] {
        let answer = api.tcp(&[("host", &own), ("origin", &origin), ("authorization", &right)]).await;
        assert_eq!(answer.status, status, "{origin}");
    }
}

#[tokio::test]
async fn r2_11_nothing_wider_than_this_machine_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn state::Store> = Arc::new(Embedded::open(&folder.path().join("state.redb")).unwrap());
    let api = Api::start().await;
    let start = |unix, tcp, token| {
        let eyes = Arc::clone(&api.eyes) as Arc<dyn ops::Eyes>;
        let cancel = CancellationToken::new();
        Ops::start(OpsConfig::default(), Arc::clone(&store), Clock::system(), eyes, unix, tcp, token, cancel)
    };
    let wide = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let token = Token::of(b"x");
    assert!(matches!(start(None, Some(wide), Some(token)), Err(StartError::NotLoopback(_))));
    let bare = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert!(matches!(start(None, Some(bare), None), Err(StartError::TokenMissing(_))));
    let path = folder.path().join("open.sock");
    let open = bind_unix(&path).await.unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).unwrap();
    assert!(matches!(start(Some(open), None, None), Err(StartError::SocketOpen { mode: 0o660, .. })));
}

#[tokio::test]
async fn a_socket_that_answers_is_not_taken_and_a_dead_one_is() {
    let api = Api::start().await;
    let taken = bind_unix(&api.socket).await.unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("dead.sock");
    drop(bind_unix(&dead).await.unwrap());
    assert!(dead.exists() && bind_unix(&dead).await.is_ok());
    let file = folder.path().join("file");
    std::fs::write(&file, b"precious").unwrap();
    assert!(bind_unix(&file).await.is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

#[tokio::test]
async fn each_start_makes_a_new_token_of_256_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        Token::create(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let bytes = data_encoding::BASE64URL_NOPAD.decode(text.trim().as_bytes()).unwrap();
        assert_eq!(bytes.len(), 32);
        assert!(seen.insert(bytes));
    }
    assert_eq!(format!("{:?}", Token::of(b"secret")), "Token(masked)");
}

#[tokio::test]
async fn after_the_end_nobody_is_served() {
    let api = Api::start().await;
    api.cancel.cancel();
    api.serving.ended().await;
    let late = tokio::net::TcpStream::connect(api.tcp).await;
    if let Ok(stream) = late {
        let request = exchange(stream, http::Method::GET, "/v1/status", &[], bytes::Bytes::new());
        assert!(tokio::spawn(request).await.is_err(), "no answer comes");
    }
}
