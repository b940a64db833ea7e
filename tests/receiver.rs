//! What the receiver makes of bytes: events in order, and each error with the
//! text, code and close status that `ws` gives it.

mod support;

use oxws::protocol::error::ProtocolError;
use oxws::protocol::frame::Opcode;
use oxws::protocol::receiver::{InflateConfig, Receiver, ReceiverConfig};
use support::deflater::Deflater;
use support::{deliver, feed, frame, frame_with_rsv1, Recorder, Seen};

const CLIENT: ReceiverConfig = ReceiverConfig {
    is_server: false,
    max_payload: 0,
    max_fragments: 0,
    max_buffered_chunks: 0,
    skip_utf8_validation: false,
    inflate: None,
};

const SERVER: ReceiverConfig = ReceiverConfig {
    is_server: true,
    ..CLIENT
};

const DEFLATE: ReceiverConfig = ReceiverConfig {
    inflate: Some(InflateConfig {
        window_bits: 15,
        no_context_takeover: false,
    }),
    ..CLIENT
};

/// The events of chunks, the same whether payloads are copied or received in
/// place.
fn events(config: ReceiverConfig, chunks: &[&[u8]]) -> Vec<Seen> {
    let mut receiver = Receiver::new(config);
    let mut sink = Recorder::default();

    for chunk in chunks {
        feed(&mut receiver, chunk, &mut sink);
    }

    let mut receiver = Receiver::new(config);
    let mut in_place = Recorder::new(0, Some(0)).with_memory(0);

    for chunk in chunks {
        deliver(&mut receiver, chunk, &mut in_place);
    }

    assert_eq!(in_place.events, sink.events);
    sink.events
}

/// The error that some bytes are, and nothing else.
fn error(config: ReceiverConfig, bytes: &[u8]) -> ProtocolError {
    match events(config, &[bytes]).as_slice() {
        [Seen::Error(error)] => error.clone(),
        other => panic!("not an error alone: {other:?}"),
    }
}

