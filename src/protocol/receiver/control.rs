//! Control frames (RFC 6455, section 5.5).
//!
//! A part of the receiver, which calls it for their payloads.

use super::Receiver;
use crate::protocol::close::{is_valid_close_code, NO_STATUS};
use crate::protocol::error::ProtocolError;
use crate::protocol::event::{store, Event, Sink};
use crate::protocol::frame::{Opcode, MAX_CONTROL_PAYLOAD};
use crate::protocol::mask::{append_masked, copy_masked};
use crate::protocol::utf8::is_valid;

impl Receiver {
    /// A piece of a control frame's payload.
    pub(super) fn control<S: Sink>(
        &mut self,
        piece: &[u8],
        complete: bool,
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        let mut room = [0; MAX_CONTROL_PAYLOAD];
        let frame = &self.frame;

        let data = if complete && frame.taken == 0 {
            let room = &mut room[..piece.len()];
            copy_masked(room, piece, frame.key, 0);
            room
        } else {
            let partial = &mut self.parts.get_or_insert_default().partial;
            append_masked(partial, piece, frame.key, frame.phase());

            if !complete {
                return Ok(());
            }

            let partial = std::mem::take(partial);
            let room = &mut room[..partial.len()];
            room.copy_from_slice(&partial);
            room
        };

        match frame.opcode {
            Opcode::Ping => {
                let payload = store(data, sink);
                sink.event(Event::Ping(payload));
            }
            Opcode::Pong => {
                let payload = store(data, sink);
                sink.event(Event::Pong(payload));
            }
            _ => self.close(data, sink)?,
        }

        Ok(())
    }

    /// A close frame (RFC 6455, section 5.5.1).
    fn close<S: Sink>(&mut self, data: &[u8], sink: &mut S) -> Result<(), ProtocolError> {
        let (code, reason) = match data {
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
            _ => (NO_STATUS, data),
        };

        if !data.is_empty() {
            if !is_valid_close_code(code) {
                return Err(ProtocolError::InvalidCloseCode(code));
            }
            if !self.config.skip_utf8_validation && !is_valid(reason) {
                return Err(ProtocolError::InvalidUtf8);
            }
        }

        self.finish();
        let reason = store(reason, sink);
        sink.event(Event::Close { code, reason });
        Ok(())
    }
}
