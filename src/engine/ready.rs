//! The queue of connections that are worth polling, and the wakers that fill
//! it.
//!
//! tokio's I/O driver calls a waker for each connection whose descriptor
//! became ready; the home drains the queue once per turn. Nothing here knows
//! what a connection is beyond its id.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Ids of connections to poll in the next turn, each at most once.
#[derive(Debug, Default)]
pub struct ReadyQueue {
    queued: Mutex<Queued>,
}

#[derive(Debug, Default)]
struct Queued {
    ids: Vec<u32>,
    /// Which ids those are, by id: side by side, and not in the wakers, of which
    /// there are many.
    marks: Vec<bool>,
}

impl ReadyQueue {
    fn push(&self, id: u32) {
        let Queued { ids, marks } = &mut *self.lock();
        let index = id as usize;
        if marks.len() <= index {
            marks.resize(index + 1, false);
        }
        if !std::mem::replace(&mut marks[index], true) {
            ids.push(id);
        }
    }

    /// Whether any connection waits for a turn.
    pub fn is_empty(&self) -> bool {
        self.lock().ids.is_empty()
    }

    /// Exchanges the queued ids for the (empty) `scratch`, so that one turn
    /// handles what was ready when it began and no more. From here on a wake
    /// queues them again.
    pub fn take(&self, scratch: &mut Vec<u32>) {
        let Queued { ids, marks } = &mut *self.lock();
        std::mem::swap(ids, scratch);
        for id in scratch.iter() {
            marks[*id as usize] = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queued> {
        // What a panic elsewhere leaves half done is at worst an id too many.
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the waker of one connection does.
#[derive(Debug)]
struct ReadyWaker {
    id: u32,
    queue: Arc<ReadyQueue>,
}

/// A waker that queues `id`.
pub fn waker(id: u32, queue: &Arc<ReadyQueue>) -> Waker {
    let queue = queue.clone();
    Waker::from(Arc::new(ReadyWaker { id, queue }))
}

impl Wake for ReadyWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.queue.push(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_queued_once_until_it_is_taken() {
        let queue = Arc::new(ReadyQueue::default());
        let waker = waker(7, &queue);
        let mut ids = Vec::new();
        for _ in 0..2 {
            waker.wake_by_ref();
            waker.wake_by_ref();
            ids.clear();
            queue.take(&mut ids);
            assert_eq!(ids, [7]);
            assert!(queue.is_empty());
        }
    }
}