#[test]
fn every_error_comes_from_bytes_with_its_text_code_and_status() {
    const FRAME: &str = "Invalid WebSocket frame: ";
    let invalid_close = [0x88, 2, 0x03, 0xed];
    let cases: [(ReceiverConfig, &[u8], &str, &str, u16); 27] = [
        (
            CLIENT,
            &[0xa0, 0],
            "RSV2 and RSV3 must be clear",
            "UNEXPECTED_RSV_2_3",
            1002,
        ),
        (
            CLIENT,
            &[0x90, 0],
            "RSV2 and RSV3 must be clear",
            "UNEXPECTED_RSV_2_3",
            1002,
        ),
        (
            CLIENT,
            &[0xc2, 0x80],
            "RSV1 must be clear",
            "UNEXPECTED_RSV_1",
            1002,
        ),
        (
            DEFLATE,
            &[0xc0, 0],
            "RSV1 must be clear",
            "UNEXPECTED_RSV_1",
            1002,
        ),
        (
            DEFLATE,
            &[0xc9, 0],
            "RSV1 must be clear",
            "UNEXPECTED_RSV_1",
            1002,
        ),
        (
            CLIENT,
            &[0x00, 0],
            "invalid opcode 0",
            "INVALID_OPCODE",
            1002,
        ),
        (
            CLIENT,
            &[0x01, 0, 0x01, 0],
            "invalid opcode 1",
            "INVALID_OPCODE",
            1002,
        ),
        (
            CLIENT,
            &[0x01, 0, 0x02, 0],
            "invalid opcode 2",
            "INVALID_OPCODE",
            1002,
        ),
        (
            CLIENT,
            &[0x83, 0],
            "invalid opcode 3",
            "INVALID_OPCODE",
            1002,
        ),
        (
            CLIENT,
            &[0x87, 0],
            "invalid opcode 7",
            "INVALID_OPCODE",
            1002,
        ),
        (
            CLIENT,
            &[0x8b, 0],
            "invalid opcode 11",
            "INVALID_OPCODE",
            1002,
        ),
        (
            CLIENT,
            &[0x8f, 0],
            "invalid opcode 15",
            "INVALID_OPCODE",
            1002,
        ),
        (CLIENT, &[0x09, 0], "FIN must be set", "EXPECTED_FIN", 1002),
        (
            SERVER,
            &[0x82, 0],
            "MASK must be set",
            "EXPECTED_MASK",
            1002,
        ),
        (
            CLIENT,
            &[0x82, 0x80],
            "MASK must be clear",
            "UNEXPECTED_MASK",
            1002,
        ),
        (
            CLIENT,
            &[0x89, 126],
            "invalid payload length 126",
            "INVALID_CONTROL_PAYLOAD_LENGTH",
            1002,
        ),
        (
            CLIENT,
            &[0x8a, 127],
            "invalid payload length 127",
            "INVALID_CONTROL_PAYLOAD_LENGTH",
            1002,
        ),
        (
            CLIENT,
            &[0x88, 1],
            "invalid payload length 1",
            "INVALID_CONTROL_PAYLOAD_LENGTH",
            1002,
        ),
        (
            CLIENT,
            &[0x88, 2, 0, 0],
            "invalid status code 0",
            "INVALID_CLOSE_CODE",
            1002,
        ),
        (
            CLIENT,
            &invalid_close,
            "invalid status code 1005",
            "INVALID_CLOSE_CODE",
            1002,
        ),
        (
            CLIENT,
            &[0x88, 2, 0x13, 0x88],
            "invalid status code 5000",
            "INVALID_CLOSE_CODE",
            1002,
        ),
        (
            CLIENT,
            &[0x81, 1, 0xff],
            "invalid UTF-8 sequence",
            "INVALID_UTF8",
            1007,
        ),
        (
            CLIENT,
            &[0x81, 1, 0xc3],
            "invalid UTF-8 sequence",
            "INVALID_UTF8",
            1007,
        ),
        (
            CLIENT,
            &[0x01, 1, 0xff, 0x80, 0],
            "invalid UTF-8 sequence",
            "INVALID_UTF8",
            1007,
        ),
        (
            CLIENT,
            &[0x88, 3, 3, 0xe8, 0xff],
            "invalid UTF-8 sequence",
            "INVALID_UTF8",
            1007,
        ),
        // Where several rules are broken the first one counts.
        (
            SERVER,
            &[0xff, 0x7f],
            "RSV2 and RSV3 must be clear",
            "UNEXPECTED_RSV_2_3",
            1002,
        ),
        (
            SERVER,
            &[0x08, 0x7f],
            "FIN must be set",
            "EXPECTED_FIN",
            1002,
        ),
    ];

    for (config, bytes, message, code, status) in cases {
        let error = error(config, bytes);
        assert_eq!(error.message(), format!("{FRAME}{message}"), "{bytes:x?}");
        assert_eq!(error.code(), format!("WS_ERR_{code}"), "{bytes:x?}");
        assert_eq!(error.close_status(), status, "{bytes:x?}");
        assert_eq!(error.is_range_error(), status != 1007, "{bytes:x?}");
    }
}

#[test]
fn every_limit_has_its_text_code_and_status() {
    let long = [0x82, 127, 0, 0x20, 0, 0, 0, 0, 0, 0];
    let cases: [(ReceiverConfig, &[u8], &str, &str, u16); 5] = [
        (
            CLIENT,
            &long,
            "Unsupported WebSocket frame: payload length > 2^53 - 1",
            "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH",
            1009,
        ),
        (
            ReceiverConfig {
                max_payload: 5,
                ..CLIENT
            },
            &[0x82, 6],
            "Max payload size exceeded",
            "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
            1009,
        ),
        (
            ReceiverConfig {
                max_payload: 5,
                ..CLIENT
            },
            &[0x02, 3, 1, 2, 3, 0x00, 3],
            "Max payload size exceeded",
            "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
            1009,
        ),
        (
            ReceiverConfig {
                max_payload: 1_000_000,
                ..CLIENT
            },
            &[0x82, 127, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff],
            "Max payload size exceeded",
            "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
            1009,
        ),
        (
            ReceiverConfig {
                max_fragments: 2,
                ..CLIENT
            },
            &[0x02, 0, 0x00, 0, 0x80, 0],
            "Too many message fragments",
            "WS_ERR_TOO_MANY_BUFFERED_PARTS",
            1008,
        ),
    ];

    for (config, bytes, message, code, status) in cases {
        let error = error(config, bytes);
        assert_eq!(error.message(), message);
        assert_eq!(error.code(), code);
        assert_eq!(error.close_status(), status);
        assert!(error.is_range_error());
    }
}

