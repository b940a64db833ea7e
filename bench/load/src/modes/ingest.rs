//! Mode `ingest`: every connection sends as fast as TCP lets it; the server
//! answers each `--every`-th message, and the answers are counted.

use crate::args::Args;
use crate::conn::{Conn, SCRATCH};
use crate::frame;
use crate::handshake::REQUEST;
use crate::meter::Meter;
use crate::net::{Poller, Target, Watch};
use crate::tls;
use std::io;

/// Bytes handed to the kernel in one write.
const RUN: usize = 64 * 1024;

/// Options: `--conns`, `--size`, `--every`, an address, and those of the meter.
pub fn run(args: &Args) -> io::Result<()> {
    let every: u64 = args.number("every", 100)?;
    let payload = frame::payload(args.number("size", 128)?, false);
    let frames = frame::repeat(&frame::build(frame::BINARY, &payload, true), RUN);

    let target = Target::from_args(args)?;
    let tls = tls::config(args)?;
    let mut conns = Conn::open_all(&target, tls.as_ref(), REQUEST, args.number("conns", 64)?)?;
    let mut poller = Poller::new()?;
    for (token, conn) in conns.iter_mut().enumerate() {
        // Level-triggered and one write per event: all connections get a turn
        // even while the server empties one as fast as it is filled.
        poller.add(&conn, token, Watch::Level)?;
        conn.queue(u64::MAX);
    }

    let mut meter = Meter::new(args)?;
    let mut scratch = vec![0; SCRATCH];
    while !meter.is_over()? {
        poller.wait(meter.timeout())?;
        for ready in poller.ready() {
            let conn = &mut conns[ready.token];
            if ready.readable {
                meter.messages += conn.read(&mut scratch)? * every;
            }
            if ready.writable {
                conn.send_some(&frames)?;
            }
        }
    }
    Ok(())
}
