//! Sockets and epoll: connecting to the server under test, waiting for events.

use crate::args::Args;
use rustix::event::{epoll, Timespec};
use rustix::net::{
    bind, connect, socket_with, sockopt, AddressFamily, SocketAddrUnix, SocketFlags, SocketType,
};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Connections made from one loopback address before the next one is used, so
/// that neither open sockets nor those in TIME_WAIT use up its ports.
const PER_SOURCE: usize = 4_000;

/// Where the server listens.
pub enum Target {
    /// A port of 127.0.0.1.
    Tcp(SocketAddrV4),
    /// The path of a Unix socket.
    Unix(SocketAddrUnix),
}

impl Target {
    /// Reads `--port` or `--unix`.
    pub fn from_args(args: &Args) -> io::Result<Self> {
        match args.text("unix") {
            Some(path) => Ok(Self::Unix(SocketAddrUnix::new(path)?)),
            None => Ok(Self::Tcp(SocketAddrV4::new(
                Ipv4Addr::LOCALHOST,
                args.number("port", 0)?,
            ))),
        }
    }

    /// Makes the `index`-th connection; the socket is still a blocking one.
    pub fn connect(&self, index: usize) -> io::Result<OwnedFd> {
        let family = match self {
            Self::Tcp(_) => AddressFamily::INET,
            Self::Unix(_) => AddressFamily::UNIX,
        };
        let fd = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        match self {
            Self::Tcp(addr) => {
                set_up(&fd)?;
                let host = 1 + (index / PER_SOURCE) % 250;
                if host > 1 {
                    let source = Ipv4Addr::new(127, 0, 0, host as u8);
                    bind(&fd, &SocketAddrV4::new(source, 0))?;
                }
                connect(&fd, addr)?;
            }
            Self::Unix(addr) => connect(&fd, addr)?,
        }
        Ok(fd)
    }
}

/// Sets the options of a TCP socket. The kernel's own choice of congestion
/// control may be one that paces what is sent, by its guess of a bandwidth that
/// loopback does not have.
pub fn set_up(fd: impl AsFd) -> io::Result<()> {
    sockopt::set_tcp_nodelay(&fd, true)?;
    Ok(sockopt::set_tcp_congestion(&fd, "reno")?)
}

/// How a socket is watched.
#[derive(Clone, Copy)]
pub enum Watch {
    /// Readable and writable, reported when it changes.
    Edge,
    /// Readable and writable, reported as long as it holds.
    Level,
    /// Readable only, reported as long as it holds.
    Input,
}

/// One event: the token of the socket, and what it is ready for.
pub struct Ready {
    pub token: usize,
    pub readable: bool,
    pub writable: bool,
}

/// An epoll instance and its buffer of events.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    /// Opens an epoll instance.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(1024),
        })
    }

    /// Watches a socket until it is closed.
    pub fn add(&self, fd: impl AsFd, token: usize, watch: Watch) -> io::Result<()> {
        let both = epoll::EventFlags::IN | epoll::EventFlags::OUT;
        let flags = match watch {
            Watch::Edge => both | epoll::EventFlags::ET,
            Watch::Level => both,
            Watch::Input => epoll::EventFlags::IN,
        };
        let data = epoll::EventData::new_u64(token as u64);
        Ok(epoll::add(&self.epoll, fd, data, flags)?)
    }

    /// Waits for events, at most `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The events of the last wait.
    pub fn ready(&self) -> impl Iterator<Item = Ready> + '_ {
        self.events.iter().map(|event| {
            let (flags, data) = (event.flags, event.data);
            Ready {
                token: data.u64() as usize,
                readable: flags.intersects(
                    epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR,
                ),
                writable: flags.contains(epoll::EventFlags::OUT),
            }
        })
    }
}