#[test]
fn corrupt_compressed_data_is_zlibs_error() {
    let error = error(DEFLATE, &[0xc1, 5, 0x00, 0, 0, 0, 0]);
    assert_eq!(error.message(), "invalid stored block lengths");
    assert_eq!(error.code(), "Z_DATA_ERROR");
    assert_eq!(error.close_status(), 1007);
    assert!(!error.is_range_error());
}

#[test]
fn what_is_found_by_decompressing_is_told_apart_from_what_is_not() {
    let mut fragment = vec![];
    Deflater::new(9, 15, false).compress(b"\xff", false, &mut fragment);
    let begun = frame_with_rsv1(Opcode::Text, false, true, None, &fragment);
    let cases: [(&[u8], usize); 4] = [
        // Not UTF-8, corrupt, an opcode that can't come, a control frame.
        (b"\x80\x00", 2),
        (b"\x80\x05\x00\x00\x00\x00\x00", 2),
        (b"\x82\x00", 1),
        (b"\x88\x01x", 1),
    ];

    for (rest, inflated) in cases {
        let mut sink = Recorder::default();
        feed(
            &mut Receiver::new(DEFLATE),
            &[&begun, rest].concat(),
            &mut sink,
        );
        assert!(matches!(&sink.events[..], [Seen::Error(_)]), "{rest:x?}");
        assert_eq!(sink.inflated, inflated, "{rest:x?}");
    }
}

#[test]
fn reads_the_examples_of_the_rfc() {
    // Section 5.7.
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(frame(Opcode::Text, true, Some(key), b"Hello"), masked);
    assert_eq!(events(SERVER, &[&masked]), [Seen::text("Hello")]);
    assert_eq!(
        events(CLIENT, &[b"\x81\x05Hello\x89\x05Hello\x8a\x05Hello"]),
        [
            Seen::text("Hello"),
            Seen::Ping(b"Hello".to_vec()),
            Seen::Pong(b"Hello".to_vec())
        ]
    );
    assert_eq!(
        events(CLIENT, &[b"\x01\x03Hel\x80\x02lo"]),
        [Seen::Message {
            data: b"Hello".to_vec(),
            binary: false,
            compressed: false,
            fragments: vec![3, 2],
        }]
    );
}

#[test]
fn control_frames_may_come_between_fragments() {
    assert_eq!(
        events(CLIENT, &[b"\x02\x01a\x89\x01p\x00\x00\x8a\x00\x80\x01b"]),
        [
            Seen::Ping(b"p".to_vec()),
            Seen::Pong(vec![]),
            Seen::Message {
                data: b"ab".to_vec(),
                binary: true,
                compressed: false,
                fragments: vec![1, 1],
            }
        ]
    );
}

#[test]
fn a_message_of_empty_fragments_has_none() {
    assert_eq!(
        events(CLIENT, &[b"\x01\x00\x80\x00\x81\x00"]),
        [Seen::text(""), Seen::text("")]
    );
}

#[test]
fn reads_all_three_forms_of_the_length() {
    for len in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
        let data = vec![7; len];
        let bytes = frame(Opcode::Binary, true, Some([1, 2, 3, 4]), &data);
        assert_eq!(events(SERVER, &[&bytes]), [Seen::message(&data, true)]);
    }

    // Not the shortest form, which a receiver has no reason to insist on.
    let long = b"\x82\x7f\0\0\0\0\0\0\0\x01x\x82\x7e\0\x01x";
    assert_eq!(
        events(CLIENT, &[long]),
        [Seen::message(b"x", true), Seen::message(b"x", true)]
    );
}

#[test]
fn nothing_follows_a_close_frame() {
    let bytes = b"\x88\x05\x03\xe8bye\x81\x01x\xff\xff\xff";
    assert_eq!(
        events(CLIENT, &[bytes, b"\x81\x01y"]),
        [Seen::Close(1000, b"bye".to_vec())]
    );
    assert_eq!(events(CLIENT, &[b"\x88\x00"]), [Seen::Close(1005, vec![])]);
}

