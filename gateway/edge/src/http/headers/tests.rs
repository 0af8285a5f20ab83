//! What passes, what is replaced, and what is refused.

use http::Request;

use super::*;

fn from_alice(parts: &mut Parts, source: IpAddr) -> Result<(), Reason> {
    to_service(parts, &Asker::new(source, "alice", "laptop")?, "00ff".into())
}

fn pass(parts: &mut Parts) {
    from_alice(parts, std::net::Ipv4Addr::LOCALHOST.into()).unwrap();
}

fn parts(request: http::request::Builder) -> Parts {
    request.body(()).unwrap().into_parts().0
}

#[test]
fn what_a_client_says_of_itself_is_replaced_by_what_we_know() {
    let mut parts = parts(
        Request::get("/a?b=c")
            .header("Host", "x.example")
            .header("X-Forwarded-For", "9.9.9.9")
            .header("X-Wandergate-User", "root")
            .header("X-Wandergate-User", "admin")
            .header("Remote-User", "root")
            .header("X-Remote-User", "root")
            .header("Forwarded", "for=9.9.9.9"),
    );
    pass(&mut parts);
    assert_eq!(parts.headers["x-forwarded-for"], "127.0.0.1");
    assert!(!parts.headers.contains_key("remote-user") && !parts.headers.contains_key("x-remote-user"));
    assert_eq!(parts.headers.get_all("x-wandergate-user").iter().collect::<Vec<_>>(), ["alice"]);
    assert_eq!(parts.headers["forwarded"], "for=127.0.0.1;host=\"x.example\";proto=https");
    assert_eq!((parts.uri.to_string().as_str(), parts.version), ("/a?b=c", Version::HTTP_11));
}

#[test]
fn hop_by_hop_fields_and_those_that_connection_names_go_no_further() {
    let mut parts = parts(
        Request::get("/")
            .header("Host", "x")
            .header("Connection", "keep-alive, X-Secret-Hop")
            .header("X-Secret-Hop", "1")
            .header("Keep-Alive", "timeout=5")
            .header("TE", "gzip;q=0.5")
            .header("Upgrade", "h2c")
            .header("X-Stays", "1"),
    );
    pass(&mut parts);
    for gone in ["connection", "x-secret-hop", "keep-alive", "te", "upgrade"] {
        assert!(!parts.headers.contains_key(gone), "{gone}");
    }
    assert_eq!(parts.headers["x-stays"], "1");
}

#[test]
fn who_reads_trailers_says_so_to_the_service_and_nothing_else_that_it_said_beside_it() {
    let mut parts = parts(Request::get("/").header("Host", "x").header("TE", "deflate, Trailers"));
    pass(&mut parts);
    assert_eq!(parts.headers["te"], "trailers");
    assert_eq!(parts.headers["connection"], "te");
}

#[test]
fn metadata_of_grpc_may_have_underscores_but_none_that_reads_as_a_field_with_a_meaning() {
    let of = |version, name: &str| {
        let asked = Request::post("/").header("Host", "x").header("Content-Type", "application/grpc");
        check(&parts(asked.version(version).header(name, "1")))
    };
    assert_eq!(of(Version::HTTP_2, "user_id"), Ok(()));
    assert_eq!(of(Version::HTTP_11, "user_id"), Err(Reason::RequestMalformed));
    for ours in
        ["x_wandergate_user", "x-wandergate_user", "remote_user", "content_length", "transfer_encoding"]
    {
        assert_eq!(of(Version::HTTP_2, ours), Err(Reason::RequestMalformed), "{ours}");
    }
}

#[test]
fn trailers_keep_out_what_would_be_taken_for_a_head() {
    let map = [("grpc-status", "0"), ("content-length", "7"), ("x-wandergate-user", "root")];
    let map = map.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let kept = trailing(Frame::trailers(map), never_trails).into_trailers().unwrap();
    assert_eq!(kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["grpc-status", "x-wandergate-user"]);
    let kept = trailing(Frame::trailers(kept), |name| !crate::h1::body::may_trail(name));
    assert_eq!(kept.into_trailers().unwrap().len(), 1, "what only we say no client says");
}

#[test]
fn methods_hosts_and_targets_that_are_not_forwarded_are_refused() {
    let get = || Request::get("/").header("Host", "x");
    assert_eq!(check(&parts(get())), Ok(()));
    assert_eq!(check(&parts(get().method("TRACE"))), Err(Reason::MethodRefused));
    assert_eq!(check(&parts(Request::builder().method("CONNECT").uri("x:1"))), Err(Reason::MethodRefused));
    assert_eq!(check(&parts(get().uri("*"))), Err(Reason::RequestMalformed));
    assert_eq!(check(&parts(get().method("OPTIONS").uri("*"))), Ok(()));
    assert_eq!(check(&parts(get().uri("x:443"))), Err(Reason::RequestMalformed));
    assert_eq!(check(&parts(get().uri("ftp://x/"))), Err(Reason::RequestMalformed));
    assert_eq!(check(&parts(get().header("X_Wandergate_User", "root"))), Err(Reason::RequestMalformed));
    let longest = format!("/{}", "a".repeat(URI_BYTES_MAX - 1));
    assert_eq!(check(&parts(get().uri(longest.as_str()))), Ok(()));
    assert_eq!(check(&parts(get().uri(format!("{longest}a")))), Err(Reason::UriTooLong));
}

