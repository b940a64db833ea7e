//! Masking and unmasking of payloads (RFC 6455, section 5.3).
//!
//! Called by the receiver for every masked frame and by whoever writes client
//! frames. Knows nothing of frames: a key, and how many bytes of the payload
//! have gone before (`phase`).
//!
//! The loops work on 32 bytes at a time, spelled as four 64-bit words, which
//! the compiler turns into vector instructions; no `unsafe` is needed for that.
//! Wider vectors than those that every processor of a target has were tried:
//! beyond the first-level cache they gain too little to be chosen at run time.

/// Bytes per round of the wide loop.
const BLOCK: usize = 32;
/// Bytes per word.
const WORD: usize = 8;
/// How much is appended before it is unmasked: small enough to still be in the
/// first-level cache for the second step.
const APPEND_STEP: usize = 8 * 1024;

/// The key as it applies to the byte at `phase`.
#[inline]
fn rotate(key: [u8; 4], phase: usize) -> [u8; 4] {
    let bits = (phase as u32 & 3) * 8;
    u32::from_le_bytes(key).rotate_right(bits).to_le_bytes()
}

/// The key twice over, as a word in memory order.
#[inline]
fn widen(key: [u8; 4]) -> u64 {
    let half = u64::from(u32::from_ne_bytes(key));
    half << 32 | half
}

/// XORs the eight bytes of `lane` with `word`.
#[inline]
fn mask_word(lane: &mut [u8; WORD], word: u64) {
    *lane = (u64::from_ne_bytes(*lane) ^ word).to_ne_bytes();
}

/// Masks or unmasks `data` in place. `phase` is the number of bytes of the
/// payload that came before `data`.
pub fn apply_mask(data: &mut [u8], key: [u8; 4], phase: usize) {
    if key == [0; 4] {
        return;
    }

    let key = rotate(key, phase);
    let word = widen(key);
    let (blocks, rest) = data.as_chunks_mut::<BLOCK>();

    for block in blocks {
        for lane in block.as_chunks_mut().0 {
            mask_word(lane, word);
        }
    }

    // Blocks and words are multiples of the key's length: no rotation between
    // the loops.
    let (words, rest) = rest.as_chunks_mut();

    for lane in words {
        mask_word(lane, word);
    }

    for (index, byte) in rest.iter_mut().enumerate() {
        *byte ^= key[index & 3];
    }
}

/// Copies `src` to `dst`, masking or unmasking on the way, so that the payload
/// is read and written once.
///
/// # Panics
///
/// If the lengths differ.
pub fn copy_masked(dst: &mut [u8], src: &[u8], key: [u8; 4], phase: usize) {
    assert_eq!(dst.len(), src.len(), "source and destination differ");

    if key == [0; 4] {
        dst.copy_from_slice(src);
        return;
    }

    let key = rotate(key, phase);
    let word = widen(key);
    let from = src.as_chunks::<BLOCK>().0;
    let to = dst.as_chunks_mut::<BLOCK>().0;

    for (to, from) in to.iter_mut().zip(from) {
        let lanes = to.as_chunks_mut().0.iter_mut().zip(from.as_chunks().0);

        for (to, from) in lanes {
            *to = *from;
            mask_word(to, word);
        }
    }

    let done = src.len() / BLOCK * BLOCK;

    if done == src.len() {
        return;
    }

    // At least a word, if there is one in the payload.
    let done = done.min(src.len().saturating_sub(WORD));
    copy_words(&mut dst[done..], &src[done..], rotate(key, done));
}

