//! Byte streams as a peer might send them, with the events that they mean.

use oxws::protocol::frame::Opcode;
use oxws::protocol::receiver::{InflateConfig, ReceiverConfig};

use super::deflater::Deflater;
use super::{frame, frame_with_rsv1, Rng, Seen};

/// A stream, what the receiver is to be told about it, and what is in it.
pub struct Stream {
    pub config: ReceiverConfig,
    /// Whether whoever takes the events decompresses.
    pub inflates: bool,
    pub bytes: Vec<u8>,
    pub events: Vec<Seen>,
}

struct Writer {
    rng: Rng,
    is_server: bool,
    deflater: Option<Deflater>,
    bytes: Vec<u8>,
    events: Vec<Seen>,
}

impl Writer {
    fn mask(&mut self) -> Option<[u8; 4]> {
        match self.rng.below(8) {
            _ if !self.is_server => None,
            0 => Some([0; 4]),
            _ => Some(self.rng.key()),
        }
    }

    fn frame(&mut self, opcode: Opcode, fin: bool, rsv1: bool, data: &[u8]) {
        let mask = self.mask();
        let frame = frame_with_rsv1(opcode, fin, rsv1, mask, data);
        self.bytes.extend_from_slice(&frame);
    }

    fn control(&mut self) {
        let len = self.rng.pick(&[0, 1, 5, 124, 125]);
        let data = self.rng.bytes(len);

        if self.rng.one_in(2) {
            self.frame(Opcode::Ping, true, false, &data);
            self.events.push(Seen::Ping(data));
        } else {
            self.frame(Opcode::Pong, true, false, &data);
            self.events.push(Seen::Pong(data));
        }
    }

    fn content(&mut self, binary: bool) -> Vec<u8> {
        let len = match self.rng.below(40) {
            0..=5 => 0,
            6..=25 => self.rng.below(100),
            26..=32 => self.rng.pick(&[124, 125, 126, 127, 128]),
            33..=38 => self.rng.below(1000),
            _ => self.rng.pick(&[65_534, 65_535, 65_536, 80_000]),
        };

        if binary {
            return self.rng.bytes(len);
        }

        let characters = ["a", "b", " ", "é", "€", "𝄞"];
        let mut text = String::new();

        while text.len() < len {
            text.push_str(self.rng.pick(&characters));
        }

        text.into_bytes()
    }

    fn message(&mut self) {
        let binary = self.rng.one_in(2);
        let opcode = if binary { Opcode::Binary } else { Opcode::Text };
        let data = self.content(binary);
        let compressed = self.deflater.is_some() && !self.rng.one_in(3);
        let count = if self.rng.one_in(2) {
            1
        } else {
            1 + self.rng.below(5)
        };
        let mut fragments = vec![];
        let mut start = 0;

        for index in 0..count {
            let fin = index + 1 == count;
            let len = if fin {
                data.len() - start
            } else {
                self.rng.below(data.len() - start + 1)
            };
            let piece = &data[start..start + len];
            let opcode = if index == 0 {
                opcode
            } else {
                Opcode::Continuation
            };
            start += len;

            let mut wire = vec![];
            match self.deflater.as_mut().filter(|_| compressed) {
                Some(deflater) => deflater.compress(piece, fin, &mut wire),
                None => wire.extend_from_slice(piece),
            }

            self.frame(opcode, fin, compressed && index == 0, &wire);
            fragments.extend((len > 0).then_some(len as u32));

            if !fin && self.rng.one_in(2) {
                self.control();
            }
        }

        self.events.push(Seen::Message {
            data,
            binary,
            compressed,
            fragments: if count > 1 { fragments } else { vec![] },
        });
    }

    fn close(&mut self) {
        let mut payload = vec![];
        let seen = match self.rng.below(3) {
            0 => Seen::Close(1005, vec![]),
            _ => {
                let code = self.rng.pick(&[1000_u16, 1001, 1014, 3000, 4999]);
                let reason = self.rng.pick(&["", "x", "héllo", "€uro"]);
                payload.extend_from_slice(&code.to_be_bytes());
                payload.extend_from_slice(reason.as_bytes());
                Seen::Close(code, reason.as_bytes().to_vec())
            }
        };
        let mask = self.mask();
        self.bytes
            .extend(frame(Opcode::Close, true, mask, &payload));
        self.events.push(seen);
    }
}

/// A stream without faults.
pub fn valid(seed: u64) -> Stream {
    let mut rng = Rng::new(seed);
    let inflate = rng.one_in(2).then(|| InflateConfig {
        window_bits: 8 + rng.below(8) as u8,
        no_context_takeover: rng.one_in(2),
    });
    let config = ReceiverConfig {
        is_server: rng.one_in(2),
        inflate,
        ..ReceiverConfig::default()
    };
    let deflater = inflate.map(|inflate| {
        let level = rng.below(10) as u32;
        Deflater::new(level, inflate.window_bits, inflate.no_context_takeover)
    });
    let messages = rng.below(8);
    let mut writer = Writer {
        rng,
        is_server: config.is_server,
        deflater,
        bytes: vec![],
        events: vec![],
    };

    for _ in 0..messages {
        if writer.rng.one_in(4) {
            writer.control();
        }
        writer.message();
    }

    if writer.rng.one_in(2) {
        writer.close();
    }

    Stream {
        config,
        inflates: seed.is_multiple_of(3),
        bytes: writer.bytes,
        events: writer.events,
    }
}

/// A stream with faults in it and limits on it; its `events` are those that it
/// would have had without.
pub fn corrupted(seed: u64) -> Stream {
    let mut stream = valid(seed);
    let mut rng = Rng::new(seed ^ 0xffff_0000);

    stream.config.max_payload = rng.pick(&[0, 0, 50, 1000]);
    stream.config.max_fragments = rng.pick(&[0, 0, 1, 3]);
    stream.config.skip_utf8_validation = rng.one_in(6);

    for _ in 0..rng.below(4) {
        let len = stream.bytes.len();
        if len == 0 {
            break;
        }

        let at = rng.below(len);
        match rng.below(8) {
            0..=3 => stream.bytes[at] ^= 1 << rng.below(8),
            4 => stream.bytes[at] = rng.next() as u8,
            5 => stream.bytes.truncate(at),
            6 => {
                stream.bytes.remove(at);
            }
            _ => stream.bytes.insert(at, rng.next() as u8),
        }
    }

    stream
}
