//! Services that are asked in HTTP/2: by h2's own server, told what to do with each request.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use defense::Reason;
use futures_util::future::BoxFuture;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use state::records::{Handling, Speaks};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::clients::{request, whole};
use crate::scene::{ALICE, BOB, Plot, Scene, soon, until};

type Play =
    Arc<dyn Fn(usize, Request<RecvStream>, SendResponse<Bytes>) -> BoxFuture<'static, ()> + Send + Sync>;

/// A service, and what was seen there.
#[derive(Clone)]
struct Service {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<http::request::Parts>>>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Service {
    /// Says goodbye after so many requests of a connection, and does with each, by its number, what `play` does.
    async fn of<F: Future<Output = ()> + Send + 'static>(
        builder: Builder,
        goodbye_after: usize,
        play: impl Fn(usize, Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = || Arc::new(AtomicUsize::new(0));
        let (connections, requests, heads) = (count(), count(), Arc::default());
        let service = Self { address, connections, requests, heads, now: count(), most: count() };
        let (one, play) =
            (service.clone(), Arc::new(move |n, q, r| Box::pin(play(n, q, r)) as BoxFuture<'static, ()>));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                one.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(one.clone().serve(tcp, builder.clone(), goodbye_after, play.clone()));
            }
        });
        service
    }

