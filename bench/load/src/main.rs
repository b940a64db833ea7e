//! Load generator of the benchmark: one thread, one epoll instance, frames
//! built before the clock starts.
//!
//! `bench/measure.js` calls it as `oxws-load <mode> --name value ...` and reads
//! JSON lines from its output. It knows nothing of the implementations that it
//! measures: only an address and, for CPU and memory, a process id.

mod args;
mod conn;
mod frame;
mod handshake;
mod histogram;
mod message;
mod meter;
mod modes;
mod net;
mod process;
mod tls;

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();

    let result = args::Args::parse(words).and_then(|args| match mode.as_str() {
        "echo" => modes::echo::run(&args),
        "ingest" => modes::ingest::run(&args),
        "broadcast" => modes::broadcast::run(&args),
        "connect" => modes::connect::run(&args),
        "idle" => modes::idle::run(&args),
        "serve" => modes::serve::run(&args),
        "floor" => modes::floor::run(&args),
        "cert" => tls::write_certificate(&args),
        _ => Err(io::Error::other(
            "modes: echo ingest broadcast connect idle serve floor cert",
        )),
    });

    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oxws-load {mode}: {error}");
            ExitCode::FAILURE
        }
    }
}