#[test]
fn nothing_follows_an_error() {
    let mut receiver = Receiver::new(CLIENT);
    let mut sink = Recorder::default();
    feed(&mut receiver, b"\x81\x01x\xff\xff\x81\x01y", &mut sink);
    assert!(receiver.is_finished());
    feed(&mut receiver, b"\x81\x01z", &mut sink);
    assert_eq!(
        sink.events,
        [Seen::text("x"), Seen::Error(ProtocolError::UnexpectedRsv23)]
    );
}

#[test]
fn text_is_not_checked_when_told_so() {
    let config = ReceiverConfig {
        skip_utf8_validation: true,
        ..CLIENT
    };
    assert_eq!(
        events(
            config,
            &[b"\x81\x01\xff\x01\x01\xff\x80\x00\x88\x03\x03\xe8\xff"]
        ),
        [
            Seen::message(&[0xff], false),
            Seen::Message {
                data: vec![0xff],
                binary: false,
                compressed: false,
                fragments: vec![1],
            },
            Seen::Close(1000, vec![0xff])
        ]
    );
}

#[test]
fn invalid_text_is_reported_at_the_end_of_the_message() {
    assert_eq!(
        events(CLIENT, &[b"\x01\x01\xff\x89\x00\x00\x01a\x89\x00\x80\x00"]),
        [
            Seen::Ping(vec![]),
            Seen::Ping(vec![]),
            Seen::Error(ProtocolError::InvalidUtf8)
        ]
    );
}

#[test]
fn the_payload_limit_is_per_message_and_inclusive() {
    let config = ReceiverConfig {
        max_payload: 5,
        ..CLIENT
    };
    let seen = events(
        config,
        &[b"\x82\x05abcde\x02\x03abc\x89\x06pingpi\x80\x02de\x82\x05abcde"],
    );
    assert_eq!(seen.len(), 4);
    assert!(!matches!(seen.last(), Some(Seen::Error(_))));
}

#[test]
fn the_payload_limit_holds_for_what_compressed_data_becomes() {
    let mut bomb = vec![];
    Deflater::new(9, 15, false).compress(&[0; 100_000], true, &mut bomb);
    let bytes = frame_with_rsv1(Opcode::Binary, true, true, None, &bomb);

    for (max_payload, fits) in [(100_000, true), (99_999, false), (1000, false)] {
        let config = ReceiverConfig {
            max_payload,
            ..DEFLATE
        };
        let seen = events(config, &[&bytes]);

        if fits {
            assert!(matches!(&seen[..], [Seen::Message { data, .. }] if data.len() == 100_000));
        } else {
            assert_eq!(seen, [Seen::Error(ProtocolError::UnsupportedMessageLength)]);
        }
    }
}

#[test]
fn the_total_length_counts_what_headers_announce() {
    let mut receiver = Receiver::new(CLIENT);
    let mut sink = Recorder::default();
    feed(&mut receiver, b"\x02\x03ab", &mut sink);
    assert_eq!(receiver.total_payload_length(), 3);
    feed(&mut receiver, b"c\x89\x01p\x00\x7e\x01\x00", &mut sink);
    assert_eq!(receiver.total_payload_length(), 3 + 256);
    feed(&mut receiver, &[0; 256], &mut sink);
    feed(&mut receiver, b"\x80\x00\x82\x01x", &mut sink);
    assert_eq!(receiver.total_payload_length(), 0);
    assert_eq!(sink.events.len(), 3);
}

