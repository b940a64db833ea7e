//! What is checked in a frame's header as it arrives (RFC 6455, section 5.2).
//!
//! Called by the receiver. Knows the rules and their order, which decides the
//! error of a frame that breaks several; remembers nothing.

use super::error::ProtocolError;
use super::frame::{Opcode, FIN, LENGTH_64, MASK, MAX_CONTROL_PAYLOAD, RSV1, RSV23};

/// The largest length that a JavaScript number holds exactly, 2^53 - 1.
const MAX_LENGTH: u64 = (1 << 53) - 1;

/// What the connection allows at this point.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// Whether we are the server, whose peer must mask.
    pub is_server: bool,
    /// Whether permessage-deflate was negotiated.
    pub deflate: bool,
    /// Whether a message has begun and not ended.
    pub in_message: bool,
}

/// The first two bytes of a header, found to be in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub fin: bool,
    pub rsv1: bool,
    pub opcode: Opcode,
    pub masked: bool,
    /// The 7-bit length.
    pub length: u8,
}

impl Rules {
    /// Checks the first two bytes.
    #[inline]
    pub fn check(self, bytes: [u8; 2]) -> Result<Start, ProtocolError> {
        let [first, second] = bytes;
        let fin = first & FIN != 0;
        let rsv1 = first & RSV1 != 0;
        let bits = first & 0x0f;
        let masked = second & MASK != 0;
        let length = second & LENGTH_64;

        if first & RSV23 != 0 {
            return Err(ProtocolError::UnexpectedRsv23);
        }

        if rsv1 && !self.deflate {
            return Err(ProtocolError::UnexpectedRsv1);
        }

        let Some(opcode) = Opcode::from_bits(bits) else {
            return Err(ProtocolError::InvalidOpcode(bits));
        };

        if opcode.is_control() {
            if !fin {
                return Err(ProtocolError::ExpectedFin);
            }
            if rsv1 {
                return Err(ProtocolError::UnexpectedRsv1);
            }
            // A close frame has no payload or one that starts with two bytes
            // of code (section 5.5.1).
            if usize::from(length) > MAX_CONTROL_PAYLOAD || (opcode == Opcode::Close && length == 1)
            {
                return Err(ProtocolError::InvalidControlPayloadLength(length));
            }
        } else if opcode == Opcode::Continuation {
            if rsv1 {
                return Err(ProtocolError::UnexpectedRsv1);
            }
            if !self.in_message {
                return Err(ProtocolError::InvalidOpcode(bits));
            }
        } else if self.in_message {
            return Err(ProtocolError::InvalidOpcode(bits));
        }

        match (self.is_server, masked) {
            (true, false) => Err(ProtocolError::ExpectedMask),
            (false, true) => Err(ProtocolError::UnexpectedMask),
            _ => Ok(Start {
                fin,
                rsv1,
                opcode,
                masked,
                length,
            }),
        }
    }
}

/// Reads a 64-bit length.
pub(super) fn length_64(bytes: [u8; 8]) -> Result<u64, ProtocolError> {
    let length = u64::from_be_bytes(bytes);

    if length > MAX_LENGTH {
        Err(ProtocolError::UnsupportedDataPayloadLength)
    } else {
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Rules = Rules {
        is_server: false,
        deflate: false,
        in_message: false,
    };

    /// The error of a header, by `ws`'s order of checks, for every combination
    /// of the first two bytes and of the rules.
    fn expected(rules: Rules, [a, b]: [u8; 2]) -> Option<ProtocolError> {
        use ProtocolError::*;

        let (fin, rsv1, opcode, length) = (a & 0x80 != 0, a & 0x40 != 0, a & 0xf, b & 0x7f);

        let of_opcode = match opcode {
            0 if rsv1 => Some(UnexpectedRsv1),
            0 if !rules.in_message => Some(InvalidOpcode(0)),
            1 | 2 if rules.in_message => Some(InvalidOpcode(opcode)),
            8..=10 if !fin => Some(ExpectedFin),
            8..=10 if rsv1 => Some(UnexpectedRsv1),
            8..=10 if length > 125 => Some(InvalidControlPayloadLength(length)),
            8 if length == 1 => Some(InvalidControlPayloadLength(1)),
            0..=2 | 8..=10 => None,
            _ => Some(InvalidOpcode(opcode)),
        };

        let of_mask = match (rules.is_server, b & 0x80 != 0) {
            (true, false) => Some(ExpectedMask),
            (false, true) => Some(UnexpectedMask),
            _ => None,
        };

        if a & 0x30 != 0 {
            Some(UnexpectedRsv23)
        } else if rsv1 && !rules.deflate {
            Some(UnexpectedRsv1)
        } else {
            of_opcode.or(of_mask)
        }
    }

    #[test]
    fn every_pair_of_first_bytes_under_every_rule() {
        for setting in 0..8 {
            let rules = Rules {
                is_server: setting & 1 != 0,
                deflate: setting & 2 != 0,
                in_message: setting & 4 != 0,
            };

            for pair in 0..=0xffff_u16 {
                let bytes = pair.to_be_bytes();
                assert_eq!(
                    rules.check(bytes).err(),
                    expected(rules, bytes),
                    "{bytes:x?} {setting}"
                );
            }
        }
    }

    #[test]
    fn reads_what_is_in_order() {
        let start = CLIENT.check([0x01, 0x7e]).unwrap();
        assert_eq!(
            start,
            Start {
                fin: false,
                rsv1: false,
                opcode: Opcode::Text,
                masked: false,
                length: 126
            }
        );
    }

    #[test]
    fn a_length_above_what_javascript_counts_is_refused() {
        assert_eq!(length_64(MAX_LENGTH.to_be_bytes()), Ok(MAX_LENGTH));
        assert_eq!(
            length_64((MAX_LENGTH + 1).to_be_bytes()),
            Err(ProtocolError::UnsupportedDataPayloadLength)
        );
        assert_eq!(
            length_64([0xff; 8]),
            Err(ProtocolError::UnsupportedDataPayloadLength)
        );
    }
}
