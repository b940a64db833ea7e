//! A connection to the server under test, after its handshake.

use crate::frame::Counter;
use crate::handshake;
use crate::net::Target;
use crate::tls;
use rustix::io::{ioctl_fionbio, read, write, Errno};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// Bytes read at once.
pub const SCRATCH: usize = 128 * 1024;

/// A socket as std's traits want it, for the handshake and for rustls.
struct Stream<'a>(BorrowedFd<'a>);

impl Read for Stream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(read(self.0, buf)?)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(write(self.0, buf)?)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An open WebSocket connection; what it sends is a prebuilt run of frames that
/// is gone through again and again.
pub struct Conn {
    fd: OwnedFd,
    tls: Option<Box<tls::Session>>,
    counter: Counter,
    /// Position in the prebuilt frames.
    position: usize,
    /// Bytes still to be sent.
    owed: u64,
    /// When the message in flight was sent.
    pub sent_at: Instant,
}

impl Conn {
    /// Connects and shakes hands, blocking; then the socket does not block.
    pub fn open(
        target: &Target,
        tls: Option<&tls::Config>,
        request: &[u8],
        index: usize,
    ) -> io::Result<Self> {
        let mut conn = Self {
            fd: target.connect(index)?,
            tls: tls.map(tls::session).transpose()?.map(Box::new),
            counter: Counter::default(),
            position: 0,
            owed: 0,
            sent_at: Instant::now(),
        };
        let mut stream = Stream(conn.fd.as_fd());
        let (head, rest) = match &mut conn.tls {
            None => {
                stream.write_all(request)?;
                handshake::read_head(&mut stream)?
            }
            Some(session) => {
                let mut stream = session.blocking(&mut stream);
                stream.write_all(request)?;
                handshake::read_head(&mut stream)?
            }
        };
        handshake::check_response(&head)?;
        conn.counter.feed(&rest);
        ioctl_fionbio(&conn.fd, true)?;
        Ok(conn)
    }

    /// Opens `count` connections one after the other.
    pub fn open_all(
        target: &Target,
        tls: Option<&tls::Config>,
        request: &[u8],
        count: usize,
    ) -> io::Result<Vec<Self>> {
        (0..count)
            .map(|index| Self::open(target, tls, request, index))
            .collect()
    }

    /// Reads until there is nothing more; returns the messages completed.
    pub fn read(&mut self, scratch: &mut [u8]) -> io::Result<u64> {
        let mut messages = 0;
        if let Some(session) = &mut self.tls {
            session.read(&mut Stream(self.fd.as_fd()), scratch, |bytes| {
                messages += self.counter.feed(bytes);
            })?;
        } else {
            loop {
                let count = match read(&self.fd, &mut *scratch) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(count) => count,
                    Err(Errno::AGAIN) => break,
                    Err(error) => return Err(error.into()),
                };
                messages += self.counter.feed(&scratch[..count]);
                // After a short read the next bytes bring an event of their own.
                if count < scratch.len() {
                    break;
                }
            }
        }
        if self.counter.closed {
            return Err(io::Error::other("the server closed the connection"));
        }
        Ok(messages)
    }

    /// Adds to what is to be sent.
    pub fn queue(&mut self, bytes: u64) {
        self.owed = self.owed.saturating_add(bytes);
    }

    /// True if something waits to be sent.
    pub fn is_pending(&self) -> bool {
        self.owed > 0
            || self
                .tls
                .as_ref()
                .is_some_and(|session| session.is_pending())
    }

    /// Sends what is owed, as far as the socket takes it.
    pub fn flush(&mut self, frames: &[u8]) -> io::Result<()> {
        while self.is_pending() && self.send_some(frames)? {}
        Ok(())
    }

    /// One write. Returns false when the socket is full.
    pub fn send_some(&mut self, frames: &[u8]) -> io::Result<bool> {
        let room = (frames.len() - self.position) as u64;
        let end = self.position + self.owed.min(room) as usize;
        let bytes = &frames[self.position..end];
        let (count, open) = match &mut self.tls {
            Some(session) => session.write(&mut Stream(self.fd.as_fd()), bytes)?,
            None => match write(&self.fd, bytes) {
                Ok(count) => (count, count == bytes.len()),
                Err(Errno::AGAIN) => (0, false),
                Err(error) => return Err(error.into()),
            },
        };
        self.owed -= count as u64;
        self.position = (self.position + count) % frames.len();
        Ok(open)
    }
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