#[test]
fn the_chunk_limit_counts_what_waits_for_the_rest() {
    let config = ReceiverConfig {
        max_buffered_chunks: 3,
        ..CLIENT
    };
    let too_many = [Seen::Error(ProtocolError::TooManyBufferedChunks)];

    // Three may wait, a fourth is one too many, be it the last or not.
    assert_eq!(events(config, &[b"\x82\x04a", b"b", b"c"]), []);
    assert_eq!(events(config, &[b"\x82\x04a", b"b", b"c", b"d"]), too_many);

    // A chunk that is consumed to its end does not wait.
    assert_eq!(
        events(config, &[b"\x82\x03", b"a", b"b", b"c"]),
        [Seen::message(b"abc", true)]
    );
    assert_eq!(
        events(config, &[b"\x82\x02a", b"b\x82\x03a", b"b", b"c"]),
        [Seen::message(b"ab", true), Seen::message(b"abc", true)]
    );

    // The parts of a header count for themselves.
    let bytes: Vec<&[u8]> = b"\x82\x7e\0\x02ab".chunks(1).collect();
    assert_eq!(events(config, &bytes), [Seen::message(b"ab", true)]);
    let bytes: Vec<&[u8]> = b"\x82\x7f\0\0\0\0".chunks(1).collect();
    assert_eq!(events(config, &bytes), too_many);

    // An empty chunk waits too.
    assert_eq!(events(config, &[b"\x82", b"", b"", b""]), too_many);

    let error = ProtocolError::TooManyBufferedChunks;
    assert_eq!(error.message(), "Too many buffered chunks");
    assert_eq!(error.code(), "WS_ERR_TOO_MANY_BUFFERED_PARTS");
    assert_eq!(error.close_status(), 1008);
}

#[test]
fn the_rest_of_a_chunk_does_not_count_as_another() {
    let config = ReceiverConfig {
        max_buffered_chunks: 2,
        ..CLIENT
    };
    let mut receiver = Receiver::new(config);
    let mut sink = Recorder::new(1, None);
    feed(
        &mut receiver,
        b"\x89\x00\x89\x00\x89\x00\x82\x03a",
        &mut sink,
    );
    feed(&mut receiver, b"b", &mut sink);
    assert_eq!(sink.events.len(), 3);
    sink.empty();
    assert_eq!(receiver.feed(b"c", &mut sink), 1);
    assert_eq!(
        sink.events[3],
        Seen::Error(ProtocolError::TooManyBufferedChunks)
    );
}

#[test]
fn a_full_sink_stops_before_an_event_and_not_before() {
    let mut receiver = Receiver::new(CLIENT);
    let mut sink = Recorder::new(1, None);
    assert_eq!(receiver.feed(b"\x81\x01x\x81\x04ab", &mut sink), 3);
    assert_eq!(receiver.resume(b"\x81\x04ab", &mut sink), 0);
    sink.empty();
    assert_eq!(receiver.resume(b"\x81\x04ab", &mut sink), 4);
    sink.events.clear();

    // Full in the middle of a payload: what does not complete it is taken.
    let mut full = Recorder::new(1, None);
    feed(&mut Receiver::new(CLIENT), b"\x89\x00", &mut full);
    assert_eq!(receiver.feed(b"c", &mut full), 1);
    assert_eq!(receiver.feed(b"d", &mut full), 0);
    full.empty();
    assert_eq!(receiver.resume(b"d", &mut full), 1);
    assert_eq!(full.events[1], Seen::text("abcd"));
}

#[test]
fn much_is_decompressed_in_several_goes() {
    let data = "é".repeat(1 << 20);
    let mut payload = Vec::new();
    Deflater::new(9, 15, false).compress(data.as_bytes(), true, &mut payload);
    let compressed = frame_with_rsv1(Opcode::Text, true, true, None, &payload);
    let bytes = [&compressed, &b"\x81\x01x"[..]].concat();

    for split in [1, compressed.len() - 1, compressed.len(), bytes.len()] {
        let mut receiver = Receiver::new(DEFLATE);
        let mut sink = Recorder::new(1, None);
        let mut at = receiver.feed(&bytes[..split], &mut sink);
        if split < compressed.len() {
            assert_eq!(at, split);
            at += receiver.feed(&bytes[split..], &mut sink);
        }
        let mut goes = 0;
        while receiver.is_inflating() {
            // All else has come, so the rest is the frame's last byte.
            assert_eq!(at, compressed.len() - 1);
            assert!(sink.events.is_empty() && !receiver.is_idle());
            at += receiver.resume(&bytes[at..], &mut sink);
            goes += 1;
        }
        assert!(goes > 1);
        assert_eq!((at, sink.events.len()), (compressed.len(), 1));
        sink.empty();
        assert_eq!(receiver.resume(&bytes[at..], &mut sink), 3);
        assert!(
            matches!(&sink.events[0], Seen::Message { data: seen, .. } if *seen == data.as_bytes())
        );
        assert_eq!(sink.events[1], Seen::text("x"));
    }
}

