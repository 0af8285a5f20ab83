//! Bytes from edge to service and back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fabric::bounds::{SEND_QUEUE, WINDOW_INITIAL};
use fabric::{Class, Refusal};
use ring::digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::world::{World, echo_service, echoed, endless_service, service, services, soon, until};

/// Byte n of a body that repeats nowhere near.
fn fill(start: usize, buffer: &mut [u8]) {
    for (n, byte) in buffer.iter_mut().enumerate() {
        let n = (start + n) as u64;
        *byte = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8;
    }
}

fn expected(length: usize) -> digest::Digest {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut piece = vec![0; 1 << 20];
    for start in (0..length).step_by(1 << 20) {
        let part = (length - start).min(1 << 20);
        fill(start, &mut piece[..part]);
        hash.update(&piece[..part]);
    }
    hash.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_megabytes_arrive_whole_in_both_directions() {
    const LENGTH: usize = 200_000_000;
    let (hashes, mut hashed) = mpsc::channel(2);
    let address = service(move |mut tcp| {
        let hashes = hashes.clone();
        async move {
            let mut hash = digest::Context::new(&digest::SHA256);
            let mut piece = vec![0; 1 << 18];
            if tcp.read_u8().await.unwrap() == b'u' {
                loop {
                    match tcp.read(&mut piece).await.unwrap() {
                        0 => break,
                        count => hash.update(&piece[..count]),
                    }
                }
                hashes.send(hash.finish()).await.unwrap();
            } else {
                for start in (0..LENGTH).step_by(1 << 18) {
                    let part = (LENGTH - start).min(1 << 18);
                    fill(start, &mut piece[..part]);
                    tcp.write_all(&piece[..part]).await.unwrap();
                }
            }
        }
    })
    .await;
    let (_world, gateway, _local) = World::with_service(address).await;
    let expected = expected(LENGTH);

    let mut download = gateway.open_class("web", Class::Bulk).await.unwrap();
    download.write_all(b"d").await.unwrap();
    let (mut hash, mut total, mut piece) = (digest::Context::new(&digest::SHA256), 0, vec![0; 1 << 18]);
    loop {
        match soon("bytes", download.read(&mut piece)).await.unwrap() {
            0 => break,
            count => (total += count, hash.update(&piece[..count])).1,
        }
    }
    assert_eq!((total, hash.finish().as_ref()), (LENGTH, expected.as_ref()));

    let mut upload = gateway.open("web").await.unwrap();
    upload.write_all(b"u").await.unwrap();
    for start in (0..LENGTH).step_by(1 << 18) {
        let part = (LENGTH - start).min(1 << 18);
        fill(start, &mut piece[..part]);
        upload.write_all(&piece[..part]).await.unwrap();
    }
    upload.shutdown().await.unwrap();
    assert_eq!(soon("the service's hash", hashed.recv()).await.unwrap().as_ref(), expected.as_ref());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_at_once_each_get_their_own_bytes_back() {
    let (world, gateway, _local) = World::with_service(echo_service().await).await;
    let tasks: Vec<_> = (0..1000u32)
        .map(|n| {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                let mut stream = gateway.open("web").await.unwrap();
                for round in 0..5u32 {
                    echoed(&mut stream, &[n.to_be_bytes(), round.to_be_bytes()].concat().repeat(50))
                        .await
                        .unwrap();
                }
                stream.shutdown().await.unwrap();
                assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
            })
        })
        .collect();
    for task in tasks {
        soon("a stream", task).await.unwrap();
    }
    assert_eq!(gateway.status().opened, 1000);
    until("no stream is left", || {
        world.hub.status().streams == 0 && gateway.status().planes[0].streams() == 0
    })
    .await;
}

