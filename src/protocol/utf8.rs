//! UTF-8 validation (RFC 3629), whole and streaming.
//!
//! Called by the receiver for text messages and close reasons. Knows nothing of
//! messages: what arrives in pieces is checked piece by piece, so that a long
//! message is not walked through a second time when it is complete.

/// Bytes that the vectorized check takes at a time. What is shorter it leaves to
/// the standard library, which goes byte by byte.
const BLOCK: usize = 64;

/// Whether `bytes` is valid UTF-8.
#[inline]
pub fn is_valid(bytes: &[u8]) -> bool {
    if bytes.len() >= BLOCK {
        simdutf8::basic::from_utf8(bytes).is_ok()
    } else {
        is_short_ascii(bytes) || is_short_valid(bytes)
    }
}

/// Whether a short text is ASCII: by words, the last of which may overlap the
/// one before it.
#[inline]
fn is_short_ascii(bytes: &[u8]) -> bool {
    const NOT_ASCII: u64 = u64::from_ne_bytes([0x80; 8]);

    if let Some(last) = bytes.last_chunk() {
        let words = bytes.chunks_exact(8).flat_map(<[u8; 8]>::try_from);
        let seen = words.fold(u64::from_ne_bytes(*last), |seen, word| {
            seen | u64::from_ne_bytes(word)
        });
        seen & NOT_ASCII == 0
    } else {
        bytes.iter().fold(0, |seen, byte| seen | byte) < 0x80
    }
}

/// Whether a short text is valid, filled up with zeros to a whole block: these
/// complete no character, and nothing that is incomplete before them is valid.
fn is_short_valid(bytes: &[u8]) -> bool {
    let mut block = [0; BLOCK];
    block[..bytes.len()].copy_from_slice(bytes);
    simdutf8::basic::from_utf8(&block).is_ok()
}

/// Checks a text that arrives in pieces, which may be cut within a character.
#[derive(Debug, Default)]
pub struct Utf8Validator {
    /// The first bytes of a character whose rest has not arrived yet.
    carry: [u8; 4],
    carried: u8,
    invalid: bool,
}

impl Utf8Validator {
    /// A validator that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks the next piece. Once something invalid has been seen, later
    /// pieces are no longer looked at.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.invalid {
            return;
        }

        let bytes = self.complete_carry(bytes);
        let (whole, rest) = bytes.split_at(bytes.len() - incomplete_tail(bytes));

        if !is_valid(whole) {
            self.invalid = true;
            return;
        }

        if !rest.is_empty() {
            self.carry[..rest.len()].copy_from_slice(rest);
            self.carried = rest.len() as u8;
        }
    }

    /// Whether everything fed so far is valid UTF-8 and ends with a whole
    /// character. Resets the validator for the next text.
    pub fn finish(&mut self) -> bool {
        let valid = !self.invalid && self.carried == 0;
        *self = Self::default();
        valid
    }

    /// Adds bytes to the unfinished character; returns what is left of `bytes`.
    fn complete_carry<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while self.carried > 0 {
            let Some((first, rest)) = bytes.split_first() else {
                return bytes;
            };

            let len = usize::from(self.carried);
            self.carry[len] = *first;
            self.carried += 1;
            bytes = rest;

            if usize::from(self.carried) == sequence_len(self.carry[0]) {
                self.invalid = !is_valid(&self.carry[..=len]);
                self.carried = 0;
            } else if first & 0xc0 != 0x80 {
                self.invalid = true;
                self.carried = 0;
            }
        }

        if self.invalid {
            &[]
        } else {
            bytes
        }
    }
}

/// How many bytes a character has that starts with `lead`; 1 for what can't
/// start one.
fn sequence_len(lead: u8) -> usize {
    match lead {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    }
}

/// How many bytes at the end of `bytes` are the start of a character that is
/// not complete. Whether these bytes are themselves valid is not checked.
fn incomplete_tail(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];

        if byte & 0xc0 != 0x80 {
            return if sequence_len(byte) > back { back } else { 0 };
        }
    }

    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of RFC 3629, section 4, byte by byte.
    fn naive(bytes: &[u8]) -> bool {
        let mut rest = bytes;

        while let [first, ..] = rest {
            let (len, low, high) = match first {
                0x00..=0x7f => (1, 0x80, 0xbf),
                0xc2..=0xdf => (2, 0x80, 0xbf),
                0xe0 => (3, 0xa0, 0xbf),
                0xed => (3, 0x80, 0x9f),
                0xe1..=0xef => (3, 0x80, 0xbf),
                0xf0 => (4, 0x90, 0xbf),
                0xf1..=0xf3 => (4, 0x80, 0xbf),
                0xf4 => (4, 0x80, 0x8f),
                _ => return false,
            };

            if rest.len() < len {
                return false;
            }

            for (index, byte) in rest[1..len].iter().enumerate() {
                let valid = if index == 0 { low..=high } else { 0x80..=0xbf };

                if !valid.contains(byte) {
                    return false;
                }
            }

            rest = &rest[len..];
        }

        true
    }

    fn in_pieces(bytes: &[u8], piece: usize) -> bool {
        let mut validator = Utf8Validator::new();

        for part in bytes.chunks(piece) {
            validator.feed(part);
            validator.feed(&[]);
        }

        validator.finish()
    }

    fn check(bytes: &[u8]) {
        let expected = naive(bytes);
        assert_eq!(is_valid(bytes), expected, "{bytes:x?}");

        for piece in 1..=bytes.len().clamp(1, 9) {
            assert_eq!(in_pieces(bytes, piece), expected, "{bytes:x?} {piece}");
        }
    }

    #[test]
    fn agrees_with_the_table_on_every_one_and_two_byte_sequence() {
        for a in 0..=255 {
            check(&[a]);

            for b in 0..=255 {
                check(&[a, b]);
            }
        }
    }

    #[test]
    fn agrees_with_the_table_on_three_and_four_byte_sequences_at_the_borders() {
        let edges = [
            0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xed, 0xf4, 0xff,
        ];

        for a in 0xc0..=255 {
            for b in edges {
                for c in edges {
                    check(&[a, b, c]);
                    check(&[0x41, a, b, c, 0x80]);

                    for d in [0x7f, 0x80, 0xbf, 0xc0] {
                        check(&[a, b, c, d]);
                    }
                }
            }
        }
    }

    #[test]
    fn agrees_with_the_table_at_every_length_with_a_fault_at_every_third_place() {
        let pattern = "aé€𝄞-".as_bytes();

        for len in 0..=300 {
            let text: Vec<u8> = pattern.iter().copied().cycle().take(len).collect();
            let expected = naive(&text);
            assert_eq!(is_valid(&text), expected);

            for piece in [1, 2, 3, 4, 5, 7, 16, 64, 299] {
                assert_eq!(in_pieces(&text, piece), expected);
            }

            for fault in (0..len).step_by(3) {
                let mut text = text.clone();
                text[fault] = 0xff;
                assert!(!is_valid(&text));
                assert!(!in_pieces(&text, 1 + fault % 11));
            }
        }
    }

    #[test]
    fn remembers_what_is_invalid_and_starts_afresh_after_finish() {
        let mut validator = Utf8Validator::new();
        validator.feed(&[0xff]);
        validator.feed(b"fine");
        assert!(!validator.finish());
        validator.feed("é".as_bytes());
        assert!(validator.finish());
        validator.feed(&[0xc3]);
        assert!(!validator.finish());
        assert!(validator.finish());
    }
}
