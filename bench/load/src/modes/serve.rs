//! Mode `serve`: the peer of a client under test. Accepts one connection and
//! sends frames flat out (`--send 1`), or counts those the client sends.
//!
//! The process id to watch comes with the request (`GET /?pid=123`): the client
//! starts after this process and knows its own.

use crate::args::Args;
use crate::conn::SCRATCH;
use crate::frame::{self, Counter};
use crate::handshake;
use crate::meter::Meter;
use crate::net;
use rustix::fs::{memfd_create, sendfile, MemfdFlags};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// Bytes handed to the kernel in one call.
const RUN: usize = 64 * 1024;

/// A client that stands still for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Options: `--send`, `--size`, and those of the meter. Prints the port first.
pub fn run(args: &Args) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{{\"port\":{}}}", listener.local_addr()?.port());
    let (mut stream, _) = listener.accept()?;
    net::set_up(&stream)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (head, rest) = handshake::read_head(&mut stream)?;
    stream.write_all(&handshake::response(&head)?)?;

    let mut meter = Meter::new(args)?;
    meter.watch(client_pid(&head));
    if args.flag("send") {
        let payload = frame::payload(args.number("size", 128)?, false);
        send(stream, &payload, &mut meter)
    } else {
        sink(stream, &rest, &mut meter)
    }
}

/// The number after `pid=` in the request line, or 0.
fn client_pid(head: &[u8]) -> u32 {
    let head = String::from_utf8_lossy(head);
    let line = head.lines().next().unwrap_or_default();
    line.split_once("pid=")
        .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

/// Sends frames as fast as the client takes them. What lies in the sockets'
/// buffers counts as received; they are full when the window begins and when it
/// ends, so that it cancels out.
///
/// The frames are in a file in memory, so the kernel need not copy them: that
/// would take as long as the client does.
fn send(stream: TcpStream, payload: &[u8], meter: &mut Meter) -> io::Result<()> {
    let single = frame::build(frame::BINARY, payload, false);
    let frames = frame::repeat(&single, RUN);
    let mut file = File::from(memfd_create("frames", MemfdFlags::CLOEXEC)?);
    file.write_all(&frames)?;
    let mut bytes = 0;
    let mut position = 0;
    while !meter.is_over()? {
        let count = sendfile(&stream, &file, Some(&mut position), RUN)?;
        if position >= frames.len() as u64 {
            position = 0;
        }
        bytes += count as u64;
        meter.messages = bytes / single.len() as u64;
    }
    Ok(())
}

/// Counts what the client sends.
fn sink(mut stream: TcpStream, rest: &[u8], meter: &mut Meter) -> io::Result<()> {
    let mut counter = Counter::default();
    let mut scratch = vec![0; SCRATCH];
    meter.messages += counter.feed(rest);
    while !meter.is_over()? {
        let count = stream.read(&mut scratch)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        meter.messages += counter.feed(&scratch[..count]);
    }
    Ok(())
}
