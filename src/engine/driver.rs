//! tokio's I/O driver, as far as a home needs more of it than tokio gives.
//!
//! Called by homes and by what lives in them; the binding needs the numbers of
//! errors, too.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::io::Interest;
use tokio::runtime::Runtime;

/// The number of an error; `EIO` if it is not one of the kernel's.
pub fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(Errno::IO.raw_os_error())
}

/// What a socket that is read is registered for. Reads end early where urgent data
/// was sent (`MSG_OOB`), which is left out, as if nothing followed.
pub const READING: Interest = Interest::READABLE.add(Interest::PRIORITY);

/// Whether a read that got less than it asked for was the last one: not if there may
/// be urgent data. (That cannot be told from the peer's end, which the socket stays
/// ready for, whatever is cleared.)
pub fn is_drained(guard: &AsyncFdReadyGuard<'_, OwnedFd>) -> bool {
    let marked = |socket: &AsyncFd<OwnedFd>| socket.try_io(Interest::PRIORITY, |_| Ok(())).is_ok();
    guard.ready().is_read_closed() || !marked(guard.get_ref())
}

/// Takes note that there is nothing left to read, urgent or not.
pub fn forget_mark(socket: &AsyncFd<OwnedFd>) {
    let nothing = |_: &OwnedFd| io::Result::<()>::Err(io::ErrorKind::WouldBlock.into());
    let _ = socket.try_io(Interest::PRIORITY, nothing);
}

/// Registers a socket with the runtime in whose context this is called.
pub fn register(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: it owns the descriptor, always gives the same one, and keeps it
    // open until it is dropped, after its registration.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest) }?)
}

/// Finds the epoll descriptor of a runtime, which tokio does not hand out: it
/// is the one that watches a socket registered with the runtime for this.
pub fn find_epoll(runtime: &Runtime) -> io::Result<RawFd> {
    use std::os::unix::fs::MetadataExt;

    let _context = runtime.enter();
    let (probe, _peer) = tokio::net::UnixStream::pair()?;
    let fd = probe.as_raw_fd();
    let inode = std::fs::metadata(format!("/proc/self/fd/{fd}"))?.ino();
    for entry in std::fs::read_dir("/proc/self/fdinfo")? {
        let entry = entry?;
        // Another thread may have closed it in the meantime.
        let Ok(info) = std::fs::read_to_string(entry.path()) else {
            continue;
        };
        let epoll = entry.file_name().to_str().and_then(|fd| fd.parse().ok());
        if let Some(epoll) = epoll.filter(|_| watches(&info, fd, inode)) {
            return Ok(epoll);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Whether an epoll descriptor's `fdinfo` lists the descriptor `fd` of `inode`:
/// a number alone could be a closed descriptor's, still watched by a duplicate.
fn watches(fdinfo: &str, fd: RawFd, inode: u64) -> bool {
    fdinfo.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("tfd:")
            && words.next().and_then(|word| word.parse().ok()) == Some(fd)
            && words
                .find_map(|word| word.strip_prefix("ino:"))
                .and_then(|word| u64::from_str_radix(word, 16).ok())
                == Some(inode)
    })
}

/// Takes a descriptor that a row of a test's own home gave away.
#[cfg(test)]
pub(super) fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: tests call this once for a row, and use the number no more.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }
}
