//! Frames of compressed messages (RFC 7692), and who decompresses them.
//!
//! A part of the receiver, which calls it for the payloads of such frames.

use super::{Receiver, Stage};
use crate::protocol::error::ProtocolError;
use crate::protocol::event::{store, store_vec, Event, Sink};
use crate::protocol::frame::{Opcode, RSV1};
use crate::protocol::inflate::{Inflater, Progress};
use crate::protocol::mask::append_masked;
use crate::protocol::message::grow;

/// Who decompresses messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inflating {
    /// The receiver.
    Here,
    /// Whoever takes the events.
    Elsewhere,
    /// The latter is to say it.
    Undecided,
    /// The latter has been asked, and has not answered.
    Asked,
}

impl Receiver {
    /// The same receiver, which asks who decompresses when there is something
    /// to decompress ([`Event::WhoInflates`]): as late as that can be changed
    /// without anyone missing the window so far.
    pub fn asking(mut self) -> Self {
        if self.config.inflate.is_some() {
            self.inflating = Inflating::Undecided;
        }
        self
    }

    /// The answer: whether messages are to be decompressed here. Otherwise
    /// their frames are delivered as they are.
    pub fn decide_inflating(&mut self, here: bool) {
        if self.is_asking() {
            self.inflating = if here {
                Inflating::Here
            } else {
                Inflating::Elsewhere
            };
        }
    }

    /// Whether messages may come compressed.
    pub fn has_deflate(&self) -> bool {
        self.config.inflate.is_some()
    }

    /// Whether it waits for the answer who decompresses.
    pub fn is_asking(&self) -> bool {
        self.inflating == Inflating::Asked
    }

    /// Whether there is more to decompress of a frame that has been received; see
    /// [`is_held`](Self::is_held).
    pub fn is_inflating(&self) -> bool {
        self.stage == Stage::Inflate
    }

    /// Whether a compressed frame begins with `rest` and it is to be asked who
    /// decompresses. That is done before anything of the frame is taken, so
    /// there always is a rest to resume with.
    #[inline]
    pub(super) fn must_ask(&self, rest: &[u8]) -> bool {
        self.inflating == Inflating::Undecided
            && self.held_len == 0
            && rest.first().is_some_and(|byte| byte & RSV1 != 0)
    }

    /// A piece of a compressed data frame's payload. It is decompressed, or
    /// delivered for that, when the frame is complete.
    pub(super) fn compressed<S: Sink>(
        &mut self,
        piece: &[u8],
        complete: bool,
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        let Some(partial) = self.gather(piece, complete) else {
            return Ok(());
        };

        self.count_frame()?;

        if self.inflating == Inflating::Elsewhere {
            let payload = match partial {
                Some(data) => store_vec(data, sink),
                None => store(piece, sink),
            };
            sink.event(Event::Compressed {
                payload,
                fin: self.frame.fin,
                binary: self.opcode() == Opcode::Binary,
            });
            self.end_of_part();
            return Ok(());
        }

        match self.inflate(partial.as_deref().unwrap_or(piece), sink) {
            // Of no bytes next to nothing comes.
            Ok((Progress::At(used), _)) if !piece.is_empty() => {
                self.inflate_later(partial.unwrap_or_else(|| piece.to_vec()), used);
                Ok(())
            }
            result => self.inflated(result.map(|(_, len)| len), sink),
        }
    }

    /// Takes note that a frame's payload has been decompressed, or could not be.
    fn inflated<S: Sink>(
        &mut self,
        result: Result<usize, ProtocolError>,
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        sink.event(Event::Inflated(result.as_ref().copied().unwrap_or(0)));
        result?;
        self.end_of_data_frame(sink)
    }

    /// Keeps a frame's payload, of which `inflated` bytes have been decompressed.
    fn inflate_later(&mut self, payload: Vec<u8>, inflated: usize) {
        let parts = self.parts.get_or_insert_default();
        parts.partial = payload;
        parts.inflated = inflated;
        self.stage = Stage::Inflate;
    }

    /// Goes on decompressing the payload of a frame; true when that completes it.
    pub(super) fn inflate_on<S: Sink>(&mut self, sink: &mut S) -> Result<bool, ProtocolError> {
        let parts = self.parts.get_or_insert_default();
        let data = std::mem::take(&mut parts.partial);
        let start = std::mem::take(&mut parts.inflated);

        match self.inflate(&data[start..], sink) {
            Ok((Progress::At(used), _)) => {
                self.inflate_later(data, start + used);
                Ok(false)
            }
            result => {
                self.inflated(result.map(|(_, len)| len), sink)?;
                self.end_of_frame();
                Ok(true)
            }
        }
    }

    /// Decompresses a frame's payload, or what is left of it, to the current
    /// message, as much of it as is its share, and tells how many bytes that gave.
    fn inflate<S: Sink>(
        &mut self,
        data: &[u8],
        sink: &mut S,
    ) -> Result<(Progress, usize), ProtocolError> {
        let Some(config) = self.config.inflate else {
            return Err(ProtocolError::UnexpectedRsv1);
        };
        let text = self.checks_text();
        let parts = self.parts.get_or_insert_default();
        let inflater = parts.inflater.get_or_insert_with(|| {
            let inflater = Inflater::new(config.window_bits, config.no_context_takeover);
            Box::new(inflater)
        });
        let message = &mut parts.message;
        let start = message.data.len();

        let progress = inflater.decompress(
            data,
            self.frame.fin,
            self.config.max_payload,
            sink.share(),
            &mut message.data,
        )?;

        let len = message.data.len() - start;
        sink.spend(len);
        if text {
            message.check_text();
        }

        Ok((progress, len))
    }

    /// Collects the pieces of a payload that is needed as a whole. `None` while
    /// it is not complete; the inner `None` when `piece` is the payload.
    fn gather(&mut self, piece: &[u8], complete: bool) -> Option<Option<Vec<u8>>> {
        let frame = &self.frame;

        if complete && frame.taken == 0 && frame.key == [0; 4] {
            return Some(None);
        }

        let partial = &mut self.parts.get_or_insert_default().partial;
        grow(partial, piece.len(), frame.left());
        append_masked(partial, piece, frame.key, frame.phase());
        complete.then(|| Some(std::mem::take(partial)))
    }
}
