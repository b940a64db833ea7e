//! Mode `connect`: connections per second. Each one is opened, shakes hands,
//! closes with a close frame and waits for the server's close frame and for the
//! end of the stream; `--conns` of them are under way.

use crate::args::Args;
use crate::frame::{self, Counter};
use crate::handshake::{self, head_end};
use crate::meter::Meter;
use crate::net::{Poller, Target, Watch};
use rustix::io::{read, write, Errno};
use std::io;
use std::os::fd::OwnedFd;

/// One connection on its way from the handshake to the end.
struct Visit {
    fd: OwnedFd,
    head: Vec<u8>,
    open: bool,
    counter: Counter,
}

impl Visit {
    /// Connects and sends the request in one write. Connecting blocks, but on
    /// loopback only for as long as the kernel works on it anyway.
    fn start(target: &Target, index: usize) -> io::Result<Self> {
        let fd = target.connect(index)?;
        write(&fd, handshake::REQUEST)?;
        Ok(Self {
            fd,
            head: Vec::new(),
            open: false,
            counter: Counter::default(),
        })
    }

    /// Reads what there is; returns true when the connection is over.
    fn advance(&mut self, close: &[u8]) -> io::Result<bool> {
        let mut chunk = [0; 1024];
        let count = match read(&self.fd, &mut chunk) {
            // A reset may stand for the end once the close frame is here.
            Ok(0) | Err(Errno::CONNRESET) if self.counter.closed => return Ok(true),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) => return Err(error.into()),
        };
        if self.open {
            self.counter.feed(&chunk[..count]);
            return Ok(false);
        }
        self.head.extend_from_slice(&chunk[..count]);
        if let Some(end) = head_end(&self.head) {
            handshake::check_response(&self.head)?;
            self.counter.feed(&self.head[end..]);
            self.open = true;
            write(&self.fd, close)?;
        }
        Ok(false)
    }
}

/// Options: `--conns`, an address, and those of the meter.
pub fn run(args: &Args) -> io::Result<()> {
    let close = frame::build(frame::CLOSE, &1000_u16.to_be_bytes(), true);
    let target = Target::from_args(args)?;
    let mut poller = Poller::new()?;
    let mut started = 0;
    let mut start = |poller: &Poller, token| -> io::Result<Visit> {
        let visit = Visit::start(&target, started)?;
        started += 1;
        poller.add(&visit.fd, token, Watch::Input)?;
        Ok(visit)
    };
    let mut visits = (0..args.number("conns", 32)?)
        .map(|token| start(&poller, token))
        .collect::<io::Result<Vec<_>>>()?;

    let mut meter = Meter::new(args)?;
    while !meter.is_over()? {
        poller.wait(meter.timeout())?;
        for ready in poller.ready() {
            if visits[ready.token].advance(&close)? {
                meter.messages += 1;
                visits[ready.token] = start(&poller, ready.token)?;
            }
        }
    }
    Ok(())
}
