//! The queue of connections that are worth polling, and the wakers that fill
//! it.
//!
//! tokio's I/O driver calls a waker for each connection whose descriptor
//! became ready; the home drains the queue once per turn. Nothing here knows
//! what a connection is beyond its id.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;

/// Ids of connections to poll in the next turn, each at most once.
#[derive(Debug, Default)]
pub struct ReadyQueue {
    ids: Mutex<Vec<u32>>,
}

impl ReadyQueue {
    fn push(&self, id: u32) {
        self.lock().push(id);
    }

    /// Whether any connection waits for a turn.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Exchanges the queued ids for the (empty) `scratch`, so that one turn
    /// handles what was ready when it began and no more.
    pub fn take(&self, scratch: &mut Vec<u32>) {
        std::mem::swap(&mut *self.lock(), scratch);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        // A panic elsewhere cannot leave a vector of integers half changed.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of one connection.
#[derive(Debug)]
pub struct ReadyWaker {
    id: u32,
    queued: AtomicBool,
    queue: Arc<ReadyQueue>,
}

impl ReadyWaker {
    /// A waker that queues `id`.
    pub fn new(id: u32, queue: Arc<ReadyQueue>) -> Arc<Self> {
        Arc::new(Self {
            id,
            queued: AtomicBool::new(false),
            queue,
        })
    }

    /// To be called before the connection is polled: from here on a wake
    /// queues it again.
    pub fn clear(&self) {
        self.queued.store(false, Ordering::Release);
    }
}

impl Wake for ReadyWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.queue.push(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn a_connection_is_queued_once_until_it_is_polled() {
        let queue = Arc::new(ReadyQueue::default());
        let ready = ReadyWaker::new(7, queue.clone());
        let waker = Waker::from(ready.clone());
        waker.wake_by_ref();
        waker.wake_by_ref();
        let mut ids = Vec::new();
        queue.take(&mut ids);
        assert_eq!(ids, [7]);
        waker.wake_by_ref();
        assert!(queue.is_empty(), "not cleared, so not queued again");
        ready.clear();
        waker.wake_by_ref();
        assert!(!queue.is_empty());
    }
}
