//! What two processes say to each other: short texts over a pair of sockets that keeps their bounds, and descriptors beside
//! them. A shell.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use socket2::SockRef;

/// Bytes of one text.
const TEXT_MAX: usize = 16 * 1024;
/// Descriptors beside one text; the kernel takes 253.
const FDS_MAX: usize = 128;

/// One end of the pair.
#[derive(Debug)]
pub(super) struct Wire(OwnedFd);

impl Wire {
    /// Our end, and the one that another process gets.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(ours), theirs))
    }

    /// The end that this process was started with.
    pub(super) fn from_stdin() -> io::Result<Self> {
        let end = io::stdin().as_fd().try_clone_to_owned()?;
        // Whatever else stands there is no pair of ours.
        SockRef::from(&end).r#type()?;
        Ok(Self(end))
    }

    /// Nobody waits longer than this for a text.
    pub(super) fn wait_at_most(&self, limit: Option<Duration>) -> io::Result<()> {
        SockRef::from(&self.0).set_read_timeout(limit)
    }

    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        self.say_with(text, &[])
    }

    /// A list of sockets, in as many texts as it takes.
    pub(super) fn give(&self, sockets: &[OwnedFd]) -> io::Result<()> {
        for some in sockets.chunks(FDS_MAX) {
            let borrowed: Vec<BorrowedFd<'_>> = some.iter().map(AsFd::as_fd).collect();
            self.say_with("sockets", &borrowed)?;
        }
        self.say("all")
    }

    /// What [`Wire::give`] sent.
    pub(super) fn take(&self) -> io::Result<Vec<OwnedFd>> {
        let mut all = Vec::new();
        loop {
            let (text, mut some) = self.hear_with()?;
            all.append(&mut some);
            match text.as_str() {
                "sockets" => {}
                "all" => return Ok(all),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    /// The next text; an error when the other end is gone.
    pub(super) fn hear(&self) -> io::Result<String> {
        self.hear_with().map(|(text, _)| text)
    }

    fn say_with(&self, text: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut end = text.len().min(TEXT_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sendmsg(&self.0, &[IoSlice::new(&text.as_bytes()[..end])], &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn hear_with(&self) -> io::Result<(String, Vec<OwnedFd>)> {
        let mut bytes = vec![0; TEXT_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let read = loop {
            let heard =
                recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut beside, RecvFlags::CMSG_CLOEXEC);
            match heard {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(read) => break read.bytes,
            }
        };
        let mut fds = Vec::new();
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                fds.extend(some);
            }
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.truncate(read);
        let text = String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok((text, fds))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn sockets_arrive_whole_and_in_their_order_however_many_they_are() {
        let (ours, theirs) = Wire::pair().unwrap();
        let theirs = Wire(theirs);
        let listeners: Vec<TcpListener> =
            (0..2 * FDS_MAX + 3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let at: Vec<_> = listeners.iter().map(|one| one.local_addr().unwrap()).collect();
        let fds: Vec<OwnedFd> = listeners.into_iter().map(OwnedFd::from).collect();
        let giver = std::thread::spawn(move || ours.give(&fds).map(|()| ours));
        let taken = theirs.take().unwrap();
        let ours = giver.join().unwrap().unwrap();
        let taken: Vec<TcpListener> = taken.into_iter().map(TcpListener::from).collect();
        assert_eq!(taken.iter().map(|one| one.local_addr().unwrap()).collect::<Vec<_>>(), at);
        assert!(TcpStream::connect(at[0]).is_ok());
        theirs.say("ready").unwrap();
        assert_eq!(ours.hear().unwrap(), "ready");
        drop(theirs);
        assert!(ours.hear().is_err(), "the other end is gone");
    }

    #[test]
    fn nobody_is_waited_for_without_end() {
        let (ours, _theirs) = Wire::pair().unwrap();
        ours.wait_at_most(Some(Duration::from_millis(10))).unwrap();
        assert!(ours.hear().is_err());
    }
}