#[test]
fn a_chunk_that_goes_on_counts_once() {
    let config = ReceiverConfig {
        max_buffered_chunks: 2,
        ..CLIENT
    };
    let mut receiver = Receiver::new(config);
    let mut sink = Recorder::new(9, Some(0)).with_memory(1);
    // Of two chunks, "..ab|cd" and "e|f", a third one is the end.
    feed(&mut receiver, b"\x81\x07ab", &mut sink);
    receiver.go_on();
    receiver.room(&sink).expect("a room")[..2].copy_from_slice(b"cd");
    receiver.filled_on(2, &mut sink);
    receiver.room(&sink).expect("a room")[..1].copy_from_slice(b"e");
    receiver.filled(1, &mut sink);
    receiver.go_on();
    assert_eq!(receiver.resume(b"f", &mut sink), 1);
    assert!(sink.events.is_empty());
    feed(&mut receiver, b"g", &mut sink);
    assert_eq!(
        sink.events,
        [Seen::Error(ProtocolError::TooManyBufferedChunks)]
    );

    // Nothing waits, so nothing was counted.
    let mut receiver = Receiver::new(config);
    let mut sink = Recorder::new(9, None);
    feed(&mut receiver, b"\x81\x01a", &mut sink);
    receiver.go_on();
    assert_eq!(receiver.resume(b"\x81\x01b", &mut sink), 3);
    assert_eq!(sink.events, [Seen::text("a"), Seen::text("b")]);
}

#[test]
fn what_follows_a_payload_received_in_place_waits_for_a_full_sink() {
    let mut receiver = Receiver::new(CLIENT);
    let mut sink = Recorder::new(1, Some(0)).with_memory(1);
    feed(&mut receiver, b"\x81\x04ab", &mut sink);
    let room = receiver.room(&sink).expect("a room");
    assert_eq!(room.len(), 2);
    room.copy_from_slice(b"cd");
    receiver.filled(2, &mut sink);
    assert_eq!(sink.events, [Seen::text("abcd")]);
    assert_eq!(sink.in_memory, 1);
    assert_eq!(receiver.resume(b"\x81\x04ab", &mut sink), 0);
    sink.empty();
    assert_eq!(receiver.resume(b"\x81\x04ab", &mut sink), 4);

    // A full sink gets no room, but bytes that do not complete the payload.
    let mut full = Recorder::new(1, None);
    feed(&mut Receiver::new(CLIENT), b"\x89\x00", &mut full);
    assert!(receiver.room(&full).is_none());
    assert_eq!(receiver.feed(b"c", &mut full), 1);
    assert_eq!(receiver.room(&sink).map(|room| room.len()), Some(1));
}

#[test]
fn an_error_waits_for_a_full_sink_as_well() {
    let mut receiver = Receiver::new(CLIENT);
    let mut sink = Recorder::new(1, None);
    assert_eq!(receiver.feed(b"\x89\x00\xff\xff", &mut sink), 2);
    assert!(!receiver.is_finished());
    sink.empty();
    assert_eq!(receiver.resume(b"\xff\xff", &mut sink), 2);
    assert!(receiver.is_finished());
}

#[test]
fn it_is_idle_between_messages_only() {
    let mut receiver = Receiver::new(CLIENT);
    let mut sink = Recorder::new(usize::MAX, None);
    assert!(receiver.is_idle());

    for (chunk, idle) in [
        (&b"\x81"[..], false),
        (b"\x02a", false),
        (b"b", true),
        (b"\x01\x01a", false),
        (b"\x89\x00", false),
        (b"\x80\x01b", true),
        (b"\x89\x00", true),
        (b"", false),
        (b"\x88\x00", false),
    ] {
        feed(&mut receiver, chunk, &mut sink);
        assert_eq!(receiver.is_idle(), idle, "{chunk:?}");
    }
}

