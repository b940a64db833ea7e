//! A message in the making: what has arrived of it so far.
//!
//! Called by the receiver for everything that is not delivered in one piece.
//! Knows nothing of headers and limits. Memory grows with what has arrived: on
//! the word of a header alone there is 64 KiB of it at the most.

use super::event::Room;
use super::mask::{append_masked, apply_mask, copy_masked};
use super::utf8::Utf8Validator;

/// What may be reserved on the word of a header alone: 64 KiB, less what the
/// message takes beside its content.
const FIRST_RESERVE: usize = 63 * 1024;
/// Pieces are checked as text this many bytes at a time, while they are still
/// in the first-level cache from being unmasked.
const STEP: usize = 8 * 1024;

/// Makes room for `len` more bytes in `data`, of `expected` (at least `len`)
/// that are announced.
pub(super) fn grow(data: &mut Vec<u8>, len: usize, expected: u64) {
    if data.capacity() - data.len() >= len {
        return;
    }

    let expected = usize::try_from(expected).unwrap_or(usize::MAX);
    let room = data.len().max(FIRST_RESERVE).max(len).min(expected);

    data.reserve_exact(room.max(len));
}

/// The payloads of a message's frames, joined.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    pub data: Vec<u8>,
    /// The sink's memory for the payload of the only frame, in place of `data`.
    room: Option<Box<dyn Room>>,
    /// Lengths of the frames' payloads, without the empty ones.
    fragments: Vec<u32>,
    /// Where the current fragment begins in `data`.
    start: usize,
    /// Says in the end whether the message is text; fed only when asked to.
    utf8: Utf8Validator,
    /// How much of `data` was [checked](Self::check_text).
    checked: usize,
}

/// A finished message.
pub(super) struct Whole {
    pub data: Vec<u8>,
    /// Where the payload is instead, if the sink gave memory for it.
    pub room: Option<Box<dyn Room>>,
    pub fragments: Vec<u32>,
    pub valid_utf8: bool,
}

impl Assembly {
    /// Adds a piece of a frame's payload, unmasked on the way. Of that frame
    /// `taken` bytes have been added before, and `left` are still to come, this
    /// piece included.
    pub fn append(&mut self, piece: &[u8], key: [u8; 4], taken: u64, left: u64, text: bool) {
        // Where in the key: that of a piece is where its first step is, since
        // steps are multiples of the key's length.
        let phase = (taken & 3) as usize;

        if let Some(room) = &mut self.room {
            let rest = &mut room.as_mut().as_mut()[taken as usize..];

            for (to, from) in rest.chunks_mut(STEP).zip(piece.chunks(STEP)) {
                let to = &mut to[..from.len()];
                copy_masked(to, from, key, phase);

                if text {
                    self.utf8.feed(to);
                }
            }
            return;
        }

        // As much again as the frames before this one have brought may follow it.
        grow(&mut self.data, piece.len(), left.max(self.start as u64));

        for step in piece.chunks(STEP) {
            let start = self.data.len();
            append_masked(&mut self.data, step, key, phase);

            if text {
                self.utf8.feed(&self.data[start..]);
            }
        }
    }

    /// Moves the message, of which this is the only frame, to `room`.
    pub fn move_to(&mut self, mut room: Box<dyn Room>) {
        let data = std::mem::take(&mut self.data);
        room.as_mut().as_mut()[..data.len()].copy_from_slice(&data);
        self.room = Some(room);
    }

    /// The part of the sink's memory that is still to be filled, if there is
    /// such memory and `taken` bytes of it have been filled.
    pub fn rest(&mut self, taken: u64) -> Option<&mut [u8]> {
        let room = self.room.as_mut()?;
        Some(&mut room.as_mut().as_mut()[taken as usize..])
    }

