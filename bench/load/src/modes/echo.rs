//! Mode `echo`: every connection keeps `--inflight` messages under way and
//! sends the next one for each that comes back.

use crate::args::Args;
use crate::conn::{Conn, SCRATCH};
use crate::frame;
use crate::message::Message;
use crate::meter::Meter;
use crate::net::{Poller, Target, Watch};
use crate::tls;
use std::io;
use std::time::Instant;

/// Options: `--conns`, `--inflight`, `--tls`, an address, and those of the message
/// and the meter.
pub fn run(args: &Args) -> io::Result<()> {
    let inflight: u64 = args.number("inflight", 1)?;
    let Message {
        request,
        frame: single,
    } = Message::from_args(args)?;
    let length = single.len() as u64;
    let frames = frame::repeat(&single, (length * inflight) as usize);

    let target = Target::from_args(args)?;
    let tls = tls::config(args)?;
    let mut conns = Conn::open_all(&target, tls.as_ref(), request, args.number("conns", 1)?)?;
    let mut poller = Poller::new()?;
    for (token, conn) in conns.iter_mut().enumerate() {
        poller.add(&conn, token, Watch::Edge)?;
        conn.sent_at = Instant::now();
        conn.queue(length * inflight);
        conn.flush(&frames)?;
    }

    let mut meter = Meter::new(args)?;
    let mut scratch = vec![0; SCRATCH];
    while !meter.is_over()? {
        poller.wait(meter.timeout())?;
        for ready in poller.ready() {
            let conn = &mut conns[ready.token];
            if ready.readable {
                let messages = conn.read(&mut scratch)?;
                if messages > 0 {
                    meter.messages += messages;
                    if inflight == 1 {
                        let now = Instant::now();
                        meter.latency.record((now - conn.sent_at).as_nanos() as u64);
                        conn.sent_at = now;
                    }
                    conn.queue(messages * length);
                }
            }
            if conn.is_pending() {
                conn.flush(&frames)?;
            }
        }
    }
    Ok(())
}
