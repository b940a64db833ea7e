//! Listeners, and the connections that they have accepted and nobody has let in
//! yet.
//!
//! Polled by the home in its turns, and asked by it for connections. What is
//! answered to a request is not known here.

use std::collections::HashMap;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;

use tokio::io::unix::AsyncFd;

use super::inbox::Inbox;
use super::listener::Listener;
use super::ready::ReadyQueue;
use super::waiting::{hand_over, State, Waiting};
use crate::protocol::upgrade::MAX_PLAIN_HEAD;

/// The listeners and waiting connections of a home, by ids that they share with
/// its connections.
#[derive(Default)]
pub struct Lobby {
    listeners: HashMap<u32, Listener>,
    waiting: HashMap<u32, Waiting>,
}

/// What a poll has to do with the home's ids.
pub struct Ids<'a> {
    /// Gives one that is free.
    pub vacant: &'a mut dyn FnMut() -> u32,
    /// In which iteration of the caller's loop this is.
    pub iteration: u32,
    /// Where it queues when it is ready.
    pub queue: &'a Arc<ReadyQueue>,
}

impl Lobby {
    /// Takes in a listening socket that is registered for reading, a duplicate
    /// of `origin`.
    pub fn listen(
        &mut self,
        id: u32,
        socket: AsyncFd<OwnedFd>,
        origin: RawFd,
        queue: &Arc<ReadyQueue>,
    ) {
        let listener = Listener::new(socket, origin, id, queue);
        self.listeners.insert(id, listener);
    }

    /// Lets a listener go. Gives the descriptor it is a duplicate of.
    pub fn unlisten(&mut self, id: u32) -> Option<RawFd> {
        Some(self.listeners.remove(&id)?.origin)
    }

    /// The connections of a listener whose request has not been seen.
    fn unseen(&self, listener: u32) -> impl Iterator<Item = (u32, State)> + '_ {
        self.waiting
            .iter()
            .filter(move |(_, waiting)| {
                waiting.listener == listener && waiting.state != State::Requested
            })
            .map(|(id, waiting)| (*id, waiting.state))
    }

    /// Whether there are any.
    pub fn is_awaiting(&self) -> bool {
        let mut waiting = self.waiting.values();
        waiting.any(|waiting| waiting.state != State::Requested)
    }

    /// How many connections of a listener have sent nothing yet.
    pub fn count(&self, listener: u32) -> usize {
        self.unseen(listener).count()
    }

    /// The ids of all of them.
    pub fn all(&self, listener: u32) -> Vec<u32> {
        self.unseen(listener).map(|(id, _)| id).collect()
    }

    /// The ids of those that had sent nothing when this was last asked.
    pub fn silent(&mut self, listener: u32) -> Vec<u32> {
        let (old, new): (Vec<_>, Vec<_>) = self
            .unseen(listener)
            .partition(|(_, state)| *state == State::Silent);
        for (id, _) in new {
            if let Some(waiting) = self.waiting.get_mut(&id) {
                waiting.state = State::Silent;
            }
        }
        old.into_iter().map(|(id, _)| id).collect()
    }

    /// Takes a connection out whose request was reported.
    pub fn take_requested(&mut self, id: u32) -> Option<Waiting> {
        let waiting = self.waiting.get(&id)?;
        if waiting.state != State::Requested {
            return None;
        }
        self.waiting.remove(&id)
    }

    /// Takes a connection out, whatever it has sent.
    pub fn take(&mut self, id: u32) -> Option<Waiting> {
        self.waiting.remove(&id)
    }

    /// Lets everything go; to be called in the runtime's context.
    pub fn clear(&mut self) {
        self.listeners.clear();
        self.waiting.clear();
    }

    /// Does what `id` can do now, if it is known here; registers the waker for
    /// the rest. To be called in the runtime's context. Returns whether the id
    /// is free now.
    pub fn poll(
        &mut self,
        id: u32,
        ids: Ids<'_>,
        buffer: &mut [u8],
        inbox: &mut Inbox<'_>,
    ) -> bool {
        let buffer = buffer.get_mut(..MAX_PLAIN_HEAD).unwrap_or_default();
        if let Some(listener) = self.listeners.get_mut(&id) {
            listener.poll(id, ids, &mut self.waiting, inbox);
            return false;
        }
        let Some(waiting) = self.waiting.get_mut(&id) else {
            return false;
        };
        if inbox.is_full_of_heads() {
            waiting.waker.wake_by_ref();
            return false;
        }
        let is_other = waiting.poll(id, ids.iteration, buffer, inbox);
        if !is_other {
            return false;
        }
        if let Some(waiting) = self.waiting.remove(&id) {
            let listener = waiting.listener;
            hand_over(waiting.socket.into_inner(), listener, inbox);
        }
        is_other
    }
}

#[cfg(test)]
mod tests;