#[test]
fn compressed_and_plain_messages_may_alternate() {
    let mut deflater = Deflater::new(6, 15, false);
    let mut bytes = vec![];

    for text in ["hello hello", "hello hello"] {
        let mut data = vec![];
        deflater.compress(text.as_bytes(), true, &mut data);
        bytes.extend(frame_with_rsv1(Opcode::Text, true, true, None, &data));
        bytes.extend(frame(Opcode::Text, true, None, b"plain"));
    }

    let compressed = Seen::Message {
        data: b"hello hello".to_vec(),
        binary: false,
        compressed: true,
        fragments: vec![],
    };
    let plain = Seen::text("plain");
    assert_eq!(
        events(DEFLATE, &[&bytes]),
        [compressed.clone(), plain.clone(), compressed, plain]
    );
}

#[test]
fn invalid_text_is_found_after_decompression() {
    let mut data = vec![];
    Deflater::new(6, 15, false).compress(b"\xc3(", true, &mut data);
    let bytes = frame_with_rsv1(Opcode::Text, true, true, None, &data);
    assert_eq!(error(DEFLATE, &bytes), ProtocolError::InvalidUtf8);
}

/// What a receiver delivers to a sink that decompresses itself, or does not,
/// and how often that was asked.
fn asked(config: ReceiverConfig, inflates: bool, chunks: &[&[u8]]) -> (Vec<Seen>, usize) {
    let mut receiver = Receiver::new(config).asking();
    let mut sink = Recorder::default().inflating(inflates);

    for chunk in chunks {
        feed(&mut receiver, chunk, &mut sink);
    }

    (sink.events, sink.questions)
}

fn compressed(data: &[u8], fin: bool, binary: bool) -> Seen {
    Seen::Compressed {
        data: data.to_vec(),
        fin,
        binary,
    }
}

#[test]
fn compressed_frames_are_delivered_to_a_sink_that_decompresses() {
    let key = Some([1, 2, 3, 4]);
    let frames = [
        frame_with_rsv1(Opcode::Text, true, true, key, b"one"),
        frame(Opcode::Binary, true, key, b"plain"),
        frame_with_rsv1(Opcode::Binary, false, true, key, b""),
        frame(Opcode::Ping, true, key, b"ping"),
        frame(Opcode::Continuation, false, key, b"two"),
        frame(Opcode::Continuation, true, key, b"three"),
        frame_with_rsv1(Opcode::Text, true, true, Some([0; 4]), b"four"),
        frame(Opcode::Text, true, key, b"text"),
    ];
    let config = ReceiverConfig {
        is_server: true,
        ..DEFLATE
    };
    let expected = [
        compressed(b"one", true, false),
        Seen::message(b"plain", true),
        compressed(b"", false, true),
        Seen::Ping(b"ping".to_vec()),
        compressed(b"two", false, true),
        compressed(b"three", true, true),
        compressed(b"four", true, false),
        Seen::text("text"),
    ];
    let bytes = frames.concat();
    let single: Vec<&[u8]> = bytes.chunks(1).collect();

    for chunks in [&[&bytes[..]][..], &single] {
        assert_eq!(asked(config, true, chunks), (expected.to_vec(), 1));
    }
}

#[test]
fn nobody_is_asked_before_something_compressed_comes() {
    let plain = frame(Opcode::Text, true, None, b"plain");
    let text = vec![Seen::text("plain")];
    assert_eq!(asked(DEFLATE, true, &[&plain]), (text, 0));

    // Without the extension it is an error.
    let rsv1 = vec![Seen::Error(ProtocolError::UnexpectedRsv1)];
    assert_eq!(asked(CLIENT, true, &[b"\xc1\x00"]), (rsv1, 0));
}

#[test]
fn nothing_follows_the_question_before_the_answer() {
    let mut receiver = Receiver::new(DEFLATE).asking();
    let mut sink = Recorder::default();
    receiver.decide_inflating(true);
    assert_eq!(receiver.feed(b"\x89\x00\xc1", &mut sink), 2);
    assert_eq!(sink.questions, 1);
    assert_eq!(receiver.resume(b"\xc1\x00\x89\x00", &mut sink), 0);
    receiver.decide_inflating(false);
    assert_eq!(receiver.resume(b"\xc1\x00\x89\x00", &mut sink), 4);
    let ping = || Seen::Ping(vec![]);
    let expected = [ping(), compressed(b"", true, false), ping()];
    assert_eq!((&sink.events[..], sink.questions), (&expected[..], 1));

    // Only the question can be answered, and that once.
    receiver.decide_inflating(true);
    receiver.feed(b"\xc1\x00", &mut sink);
    assert_eq!(sink.events[3], compressed(b"", true, false));
}

