//! A listening socket, which is also somebody else's.
//!
//! Polled by the lobby. Accepts connections.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;
use rustix::net::sockopt::{set_tcp_nodelay, socket_domain};
use rustix::net::{accept_with, AddressFamily, SocketFlags};
use tokio::io::unix::AsyncFd;

use super::driver::errno;
use super::inbox::{Inbox, RowKind};
use super::lobby::Ids;
use super::ready::{waker, ReadyQueue};
use super::waiting::Waiting;

/// Connections that one listener accepts in one turn at the most.
pub(super) const ACCEPTS: usize = 64;

/// A listening socket.
pub struct Listener {
    socket: AsyncFd<OwnedFd>,
    /// The descriptor of which `socket` is a duplicate.
    pub origin: RawFd,
    /// Whether accepted sockets know of TCP_NODELAY.
    is_tcp: bool,
    failed: bool,
    waker: Waker,
}

impl Listener {
    /// Takes a listening socket that is registered for reading, a duplicate of
    /// `origin`; `id` is its id in `queue`.
    pub fn new(socket: AsyncFd<OwnedFd>, origin: RawFd, id: u32, queue: &Arc<ReadyQueue>) -> Self {
        let waker = waker(id, queue);
        let domain = socket_domain(socket.get_ref()).ok();
        let mut cx = Context::from_waker(&waker);
        if socket.poll_read_ready(&mut cx).is_ready() {
            waker.wake_by_ref();
        }
        Self {
            is_tcp: matches!(domain, Some(AddressFamily::INET | AddressFamily::INET6)),
            socket,
            origin,
            failed: false,
            waker,
        }
    }

    /// Accepts what waits, and adds to `waiting` what is to be looked at again.
    /// To be called in the runtime's context.
    pub fn poll(
        &mut self,
        id: u32,
        mut ids: Ids<'_>,
        waiting: &mut HashMap<u32, Waiting>,
        inbox: &mut Inbox<'_>,
    ) {
        if self.failed {
            return;
        }
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let mut cx = Context::from_waker(&self.waker);
        for _ in 0..ACCEPTS {
            if inbox.is_full_of_heads() {
                break;
            }
            let accepted = match self.socket.poll_read_ready(&mut cx) {
                Poll::Pending => return,
                Poll::Ready(Err(error)) => Err(error),
                Poll::Ready(Ok(mut guard)) => {
                    match accept_with(guard.get_inner(), flags).map_err(io::Error::from) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            guard.clear_ready();
                            continue;
                        }
                        accepted => accepted,
                    }
                }
            };
            match accepted {
                Ok(socket) => {
                    if self.is_tcp {
                        // Small frames are not to wait until others are
                        // acknowledged. Without it the connection works, only
                        // slower.
                        let _ = set_tcp_nodelay(&socket, true);
                    }
                    waiting.extend(Waiting::greet(socket, id, &mut ids));
                }
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    self.failed = true;
                    inbox.begin(id);
                    let errno = errno(&error).unsigned_abs() as usize;
                    inbox.row(RowKind::ListenerFailed, 0, 0, errno);
                    return;
                }
            }
        }
        self.waker.wake_by_ref();
    }
}

/// Whether a failure to accept is of the connection that was to be accepted,
/// and not of the listener.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::CONNABORTED | Errno::INTR | Errno::PROTO | Errno::NETDOWN)
            | Some(Errno::HOSTDOWN | Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::NOPROTOOPT)
    )
}
