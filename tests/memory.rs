//! What the receiver allocates: nothing for a small message, nothing while it
//! is idle, and for a long one no more than has arrived allows.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use oxws::protocol::frame::Opcode;
use oxws::protocol::receiver::{
    Event, InflateConfig, Payload, Receiver, ReceiverConfig, Room, Sink,
};
use support::deflater::Deflater;
use support::{frame, frame_with_rsv1};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, which counts what a thread takes and gives back.
struct Counting;

fn count(taken: usize, given: usize) {
    ALLOCATIONS.with(|count| count.set(count.get() + usize::from(taken > 0)));
    let live = LIVE.with(|live| {
        live.set(live.get() + taken as isize - given as isize);
        live.get()
    });
    PEAK.with(|peak| peak.set(peak.get().max(live)));
}

// SAFETY: every call is passed on unchanged to the system's allocator; the
// counters are plain cells without destructors and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: `at` came from `alloc` above, hence from the system.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: `at` came from `alloc` above, hence from the system.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A sink with a slab of its own that forgets what it gets.
struct Slab {
    room: Vec<u8>,
    /// The largest payload that goes into the slab.
    largest: usize,
    messages: usize,
    owned_capacity: usize,
    gives_memory: bool,
}

impl Slab {
    fn new(largest: usize) -> Self {
        Self {
            room: vec![0; largest],
            largest,
            messages: 0,
            owned_capacity: 0,
            gives_memory: false,
        }
    }
}

impl Sink for Slab {
    fn is_full(&self) -> bool {
        false
    }

    fn reserve(&mut self, len: usize) -> Option<&mut [u8]> {
        if len > self.largest {
            return None;
        }
        self.room.get_mut(..len)
    }

    fn allocate(&mut self, len: usize) -> Option<Box<dyn Room>> {
        self.gives_memory.then(|| {
            let memory: Box<dyn Room> = Box::new(vec![0_u8; len]);
            memory
        })
    }

    fn event(&mut self, event: Event<'_>) {
        self.messages += 1;

        if let Event::Message {
            payload: Payload::Owned(data),
            ..
        } = event
        {
            self.owned_capacity = data.capacity();
        }
    }
}

const SERVER: ReceiverConfig = ReceiverConfig {
    is_server: true,
    max_payload: 100 << 20,
    max_fragments: 16 << 10,
    max_buffered_chunks: 256 << 10,
    skip_utf8_validation: false,
    inflate: Some(InflateConfig {
        window_bits: 15,
        no_context_takeover: false,
    }),
};

const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

/// How often `run` allocates and how much it holds at most beyond what there
/// was before.
fn measure(run: impl FnOnce()) -> (usize, isize) {
    let (allocations, live) = (ALLOCATIONS.get(), LIVE.get());
    PEAK.set(live);
    run();
    (ALLOCATIONS.get() - allocations, PEAK.get() - live)
}

#[test]
fn small_whole_frames_allocate_nothing() {
    let mut bytes = vec![];
    for len in [0, 1, 20, 125, 126, 1000, 65_536] {
        let text = "x".repeat(len);
        bytes.extend(frame(Opcode::Text, true, KEY, text.as_bytes()));
        bytes.extend(frame(Opcode::Binary, true, KEY, text.as_bytes()));
    }
    bytes.extend(frame(Opcode::Ping, true, KEY, b"ping"));
    bytes.extend(frame(Opcode::Pong, true, KEY, &[0; 125]));
    bytes.extend(frame(Opcode::Close, true, KEY, b"\x03\xe8bye"));

    let mut sink = Slab::new(70_000);
    let mut receiver = Receiver::new(SERVER);
    let (allocations, _) = measure(|| {
        receiver.feed(&bytes, &mut sink);
    });

    assert_eq!(sink.messages, 17);
    assert_eq!(allocations, 0);
}

#[test]
fn headers_cut_anywhere_allocate_nothing() {
    let bytes = frame(Opcode::Binary, true, KEY, &[7; 300]);
    let mut sink = Slab::new(1000);
    let mut receiver = Receiver::new(SERVER);
    let (allocations, _) = measure(|| {
        for byte in &bytes[..8] {
            receiver.feed(&[*byte], &mut sink);
        }
        receiver.feed(&bytes[8..], &mut sink);
    });

    assert_eq!((sink.messages, allocations), (1, 0));
}

