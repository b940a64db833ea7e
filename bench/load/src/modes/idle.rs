//! Mode `idle`: what an open but quiet connection costs. Opens `--warm`
//! connections, then `--conns` more, exchanging one message on each, and
//! compares the server's memory; then holds them until its input ends.

use crate::args::Args;
use crate::conn::{Conn, SCRATCH};
use crate::message::Message;
use crate::net::{Poller, Target, Watch};
use crate::process::{resident, Cpu};
use crate::tls;
use std::io::{self, Read};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a connection may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Options: `--conns`, `--warm`, `--settle` (ms before memory is read), `--window`
/// (ms in which idle CPU time is counted), `--pid`, an address, and those of the
/// message.
pub fn run(args: &Args) -> io::Result<()> {
    let pid = args.number("pid", 0)?;
    let count: usize = args.number("conns", 5_000)?;
    let settle = args.millis("settle", 1_000)?;
    let window = args.millis("window", 1_000)?;
    let message = Message::from_args(args)?;
    let target = Target::from_args(args)?;
    let tls = tls::config(args)?;

    let mut open = Vec::new();
    for index in 0..args.number("warm", 0)? {
        open.push(greet(&target, tls.as_ref(), index, &message)?);
    }
    sleep(settle);
    let (before, _) = resident(pid)?;

    for index in open.len()..open.len() + count {
        open.push(greet(&target, tls.as_ref(), index, &message)?);
    }
    sleep(settle);
    let (after, peak) = resident(pid)?;

    let cpu = Cpu::of(pid)?;
    sleep(window);
    let idle = Cpu::of(pid)?.process - cpu.process;

    println!(
        "{{\"messages\":{count},\"bytes\":{:.0},\"peakBytes\":{:.0},\"idleCpu\":{:.0}}}",
        (after - before) / count as f64,
        (peak - before) / count as f64,
        idle / window.as_secs_f64(),
    );
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Opens a connection and waits for the echo of one message.
fn greet(
    target: &Target,
    tls: Option<&tls::Config>,
    index: usize,
    message: &Message,
) -> io::Result<Conn> {
    let mut conn = Conn::open(target, tls, message.request, index)?;
    conn.queue(message.frame.len() as u64);
    conn.flush(&message.frame)?;
    let mut poller = Poller::new()?;
    poller.add(&conn, 0, Watch::Input)?;
    let start = Instant::now();
    let mut scratch = vec![0; SCRATCH];
    while conn.read(&mut scratch)? == 0 {
        if start.elapsed() > PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
        poller.wait(PATIENCE)?;
    }
    Ok(conn)
}
