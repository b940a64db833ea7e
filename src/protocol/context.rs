//! What a sender remembers of its messages with permessage-deflate's context
//! takeover (RFC 7692, section 7.1.1): the last bytes, so that a compressor that
//! serves many connections can be told of them.
//!
//! Made by the binding, used by the compressor. Knows nothing of how they are
//! compressed.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use super::inflate::supported_window;

/// How much a short message is compared with. Telling a compressor of more takes
/// longer than compressing it.
const NEAR: usize = 8 * 1024;
/// How many times its own length a longer one is compared with: messages that
/// resemble the last ones are found.
const TIMES: usize = 4;

/// Stands for all that has been compressed for a connection so far: no two
/// contexts, and none at two times, have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(NonZeroU64);

impl Mark {
    /// `None` after 2^64 of them, which nobody will see.
    fn new() -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).map(Self)
    }
}

/// The end of what has been compressed for a connection.
#[derive(Debug)]
pub struct Context {
    bytes: Vec<u8>,
    mark: Option<Mark>,
    limit: usize,
    no_takeover: bool,
}

impl Context {
    /// Nothing yet, for a peer with a window of `window_bits` (8 to 15). With
    /// `no_takeover`, messages are forgotten when they are complete.
    pub fn new(window_bits: u8, no_takeover: bool) -> Self {
        Self {
            bytes: Vec::new(),
            mark: None,
            limit: 1 << supported_window(window_bits),
            no_takeover,
        }
    }

    /// What the next `len` bytes are to be compared with.
    pub fn before(&self, len: usize) -> &[u8] {
        let enough = len.saturating_mul(TIMES).max(NEAR);
        &self.bytes[self.bytes.len().saturating_sub(enough)..]
    }

    /// Stands for what has been compressed so far; `None` if that is nothing.
    pub fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// Takes note of a fragment that has been compressed; `fin` says that it is
    /// the last one of its message.
    pub fn add(&mut self, data: &[u8], fin: bool) {
        if fin && self.no_takeover {
            self.clear();
            return;
        }

        let new = &data[data.len().saturating_sub(self.limit)..];
        let kept = self.bytes.len().min(self.limit - new.len());
        self.bytes.drain(..self.bytes.len() - kept);

        let needed = kept + new.len();
        if needed > self.bytes.capacity() {
            let capacity = (2 * self.bytes.capacity()).clamp(needed, self.limit);
            self.bytes.reserve_exact(capacity - kept);
        }
        self.bytes.extend_from_slice(new);
        if !new.is_empty() {
            self.mark = Mark::new();
        }
    }

    /// Forgets all, and frees the memory.
    pub fn clear(&mut self) {
        self.bytes = Vec::new();
        self.mark = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_end_of_what_was_added() {
        let mut context = Context::new(9, false);
        let mut all = Vec::new();
        for len in [0, 1, 100, 411, 1, 512, 3, 600, 0, 511] {
            let data: Vec<u8> = (0..len).map(|i| (i + all.len()) as u8).collect();
            context.add(&data, len % 2 == 0);
            all.extend_from_slice(&data);
            assert_eq!(context.before(1), &all[all.len().saturating_sub(512)..]);
            assert!(context.bytes.capacity() <= 512);
        }
        context.clear();
        assert!(context.before(1).is_empty());
    }

    #[test]
    fn a_short_message_is_compared_with_less_than_a_long_one() {
        let mut context = Context::new(15, false);
        context.add(&[0; 40_000], true);
        assert_eq!(context.before(10).len(), NEAR);
        assert_eq!(context.before(4000).len(), 16_000);
        assert_eq!(context.before(usize::MAX).len(), 32_768);
    }

    #[test]
    fn without_takeover_it_lasts_until_the_end_of_a_message() {
        let mut context = Context::new(15, true);
        context.add(b"begin", false);
        assert_eq!(context.before(1), b"begin");
        context.add(b"end", true);
        assert!(context.before(1).is_empty());
        assert_eq!(context.bytes.capacity(), 0);
    }
}