/// Copies and masks less than a block, word by word. What these leave over is
/// done by a word that overlaps the one before it: not by a loop over bytes, the
/// end of which a processor can't predict. (In place that would not be faster.)
#[inline]
fn copy_words(dst: &mut [u8], src: &[u8], key: [u8; 4]) {
    debug_assert!(src.len() < BLOCK, "{} bytes", src.len());
    let end = rotate(key, src.len());

    if let Some(last) = src.last_chunk() {
        let word = widen(key);
        let last = u64::from_ne_bytes(*last) ^ widen(end);
        let words = dst.as_chunks_mut().0.iter_mut().zip(src.as_chunks().0);

        // The compiler unrolls this when it knows that there are few.
        for (to, from) in words.take(BLOCK / WORD - 1) {
            *to = *from;
            mask_word(to, word);
        }

        if let Some(to) = dst.last_chunk_mut() {
            *to = last.to_ne_bytes();
        }
    } else if let (Some(first), Some(last)) = (src.first_chunk(), src.last_chunk()) {
        let first = u32::from_ne_bytes(*first) ^ u32::from_ne_bytes(key);
        let last = u32::from_ne_bytes(*last) ^ u32::from_ne_bytes(end);

        if let Some(to) = dst.first_chunk_mut() {
            *to = first.to_ne_bytes();
        }
        if let Some(to) = dst.last_chunk_mut() {
            *to = last.to_ne_bytes();
        }
    } else {
        for ((to, from), key) in dst.iter_mut().zip(src).zip(key) {
            *to = from ^ key;
        }
    }
}

/// Appends `src` to `out`, unmasked. `out` grows by what it needs and no more
/// than [`Vec::reserve`] thinks fit: reserve first where that matters.
pub fn append_masked(out: &mut Vec<u8>, src: &[u8], key: [u8; 4], phase: usize) {
    if key == [0; 4] {
        out.extend_from_slice(src);
        return;
    }

    let mut phase = phase;

    for piece in src.chunks(APPEND_STEP) {
        let start = out.len();
        out.extend_from_slice(piece);
        apply_mask(&mut out[start..], key, phase);
        phase = phase.wrapping_add(piece.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What masking is, word for word of the RFC.
    fn naive(data: &[u8], key: [u8; 4], phase: usize) -> Vec<u8> {
        data.iter()
            .enumerate()
            .map(|(index, byte)| byte ^ key[(index + phase) % 4])
            .collect()
    }

    fn sample(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 31 + 7) as u8).collect()
    }

    const KEYS: [[u8; 4]; 4] = [
        [0, 0, 0, 0],
        [1, 2, 3, 4],
        [0xff, 0, 0x80, 0x7f],
        [0, 0, 0, 9],
    ];

    #[test]
    fn masks_in_place_like_the_naive_loop_at_every_length_alignment_and_phase() {
        for len in 0..=300 {
            for align in 0..8 {
                for phase in 0..5 {
                    for key in KEYS {
                        let mut room = sample(align + len);
                        let expected = naive(&room[align..], key, phase);
                        apply_mask(&mut room[align..], key, phase);
                        assert_eq!(&room[align..], expected, "{len} {align} {phase}");
                        assert_eq!(&room[..align], sample(align));
                    }
                }
            }
        }
    }

    #[test]
    fn copies_like_the_naive_loop_at_every_length_alignment_and_phase() {
        for len in 0..=300 {
            for align in 0..8 {
                for phase in 0..5 {
                    for key in KEYS {
                        let src = sample(len + 3);
                        let mut room = vec![0xaa; align + len + 1];
                        copy_masked(&mut room[align..align + len], &src[3..], key, phase);
                        let expected = naive(&src[3..], key, phase);
                        assert_eq!(&room[align..align + len], expected);
                        assert_eq!(room[align + len], 0xaa);
                        assert!(room[..align].iter().all(|b| *b == 0xaa));
                    }
                }
            }
        }
    }

    #[test]
    fn appends_like_the_naive_loop_across_its_steps() {
        for len in [0, 1, 300, APPEND_STEP - 1, APPEND_STEP, 3 * APPEND_STEP + 5] {
            for phase in 0..5 {
                for key in KEYS {
                    let mut out = vec![1, 2, 3];
                    append_masked(&mut out, &sample(len), key, phase);
                    assert_eq!(&out[..3], [1, 2, 3]);
                    assert_eq!(&out[3..], naive(&sample(len), key, phase));
                }
            }
        }
    }

    #[test]
    fn a_payload_masked_in_pieces_equals_the_payload_masked_at_once() {
        let key = [9, 8, 7, 6];
        let whole = naive(&sample(100), key, 0);

        for cut in 0..=100 {
            let mut pieces = sample(100);
            let (head, tail) = pieces.split_at_mut(cut);
            apply_mask(head, key, 0);
            apply_mask(tail, key, cut);
            assert_eq!(pieces, whole);
        }
    }
}