#[test]
fn an_idle_receiver_holds_no_buffers() {
    let mut bytes = frame(Opcode::Binary, false, KEY, &[7; 3000]);
    bytes.extend(frame(Opcode::Continuation, true, KEY, &[7; 200_000]));
    bytes.extend(frame(Opcode::Ping, true, KEY, &[7; 100]));

    let mut sink = Slab::new(1000);
    let mut receiver = Receiver::new(SERVER);
    let before = LIVE.get();

    for chunk in bytes.chunks(777) {
        receiver.feed(chunk, &mut sink);
    }

    assert_eq!(sink.messages, 2);
    assert_eq!(LIVE.get(), before);
    assert!(std::mem::size_of::<Receiver>() <= 128);
}

#[test]
fn a_claim_of_100_mib_reserves_64_kib_at_most() {
    let claim = [0x82, 0xff, 0, 0, 0, 0, 0x06, 0x40, 0, 0, 1, 2, 3, 4, 9];
    let compressed = [&[0xc2], &claim[1..]].concat();

    for (bytes, gives_memory) in [
        (&claim[..], false),
        (&claim[..], true),
        (&compressed, false),
    ] {
        let mut sink = Slab::new(1000);
        sink.gives_memory = gives_memory;
        let mut receiver = Receiver::new(SERVER);
        let (_, peak) = measure(|| {
            receiver.feed(bytes, &mut sink);
        });
        assert!(peak <= 64 << 10, "{peak}");
        assert_eq!(receiver.total_payload_length(), 100 << 20);
    }
}

#[test]
fn a_long_message_never_holds_more_than_twice_what_has_arrived() {
    let len = 3_000_000;
    let bytes = frame(Opcode::Binary, true, KEY, &vec![7; len]);
    let mut sink = Slab::new(1000);
    let mut receiver = Receiver::new(SERVER);
    let before = LIVE.get();
    let mut arrived = 0;

    for chunk in bytes.chunks(50_000) {
        receiver.feed(chunk, &mut sink);
        arrived += chunk.len() as isize;
        assert!(LIVE.get() - before <= 2 * arrived + (64 << 10));
    }

    assert_eq!(sink.messages, 1);
    assert_eq!(sink.owned_capacity, len);
}

#[test]
fn memory_is_allocated_when_a_part_has_arrived() {
    for (len, part) in [(640_000, 20_000), (1_600_000, 137_856)] {
        allocates_when_a_part_has_arrived(len, part);
    }
}

fn allocates_when_a_part_has_arrived(len: usize, part: usize) {
    let bytes = frame(Opcode::Text, true, KEY, &vec![7; len]);
    let header = bytes.len() - len;
    let mut sink = Slab::new(1000);
    sink.gives_memory = true;
    let mut receiver = Receiver::new(SERVER);
    let before = LIVE.get();

    receiver.feed(&bytes[..header + part - 1], &mut sink);
    assert!(LIVE.get() - before <= 2 * part as isize + (64 << 10));
    assert!(receiver.room(&sink).is_none());

    receiver.feed(&bytes[header + part - 1..][..1], &mut sink);
    let live = (LIVE.get() - before) as usize;
    assert!((len..len + 1000).contains(&live), "{live}");
    let left = receiver.room(&sink).map(|room| room.len());
    assert_eq!(left, Some(len - part));

    receiver.feed(&bytes[header + part..], &mut sink);
    assert_eq!((sink.messages, LIVE.get()), (1, before));

    // An invalid text gives it back as well.
    let bytes = frame(Opcode::Text, true, KEY, &vec![0xff; len]);
    let before = LIVE.get();
    receiver.feed(&bytes, &mut sink);
    assert!(receiver.is_finished());
    assert_eq!(LIVE.get(), before);
}

#[test]
fn a_bomb_takes_little_more_than_the_limit() {
    let mut bomb = vec![];
    Deflater::new(9, 15, false).compress(&vec![0; 4 << 20], true, &mut bomb);
    let bytes = frame_with_rsv1(Opcode::Binary, true, true, KEY, &bomb);

    let config = ReceiverConfig {
        max_payload: 100_000,
        ..SERVER
    };
    let mut sink = Slab::new(1000);
    let mut receiver = Receiver::new(config);
    let (_, peak) = measure(|| {
        receiver.feed(&bytes, &mut sink);
    });

    assert!(receiver.is_finished());
    assert!(peak < 400_000, "{peak}");
}
