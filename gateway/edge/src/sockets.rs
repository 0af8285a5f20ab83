//! Listening sockets as things that can be handed on: those of a predecessor are taken over rather than bound anew, so that
//! nobody who is in their queues is lost; those in use can be given to a successor.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use socket2::{Socket, Type};

/// Keeps a socket among those that a successor gets. Whoever closes the socket drops it too: as long as it is there, the
/// kernel goes on to take connections for it.
pub type Hold = Arc<OwnedFd>;

/// All sockets of one process that outlive it when it is replaced.
#[derive(Debug, Default)]
pub struct Sockets {
    inherited: Mutex<Vec<OwnedFd>>,
    held: Mutex<Vec<Weak<OwnedFd>>>,
    is_inherited: bool,
}

impl Sockets {
    /// With what a predecessor handed on, each as yet unused.
    pub fn inheriting(sockets: Vec<OwnedFd>) -> Self {
        Self { inherited: Mutex::new(sockets), held: Mutex::default(), is_inherited: true }
    }

    /// Is there a predecessor, which goes on for a while?
    pub fn is_inherited(&self) -> bool {
        self.is_inherited
    }

    /// A socket of the predecessor that listens exactly there, if there is one left. Each is given once: of several cores'
    /// sockets at one address, each asker gets its own.
    pub fn take(&self, kind: Type, address: SocketAddr, device: Option<&str>) -> Option<Socket> {
        self.take_where(kind, |socket| {
            let bound = socket.device().ok().flatten();
            let here = socket.local_addr().ok().and_then(|at| at.as_socket());
            here == Some(address) && bound.as_deref() == device.map(str::as_bytes)
        })
    }

    /// The same for any socket whose address is told by `is_wanted`.
    pub fn take_where(&self, kind: Type, is_wanted: impl Fn(&Socket) -> bool) -> Option<Socket> {
        let mut inherited = lock(&self.inherited);
        let fits = |fd: &OwnedFd| {
            let Ok(copy) = fd.try_clone().map(Socket::from) else { return false };
            let listens = kind != Type::STREAM || copy.is_listener().unwrap_or(false);
            copy.r#type().is_ok_and(|of| of == kind) && listens && is_wanted(&copy)
        };
        let at = inherited.iter().position(fits)?;
        Some(inherited.swap_remove(at).into())
    }

    /// Notes a socket as one that a successor gets, until the hold is dropped.
    ///
    /// # Errors
    /// Want of descriptors.
    pub fn hold(&self, socket: &impl AsFd) -> io::Result<Hold> {
        let hold = Arc::new(socket.as_fd().try_clone_to_owned()?);
        let mut held = lock(&self.held);
        held.retain(|known| known.strong_count() > 0);
        held.push(Arc::downgrade(&hold));
        Ok(hold)
    }

    /// Copies of all that are in use, for a successor.
    ///
    /// # Errors
    /// Want of descriptors.
    pub fn all(&self) -> io::Result<Vec<OwnedFd>> {
        lock(&self.held).iter().filter_map(Weak::upgrade).map(|hold| hold.try_clone()).collect()
    }

    /// Closes what was inherited and nobody took; tells how many. What waits in their queues is reset.
    pub fn close_rest(&self) -> usize {
        std::mem::take(&mut *lock(&self.inherited)).len()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    #[test]
    fn who_waits_in_the_queue_of_a_socket_is_accepted_by_the_process_that_took_it_over() {
        let (old, successor) = (Sockets::default(), Sockets::default());
        let (listener, at) = listener();
        let hold = old.hold(&listener).unwrap();
        let _waits = TcpStream::connect(at).unwrap();
        *lock(&successor.inherited) = old.all().unwrap();
        drop((listener, hold));
        let taken: TcpListener = successor.take(Type::STREAM, at, None).unwrap().into();
        assert!(taken.accept().is_ok());
        assert!(successor.take(Type::STREAM, at, None).is_none(), "each is given once");
    }

    #[test]
    fn a_socket_is_found_by_kind_and_address_and_by_nothing_less() {
        let (listener, at) = listener();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let there = udp.local_addr().unwrap();
        let sockets = Sockets::inheriting(vec![listener.into(), udp.into()]);
        assert!(sockets.take(Type::DGRAM, at, None).is_none());
        assert!(sockets.take(Type::STREAM, there, None).is_none());
        assert!(sockets.take(Type::STREAM, at, Some("lo")).is_none());
        assert!(sockets.take(Type::DGRAM, there, None).is_some());
        assert_eq!(sockets.close_rest(), 1);
        assert!(TcpStream::connect(at).is_err(), "what nobody took is closed");
    }

    #[test]
    fn a_socket_that_was_closed_is_handed_to_nobody() {
        let sockets = Sockets::default();
        let (listener, at) = listener();
        let hold = sockets.hold(&listener).unwrap();
        assert_eq!(sockets.all().unwrap().len(), 1);
        drop((listener, hold));
        assert!(sockets.all().unwrap().is_empty());
        assert!(TcpStream::connect(at).is_err());
    }
}
