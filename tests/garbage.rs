//! No input makes the protocol panic, and after an error or a close frame
//! nothing comes.

mod support;

use oxws::protocol::inflate::Inflater;
use oxws::protocol::receiver::{InflateConfig, Receiver, ReceiverConfig};
use oxws::protocol::upgrade::{classify, Classified};
use oxws::protocol::utf8;
use support::{feed, Recorder, Rng, Seen};

fn config(rng: &mut Rng) -> ReceiverConfig {
    ReceiverConfig {
        is_server: rng.one_in(2),
        max_payload: rng.pick(&[0, 10, 1000]),
        max_fragments: rng.pick(&[0, 2]),
        max_buffered_chunks: rng.pick(&[0, 2]),
        skip_utf8_validation: rng.one_in(2),
        inflate: rng.one_in(2).then(|| InflateConfig {
            window_bits: rng.below(17) as u8,
            no_context_takeover: rng.one_in(2),
        }),
    }
}

/// Bytes that get further than the first two now and then.
fn garbage(rng: &mut Rng, is_server: bool) -> Vec<u8> {
    let len = rng.below(60);
    let mut bytes = rng.bytes(len);

    if bytes.len() >= 2 && !rng.one_in(8) {
        bytes[0] &= 0xcb;
        bytes[1] = (bytes[1] & 0x1f) | if is_server { 0x80 } else { 0 };
    }

    bytes
}

#[test]
fn random_bytes_are_survived() {
    let mut rng = Rng::new(7);
    let mut messages = 0;

    for round in 0..120_000 {
        let config = config(&mut rng);
        let mut receiver = Receiver::new(config);
        let mut sink = Recorder::new(rng.below(3), rng.pick(&[None, Some(5)]));

        for _ in 0..1 + rng.below(3) {
            let bytes = garbage(&mut rng, config.is_server);
            feed(&mut receiver, &bytes, &mut sink);
        }

        let ends = sink
            .events
            .iter()
            .filter(|seen| matches!(seen, Seen::Error(_) | Seen::Close(..)))
            .count();
        assert_eq!(ends, usize::from(receiver.is_finished()), "{round}");
        messages += sink.events.len() - ends;

        if ends == 1 {
            let last = sink.events.last();
            assert!(matches!(last, Some(Seen::Error(_) | Seen::Close(..))));
        }
    }

    assert!(messages > 1000, "only {messages} messages");
}

#[test]
fn random_compressed_data_is_survived() {
    let mut rng = Rng::new(11);

    for _ in 0..3000 {
        let window_bits = 8 + rng.below(8) as u8;
        let mut inflater = Inflater::new(window_bits, rng.one_in(2));
        let limit = rng.pick(&[0, 1, 500, 20_000]);

        for _ in 0..4 {
            let mut out = vec![];
            let len = rng.below(40);
            let data = rng.bytes(len);

            if inflater
                .decompress(&data, rng.one_in(2), limit, usize::MAX, &mut out)
                .is_err()
            {
                break;
            }
            assert!(limit == 0 || out.len() as u64 <= limit);
        }
    }
}

#[test]
fn random_heads_and_texts_are_survived() {
    let mut rng = Rng::new(17);
    let head = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    for _ in 0..20_000 {
        let mut bytes = head.to_vec();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(bytes.len());
            bytes[at] = rng.next() as u8;
        }

        if let Classified::Plain { head_len, .. } = classify(&bytes) {
            assert!(head_len <= bytes.len());
        }

        let len = rng.below(20);
        let text = rng.bytes(len);
        assert_eq!(utf8::is_valid(&text), std::str::from_utf8(&text).is_ok());
    }
}
