//! Micro-benchmarks of the codec: masking, the check of text, frames in and
//! headers out.
//!
//! Run by `cargo bench --no-default-features`, with a part of a name to run
//! only some. Calls the protocol's public functions as the drivers do. Must not
//! know of sockets or of Node.js: what these cost is measured by `bench/`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use oxws::protocol::frame::{FrameHeader, Opcode, MAX_HEADER};
use oxws::protocol::mask::{apply_mask, copy_masked};
use oxws::protocol::receiver::{Event, Payload, Receiver, ReceiverConfig, Sink};
use oxws::protocol::utf8::{is_valid, Utf8Validator};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// What a driver reads at once, in bytes.
const CHUNK: usize = 64 * 1024;
/// Payload sizes in bytes.
const SIZES: [usize; 6] = [16, 64, 256, 1024, 16 * 1024, 64 * 1024];

/// ws's default limits, without compression.
const SERVER: ReceiverConfig = ReceiverConfig {
    is_server: true,
    max_payload: 100 << 20,
    max_fragments: 16 << 10,
    max_buffered_chunks: 256 << 10,
    skip_utf8_validation: false,
    inflate: None,
};

/// A sink like the inbox that crosses to JavaScript: payloads in a slab, four
/// words for each message.
struct Slab {
    rows: Vec<u32>,
    words: usize,
    slab: Vec<u8>,
    used: usize,
}

impl Slab {
    fn new() -> Self {
        Self {
            rows: vec![0; 4 * CHUNK],
            words: 0,
            slab: vec![0; 4 * CHUNK],
            used: 0,
        }
    }

    fn clear(&mut self) {
        self.words = 0;
        self.used = 0;
    }
}

impl Sink for Slab {
    fn is_full(&self) -> bool {
        self.rows.len() - self.words < 24 || self.slab.len() - self.used < 2048
    }

    fn reserve(&mut self, len: usize) -> Option<&mut [u8]> {
        if len > CHUNK {
            return None;
        }
        self.slab.get_mut(self.used..self.used + len)
    }

    fn event(&mut self, event: Event<'_>) {
        let Event::Message {
            payload: Payload::Reserved(len),
            binary,
            ..
        } = event
        else {
            panic!("not a message in the slab: {event:?}");
        };
        if let Some(row) = self.rows.get_mut(self.words..self.words + 4) {
            row.copy_from_slice(&[1, binary.into(), self.used as u32, len as u32]);
            self.words += 4;
        }
        self.used += len;
    }
}

/// Makes a payload of a length in bytes.
type Make = fn(usize) -> Vec<u8>;

/// A whole frame on the wire, as a client sends it.
fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        fin: true,
        rsv1: false,
        opcode,
        mask: Some(KEY),
        len: payload.len() as u64,
    };
    let mut out = vec![0; MAX_HEADER];
    let len = header.encode(&mut out);
    out.truncate(len);
    out.extend_from_slice(payload);
    apply_mask(&mut out[len..], KEY, 0);
    out
}

fn ascii(len: usize) -> Vec<u8> {
    let json = br#"{"type":"message","id":12345,"text":"The quick brown fox"},"#;
    json.iter().copied().cycle().take(len).collect()
}

/// Text of which half of the characters have two to four bytes, cut at the end
/// of a character and filled up.
fn mixed(len: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(len);
    for char in "aé bü c€ d漢 e𝄞".chars().cycle() {
        if text.len() + char.len_utf8() > len {
            break;
        }
        text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    }
    text.resize(len, b'-');
    text
}

/// Lengths up to that of the largest small frame (125 bytes), in an order that
/// no processor predicts, as on a connection with messages of several kinds.
fn any_lengths() -> impl Iterator<Item = usize> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;

    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 126) as usize
    })
}