#[test]
fn the_limits_hold_for_frames_that_are_not_decompressed() {
    let long = ReceiverConfig {
        max_payload: 4,
        ..DEFLATE
    };
    let first = compressed(b"abc", false, true);
    let too_long = Seen::Error(ProtocolError::UnsupportedMessageLength);
    assert_eq!(
        asked(long, true, &[b"\x42\x03abc\x80\x02de"]).0,
        [first.clone(), too_long]
    );

    let many = ReceiverConfig {
        max_fragments: 1,
        ..DEFLATE
    };
    let too_many = Seen::Error(ProtocolError::TooManyFragments);
    assert_eq!(
        asked(many, true, &[b"\x42\x03abc\x80\x02de"]).0,
        [first, too_many]
    );

    // They are for each message.
    let twice = vec![compressed(b"abc", true, true); 2];
    let config = ReceiverConfig {
        max_fragments: 1,
        ..long
    };
    assert_eq!(
        asked(config, true, &[b"\xc2\x03abc\xc2\x03abc"]),
        (twice, 1)
    );
}

#[test]
fn a_receiver_that_is_to_decompress_does_it_as_one_that_need_not_ask() {
    let mut data = vec![];
    Deflater::new(6, 15, false).compress("h\u{e9}llo".repeat(9).as_bytes(), true, &mut data);
    let bytes = frame_with_rsv1(Opcode::Text, true, true, None, &data);
    assert_eq!(
        asked(DEFLATE, false, &[&bytes]),
        (events(DEFLATE, &[&bytes]), 1)
    );
}

#[test]
fn a_length_that_is_too_large_waits_for_those_who_may_allow_it() {
    let config = |max_payload| ReceiverConfig {
        max_payload,
        ..SERVER
    };
    let first = frame(Opcode::Text, true, Some([1; 4]), b"login");

    for len in [100, 126, 65_536] {
        let data = vec![7; len];
        let second = frame(Opcode::Binary, true, Some([2; 4]), &data);
        let header = second.len() - len - 4;

        // All at once, or no more than the length.
        for rest in [&second[..], &second[..header]] {
            for max_payload in [99, 65_536] {
                let mut receiver = Receiver::new(config(10));
                let mut sink = Recorder::default();
                sink.seen = Some(0);
                let chunk = [&first[..], rest].concat();
                let taken = receiver.feed(&chunk, &mut sink);
                assert_eq!(taken, first.len() + header - 1);
                assert!(receiver.is_held() && !receiver.is_inflating());
                assert_eq!(receiver.resume(&chunk[taken..], &mut sink), 0);
                assert_eq!(sink.events, [Seen::text("login")]);

                sink.seen = Some(1);
                receiver.set_limits(config(max_payload));
                let left = chunk.len() - taken;
                assert_eq!(receiver.resume(&chunk[taken..], &mut sink), left);
                assert!(!receiver.is_held());
                let left = &second[rest.len()..];
                assert_eq!(receiver.feed(left, &mut sink), left.len());

                let expected = match max_payload {
                    99 => Seen::Error(ProtocolError::UnsupportedMessageLength),
                    _ => Seen::message(&data, true),
                };
                assert_eq!(sink.events[1..], [expected]);
            }
        }
    }
}

#[test]
fn nobody_can_allow_a_length_that_nothing_came_before() {
    let config = ReceiverConfig {
        max_payload: 1,
        ..CLIENT
    };
    let mut receiver = Receiver::new(config);
    let mut sink = Recorder::default();
    sink.seen = Some(0);
    assert_eq!(receiver.feed(b"\x82\x02", &mut sink), 2);
    let too_long = Seen::Error(ProtocolError::UnsupportedMessageLength);
    assert_eq!(sink.events, [too_long]);
    assert!(receiver.is_finished());
}
