//! Two endpoints that talk through pipes which cut anywhere, under a clock
//! that only the test moves.

mod support;

use std::collections::VecDeque;

use oxws::protocol::close::{CloseAction, CloseHandshake, CloseState, ABNORMAL, NO_STATUS};
use oxws::protocol::deflate::Deflater;
use oxws::protocol::error::ProtocolError;
use oxws::protocol::frame::Opcode;
use oxws::protocol::receiver::{InflateConfig, Receiver, ReceiverConfig};
use support::{feed, frame_with_rsv1, Recorder, Rng, Seen};

const TIMEOUT: u64 = 30_000;

/// What the two sides have agreed on.
#[derive(Clone, Copy, Default)]
struct Agreement {
    deflate: Option<InflateConfig>,
    max_payload: u64,
}

/// One side of a connection.
struct Endpoint {
    is_server: bool,
    receiver: Receiver,
    sink: Recorder,
    handshake: CloseHandshake,
    deflater: Option<Deflater>,
    rng: Rng,
    /// What is to go over the wire.
    out: VecDeque<u8>,
    /// A close frame is at the end of `out`.
    close_queued: bool,
    /// Nothing comes after `out`.
    ended: bool,
    /// The peer has been told that nothing comes.
    end_told: bool,
    seen: Vec<Seen>,
}

impl Endpoint {
    fn new(is_server: bool, agreement: Agreement, seed: u64) -> Self {
        let config = ReceiverConfig {
            is_server,
            inflate: agreement.deflate,
            max_payload: agreement.max_payload,
            ..ReceiverConfig::default()
        };
        let deflater = agreement
            .deflate
            .map(|deflate| Deflater::new(6, deflate.window_bits, deflate.no_context_takeover));

        Self {
            is_server,
            receiver: Receiver::new(config),
            sink: Recorder::new(2, Some(100)),
            handshake: CloseHandshake::new(TIMEOUT),
            deflater,
            rng: Rng::new(seed),
            out: VecDeque::new(),
            close_queued: false,
            ended: false,
            end_told: false,
            seen: vec![],
        }
    }

    fn write(&mut self, opcode: Opcode, fin: bool, rsv1: bool, data: &[u8]) {
        let mask = (!self.is_server).then(|| self.rng.key());
        self.out
            .extend(frame_with_rsv1(opcode, fin, rsv1, mask, data));
    }

    /// Sends a message in fragments of at most `fragment` bytes.
    fn send(&mut self, data: &[u8], binary: bool, compress: bool, fragment: usize) {
        assert!(self.handshake.can_send());

        let count = data.len().div_ceil(fragment).max(1);
        let mut opcode = if binary { Opcode::Binary } else { Opcode::Text };

        for index in 0..count {
            let fin = index + 1 == count;
            let end = data.len().min((index + 1) * fragment);
            let piece = &data[index * fragment..end];
            let mut wire = vec![];

            match self.deflater.as_mut().filter(|_| compress) {
                Some(deflater) => deflater.compress(piece, fin, &mut wire),
                None => wire.extend_from_slice(piece),
            }

            self.write(opcode, fin, compress && index == 0, &wire);
            opcode = Opcode::Continuation;
        }
    }

    fn ping(&mut self, data: &[u8]) {
        assert!(self.handshake.can_send());
        self.write(Opcode::Ping, true, false, data);
    }

    fn close(&mut self, code: u16, reason: &str, now: u64) {
        let action = self.handshake.close(code, now);
        self.act(action, reason.as_bytes());
    }

    fn act(&mut self, action: CloseAction, reason: &[u8]) {
        match action {
            CloseAction::None => (),
            CloseAction::SendFrame(code) => {
                let mut payload = vec![];
                if code != NO_STATUS {
                    payload.extend_from_slice(&code.to_be_bytes());
                    payload.extend_from_slice(reason);
                }
                self.write(Opcode::Close, true, false, &payload);
                self.close_queued = true;
            }
            CloseAction::EndTransport => self.ended = true,
        }
    }