    /// Takes note that the first `len` bytes of the [`rest`](Self::rest) have
    /// been filled, and unmasks them.
    pub fn filled(&mut self, len: usize, key: [u8; 4], taken: u64, text: bool) {
        let Some(room) = &mut self.room else {
            return;
        };
        let rest = &mut room.as_mut().as_mut()[taken as usize..];

        if key == [0; 4] && !text {
            return;
        }

        for step in rest[..len].chunks_mut(STEP) {
            apply_mask(step, key, (taken & 3) as usize);

            if text {
                self.utf8.feed(step);
            }
        }
    }

    /// Checks as text what was added to `data` directly, of a message that has
    /// nothing else.
    pub fn check_text(&mut self) {
        self.utf8.feed(&self.data[self.checked..]);
        self.checked = self.data.len();
    }

    /// Marks the end of a frame.
    pub fn end_fragment(&mut self) {
        let mut len = self.data.len() - self.start;
        self.start = self.data.len();

        // A fragment beyond 4 GiB is listed in parts.
        while len > 0 {
            let part = u32::try_from(len).unwrap_or(u32::MAX);
            self.fragments.push(part);
            len -= part as usize;
        }
    }

    /// Takes the message out, leaving nothing behind.
    pub fn finish(&mut self) -> Whole {
        self.start = 0;
        self.checked = 0;

        Whole {
            data: std::mem::take(&mut self.data),
            room: self.room.take(),
            fragments: std::mem::take(&mut self.fragments),
            valid_utf8: self.utf8.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserves_no_more_than_the_first_64_kib_on_a_promise() {
        let mut data = Vec::new();
        grow(&mut data, 1, 100 << 20);
        assert!(data.capacity() <= FIRST_RESERVE);
    }

    #[test]
    fn reserves_exactly_what_a_small_frame_announces() {
        let mut data = Vec::new();
        grow(&mut data, 1, 1000);
        assert_eq!(data.capacity(), 1000);
    }

    #[test]
    fn grows_geometrically_and_ends_exactly() {
        let total = 1_000_000_usize;
        let piece = [0_u8; 1000];
        let mut data = Vec::new();
        let mut growths = 0;

        while data.len() < total {
            let before = data.capacity();
            let left = (total - data.len()) as u64;
            grow(&mut data, piece.len(), left);
            growths += usize::from(data.capacity() != before);
            data.extend_from_slice(&piece);
            assert!(data.capacity() <= FIRST_RESERVE.max(2 * data.len()));
        }

        assert_eq!(data.capacity(), total);
        assert!(growths < 8, "{growths}");
    }

    #[test]
    fn grows_geometrically_over_many_fragments() {
        let mut message = Assembly::default();
        let mut growths = 0;

        for _ in 0..10_000 {
            let before = message.data.capacity();
            message.append(&[0; 100], [0; 4], 0, 100, false);
            message.end_fragment();
            growths += usize::from(message.data.capacity() != before);
            assert!(message.data.capacity() <= 2 * message.data.len());
        }

        assert!(growths < 16, "{growths}");
    }

    #[test]
    fn lists_the_fragments_that_are_not_empty() {
        let mut message = Assembly::default();

        for text in ["", "ab", "", "cde"] {
            message.append(text.as_bytes(), [0; 4], 0, text.len() as u64, true);
            message.end_fragment();
        }

        let whole = message.finish();
        assert_eq!(whole.data, b"abcde");
        assert_eq!(whole.fragments, [2, 3]);
        assert!(whole.valid_utf8);
        assert!(message.data.is_empty() && message.data.capacity() == 0);
    }

    #[test]
    fn a_character_may_be_cut_by_fragments_and_steps() {
        let text = "é".repeat(STEP);
        let (head, tail) = text.as_bytes().split_at(2 * STEP - 1);
        let mut message = Assembly::default();
        message.append(b"x", [0; 4], 0, 1, true);
        message.append(head, [0; 4], 0, head.len() as u64, true);
        message.append(tail, [0; 4], 0, tail.len() as u64, true);
        assert!(message.finish().valid_utf8);

        message.append(head, [0; 4], 0, head.len() as u64, true);
        assert!(!message.finish().valid_utf8);
    }
}
