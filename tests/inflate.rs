//! What has been compressed comes back, up to the limit and no further.

mod support;

use oxws::protocol::error::{InflateError, ProtocolError};
use oxws::protocol::inflate::{Inflater, Progress};
use support::deflater::{Deflater, TRAILER};

/// The step that a message may exceed its limit by.
const STEP: usize = 16 * 1024;

fn inflate(inflater: &mut Inflater, data: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    let mut out = Vec::new();
    inflater.decompress(data, true, 0, usize::MAX, &mut out)?;
    Ok(out)
}

fn compress(deflater: &mut Deflater, data: &[u8], fin: bool) -> Vec<u8> {
    let mut out = Vec::new();
    deflater.compress(data, fin, &mut out);
    out
}

/// Text that compresses somewhat.
fn text(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut text = Vec::new();

    while text.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.extend_from_slice(format!("{} ", state >> 22).as_bytes());
    }

    text.truncate(len);
    text
}

#[test]
fn every_level_and_window_comes_back() {
    for level in 0..=9 {
        for bits in 8..=15 {
            for no_context_takeover in [false, true] {
                let mut deflater = Deflater::new(level, bits, no_context_takeover);
                let mut inflater = Inflater::new(bits, no_context_takeover);

                for len in [0, 1, 0, 5, 300, 5_000, 0] {
                    let data = text(len);
                    let compressed = compress(&mut deflater, &data, true);
                    assert!(!compressed.is_empty());
                    assert_eq!(inflate(&mut inflater, &compressed), Ok(data));
                }
            }
        }
    }
}

#[test]
fn values_out_of_range_are_brought_into_it() {
    let mut deflater = Deflater::new(100, 200, false);
    let mut inflater = Inflater::new(0, false);
    let compressed = compress(&mut deflater, b"abc", true);
    assert_eq!(inflate(&mut inflater, &compressed), Ok(b"abc".to_vec()));
}

#[test]
fn an_empty_message_is_one_byte_every_time() {
    let mut deflater = Deflater::new(6, 15, false);
    assert_eq!(compress(&mut deflater, b"", true), [0x00]);
    assert_eq!(compress(&mut deflater, b"", true), [0x00]);
    compress(&mut deflater, b"hello", true);
    assert_eq!(compress(&mut deflater, b"", true), [0x00]);
    assert_eq!(
        compress(&mut deflater, b"", false),
        [0x00, 0x00, 0x00, 0xff, 0xff]
    );
    assert_eq!(compress(&mut deflater, b"", true), [0x00]);
}

#[test]
fn a_message_in_fragments_comes_back() {
    let data = text(10_000);
    let mut deflater = Deflater::new(6, 15, false);
    let mut inflater = Inflater::new(15, false);
    let mut out = Vec::new();
    let mut pieces = data.chunks(999).peekable();

    while let Some(piece) = pieces.next() {
        let fin = pieces.peek().is_none();
        let compressed = compress(&mut deflater, piece, fin);
        assert_eq!(compressed.ends_with(&TRAILER), !fin);
        inflater
            .decompress(&compressed, fin, 0, usize::MAX, &mut out)
            .unwrap();
    }

    assert_eq!(out, data);
}

#[test]
fn the_context_is_kept_or_not_as_agreed() {
    let data = text(500);

    for no_context_takeover in [false, true] {
        let mut deflater = Deflater::new(6, 15, no_context_takeover);
        let first = compress(&mut deflater, &data, true);
        let second = compress(&mut deflater, &data, true);
        assert_eq!(second.len() < 20, !no_context_takeover);

        let mut inflater = Inflater::new(15, no_context_takeover);
        assert_eq!(inflate(&mut inflater, &first), Ok(data.clone()));
        assert_eq!(inflate(&mut inflater, &second), Ok(data.clone()));
    }
}

#[test]
fn a_peer_that_goes_on_with_a_context_it_promised_to_drop_is_refused() {
    let data = text(500);
    let mut deflater = Deflater::new(6, 15, false);
    let mut inflater = Inflater::new(15, true);
    inflate(&mut inflater, &compress(&mut deflater, &data, true)).unwrap();
    assert_eq!(
        inflate(&mut inflater, &compress(&mut deflater, &data, true)),
        Err(ProtocolError::Inflate(InflateError::new(
            "invalid distance too far back"
        )))
    );
}

#[test]
fn what_comes_in_several_goes_is_the_same() {
    for data in [text(300_000), vec![0; 5 << 20]] {
        let compressed = compress(&mut Deflater::new(6, 15, false), &data, true);

        for enough in [10, 1000, 100_000, 1 << 20] {
            let mut inflater = Inflater::new(15, false);
            let (mut out, mut at, mut goes) = (Vec::new(), 0, 0);

            loop {
                let before = out.len();
                let rest = &compressed[at..];
                let progress = inflater.decompress(rest, true, 0, enough, &mut out);
                assert!(out.len() <= before + enough);
                goes += 1;
                match progress.unwrap() {
                    Progress::At(used) => at += used,
                    Progress::Done => break,
                }
            }

            assert!(out == data);
            assert_eq!(goes > 1, data.len() >= enough);
            // The stream can go on.
            assert_eq!(inflate(&mut inflater, &[0x00]), Ok(vec![]));
        }
    }
}

#[test]
fn a_message_may_be_as_long_as_the_limit_and_no_longer() {
    let data = text(100_000);
    let compressed = compress(&mut Deflater::new(6, 15, false), &data, true);

    for (limit, fits) in [(100_000, true), (99_999, false), (1, false)] {
        let mut out = Vec::new();
        let mut inflater = Inflater::new(15, false);
        let result = inflater.decompress(&compressed, true, limit, usize::MAX, &mut out);

        if fits {
            assert_eq!((result, &out), (Ok(Progress::Done), &data));
        } else {
            assert_eq!(result, Err(ProtocolError::UnsupportedMessageLength));
        }
    }
}

#[test]
fn a_bomb_is_stopped_soon_after_the_limit() {
    let zeros = vec![0; 8 << 20];
    let bomb = compress(&mut Deflater::new(9, 15, false), &zeros, true);
    assert!(bomb.len() < 10_000);

    for limit in [1, 1000, 100_000, 1 << 20] {
        let mut out = Vec::new();
        let mut inflater = Inflater::new(15, false);
        let result = inflater.decompress(&bomb, true, limit, usize::MAX, &mut out);
        assert_eq!(result, Err(ProtocolError::UnsupportedMessageLength));
        assert!(out.capacity() <= limit as usize + STEP);
    }
}

#[test]
fn the_limit_counts_earlier_fragments() {
    let mut deflater = Deflater::new(6, 15, false);
    let mut inflater = Inflater::new(15, false);
    let mut out = Vec::new();
    let first = compress(&mut deflater, b"hello", false);
    let second = compress(&mut deflater, b"world", true);
    inflater
        .decompress(&first, false, 9, usize::MAX, &mut out)
        .unwrap();
    assert_eq!(
        inflater.decompress(&second, true, 9, usize::MAX, &mut out),
        Err(ProtocolError::UnsupportedMessageLength)
    );
}