fn masking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");

    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));

        // Where payloads lie in a read buffer and in a slab: anywhere.
        for (name, from, to) in [("aligned", 0, 0), ("odd", 6, 3)] {
            let src = vec![0x5a; size + from];
            let mut dst = vec![0; size + to];

            group.bench_function(BenchmarkId::new(format!("in place/{name}"), size), |b| {
                b.iter(|| apply_mask(black_box(&mut dst[to..]), black_box(KEY), 0));
            });
            group.bench_function(BenchmarkId::new(format!("copy/{name}"), size), |b| {
                b.iter(|| {
                    let (src, dst) = (black_box(&src[from..]), black_box(&mut dst[to..]));
                    copy_masked(dst, src, black_box(KEY), 0);
                });
            });
        }
    }

    let (src, mut dst) = (vec![0x5a; 256], vec![0; 256]);
    let lengths: Vec<usize> = any_lengths().take(4096).collect();
    group.throughput(Throughput::Elements(lengths.len() as u64));
    group.bench_function("copy/any length", |b| {
        b.iter(|| {
            for len in &lengths {
                let (src, dst) = (black_box(&src[6..6 + len]), black_box(&mut dst[3..3 + len]));
                copy_masked(dst, src, black_box(KEY), 0);
            }
        });
    });
}

fn text(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("utf8");

    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));

        for (name, text) in [("ascii", ascii(size)), ("mixed", mixed(size))] {
            group.bench_function(BenchmarkId::new(format!("whole/{name}"), size), |b| {
                b.iter(|| assert!(is_valid(black_box(&text))));
            });
        }
    }

    for (name, text) in [("ascii", ascii as Make), ("mixed", mixed)] {
        let texts: Vec<Vec<u8>> = any_lengths().take(4096).map(text).collect();
        group.throughput(Throughput::Elements(texts.len() as u64));
        group.bench_function(BenchmarkId::new("any length", name), |b| {
            b.iter(|| black_box(&texts).iter().all(|text| is_valid(text)));
        });

        let text = text(CHUNK);
        group.throughput(Throughput::Bytes(CHUNK as u64));
        group.bench_function(BenchmarkId::new("pieces", name), |b| {
            b.iter(|| {
                let mut validator = Utf8Validator::new();
                for piece in black_box(&text).chunks(1400) {
                    validator.feed(piece);
                }
                assert!(validator.finish());
            });
        });
    }
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");

    let kinds: [(&str, Opcode, Make); 3] = [
        ("binary", Opcode::Binary, ascii),
        ("text/ascii", Opcode::Text, ascii),
        ("text/mixed", Opcode::Text, mixed),
    ];

    for (name, opcode, payload) in kinds {
        let mut run = |length: &str, frames: Vec<Vec<u8>>| {
            let chunk = frames.concat();
            let mut sink = Slab::new();
            let mut receiver = Receiver::new(SERVER);

            group.throughput(Throughput::Elements(frames.len() as u64));
            group.bench_function(BenchmarkId::new(name, length), |b| {
                b.iter(|| {
                    sink.clear();
                    let consumed = receiver.feed(black_box(&chunk), &mut sink);
                    assert_eq!(consumed, chunk.len());
                    assert_eq!(sink.words, 4 * frames.len());
                });
            });
        };

        for size in [0, 16, 64, 125, 128, 256, 1024, 16 * 1024 - 8] {
            let frame = frame(opcode, &payload(size));
            let count = CHUNK / frame.len();
            run(&size.to_string(), vec![frame; count]);
        }

        let frames = any_lengths().map(|len| frame(opcode, &payload(len)));
        run("any length", frames.take(950).collect());
    }

    // What a connection sees that has one message in flight.
    let chunk = frame(Opcode::Binary, &ascii(64));
    let mut sink = Slab::new();
    let mut receiver = Receiver::new(SERVER);
    group.throughput(Throughput::Elements(1));
    group.bench_function("one frame/64", |b| {
        b.iter(|| {
            sink.clear();
            receiver.feed(black_box(&chunk), &mut sink)
        });
    });
}

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header");
    group.throughput(Throughput::Elements(1));

    for (name, mask) in [("server", None), ("client", Some(KEY))] {
        for len in [64, 1024, 1 << 20] {
            let header = FrameHeader {
                fin: true,
                rsv1: false,
                opcode: Opcode::Binary,
                mask,
                len,
            };
            let mut out = [0; MAX_HEADER];
            group.bench_function(BenchmarkId::new(name, len), |b| {
                b.iter(|| black_box(header).encode(black_box(&mut out)));
            });
        }
    }
}

fn main() {
    // Short runs: differences below a few percent are noise here anyway.
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();

    masking(&mut criterion);
    text(&mut criterion);
    decoding(&mut criterion);
    encoding(&mut criterion);
    criterion.final_summary();
}
