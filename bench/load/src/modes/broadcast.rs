//! Mode `broadcast`: one of the connections sends a message, the server sends
//! it to all of them, and the deliveries are counted. `--rounds` such messages
//! are under way, so that the server need not wait for the slowest delivery.

use crate::args::Args;
use crate::conn::{Conn, SCRATCH};
use crate::frame;
use crate::handshake::REQUEST;
use crate::meter::Meter;
use crate::net::{Poller, Target, Watch};
use crate::tls;
use std::io;

/// Options: `--conns`, `--size`, `--rounds`, an address, and those of the meter.
pub fn run(args: &Args) -> io::Result<()> {
    let rounds: u64 = args.number("rounds", 2)?;
    let payload = frame::payload(args.number("size", 128)?, false);
    let single = frame::build(frame::BINARY, &payload, true);
    let length = single.len() as u64;
    let frames = frame::repeat(&single, 1);

    let target = Target::from_args(args)?;
    let tls = tls::config(args)?;
    let mut conns = Conn::open_all(&target, tls.as_ref(), REQUEST, args.number("conns", 500)?)?;
    let receivers = conns.len() as u64;
    let mut poller = Poller::new()?;
    for (token, conn) in conns.iter().enumerate() {
        poller.add(conn, token, Watch::Edge)?;
    }

    let mut sent = 0;
    let mut meter = Meter::new(args)?;
    let mut scratch = vec![0; SCRATCH];
    while !meter.is_over()? {
        let due = meter.messages / receivers + rounds;
        if sent < due {
            conns[0].queue((due - sent) * length);
            conns[0].flush(&frames)?;
            sent = due;
        }
        poller.wait(meter.timeout())?;
        for ready in poller.ready().filter(|ready| ready.readable) {
            meter.messages += conns[ready.token].read(&mut scratch)?;
        }
    }
    Ok(())
}
