//! What the kernel says about a process: CPU time and resident memory.

use std::fs;
use std::io;

/// CPU time so far, in µs.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    /// All threads.
    pub process: f64,
    /// The thread that runs JavaScript: the one the process began with.
    pub main: f64,
}

impl Cpu {
    /// Reads the CPU time of `pid`, 0 if there is no process to look at.
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut cpu = Self::default();
        if pid == 0 {
            return Ok(cpu);
        }
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let tid = entry?.file_name();
            let tid = tid.to_string_lossy();
            // A thread may end between the listing and the reading.
            let Some(time) = thread_time(pid, &tid) else {
                continue;
            };
            cpu.process += time;
            if tid == pid.to_string() {
                cpu.main = time;
            }
        }
        Ok(cpu)
    }
}

/// CPU time of a thread in µs: run time in ns from schedstat, or clock ticks
/// from stat where the kernel keeps no schedstat.
fn thread_time(pid: u32, tid: &str) -> Option<f64> {
    let task = format!("/proc/{pid}/task/{tid}");
    let time = fs::read_to_string(format!("{task}/schedstat"))
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .unwrap_or(0.0);
    if time > 0.0 {
        return Some(time / 1_000.0);
    }
    let stat = fs::read_to_string(format!("{task}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let ticks: f64 = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks * 10_000.0)
}

/// Resident memory in bytes: now, and at most so far.
pub fn resident(pid: u32) -> io::Result<(f64, f64)> {
    // statm is kept per CPU and may lag by some hundred KiB; smaps_rollup counts.
    let now = field(&format!("/proc/{pid}/smaps_rollup"), "Rss:")
        .or_else(|_| field(&format!("/proc/{pid}/status"), "VmRSS:"))?;
    let peak = field(&format!("/proc/{pid}/status"), "VmHWM:")?;
    Ok((now, peak.max(now)))
}

/// A line `name <n> kB` of a file of /proc, in bytes.
fn field(path: &str, name: &str) -> io::Result<f64> {
    fs::read_to_string(path)?
        .lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .map(|kib: f64| kib * 1024.0)
        .ok_or_else(|| io::Error::other(format!("{path} has no {name}")))
}

/// CPU time of this process in µs.
pub fn own_time() -> f64 {
    Cpu::of(std::process::id()).map_or(0.0, |cpu| cpu.process)
}