#[test]
fn a_hundred_fields_pass_and_one_more_does_not() {
    let with = |fields| {
        parts((1..fields).fold(Request::get("/").header("Host", "x"), |r, i| r.header(format!("x-{i}"), "1")))
    };
    assert_eq!(check(&with(HEADERS_MAX)), Ok(()));
    assert_eq!(check(&with(HEADERS_MAX + 1)), Err(Reason::HeaderTooLarge));
}

#[test]
fn a_transfer_coding_is_chunked_once_or_the_request_is_refused() {
    let coded = |codings: &[&str]| {
        let request = Request::post("/").header("Host", "x");
        check(&parts(codings.iter().fold(request, |r, coding| r.header("Transfer-Encoding", *coding))))
    };
    assert_eq!(coded(&["Chunked"]), Ok(()));
    for bad in [&["gzip, chunked"][..], &["chunked", "chunked"], &["chunked, chunked"], &["xchunked"], &[""]]
    {
        assert_eq!(coded(bad), Err(Reason::RequestMalformed), "{bad:?}");
    }
}

#[test]
fn a_host_is_one_name_with_or_without_a_port() {
    let named = |uri: &str, hosts: &[&str]| {
        let parts = parts(hosts.iter().fold(Request::get(uri), |r, host| r.header("Host", *host)));
        host_name(&parts).map(str::to_owned)
    };
    for (uri, hosts, name) in [
        ("/", &["x"][..], "x"),
        ("/", &["a.b:443"], "a.b"),
        ("/", &["a.b."], "a.b."),
        ("/", &["a.b:"], "a.b"),
        ("/", &["[::1]"], "[::1]"),
        ("/", &["[2001:db8::1]:8443"], "[2001:db8::1]"),
        ("https://A.b:443/", &["a.B:443"], "A.b"),
        ("https://a.b/", &[], "a.b"),
    ] {
        assert_eq!(named(uri, hosts).as_deref(), Ok(name), "{uri} {hosts:?}");
    }
    for (uri, hosts) in [
        ("/", &[][..]),
        ("/", &["x", "x"]),
        ("/", &[""]),
        ("/", &[":443"]),
        ("/", &["a.b:80@evil.example"]),
        ("/", &["evil@a.b"]),
        ("/", &["a.b/c"]),
        ("/", &["a.b:http"]),
        ("/", &["a.b:1:2"]),
        ("/", &["a.b:123456"]),
        ("/", &["a b"]),
        ("/", &["::1"]),
        ("/", &["[::1"]),
        ("/", &["[::1]x"]),
        ("/", &["[evil]:443"]),
        ("https://a.b/", &["c.d"]),
        ("https://u@a.b/", &[]),
    ] {
        assert_eq!(named(uri, hosts), Err(Reason::RequestMalformed), "{uri} {hosts:?}");
    }
}

#[test]
fn cookies_in_many_fields_reach_the_service_in_one() {
    let request = Request::get("/").header("Host", "x");
    let mut parts = parts(request.header("Cookie", "a=1").header("Cookie", "b=2; c=3"));
    pass(&mut parts);
    assert_eq!(parts.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
}

#[test]
fn an_ipv6_source_is_quoted_where_rfc_7239_wants_it_and_bare_elsewhere() {
    let mut parts = parts(Request::get("/").header("Host", "x:443"));
    let source = "2001:db8::7".parse().unwrap();
    from_alice(&mut parts, source).unwrap();
    assert_eq!(parts.headers["x-forwarded-for"], "2001:db8::7");
    assert_eq!(parts.headers["forwarded"], "for=\"[2001:db8::7]\";host=\"x:443\";proto=https");
}

#[test]
fn of_a_length_and_chunks_in_a_response_only_the_chunks_are_believed() {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
    let mut plain = headers.clone();
    to_client(&mut plain);
    assert_eq!(plain[header::CONTENT_LENGTH], "5");
    headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    to_client(&mut headers);
    assert!(headers.is_empty());
}

#[test]
fn a_service_does_not_say_where_it_is_reached() {
    let mut headers = HeaderMap::new();
    headers.append(header::ALT_SVC, HeaderValue::from_static("h3=\"elsewhere.example:443\""));
    headers.append(header::ALT_SVC, HeaderValue::from_static("clear"));
    to_client(&mut headers);
    assert!(headers.is_empty());
}

#[test]
fn a_path_passes_as_it_came_since_no_decision_hangs_on_it() {
    // Cleaning it would make us read it differently from the service, which is how paths are confused
    // (CVE-2019-9901): a grant is for a whole service, so nothing is guarded by a path.
    for path in ["//a//b", "/a/..;/b", "/a/%2e%2e/b", "/a%2fb", "/a/../b", "/a%5cb", "/%00"] {
        let mut parts = parts(Request::get(path).header("Host", "x"));
        pass(&mut parts);
        assert_eq!(parts.uri.path_and_query().unwrap().as_str(), path);
    }
}
