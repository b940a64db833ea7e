//! However a stream is cut, the events are the same.

mod support;

use oxws::protocol::inflate::Inflater;
use oxws::protocol::receiver::{Receiver, ReceiverConfig};
use support::stream::{corrupted, valid, Stream};
use support::{deliver, feed, feed_within, Recorder, Rng, Seen};

fn whole(stream: &Stream) -> Vec<Seen> {
    let mut receiver = Receiver::new(stream.config).asking();
    let mut sink = Recorder::default().inflating(stream.inflates);
    feed(&mut receiver, &stream.bytes, &mut sink);
    assert!(sink.questions <= 1);
    sink.events
}

/// The events with the compressed frames decompressed and joined.
fn inflated(config: ReceiverConfig, events: Vec<Seen>) -> Vec<Seen> {
    let Some(config) = config.inflate else {
        return events;
    };
    let mut inflater = Inflater::new(config.window_bits, config.no_context_takeover);
    let (mut message, mut lengths) = (vec![], vec![]);
    let mut result = vec![];

    for event in events {
        let Seen::Compressed { data, fin, binary } = event else {
            result.push(event);
            continue;
        };
        let start = message.len();
        let single = fin && lengths.is_empty();
        inflater
            .decompress(&data, fin, 0, usize::MAX, &mut message)
            .expect("valid data");
        lengths.push((message.len() - start) as u32);

        if fin {
            let mut fragments = std::mem::take(&mut lengths);
            fragments.retain(|len| *len > 0 && !single);
            result.push(Seen::Message {
                data: std::mem::take(&mut message),
                binary,
                compressed: true,
                fragments,
            });
        }
    }

    result
}

/// Feeds a stream in pieces of the lengths that `next` gives.
fn in_pieces(
    stream: &Stream,
    sink: Recorder,
    mut next: impl FnMut() -> usize,
) -> (Vec<Seen>, bool) {
    let mut receiver = Receiver::new(stream.config).asking();
    let mut sink = sink.inflating(stream.inflates);
    let mut rest = &stream.bytes[..];

    let mut ways = [feed, deliver, feed_within];

    while !rest.is_empty() {
        let (chunk, tail) = rest.split_at(next().min(rest.len()));
        // A connection may change its driver in the middle of a message, and
        // receives messages of a size where they stay.
        if chunk.len() % 5 == 0 {
            ways.rotate_left(1);
        }
        ways[0](&mut receiver, chunk, &mut sink);
        rest = tail;
    }

    (sink.events, receiver.is_finished())
}

/// Checks a stream against `expected` in several ways of cutting it and with
/// several kinds of sink.
fn check(stream: &Stream, expected: &[Seen], seed: u64) {
    let mut rng = Rng::new(seed);
    let finished = matches!(expected.last(), Some(Seen::Close(..) | Seen::Error(_)));

    // One byte at a time is quadratic in nothing, but slow for long streams.
    let smallest = if stream.bytes.len() < 5000 { 1 } else { 1000 };
    let (events, end) = in_pieces(stream, Recorder::default(), || smallest);
    assert_eq!(events, expected, "seed {seed}, pieces of {smallest}");
    assert_eq!(end, finished);

    for largest in [3, 20, 500, 100_000] {
        let quota = rng.pick(&[0, 1, 2, 5]);
        let largest_room = rng.pick(&[None, Some(0), Some(10), Some(1000)]);
        let largest = largest.max(smallest);

        for smallest_memory in [usize::MAX, 0, 100] {
            let sink = Recorder::new(quota, largest_room).with_memory(smallest_memory);
            let (events, _) = in_pieces(stream, sink, || rng.below(largest + 1));
            assert_eq!(
                events, expected,
                "seed {seed}, pieces up to {largest}, memory from {smallest_memory}"
            );
        }
    }
}

#[test]
fn a_valid_stream_means_the_same_however_it_is_cut() {
    let mut left = 0;

    for seed in 1..300 {
        let stream = valid(seed);
        let seen = whole(&stream);
        check(&stream, &seen, seed);
        left += seen
            .iter()
            .filter(|seen| matches!(seen, Seen::Compressed { .. }))
            .count();
        assert_eq!(inflated(stream.config, seen), stream.events, "{seed}");
    }

    assert!(left > 100, "only {left} frames left compressed");
}