    /// Takes up to `len` bytes off the wire.
    fn drain(&mut self, len: usize) -> Vec<u8> {
        let len = len.min(self.out.len());
        let bytes = self.out.drain(..len).collect();

        if self.out.is_empty() && self.close_queued {
            self.close_queued = false;
            let action = self.handshake.frame_written();
            self.act(action, &[]);
        }

        bytes
    }

    fn receive(&mut self, bytes: &[u8], now: u64) {
        if self.handshake.state() == CloseState::Closed {
            return;
        }

        feed(&mut self.receiver, bytes, &mut self.sink);
        self.sink.empty();

        for seen in std::mem::take(&mut self.sink.events) {
            match &seen {
                Seen::Ping(data) if self.handshake.can_send() => {
                    self.write(Opcode::Pong, true, false, data);
                }
                Seen::Close(code, reason) => {
                    let action = self.handshake.frame_received(*code, now);
                    self.act(action, reason);
                }
                Seen::Error(error) => {
                    let action = self.handshake.peer_failed(error.close_status(), now);
                    self.act(action, &[]);
                }
                _ => (),
            }
            self.seen.push(seen);
        }
    }

    fn is_closed(&self) -> bool {
        self.handshake.state() == CloseState::Closed
    }

    /// The messages that have come, as text.
    fn messages(&self) -> Vec<String> {
        let messages = self.seen.iter().filter_map(|seen| match seen {
            Seen::Message { data, .. } => Some(String::from_utf8_lossy(data).into_owned()),
            _ => None,
        });
        messages.collect()
    }
}

