//! The short way for plain messages that are whole in their chunk.
//!
//! A part of the receiver, which tries it between two messages.

use super::{Receiver, Stage};
use crate::protocol::error::ProtocolError;
use crate::protocol::event::Sink;
use crate::protocol::mask::{apply_mask, copy_masked};
use crate::protocol::plain::{Found, Plain};
use crate::protocol::utf8::is_valid;

impl Receiver {
    /// What is a plain message now.
    fn next_plain(&self) -> Option<Plain> {
        let between = self.stage == Stage::Start && self.held_len == 0;
        (between && self.message_opcode.is_none())
            .then(|| Plain::new(self.config.is_server, self.config.max_payload))
    }

    /// Takes the plain messages that are next in the chunk. The outcome is that
    /// of [`advance`](Self::advance), which gets all else; but here it takes few
    /// steps.
    pub(super) fn plain_messages<S: Sink>(
        &mut self,
        chunk: &[u8],
        at: &mut usize,
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        let Some(plain) = self.next_plain() else {
            return Ok(());
        };

        while !sink.is_full() {
            let rest = &chunk[*at..];
            let Some(found) = plain.find(rest) else {
                break;
            };
            let payload = &rest[found.start..found.end];
            let Some(room) = sink.reserve(payload.len()) else {
                break;
            };
            copy_masked(room, payload, found.key, 0);
            self.check_text(&found, room)?;
            *at += found.end;
            self.chunks = 0;
            sink.event(found.event());
        }

        Ok(())
    }

    /// Decodes a chunk of `len` bytes that was received into the sink's
    /// [tail](Sink::tail), as far as it begins with plain messages, which stay
    /// where they are. Returns how much that was; the rest, which is still in
    /// the tail, is to be decoded elsewhere: by [`feed`](Self::feed) if it is
    /// all, else by [`resume`](Self::resume).
    pub fn feed_within<S: Sink>(&mut self, len: usize, sink: &mut S) -> usize {
        let mut at = 0;
        let Some(plain) = self.next_plain().filter(|_| !self.is_asking()) else {
            return 0;
        };

        while !sink.is_full() {
            let rest = sink.tail().get_mut(..len - at).unwrap_or_default();
            let Some(found) = plain.find(rest) else {
                break;
            };
            let payload = &mut rest[found.start..found.end];
            apply_mask(payload, found.key, 0);
            if let Err(error) = self.check_text(&found, payload) {
                self.fail(error, sink);
                return len;
            }
            at += found.end;
            self.chunks = 0;
            sink.pass(found.start);
            sink.event(found.event());
        }

        at
    }

    fn check_text(&self, found: &Found, payload: &[u8]) -> Result<(), ProtocolError> {
        if found.text && !self.config.skip_utf8_validation && !is_valid(payload) {
            return Err(ProtocolError::InvalidUtf8);
        }
        Ok(())
    }
}
