//! Who asks for a WebSocket, what the service is asked, and what counts as its consent.

use http::Request;

use super::*;

fn parts(builder: http::request::Builder) -> Parts {
    builder.body(()).unwrap().into_parts().0
}

fn able(request: http::request::Builder) -> http::request::Builder {
    request.extension(CanSwitch)
}

fn upgrade() -> http::request::Builder {
    able(Request::get("/chat").header("connection", "keep-alive, Upgrade").header("upgrade", "WebSocket"))
}

fn connect() -> http::request::Builder {
    Request::connect("https://a.example/chat").extension(Protocol::from_static("websocket"))
}

fn wish_of(builder: http::request::Builder) -> Option<Wish> {
    wish(&mut parts(builder), false, || 7).unwrap()
}

fn head(fields: &[(&'static str, &str)]) -> HeaderMap {
    let one = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
    fields.iter().map(one).collect()
}

#[test]
fn only_a_whole_wish_for_websocket_is_one() {
    assert!(matches!(wish_of(upgrade()), Some(Wish::Upgrade)));
    assert!(matches!(wish_of(connect()), Some(Wish::Connect { .. })));
    let others = [
        Request::get("/").header("connection", "upgrade").header("upgrade", "websocket"),
        able(Request::get("/").header("upgrade", "websocket")),
        able(Request::get("/").header("connection", "upgrade")),
        able(Request::get("/").header("connection", "upgrade").header("upgrade", "h2c")),
        able(Request::get("/").header("connection", "upgrade").header("upgrade", "websocket, h2c")),
        upgrade().header("upgrade", "h2c"),
        upgrade().method("POST"),
        upgrade().version(Version::HTTP_10),
        upgrade().version(Version::HTTP_2),
    ];
    for (i, other) in others.into_iter().enumerate() {
        assert!(wish_of(other).is_none(), "{i}");
    }
    assert!(wish(&mut parts(upgrade()), true, || 7).unwrap().is_none(), "a body would be read as frames");
}

#[test]
fn an_extended_connect_for_anything_else_is_refused() {
    let mut other =
        parts(Request::connect("https://a.example/").extension(Protocol::from_static("connect-udp")));
    assert_eq!(wish(&mut other, false, || 7).err(), Some(Reason::MethodRefused));
    let mut plain = parts(Request::connect("a.example:443"));
    assert!(wish(&mut plain, false, || 7).unwrap().is_none(), "and is refused as the CONNECT that it is");
    assert_eq!(plain.method, Method::CONNECT);
}

#[test]
fn a_service_has_switched_only_with_a_101_for_websocket_and_proof_where_we_asked() {
    let sound = head(&[("upgrade", "websocket")]);
    assert_eq!(Wish::Upgrade.is_granted(StatusCode::SWITCHING_PROTOCOLS, &sound), Ok(true));
    assert_eq!(Wish::Upgrade.is_granted(StatusCode::OK, &sound), Ok(false));
    let other = head(&[("upgrade", "h2c")]);
    assert!(Wish::Upgrade.is_granted(StatusCode::SWITCHING_PROTOCOLS, &other).is_err());
    // The example of RFC 6455 §1.3.
    let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
    let connect = Wish::Connect { key, stream: None };
    let proof = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let proven = head(&[("upgrade", "websocket"), proof]);
    assert_eq!(connect.is_granted(StatusCode::SWITCHING_PROTOCOLS, &proven), Ok(true));
    assert!(connect.is_granted(StatusCode::SWITCHING_PROTOCOLS, &sound).is_err(), "without proof");
    assert!(connect.is_granted(StatusCode::OK, &proven).is_err(), "the client would take it for a WebSocket");
    assert_eq!(connect.is_granted(StatusCode::FORBIDDEN, &sound), Ok(false));
}

#[test]
fn an_extended_connect_reaches_the_service_as_an_upgrade_with_a_key_of_its_own() {
    let mut asked = parts(connect().header("sec-websocket-key", "theirs"));
    let wish = wish(&mut asked, false, || 7).unwrap().unwrap();
    wish.to_service(&mut asked.headers);
    assert_eq!(asked.method, Method::GET);
    assert_eq!(asked.headers["upgrade"], "websocket");
    assert_eq!(asked.headers["connection"], "Upgrade");
    assert_eq!(asked.headers["sec-websocket-key"], "AAAAAAAAAAAAAAAAAAAABw==");
    let mut response = Response::builder().status(101).header("sec-websocket-accept", "x").body(()).unwrap();
    wish.to_client(&mut response);
    assert_eq!((response.status(), response.headers().len()), (StatusCode::OK, 0));
}

#[tokio::test(start_paused = true)]
async fn bytes_flow_both_ways_until_both_sides_end_or_nothing_moves() {
    let flow = Flow::new(Instant::now());
    let (mut client, ours) = tokio::io::duplex(64);
    let (from_client, _to_client) = tokio::io::split(ours);
    let (mut service, line) = tokio::io::duplex(64);
    let carried = flow.carry(from_client, line, &flow.bytes_in);
    let talk = async {
        client.write_all(b"hello").await.unwrap();
        drop(client);
        let mut heard = Vec::new();
        service.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let ((), heard) = tokio::join!(carried, talk);
    assert_eq!((heard, flow.bytes_in.load(Ordering::Relaxed)), (b"hello".to_vec(), 5));
    // One side has ended: the other is not waited for as long.
    let before = Instant::now();
    flow.silence().await;
    assert_eq!(before.elapsed().as_secs(), UPGRADED_PARTING_MAX.as_secs());
    let before = Instant::now();
    Flow::new(before).silence().await;
    assert_eq!(before.elapsed().as_secs(), UPGRADED_IDLE_MAX.as_secs());
}