/// A connection.
struct Pair {
    ends: [Endpoint; 2],
    now: u64,
    rng: Rng,
    /// The wire is cut: what is written is lost, and nobody is told.
    lost: bool,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Pair {
    fn new(agreement: Agreement, seed: u64) -> Self {
        Self {
            ends: [
                Endpoint::new(false, agreement, seed),
                Endpoint::new(true, agreement, seed + 1),
            ],
            now: 0,
            rng: Rng::new(seed + 2),
            lost: false,
        }
    }

    /// Carries some bytes one way, and the end when there are no more.
    fn carry(&mut self, from: usize) {
        let len = 1 + self.rng.below(200);
        let bytes = self.ends[from].drain(len);
        let [client, server] = &mut self.ends;
        let (from, to) = if from == CLIENT {
            (client, server)
        } else {
            (server, client)
        };

        if self.lost {
            return;
        }

        to.receive(&bytes, self.now);

        if from.ended && from.out.is_empty() && !from.end_told {
            from.end_told = true;
            let action = to.handshake.transport_ended();
            to.act(action, &[]);
        }
    }

    /// Lets the wire carry everything there is, in turns.
    fn settle(&mut self) {
        loop {
            let first = self.rng.below(2);
            self.carry(first);
            self.carry(1 - first);

            if self.ends.iter().all(|end| end.end_told) {
                for end in &mut self.ends {
                    end.handshake.transport_closed();
                }
            }

            let idle =
                |end: &Endpoint| end.out.is_empty() && (!end.ended || end.end_told || self.lost);
            if self.ends.iter().all(idle) {
                return;
            }
        }
    }

    /// Moves the clock; who is overdue destroys the transport.
    fn advance(&mut self, ms: u64) {
        self.now += ms;

        for index in [CLIENT, SERVER] {
            if self.ends[index].handshake.is_overdue(self.now) {
                self.destroy(index);
            }
        }
    }

    fn destroy(&mut self, index: usize) {
        let end = &mut self.ends[index];
        end.out.clear();
        end.close_queued = false;
        end.ended = true;
        end.handshake.transport_closed();

        if !self.lost {
            self.ends[1 - index].handshake.transport_closed();
        }
    }

    fn codes(&self) -> [u16; 2] {
        assert!(self.ends.iter().all(Endpoint::is_closed), "still open");
        assert!(self
            .ends
            .iter()
            .all(|end| end.handshake.deadline().is_none()));
        [
            self.ends[CLIENT].handshake.code(),
            self.ends[SERVER].handshake.code(),
        ]
    }
}

fn deflate(no_context_takeover: bool) -> Agreement {
    Agreement {
        deflate: Some(InflateConfig {
            window_bits: 15,
            no_context_takeover,
        }),
        max_payload: 0,
    }
}

#[test]
fn messages_arrive_in_order_in_both_directions() {
    for seed in 0..50 {
        let mut pair = Pair::new(Agreement::default(), seed);
        let expected: Vec<String> = (0..30).map(|i| format!("{i}-").repeat(i)).collect();

        for text in &expected {
            for end in &mut pair.ends {
                end.send(text.as_bytes(), false, false, 7);
            }
            pair.carry(SERVER);
        }

        pair.settle();
        assert_eq!(pair.ends[CLIENT].messages(), expected);
        assert_eq!(pair.ends[SERVER].messages(), expected);
    }
}

#[test]
fn a_ping_is_answered_with_its_data() {
    let mut pair = Pair::new(Agreement::default(), 1);
    pair.ends[CLIENT].ping(b"are you there");
    pair.ends[SERVER].ping(b"");
    pair.settle();
    assert_eq!(
        pair.ends[CLIENT].seen,
        [Seen::Ping(vec![]), Seen::Pong(b"are you there".to_vec())]
    );
    assert_eq!(
        pair.ends[SERVER].seen,
        [Seen::Ping(b"are you there".to_vec()), Seen::Pong(vec![])]
    );
}

#[test]
fn compressed_messages_share_a_context_in_each_direction() {
    for no_context_takeover in [false, true] {
        for seed in 0..10 {
            let mut pair = Pair::new(deflate(no_context_takeover), seed);
            let text = "the quick brown fox ".repeat(20);
            let mut sizes = vec![];

            for round in 0..6 {
                for end in &mut pair.ends {
                    let before = end.out.len();
                    end.send(text.as_bytes(), round % 2 == 0, true, 1000);
                    sizes.push(end.out.len() - before);
                    end.send(b"plain", false, false, 2);
                    end.ping(b"p");
                }
                pair.settle();
            }

            for end in &pair.ends {
                let messages = end.messages();
                assert_eq!(messages.len(), 12);
                assert!(messages
                    .chunks(2)
                    .all(|two| two[0] == text && two[1] == "plain"));
            }

            // The first message of each side fills the window for the rest.
            let (first, second) = (sizes[0], sizes[2]);
            assert_eq!(second < first, !no_context_takeover);
        }
    }
}

#[test]
fn compressed_fragments_arrive_as_one_message() {
    for seed in 0..20 {
        let mut pair = Pair::new(deflate(false), seed);
        let text = "abcdefgh".repeat(500);
        pair.ends[CLIENT].send(text.as_bytes(), false, true, 333);
        pair.ends[SERVER].send(b"", false, true, 10);
        pair.settle();
        assert_eq!(pair.ends[SERVER].messages(), [text]);
        assert_eq!(pair.ends[CLIENT].messages(), [""]);
    }
}

#[test]
fn either_side_may_close() {
    for (side, seed) in [(CLIENT, 1), (SERVER, 2), (CLIENT, 3), (SERVER, 4)] {
        let mut pair = Pair::new(Agreement::default(), seed);
        pair.ends[1 - side].send(b"late but in time", false, false, 5);
        pair.ends[side].close(4000, "done", 0);
        assert!(!pair.ends[side].handshake.can_send());
        pair.settle();

        assert_eq!(pair.codes(), [4000, 4000]);
        assert_eq!(pair.ends[side].messages(), ["late but in time"]);
        for end in &pair.ends {
            assert_eq!(end.seen.last(), Some(&Seen::Close(4000, b"done".to_vec())));
        }
    }
}

#[test]
fn a_close_without_a_code_is_answered_without_one() {
    let mut pair = Pair::new(Agreement::default(), 5);
    pair.ends[CLIENT].close(NO_STATUS, "", 0);
    pair.settle();
    assert_eq!(pair.codes(), [NO_STATUS, NO_STATUS]);
}

#[test]
fn both_sides_may_close_at_once() {
    for seed in 0..30 {
        let mut pair = Pair::new(Agreement::default(), seed);
        pair.ends[CLIENT].close(4001, "client", 0);
        pair.ends[SERVER].close(4002, "server", 0);
        pair.settle();
        assert_eq!(pair.codes(), [4002, 4001]);

        for end in &pair.ends {
            assert_eq!(end.seen.len(), 1);
        }
    }
}

#[test]
fn a_peer_that_breaks_the_protocol_is_told_why() {
    let mut pair = Pair::new(Agreement::default(), 6);
    pair.ends[CLIENT].send(b"fine", false, false, 10);
    pair.ends[CLIENT].send(&[0xff], false, false, 10);
    pair.ends[CLIENT].send(b"never seen", false, false, 10);
    pair.settle();
    assert_eq!(pair.codes(), [1007, ABNORMAL]);
    assert_eq!(
        pair.ends[SERVER].seen,
        [Seen::text("fine"), Seen::Error(ProtocolError::InvalidUtf8)]
    );
}

#[test]
fn a_message_over_the_limit_ends_the_connection() {
    let agreement = Agreement {
        max_payload: 100,
        ..deflate(false)
    };
    let mut pair = Pair::new(agreement, 7);
    pair.ends[SERVER].send(&[b'x'; 100], true, true, 1000);
    pair.ends[SERVER].send(&[b'x'; 101], true, true, 1000);
    pair.settle();
    assert_eq!(pair.codes(), [ABNORMAL, 1009]);
    assert_eq!(pair.ends[CLIENT].messages().len(), 1);
}

#[test]
fn a_peer_that_does_not_answer_is_dropped_in_time() {
    let mut pair = Pair::new(Agreement::default(), 8);
    pair.advance(500);
    pair.lost = true;
    let now = pair.now;
    pair.ends[CLIENT].close(1000, "", now);
    pair.settle();

    pair.advance(TIMEOUT - 1);
    assert!(!pair.ends[CLIENT].is_closed());
    pair.advance(1);
    assert!(pair.ends[CLIENT].is_closed());
    assert_eq!(pair.ends[CLIENT].handshake.code(), ABNORMAL);

    // The other side never learns of it.
    pair.advance(10 * TIMEOUT);
    assert_eq!(pair.ends[SERVER].handshake.state(), CloseState::Open);
}

#[test]
fn a_peer_that_ends_the_transport_without_a_word_is_gone() {
    let mut pair = Pair::new(Agreement::default(), 9);
    pair.ends[CLIENT].send(b"half a mess", false, false, 100);
    pair.ends[CLIENT].out.truncate(9);
    pair.ends[CLIENT].ended = true;
    pair.settle();
    assert_eq!(pair.codes(), [ABNORMAL, ABNORMAL]);
    assert!(pair.ends[SERVER].seen.is_empty());
}

#[test]
fn a_peer_that_stops_after_our_close_frame_is_dropped_in_time() {
    let mut pair = Pair::new(Agreement::default(), 10);
    pair.ends[SERVER].close(1001, "going", 0);
    // The client gets the frame, but its answer is lost.
    while !pair.ends[SERVER].out.is_empty() {
        pair.carry(SERVER);
    }
    pair.lost = true;
    pair.settle();
    assert_eq!(pair.ends[CLIENT].handshake.code(), 1001);

    pair.advance(TIMEOUT);
    assert!(pair.ends[SERVER].is_closed());
    assert_eq!(pair.ends[SERVER].handshake.code(), ABNORMAL);
}
