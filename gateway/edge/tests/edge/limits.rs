//! What a service says of its own requests: none for now, none too large, none too long.

use std::sync::Arc;

use state::records::{Auth, Handling};
use state::txn::Record;

use crate::backend::{Say, ok};
use crate::clients::{request, whole};
use crate::scene::{ALICE, Scene, service, soon, txn};

async fn treat(scene: &Scene, handling: Handling) {
    let service = state::records::Service { handling, ..service(scene.port, Auth::Name) };
    scene.commit(txn("service.set").put(Record::Service(service))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_under_maintenance_says_so_on_connections_old_and_new_and_is_reached_again_afterwards() {
    let scene = Scene::new().await;
    let (mut old, get) = (scene.h1(ALICE).await, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(old.ask(&scene, get).await.status, 200);
    let text = "Back at <five>.".to_owned();
    treat(&scene, Handling { maintenance: Some(text), ..Handling::default() }).await;
    let reached = scene.backend.heard().len();
    let told = old.ask(&scene, get).await;
    assert_eq!((told.status, told.field("retry-after")), (503, Some("60")));
    assert!(String::from_utf8_lossy(&told.body).contains("\"reason\":\"maintenance\""));
    let page = scene.ask("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: text/html,*/*\r\n\r\n").await;
    assert_eq!((page.status, page.field("content-type")), (503, Some("text/html; charset=utf-8")));
    assert!(String::from_utf8_lossy(&page.body).contains("Back at &lt;five&gt;."));
    assert_eq!(scene.backend.heard().len(), reached, "nothing reaches it");
    treat(&scene, Handling::default()).await;
    assert_eq!(old.ask(&scene, get).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_the_largest_size_reaches_the_service_and_a_larger_one_is_refused_however_it_comes() {
    let scene = Scene::new().await;
    treat(&scene, Handling { max_body: Some(10), ..Handling::default() }).await;
    let sized = |n: usize| {
        format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {n}\r\n\r\n{}", "x".repeat(n))
    };
    let chunked = |n: usize| {
        let chunk = format!("{n:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(n));
        format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}")
    };
    assert_eq!(scene.ask(&sized(10)).await.status, 200);
    assert_eq!(scene.ask(&chunked(10)).await.status, 200);
    assert_eq!(scene.backend.heard().iter().filter(|heard| heard.body.len() == 10).count(), 2);
    assert_eq!(scene.ask(&sized(11)).await.status, 413);
    assert_eq!(scene.ask(&chunked(11)).await.status, 413);
    assert!(scene.backend.heard().iter().all(|heard| heard.body.len() <= 10));
    let (mut sender, host) = (scene.h2(ALICE).await, scene.name(ALICE));
    for (n, status) in [(10, 200), (11, 413)] {
        let body = bytes::Bytes::from(vec![b'x'; n]);
        let asked = request(&host, "/").map(|_| http_body_util::Full::new(body));
        assert_eq!(whole(&mut sender, asked).await.unwrap().status(), status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_takes_longer_than_its_service_allows_ends_with_its_reason_before_the_head_and_after()
{
    let scene = Scene::new().await;
    treat(&scene, Handling { max_time_s: Some(1), ..Handling::default() }).await;
    scene.backend.says(|heard| match heard.line().split(' ').nth(1) {
        Some("/hang") => Say::Hang,
        Some("/endless") => {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nxx".to_vec();
            Say::InTwo(head, Arc::default(), Vec::new())
        }
        _ => ok("hello"),
    });
    assert_eq!(scene.ask("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").await.status, 200);
    assert_eq!(scene.ask("GET /hang HTTP/1.1\r\nHost: {host}\r\n\r\n").await.status, 504);
    scene.until_written(defense::Reason::ServiceTimeout, 1).await;
    let (mut sender, host) = (scene.h2(ALICE).await, scene.name(ALICE));
    let cut = soon("the answer is cut", whole(&mut sender, request(&host, "/endless"))).await;
    assert!(cut.is_err(), "an answer that is cut never looks whole");
    scene.until_written(defense::Reason::ServiceTimeout, 2).await;
}