#[test]
fn a_corrupted_stream_means_the_same_however_it_is_cut() {
    let mut errors = 0;

    for seed in 1..800 {
        let stream = corrupted(seed);
        let expected = whole(&stream);
        let at = expected
            .iter()
            .position(|seen| matches!(seen, Seen::Close(..) | Seen::Error(_)));

        if let Some(at) = at {
            assert_eq!(at + 1, expected.len(), "something came after the end");
            errors += usize::from(matches!(expected[at], Seen::Error(_)));
        }

        check(&stream, &expected, seed);
    }

    assert!(errors > 300, "only {errors} errors");
}

#[test]
fn every_single_cut_of_short_streams() {
    let mut checked = 0;
    let mut in_memory = 0;
    let mut stayed = 0;

    for seed in 1..1000 {
        let stream = corrupted(seed);
        if stream.bytes.len() > 150 {
            continue;
        }

        let expected = whole(&stream);
        checked += 1;

        for cut in 0..=stream.bytes.len() {
            let mut receiver = Receiver::new(stream.config).asking();
            let mut sink = Recorder::default().inflating(stream.inflates);
            feed(&mut receiver, &stream.bytes[..cut], &mut sink);
            feed(&mut receiver, &stream.bytes[cut..], &mut sink);
            assert_eq!(sink.events, expected, "seed {seed}, cut {cut}");

            let mut receiver = Receiver::new(stream.config).asking();
            let mut sink = Recorder::new(0, Some(0))
                .with_memory(0)
                .inflating(stream.inflates);
            deliver(&mut receiver, &stream.bytes[..cut], &mut sink);
            deliver(&mut receiver, &stream.bytes[cut..], &mut sink);
            assert_eq!(sink.events, expected, "seed {seed}, cut {cut}, in place");
            in_memory += sink.in_memory;

            let mut receiver = Receiver::new(stream.config).asking();
            let mut sink = Recorder::default().inflating(stream.inflates);
            feed_within(&mut receiver, &stream.bytes[..cut], &mut sink);
            feed_within(&mut receiver, &stream.bytes[cut..], &mut sink);
            assert_eq!(sink.events, expected, "seed {seed}, cut {cut}, within");
            stayed += sink.stayed;
        }
    }

    assert!(checked > 100, "only {checked} short streams");
    assert!(in_memory > 1000, "only {in_memory} messages in place");
    assert!(stayed > 500, "only {stayed} messages within");
}

#[test]
fn every_pair_of_first_bytes_means_the_same_whole_and_cut() {
    let mut messages = 0;

    for (is_server, max_payload) in [(false, 0), (false, 90), (true, 0), (true, 90)] {
        let config = ReceiverConfig {
            is_server,
            max_payload,
            ..ReceiverConfig::default()
        };

        for pair in 0..=u16::MAX {
            // A length of five if there are 16 bits of it, a masking key, and
            // text that a key of other bytes makes invalid.
            let mut bytes = pair.to_be_bytes().to_vec();
            bytes.extend([0, 5, 0, 0, 0, 0]);
            bytes.extend("aé€𝄞".bytes().cycle().take(150));

            let mut receiver = Receiver::new(config);
            let mut whole = Recorder::default();
            feed(&mut receiver, &bytes, &mut whole);

            let mut receiver = Receiver::new(config);
            let mut cut = Recorder::default();
            let (head, tail) = bytes.split_at(9);
            for byte in head {
                feed(&mut receiver, &[*byte], &mut cut);
            }
            feed(&mut receiver, tail, &mut cut);

            assert_eq!(whole.events, cut.events, "{pair:x} {config:?}");
            let is_message = |seen: &&Seen| matches!(seen, Seen::Message { .. });
            messages += whole.events.iter().filter(is_message).count();
        }
    }

    assert!(messages > 500, "only {messages} messages");
}
