//! Mode `floor`: the leanest echo server there can be on one thread and epoll.
//! It parses and unmasks, checks nothing, and writes once per read: what any
//! server could hope for at best with the same system calls.

use crate::args::Args;
use crate::conn::SCRATCH;
use crate::frame::{self, Header};
use crate::handshake;
use crate::net::{Poller, Watch};
use rustix::io::{read, write, Errno};
use rustix::net::sockopt::set_tcp_nodelay;
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

/// Tokens of connections begin here.
const FIRST: usize = 2;
const LISTENER: usize = 0;
const STDIN: usize = 1;

/// Where connections come from.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn accept(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                set_tcp_nodelay(&stream, true)?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }
        }
    }
}

/// One client.
struct Client {
    fd: OwnedFd,
    open: bool,
    /// An incomplete frame (or request): the first `held` bytes.
    carry: Vec<u8>,
    held: usize,
    /// What the socket did not take.
    pending: Vec<u8>,
}

impl Client {
    fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            open: false,
            carry: Vec::new(),
            held: 0,
            pending: Vec::new(),
        }
    }

    /// Reads and answers. Returns false when the connection is over.
    fn turn(&mut self, scratch: &mut [u8], out: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            let direct = self.held == 0;
            let room = if direct {
                &mut *scratch
            } else {
                // A large frame is read straight to where it is put together.
                let want = self.frame_size().max(self.held + scratch.len());
                if self.carry.len() < want {
                    self.carry.resize(want, 0);
                }
                &mut self.carry[self.held..want]
            };
            let size = room.len();
            let count = match read(&self.fd, room) {
                Ok(0) | Err(Errno::CONNRESET) => return Ok(false),
                Ok(count) => count,
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            };
            if direct {
                let used = self.answer(&mut scratch[..count], out)?;
                self.keep(&scratch[used..count]);
            } else {
                let mut bytes = std::mem::take(&mut self.carry);
                let total = self.held + count;
                let used = self.answer(&mut bytes[..total], out)?;
                bytes.copy_within(used..total, 0);
                self.carry = bytes;
                self.held = total - used;
            }
            if count < size {
                break;
            }
        }
        self.send(out)?;
        Ok(true)
    }

    /// Size of the frame at the start of `carry`, 0 while unknown.
    fn frame_size(&self) -> usize {
        match Header::read(&self.carry[..self.held]) {
            Some(header) if self.open => header.size + header.len as usize,
            _ => 0,
        }
    }

    fn keep(&mut self, rest: &[u8]) {
        if self.carry.len() < rest.len() {
            self.carry.resize(rest.len(), 0);
        }
        self.carry[..rest.len()].copy_from_slice(rest);
        self.held = rest.len();
    }

    /// Answers all complete frames of `bytes`; returns how many bytes they took.
    fn answer(&mut self, bytes: &mut [u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let mut at = 0;
        if !self.open {
            let Some(end) = handshake::head_end(bytes) else {
                return Ok(0);
            };
            out.extend_from_slice(&handshake::response(&bytes[..end])?);
            self.open = true;
            at = end;
        }
        while let Some(header) = Header::read(&bytes[at..]) {
            let start = at + header.size;
            let Some(payload) = bytes.get(start..start + header.len as usize) else {
                break;
            };
            frame::push_header(out, header.opcode, payload.len(), None);
            let from = out.len();
            out.extend_from_slice(payload);
            frame::apply_mask(&mut out[from..], header.mask.unwrap_or_default());
            at = start + header.len as usize;
        }
        Ok(at)
    }

    /// Writes `out` after what is still pending, and empties it.
    fn send(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.pending.append(out);
            std::mem::swap(&mut self.pending, out);
        }
        let mut done = 0;
        while done < out.len() {
            match write(&self.fd, &out[done..]) {
                Ok(count) => done += count,
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.pending.clear();
        self.pending.extend_from_slice(&out[done..]);
        out.clear();
        Ok(())
    }
}

/// Options: `--unix`. Prints where it listens; ends with its input.
pub fn run(args: &Args) -> io::Result<()> {
    let mut poller = Poller::new()?;
    let listener = match args.text("unix") {
        Some(path) => {
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            poller.add(&listener, LISTENER, Watch::Input)?;
            println!("{{}}");
            Listener::Unix(listener)
        }
        None => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            poller.add(&listener, LISTENER, Watch::Input)?;
            println!("{{\"port\":{}}}", listener.local_addr()?.port());
            Listener::Tcp(listener)
        }
    };
    poller.add(io::stdin().as_fd(), STDIN, Watch::Input)?;

    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut scratch = vec![0; SCRATCH];
    let mut out = Vec::new();
    loop {
        poller.wait(Duration::from_secs(3600))?;
        for ready in poller.ready() {
            match ready.token {
                LISTENER => {
                    while let Ok(fd) = listener.accept() {
                        poller.add(&fd, FIRST + clients.len(), Watch::Edge)?;
                        clients.push(Some(Client::new(fd)));
                    }
                }
                STDIN => {
                    if io::stdin().read(&mut scratch)? == 0 {
                        return Ok(());
                    }
                }
                token => {
                    let slot = &mut clients[token - FIRST];
                    let Some(client) = slot else {
                        continue;
                    };
                    let alive = if ready.readable {
                        client.turn(&mut scratch, &mut out)
                    } else {
                        client.send(&mut out).map(|()| true)
                    };
                    if !matches!(alive, Ok(true)) {
                        out.clear();
                        *slot = None;
                    }
                }
            }
        }
    }
}
