//! The native listener, as `lib/` drives it: accepts on a duplicate of a
//! listening socket that Node has, and gives back what is not for it.
//!
//! The socket stays Node's. Its handle is not told that libuv does not watch it
//! meanwhile, so giving it back is to have it watched again. (It is taken in
//! `engine.rs`, where descriptors of JavaScript are borrowed.)

use std::os::fd::{IntoRawFd, OwnedFd};

use napi::bindgen_prelude::Result;
use napi_derive::napi;

use super::engine::{backend, Engine};

#[napi]
impl Engine {
    /// Accepts no more. With `give_back`, the event loop does again; the handle
    /// must not have been closed. Returns the descriptors, now JavaScript's, of
    /// the connections whose request has not been seen.
    #[napi]
    pub fn unlisten(&self, id: u32, give_back: bool) -> Result<Vec<i32>> {
        let backend = backend(&self.env)?;
        let Some((fd, waiting)) = self.nest.home.borrow_mut().unlisten(id) else {
            return Ok(Vec::new());
        };
        if give_back {
            // It fails if the handle was closed, and then there is nothing to
            // be watched.
            let _ = backend.watch(fd);
        }
        Ok(into_raw(waiting))
    }

    /// Gives the connection of an "upgrade" row, of which the request's head
    /// has been read. Returns its descriptor, now JavaScript's, or -1.
    #[napi]
    pub fn hand_over(&self, id: u32) -> i32 {
        let fd = self.nest.home.borrow_mut().hand_over(id);
        fd.map_or(-1, IntoRawFd::into_raw_fd)
    }

    /// Duplicates the descriptor of a connection. Returns the duplicate, or -1.
    #[napi]
    pub fn duplicate(&self, id: u32) -> i32 {
        let fd = self.nest.home.borrow().duplicate(id);
        fd.map_or(-1, IntoRawFd::into_raw_fd)
    }

    /// Takes the descriptor itself out of a connection, which is then only to be
    /// released. Returns it, or -1.
    #[napi]
    pub fn take_descriptor(&self, id: u32) -> i32 {
        let fd = self.nest.home.borrow_mut().take_socket(id);
        fd.map_or(-1, IntoRawFd::into_raw_fd)
    }

    /// How many connections of a listener have not sent their request yet.
    #[napi]
    pub fn waiting(&self, listener: u32) -> u32 {
        self.nest.home.borrow().waiting(listener) as u32
    }

    /// Gives those connections of a listener that were there in the last call
    /// and have sent nothing since: their descriptors, now JavaScript's.
    #[napi]
    pub fn take_silent(&self, listener: u32) -> Vec<i32> {
        into_raw(self.nest.home.borrow_mut().take_silent(listener))
    }
}

fn into_raw(fds: Vec<OwnedFd>) -> Vec<i32> {
    fds.into_iter().map(IntoRawFd::into_raw_fd).collect()
}