#[test]
fn streams_work_from_other_runtimes_than_the_link_runs_on() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let (done, wait) = tokio::sync::oneshot::channel::<()>();
    let fabric = std::thread::spawn(move || {
        runtime().block_on(async move {
            let (_world, gateway, _local) = World::with_service(echo_service().await).await;
            send.send(gateway).unwrap();
            let _ = wait.await;
        });
    });
    let gateway = receive.recv().unwrap();
    let cores: Vec<_> = (0..3u8)
        .map(|core| {
            let gateway = gateway.clone();
            std::thread::spawn(move || {
                runtime().block_on(async move {
                    for _ in 0..50 {
                        let mut stream = gateway.open("web").await.unwrap();
                        echoed(&mut stream, &[core; 3000]).await.unwrap();
                    }
                });
            })
        })
        .collect();
    cores.into_iter().for_each(|core| core.join().unwrap());
    done.send(()).unwrap();
    fabric.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_stream_stalls_no_other_and_holds_bounded_memory() {
    let (endless, written) = endless_service().await;
    let (world, gateway, local) = World::with_service(endless).await;
    local.set_services(services(&[("web", endless), ("echo", echo_service().await)])).unwrap();
    world.until_offered("echo", 1).await;

    let mut stalled = Vec::new();
    for _ in 0..5 {
        stalled.push(gateway.open("web").await.unwrap());
    }
    sleep(Duration::from_millis(200)).await;
    let mut lively = gateway.open("echo").await.unwrap();
    for round in 0..200u32 {
        soon("an echo beside stalled streams", echoed(&mut lively, &round.to_be_bytes().repeat(1000)))
            .await
            .unwrap();
    }
    // The service could write what the windows, queues and socket buffers on the way hold, and then no more.
    let stuck = written.load(Ordering::Relaxed);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(written.load(Ordering::Relaxed), stuck);
    const SOCKET_BUFFERS: usize = 12 << 20;
    assert!(stuck < 5 * (SOCKET_BUFFERS + 3 * (SEND_QUEUE + WINDOW_INITIAL as usize)), "{stuck}");
    // What a stalled stream holds at the reader is there when it wakes up.
    let mut held = vec![0; WINDOW_INITIAL as usize];
    soon("the window", stalled[0].read_exact(&mut held)).await.unwrap();
    assert!(held.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn half_close_passes_through_and_the_answer_comes_back() {
    let address = service(|mut tcp| async move {
        let mut question = Vec::new();
        tcp.read_to_end(&mut question).await.unwrap();
        tcp.write_all(&question.iter().rev().copied().collect::<Vec<_>>()).await.unwrap();
    })
    .await;
    let (_world, gateway, _local) = World::with_service(address).await;
    let mut stream = gateway.open("web").await.unwrap();
    stream.write_all(b"stressed").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    soon("the answer", stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"desserts");
    assert!(stream.write_all(b"more").await.is_err());
}

#[tokio::test]
async fn what_was_shut_down_before_the_drop_is_delivered() {
    let (heard, mut hears) = mpsc::channel(1);
    let address = service(move |mut tcp| {
        let heard = heard.clone();
        async move {
            let mut all = Vec::new();
            heard.send(tcp.read_to_end(&mut all).await.map(|_| all.len())).await.unwrap();
        }
    })
    .await;
    let (_world, gateway, _local) = World::with_service(address).await;
    let mut stream = gateway.open("web").await.unwrap();
    stream.write_all(&[1; 300_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    // The service closes its direction when it has all; until then the stream must live.
    assert_eq!(soon("the end", stream.read(&mut [0; 8])).await.unwrap(), 0);
    drop(stream);
    assert_eq!(soon("the service", hears.recv()).await.unwrap().unwrap(), 300_000);
}

#[tokio::test]
async fn a_dropped_stream_is_a_reset_at_the_service_never_an_end() {
    let (heard, mut hears) = mpsc::channel(1);
    let address = service(move |mut tcp| {
        let heard = heard.clone();
        async move {
            let mut all = Vec::new();
            heard.send(tcp.read_to_end(&mut all).await.map_err(|error| error.kind())).await.unwrap();
        }
    })
    .await;
    let (world, gateway, _local) = World::with_service(address).await;
    let mut stream = gateway.open("web").await.unwrap();
    stream.write_all(b"half an upload").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    drop(stream);
    let end = soon("the service", hears.recv()).await.unwrap();
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
    until("the hub has forgotten it", || world.hub.status().streams == 0).await;
    assert!(world.hub.status().refused.contains_key("cancelled"));
}

#[tokio::test]
async fn a_caller_that_leaves_after_its_question_is_noticed_while_the_service_still_thinks() {
    let address = service(|mut tcp| async move {
        let mut all = Vec::new();
        let _ = tcp.read_to_end(&mut all).await;
        sleep(Duration::from_secs(3600)).await;
    })
    .await;
    let (world, gateway, local) = World::with_service(address).await;
    let mut stream = gateway.open("web").await.unwrap();
    stream.write_all(b"question").await.unwrap();
    stream.shutdown().await.unwrap();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(local.status().streams, 1);
    drop(stream);
    until("the stream is gone everywhere", || world.hub.status().streams + local.status().streams == 0).await;
}

#[tokio::test]
async fn a_service_that_breaks_its_connection_is_named() {
    let address = service(|mut tcp| async move {
        let _ = tcp.read_u8().await;
        tcp.set_zero_linger().unwrap();
    })
    .await;
    let (_world, gateway, _local) = World::with_service(address).await;
    let mut stream = gateway.open("web").await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let error = soon("the error", stream.read(&mut [0; 8])).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::ServiceReset));
}
