//! The clock of a run: a warm-up that is not counted, then a window in which
//! messages, latencies and the server's CPU time are.

use crate::args::Args;
use crate::histogram::Histogram;
use crate::process::{self, Cpu};
use std::io;
use std::time::{Duration, Instant};

/// Longest sleep while waiting for events: a server that hangs must not hang
/// the benchmark.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Counts what happens in the window.
pub struct Meter {
    /// Messages so far; the caller adds to it.
    pub messages: u64,
    pub latency: Histogram,
    pid: u32,
    window: Duration,
    /// End of the warm-up, later end of the window.
    deadline: Instant,
    start: Option<Start>,
}

/// The state of things when the window began.
struct Start {
    at: Instant,
    messages: u64,
    cpu: Cpu,
    own: f64,
}

impl Meter {
    /// Starts the warm-up. Options: `--warmup` and `--window` in ms, `--pid` of
    /// the process whose CPU time counts.
    pub fn new(args: &Args) -> io::Result<Self> {
        Ok(Self {
            messages: 0,
            latency: Histogram::new(),
            pid: args.number("pid", 0)?,
            window: args.millis("window", 1_000)?,
            deadline: Instant::now() + args.millis("warmup", 300)?,
            start: None,
        })
    }

    /// The process to watch, where it becomes known only with the connection.
    pub fn watch(&mut self, pid: u32) {
        self.pid = pid;
    }

    /// How long to wait for events.
    pub fn timeout(&self) -> Duration {
        self.deadline
            .saturating_duration_since(Instant::now())
            .min(LONGEST_WAIT)
    }

    /// Call it after each batch of events. When the window is over it prints
    /// the result and returns true.
    pub fn is_over(&mut self) -> io::Result<bool> {
        let now = Instant::now();
        if now < self.deadline {
            return Ok(false);
        }
        if let Some(start) = &self.start {
            self.report(start, now)?;
            return Ok(true);
        }
        self.latency.clear();
        self.start = Some(Start {
            messages: self.messages,
            cpu: Cpu::of(self.pid)?,
            own: process::own_time(),
            at: now,
        });
        self.deadline = now + self.window;
        Ok(false)
    }

    fn report(&self, start: &Start, now: Instant) -> io::Result<()> {
        let cpu = Cpu::of(self.pid)?;
        let seconds = (now - start.at).as_secs_f64();
        let micros = |quantile| match self.latency.quantile(quantile) {
            Some(nanos) => format!("{:.2}", nanos / 1_000.0),
            None => "null".to_owned(),
        };
        println!(
            "{{\"messages\":{},\"seconds\":{seconds:.6},\"p50\":{},\"p99\":{},\
             \"cpu\":{:.0},\"mainCpu\":{:.0},\"loadBusy\":{:.3}}}",
            self.messages - start.messages,
            micros(0.5),
            micros(0.99),
            cpu.process - start.cpu.process,
            cpu.main - start.cpu.main,
            (process::own_time() - start.own) / 1e6 / seconds,
        );
        Ok(())
    }
}
