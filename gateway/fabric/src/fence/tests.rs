//! A fence that nobody closes: it runs out, and the lane behind it ends by itself.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::authority::{Authority, Validity};
use crate::door::members::Members;
use crate::door::{Admission, Answer, Door, Listener};
use crate::identity::{Identity, Role};
use crate::lane::greeting::{self, Greeted};
use crate::refusal::Refusal;
use crate::tls::Keyring;
use crate::wire::{Frame, Hello, VERSION};

const ALWAYS: Validity = Validity { not_before: 1_500_000_000, not_after: 4_000_000_000 };

#[test]
fn a_fence_closes_by_itself_and_never_opens_again_once_it_was_closed() {
    let fence = Fence::open_until(boot_time() + Duration::from_secs(60));
    assert!(fence.is_open() && fence.left().unwrap() > Duration::from_secs(50));
    fence.extend(Duration::from_secs(1));
    assert!(fence.left().unwrap() > Duration::from_secs(50), "extending never shortens");
    fence.close();
    fence.extend(boot_time() + Duration::from_secs(60));
    assert!(!fence.is_open() && fence.left() == Some(Duration::ZERO));

    let short = Fence::open_until(boot_time() + Duration::from_millis(2));
    std::thread::sleep(Duration::from_millis(4));
    assert!(!short.is_open());
    assert!(Fence::none().is_open() && Fence::none().left().is_none());
    assert!(Fence::open_until(Duration::MAX).is_open());
}

/// A hub whose election has stopped: nobody extends the fence, nobody closes a link.
struct Forsaken {
    members: Members,
    fence: Fence,
    stop: CancellationToken,
}

impl Admission for Forsaken {
    fn answer(self: &Arc<Self>, who: &Identity, hello: &Hello) -> Answer {
        let joined = self.members.join(who, hello.link, usize::from(hello.lane), &self.fence, &self.stop);
        Answer::Welcome(joined.unwrap().0, Bytes::new())
    }

    fn lane_ended(&self) {
        self.members.sweep();
    }
}

#[tokio::test]
async fn past_its_fence_a_lane_answers_nothing_more_and_says_why() {
    let authority = Authority::generate(ALWAYS).unwrap();
    let keyring = |role, name| {
        Keyring::new(authority.issue(&Identity::new(role, name).unwrap(), ALWAYS).unwrap()).unwrap()
    };
    let (hub, member) = (keyring(Role::Hub, "h"), keyring(Role::LocalHub, "l"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let fence = Fence::open_until(boot_time() + Duration::from_secs(60));
    let owner = Forsaken { members: Members::new(8), fence: fence.clone(), stop: stop.clone() };
    let refused = crate::status::Tally::default();
    let door = Door {
        owner: Arc::new(owner),
        keyring: hub.clone(),
        half_opens: Default::default(),
        refused: refused.clone(),
        stop,
        tasks,
    };
    tokio::spawn(door.keep(Listener::Tcp(listener)));

    let config = member.client(hub.identity()).unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::IpAddress(address.ip().into());
    let mut io = TlsConnector::from(config).connect(name, tcp).await.unwrap();
    let hello = Hello { version: VERSION, lane: 1, link: [7; 16], name: "l".into() };
    let Ok(Greeted::Welcome { mut decoder, .. }) = greeting::introduce(&mut io, hello, "h").await else {
        panic!("the door is open");
    };
    // As it would run out: nothing else is told.
    let end = Instant::now() + Duration::from_millis(200);
    fence.0.store(nanos(boot_time() + Duration::from_millis(200)), Ordering::Release);
    let (mut asked_in_time, mut answered, mut last) = (0, 0, None);
    for nonce in 1.. {
        if Instant::now() < end {
            asked_in_time = nonce;
        }
        let mut ping = BytesMut::new();
        Frame::Ping { nonce }.encode(&mut ping);
        if io.write_all(&ping).await.is_err() || io.flush().await.is_err() {
            break;
        }
        let hearing = timeout(Duration::from_millis(10), io.read_buf(decoder.buffer())).await;
        while let Some(frame) = decoder.next_frame().unwrap() {
            match frame {
                Frame::Pong { nonce } => answered = nonce,
                other => last = Some(other),
            }
        }
        if matches!(hearing, Ok(Ok(0) | Err(_))) {
            break;
        }
    }
    let seen = format!("{answered} of {asked_in_time}, {:?}", refused.all());
    assert_eq!(last, Some(Frame::Refuse(Refusal::NotActive)), "{seen}");
    assert!(answered > 1 && answered <= asked_in_time, "{seen}");
}