    async fn serve(self, tcp: TcpStream, builder: Builder, goodbye_after: usize, play: Play) {
        let Ok(mut connection) = builder.handshake(tcp).await else { return };
        let mut taken = 0;
        while let Some(Ok((request, respond))) = connection.accept().await {
            let number = self.requests.fetch_add(1, Ordering::SeqCst);
            let (head, body) = request.into_parts();
            self.heads.lock().unwrap().push(head.clone());
            taken += 1;
            if taken == goodbye_after {
                connection.graceful_shutdown();
            }
            let (now, most, playing) =
                (self.now.clone(), self.most.clone(), play(number, Request::from_parts(head, body), respond));
            tokio::spawn(async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                playing.await;
                now.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    async fn scene(&self) -> Scene {
        let handling = Handling { speaks: Speaks::Http2, ..Handling::default() };
        Scene::of(Plot { web: Some(self.address), handling, ..Plot::default() }).await
    }

    fn count(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

async fn read(body: &mut RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut all = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        all.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    (all, body.trailers().await.ok().flatten())
}

/// As much as the window has room for, until the other side has enough.
async fn write(to: &mut SendStream<Bytes>, mut bytes: Bytes) -> Option<()> {
    while !bytes.is_empty() {
        to.reserve_capacity(bytes.len());
        let room = std::future::poll_fn(|cx| to.poll_capacity(cx)).await?.ok()?;
        to.send_data(bytes.split_to(room.min(bytes.len())), false).ok()?;
    }
    Some(())
}

/// Answers with what it got, and its trailers, or `x-none`.
async fn echo(_: usize, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut body = request.into_body();
    let (bytes, trailers) = read(&mut body).await;
    let Ok(mut to) = respond.send_response(Response::new(()), false) else { return };
    if write(&mut to, bytes.into()).await.is_some() {
        let none = || [("x-none".parse().unwrap(), "1".parse().unwrap())].into_iter().collect();
        let _ = to.send_trailers(trailers.unwrap_or_else(none));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_share_one_connection_with_their_bodies_and_each_user_has_its_own() {
    let service = Service::of(Builder::new(), usize::MAX, echo).await;
    let scene = service.scene().await;
    for (grant, connections) in [(ALICE, 1), (BOB, 2)] {
        let (sender, host) = (scene.h2(grant).await, scene.name(grant));
        let mut all = tokio::task::JoinSet::new();
        for i in 0..60_usize {
            let (mut sender, mut asked) = (sender.clone(), request(&host, &format!("/{i}?q=1")));
            let body = Bytes::from(vec![i as u8; i * 5000]);
            *asked.method_mut() = http::Method::POST;
            *asked.body_mut() = Full::new(body.clone());
            all.spawn(async move {
                let answer = whole(&mut sender, asked).await.unwrap();
                assert!(answer.status() == 200 && answer.body() == &body, "{i}");
            });
        }
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
        assert_eq!(service.count().0, connections);
    }
    let (head, host) = (service.heads.lock().unwrap()[0].clone(), scene.name(ALICE));
    assert_eq!(
        (head.uri.authority().unwrap().as_str(), head.uri.scheme_str()),
        (host.as_str(), Some("http"))
    );
    assert_eq!(head.headers["x-wandergate-user"], "alice");
    assert_eq!(head.headers["x-forwarded-proto"], "https");
    assert!(!head.headers.contains_key("host") && !head.headers.contains_key("connection"));
    // What came by HTTP/1.1 is asked likewise.
    let asked = "POST /one HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc";
    let answer = scene.ask(asked).await;
    assert_eq!((answer.status, answer.text()), (200, "abc"));
    let head = service.heads.lock().unwrap().pop().unwrap();
    assert_eq!(head.headers["content-length"], "3");
    assert!(!head.headers.contains_key("expect"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_both_ways_between_http_2_and_1_1_and_none_that_a_head_alone_may_say() {
    let service = Service::of(Builder::new(), usize::MAX, echo).await;
    let scene = service.scene().await;
    let chunked = "POST /one HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\
                   Content-Length: 9\r\nX-Wandergate-User: root\r\n\r\n";
    let mut wire = scene.h1(ALICE).await;
    wire.say(chunked.replace("{host}", &scene.name(ALICE)).as_bytes()).await;
    soon("the answer's end", async {
        while !wire.unread.ends_with(b"\r\n0\r\nx-t: 1\r\n\r\n") {
            wire.more().await.expect("more of the answer");
        }
    })
    .await;
    assert_eq!(service.heads.lock().unwrap()[0].headers["te"], "trailers");
    let mut answer = trailed(&scene).await;
    assert_eq!(answer.remove("x-t").unwrap(), "2");
    assert!(answer.is_empty(), "{answer:?}");
}

/// The trailers of Alice's answer, who sent some over HTTP/2.
async fn trailed(scene: &Scene) -> HeaderMap {
    let tls = scene.tls(scene.address(ALICE), &scene.name(ALICE), &["h2"]).await.unwrap();
    let (sender, connection) = h2::client::handshake(tls).await.unwrap();
    tokio::spawn(connection);
    let head = Request::post(format!("https://{}/", scene.name(ALICE))).body(()).unwrap();
    soon("an answer", async {
        let (answer, mut upload) = sender.ready().await.unwrap().send_request(head, false).unwrap();
        write(&mut upload, Bytes::from_static(b"abc")).await.unwrap();
        let fields = [("x-t", "2"), ("x-real-ip", "1.1.1.1"), ("host", "evil")];
        let fields = fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        upload.send_trailers(fields.into_iter().collect()).unwrap();
        let mut body = answer.await.unwrap().into_body();
        let (bytes, trailers) = read(&mut body).await;
        assert_eq!(bytes, b"abc");
        trailers.unwrap()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_takes_few_requests_at_a_time_is_never_sent_more_and_all_are_answered() {
    let mut few = Builder::new();
    few.max_concurrent_streams(3);
    let service = Service::of(few, usize::MAX, |n, request, respond| async move {
        // So that many are there at a time.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        echo(n, request, respond).await;
    })
    .await;
    let scene = service.scene().await;
    let (sender, host) = (scene.h2(ALICE).await, scene.name(ALICE));
    assert_eq!(
        whole(&mut sender.clone(), request(&host, "/")).await.unwrap().status(),
        200,
        "its limits are known"
    );
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (mut sender, asked) = (sender.clone(), request(&host, "/"));
        all.spawn(async move { whole(&mut sender, asked).await.unwrap().status() });
    }
    while let Some(status) = all.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    let connections = service.count().0;
    assert!((2..=edge::bounds::UPSTREAM_H2_PER_HOLDER_MAX).contains(&connections), "{connections}");
    assert!(service.most.load(Ordering::SeqCst) <= 3 * connections);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_service_refused_is_sent_again_with_its_body_and_what_it_may_have_begun_is_not() {
    let reason = Arc::new(Mutex::new(h2::Reason::REFUSED_STREAM));
    let why = Arc::clone(&reason);
    let service = Service::of(Builder::new(), usize::MAX, move |n, request, mut respond| {
        let why = *why.lock().unwrap();
        async move {
            match n % 2 {
                0 => respond.send_reset(why),
                _ => echo(n, request, respond).await,
            }
        }
    })
    .await;
    let scene = service.scene().await;
    let (mut sender, host) = (scene.h2(ALICE).await, scene.name(ALICE));
    let asked =
        |body: &'static str| request(&host, "/").map(|_| Full::new(Bytes::from_static(body.as_bytes())));
    let answer = whole(&mut sender, asked("hello")).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"hello"[..]));
    assert_eq!(service.count(), (1, 2));
    for (begun, status) in [(h2::Reason::INTERNAL_ERROR, 502), (h2::Reason::CANCEL, 502)] {
        *reason.lock().unwrap() = begun;
        let before = service.count().1;
        assert_eq!(whole(&mut sender, asked("hello")).await.unwrap().status(), status);
        assert_eq!(service.count().1, before + 1, "{begun:?}: nobody knows what it has done");
        assert_eq!(whole(&mut sender, asked("hello")).await.unwrap().status(), 200);
    }
    scene.until_written(Reason::UpstreamClosed, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_always_refuses_is_asked_three_times_and_no_more() {
    let refuse = |_, _, mut respond: SendResponse<Bytes>| async move {
        respond.send_reset(h2::Reason::REFUSED_STREAM);
    };
    let service = Service::of(Builder::new(), usize::MAX, refuse).await;
    let scene = service.scene().await;
    let answer = whole(&mut scene.h2(ALICE).await, request(&scene.name(ALICE), "/")).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), service.count().1),
        (502, edge::bounds::UPSTREAM_H2_TRIES as usize)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_says_goodbye_again_and_again_answers_every_request_exactly_once() {
    let service = Service::of(Builder::new(), 7, echo).await;
    let scene = service.scene().await;
    let (sender, host) = (scene.h2(ALICE).await, scene.name(ALICE));
    let mut all = tokio::task::JoinSet::new();
    for i in 0..200_u8 {
        let (mut sender, mut asked) = (sender.clone(), request(&host, "/"));
        *asked.body_mut() = Full::new(Bytes::from(vec![i; 100]));
        all.spawn(async move {
            let answer = whole(&mut sender, asked).await.unwrap();
            assert!(answer.status() == 200 && answer.body()[..] == [i; 100], "{i}: {}", answer.status());
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    let (connections, requests) = service.count();
    assert_eq!(requests, 200, "none was processed twice");
    assert!(connections > 1, "{connections}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_cancels_at_the_service_and_a_service_that_breaks_off_is_told_to_its_client() {
    let (gone, came) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, begun) = (Arc::clone(&gone), Arc::clone(&came));
    let service = Service::of(Builder::new(), usize::MAX, move |n, request, mut respond| {
        let (told, begun) = (Arc::clone(&told), Arc::clone(&begun));
        async move {
            match request.uri().path() {
                "/head" => {
                    begun.notify_one();
                    let why = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                    assert_eq!(why.unwrap(), h2::Reason::CANCEL);
                    told.notify_one();
                }
                "/body" => {
                    let mut to = respond.send_response(Response::new(()), false).unwrap();
                    begun.notify_one();
                    assert_eq!(
                        std::future::poll_fn(|cx| to.poll_reset(cx)).await.unwrap(),
                        h2::Reason::CANCEL
                    );
                    told.notify_one();
                }
                "/broken" => {
                    let mut to = respond.send_response(Response::new(()), false).unwrap();
                    write(&mut to, Bytes::from_static(b"half")).await.unwrap();
                    begun.notified().await;
                    to.send_reset(h2::Reason::INTERNAL_ERROR);
                }
                _ => echo(n, request, respond).await,
            }
        }
    })
    .await;
    let scene = service.scene().await;
    let (mut sender, host) = (scene.h2(ALICE).await, scene.name(ALICE));
    for path in ["/head", "/body"] {
        let asked = tokio::spawn(sender.send_request(request(&host, path)));
        soon("the request", came.notified()).await;
        asked.abort();
        drop(asked.await.ok());
        soon("the cancellation", gone.notified()).await;
    }
    let broken = soon("a head", sender.send_request(request(&host, "/broken"))).await.unwrap();
    came.notify_one();
    assert!(soon("the end", broken.into_body().collect()).await.is_err(), "half an answer never looks whole");
    assert_eq!(whole(&mut sender, request(&host, "/")).await.unwrap().status(), 200, "others go on");
    assert_eq!(service.count().0, 1, "on the same connection");
    scene.until_written(Reason::UpstreamClosed, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_reads_holds_its_windows_and_others_of_its_connection_go_on() {
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let service = Service::of(Builder::new(), usize::MAX, move |n, request, mut respond| {
        let counter = Arc::clone(&counter);
        async move {
            if request.uri().path() != "/endless" {
                return echo(n, request, respond).await;
            }
            let mut to = respond.send_response(Response::new(()), false).unwrap();
            while write(&mut to, Bytes::from_static(&[7; 16 * 1024])).await.is_some() {
                counter.fetch_add(16 * 1024, Ordering::SeqCst);
            }
        }
    })
    .await;
    let scene = service.scene().await;
    let (mut sender, host) = (scene.h2(ALICE).await, scene.name(ALICE));
    let stalled = soon("a head", sender.send_request(request(&host, "/endless"))).await.unwrap();
    until("its windows are full", || written.load(Ordering::SeqCst) > 64 * 1024).await;
    for _ in 0..20 {
        assert_eq!(whole(&mut sender, request(&host, "/")).await.unwrap().status(), 200);
    }
    // Our window toward the service, the client's of 2 MiB (hyper's own), and what h2 and hyper hold of one stream.
    let held = written.load(Ordering::SeqCst);
    assert!(held < 4 * 1024 * 1024, "{held} bytes are somewhere on the way");
    assert_eq!(service.count().0, 1);
    let mut body = stalled.into_body();
    for _ in 0..1000 {
        assert!(soon("it goes on when it is read", body.frame()).await.unwrap().is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_speaks_no_http_2_is_named_as_one_that_closed() {
    let handling = Handling { speaks: Speaks::Http2, ..Handling::default() };
    let scene = Scene::of(Plot { handling, ..Plot::default() }).await;
    scene.backend.says(|_| crate::backend::Say::Close);
    let answer = scene.ask("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("\"reason\":\"upstream_closed\""), "{}", answer.text());
}
