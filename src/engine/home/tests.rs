//! A home's turns, over real sockets: what they deliver, in which order, and how
//! much at a time.

use super::*;
use crate::engine::inbox::{Owned, RowKind, ROW};
use crate::protocol::context::Context;
use crate::protocol::deflate::Deflater;
use crate::protocol::frame::{FrameHeader, Opcode, MAX_HEADER};
use crate::protocol::mask::apply_mask;
use crate::protocol::receiver::{InflateConfig, Room};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

fn limits(is_server: bool) -> ReceiverConfig {
    ReceiverConfig {
        is_server,
        ..ReceiverConfig::default()
    }
}

fn receiver(is_server: bool) -> Receiver {
    Receiver::new(limits(is_server))
}

fn adopt(home: &mut Home) -> (u32, UnixStream) {
    adopt_as(home, false)
}

fn adopt_as(home: &mut Home, is_server: bool) -> (u32, UnixStream) {
    adopt_with(home, receiver(is_server))
}

fn adopt_with(home: &mut Home, receiver: Receiver) -> (u32, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let id = take_in(home, ours.as_fd(), receiver);
    (id, theirs)
}

/// The same over TCP, where there are resets.
fn adopt_tcp(home: &mut Home) -> (u32, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    let id = take_in(home, ours.as_fd(), receiver(false));
    (id, theirs)
}

fn take_in(home: &mut Home, fd: BorrowedFd<'_>, receiver: Receiver) -> u32 {
    let socket = home.register(fd).unwrap();
    let id = home.adopt(socket, receiver);
    home.set_reading(id, true);
    assert!(!home.is_due());
    id
}

/// Closes a connection with a reset.
fn reset(peer: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
}

/// The large messages that turns deliver in place, and how often bytes were
/// read.
fn large(home: &mut Home, turns: usize) -> (Vec<Vec<u8>>, usize) {
    let (mut rows, mut slab) = ([0; 256], [0; 8192]);
    let (mut messages, mut reads) = (Vec::new(), 0);
    for _ in 0..turns {
        let mut owned = Vec::new();
        let mut allocate = |len| Some(Box::new(vec![0xdd_u8; len]) as Box<dyn Room>);
        let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned).with_memory(&mut allocate);
        home.turn(&mut inbox);
        let len = inbox.len();
        reads += rows[..len * ROW]
            .chunks(ROW)
            .filter(|row| row[1] == RowKind::Read as u32)
            .count();
        for payload in owned {
            let Owned::Room(room) = payload else {
                panic!("not in place");
            };
            messages.push(*room.into_any().downcast().unwrap());
        }
    }
    (messages, reads)
}

fn masked(payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        fin: true,
        rsv1: false,
        opcode: Opcode::Text,
        mask: Some([1, 2, 3, 4]),
        len: payload.len() as u64,
    };
    let mut bytes = vec![0; MAX_HEADER];
    let len = header.encode(&mut bytes);
    bytes.truncate(len);
    bytes.extend_from_slice(payload);
    apply_mask(&mut bytes[len..], [1, 2, 3, 4], 0);
    bytes
}

/// The kinds and payloads of one turn.
fn turn(home: &mut Home) -> Vec<(u32, u32, Vec<u8>)> {
    let (mut rows, mut slab, mut owned) = ([0; 256], [0; 8192], Vec::new());
    let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned);
    home.turn(&mut inbox);
    let len = inbox.len();
    rows[..len * ROW]
        .chunks(ROW)
        .map(|row| {
            let payload = match row[1] & 0xff {
                1..=7 => slab[row[2] as usize..][..row[3] as usize].to_vec(),
                _ => Vec::new(),
            };
            (row[0], row[1] & 0xff, payload)
        })
        .collect()
}

#[test]
fn a_turn_delivers_what_arrives_then_the_end() {
    let mut home = Home::new().unwrap();
    let (id, mut peer) = adopt(&mut home);
    assert!(turn(&mut home).is_empty());
    peer.write_all(b"\x82\x01x\x89\x00").unwrap();
    let rows = turn(&mut home);
    assert_eq!(rows[1], (id, RowKind::Binary as u32, b"x".to_vec()));
    assert_eq!(rows[2], (id, RowKind::Ping as u32, Vec::new()));
    assert!(turn(&mut home).is_empty());
    drop(peer);
    assert_eq!(turn(&mut home), [(id, RowKind::End as u32, Vec::new())]);
    assert!(turn(&mut home).is_empty());
}

#[test]
fn data_and_end_in_one_go_are_seen_in_two_turns() {
    let mut home = Home::new().unwrap();
    let (_, mut peer) = adopt(&mut home);
    assert!(turn(&mut home).is_empty());
    peer.write_all(b"\x81\x02hi").unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    let kinds: Vec<u32> = turn(&mut home).iter().map(|row| row.1).collect();
    assert_eq!(
        kinds,
        [RowKind::Read, RowKind::Text].map(|kind| kind as u32)
    );
    // It is the descriptor that tells.
    assert!(!home.is_due());
    assert_eq!(turn(&mut home)[0].1, RowKind::End as u32);
    assert!(turn(&mut home).is_empty());
}

#[test]
fn data_and_the_end_of_both_directions_are_seen_in_one_turn() {
    let mut home = Home::new().unwrap();
    let (_, mut peer) = adopt(&mut home);
    assert!(turn(&mut home).is_empty());
    peer.write_all(b"\x81\x02hi").unwrap();
    drop(peer);
    let kinds: Vec<u32> = turn(&mut home).iter().map(|row| row.1).collect();
    let expected = [RowKind::Read, RowKind::Text, RowKind::End];
    assert_eq!(kinds, expected.map(|kind| kind as u32));
    assert!(turn(&mut home).is_empty());
}

#[test]
fn a_reset_is_found_by_reading_before_writing_goes_on() {
    let mut home = Home::new().unwrap();
    let (id, peer) = adopt_tcp(&mut home);
    assert!(turn(&mut home).is_empty());
    let chunk = vec![1; 1 << 20];
    while home.write(id, &[IoSlice::new(&chunk)]).unwrap() > 0 {}
    home.want_write(id);
    assert!(turn(&mut home).is_empty());
    reset(peer);
    let kinds: Vec<u32> = turn(&mut home).iter().map(|row| row.1).collect();
    let expected = [RowKind::Failed, RowKind::Writable];
    assert_eq!(kinds, expected.map(|kind| kind as u32));
}

#[test]
fn a_paused_connection_delivers_nothing_until_it_is_resumed() {
    let mut home = Home::new().unwrap();
    let (id, mut peer) = adopt(&mut home);
    home.set_reading(id, false);
    peer.write_all(b"\x81\x02hi").unwrap();
    assert!(turn(&mut home).is_empty());
    home.set_reading(id, true);
    assert!(home.is_due());
    assert_eq!(turn(&mut home).len(), 2);
}

#[test]
fn a_reset_is_seen_while_a_connection_is_paused() {
    let mut home = Home::new().unwrap();
    let (id, peer) = adopt_tcp(&mut home);
    assert!(turn(&mut home).is_empty());
    home.set_reading(id, false);
    assert!(!home.is_due());
    reset(peer);
    let rows = turn(&mut home);
    assert_eq!(rows, [(id, RowKind::Failed as u32, Vec::new())]);
    home.set_reading(id, true);
    assert!(turn(&mut home).is_empty());
}

#[test]
fn a_reset_of_the_only_connection_is_no_end() {
    let mut home = Home::new().unwrap();
    let (id, mut peer) = adopt_tcp(&mut home);
    assert!(turn(&mut home).is_empty());
    for _ in 0..5 {
        peer.write_all(b"\x81\x01x").unwrap();
        assert_eq!(turn(&mut home).len(), 2);
    }
    assert!(home.alone.candidate().is_some());
    reset(peer);
    let rows = turn(&mut home);
    assert_eq!(rows, [(id, RowKind::Failed as u32, Vec::new())]);
    assert!(turn(&mut home).is_empty());
}

#[test]
fn more_frames_than_the_inbox_has_room_for_arrive_over_several_turns() {
    let mut home = Home::new().unwrap();
    let (_, mut peer) = adopt(&mut home);
    peer.write_all(&b"\x81\x01x".repeat(1000)).unwrap();
    let mut texts = 0;
    for _ in 0..100 {
        let rows = turn(&mut home);
        texts += rows.iter().filter(|row| row.1 == 1).count();
    }
    assert_eq!(texts, 1000);
}

#[test]
fn large_messages_are_received_in_place_together_with_what_follows() {
    let mut home = Home::new().unwrap();
    let (_, mut peer) = adopt_as(&mut home, true);
    assert!(turn(&mut home).is_empty());
    let messages: Vec<Vec<u8>> = [100_000, 20_000, 2_000_000, 1_000_000]
        .into_iter()
        .map(|len| (0..len).map(|i| (i % 127) as u8).collect())
        .collect();
    let bytes: Vec<u8> = messages.iter().flat_map(|text| masked(text)).collect();
    let writer = std::thread::spawn(move || {
        peer.write_all(&bytes).unwrap();
        peer
    });
    let mut received = Vec::new();
    while received.len() < messages.len() {
        received.append(&mut large(&mut home, 1).0);
    }
    assert!(received == messages);
    drop(writer.join().unwrap());
    assert_eq!(turn(&mut home)[0].1, RowKind::End as u32);
}

#[test]
fn after_a_large_message_only_the_beginning_of_the_next_is_copied() {
    let mut home = Home::new().unwrap();
    let (id, mut peer) = adopt_as(&mut home, true);
    assert!(turn(&mut home).is_empty());
    let bytes = masked(&[b'x'; 150_000]);
    for first in [65_536, 4702] {
        peer.write_all(&bytes).unwrap();
        let (mut rows, mut slab, mut owned) = ([0; 64], [0; 8192], Vec::new());
        let mut allocate = |len| Some(Box::new(vec![0_u8; len]) as Box<dyn Room>);
        let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned).with_memory(&mut allocate);
        home.turn(&mut inbox);
        assert_eq!(inbox.len(), 3);
        assert_eq!(rows[..4], [id, RowKind::Read as u32, 0, first]);
        assert_eq!(rows[7], bytes.len() as u32 - first);
    }
    // Small ones make it read as much as ever again, at once.
    let many = masked(b"x").repeat(3000);
    peer.write_all(&many).unwrap();
    let mut received = Vec::new();
    for _ in 0..2 {
        let (mut rows, mut slab, mut owned) = ([0; 16_384], [0; 8192], Vec::new());
        let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned);
        home.turn(&mut inbox);
        received.push(rows[3]);
    }
    assert_eq!(received, [many.len() as u32, 0]);
}

/// The messages of one turn by their first bytes and lengths, and where in
/// the slab they are, if they are there.
fn messages(home: &mut Home) -> Vec<(u8, usize, Option<u32>)> {
    let (mut rows, mut slab, mut owned) = ([0; 256], [0; 8192], Vec::new());
    let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned);
    home.turn(&mut inbox);
    let len = inbox.len();
    let texts = rows[..len * ROW]
        .chunks(ROW)
        .filter(|row| row[1] & 0xff == RowKind::Text as u32);
    texts
        .map(|row| match &owned.get(row[2] as usize) {
            Some(Owned::Bytes(bytes)) if row[1] >> 8 != 0 => (bytes[0], bytes.len(), None),
            _ => {
                let text = &slab[row[2] as usize..][..row[3] as usize];
                assert!(text.iter().all(|byte| *byte == text[0]));
                (text[0], text.len(), Some(row[2]))
            }
        })
        .collect()
}

#[test]
fn messages_of_a_size_are_received_where_they_stay() {
    let mut home = Home::new().unwrap();
    let mut peers: Vec<_> = (0..2).map(|_| adopt_as(&mut home, true).1).collect();
    assert!(messages(&mut home).is_empty());
    let frames = [b'a', b'b', b'c'].map(|byte| masked(&[byte; 5000]));
    // With the header before them, from the second on.
    for start in [0, 8, 8] {
        peers[0].write_all(&frames[0]).unwrap();
        assert_eq!(messages(&mut home), [(b'a', 5000, Some(start))]);
    }
    // The second one does not fit.
    peers[0].write_all(&frames[1..].concat()).unwrap();
    assert_eq!(messages(&mut home), [(b'b', 5000, Some(8))]);
    assert_eq!(messages(&mut home), [(b'c', 5000, Some(0))]);
    // Of two connections' messages one has to wait.
    peers[1].write_all(&frames[0]).unwrap();
    assert_eq!(messages(&mut home), [(b'a', 5000, Some(0))]);
    for (peer, frame) in peers.iter_mut().zip(&frames[1..]) {
        peer.write_all(frame).unwrap();
    }
    assert_eq!(messages(&mut home), [(b'b', 5000, Some(8))]);
    assert_eq!(messages(&mut home), [(b'c', 5000, Some(8))]);
    // The reads got all that they asked for.
    assert!(messages(&mut home).is_empty());
    assert!(!home.is_due());
}

/// Sends texts of these lengths in one go. Returns how many of them stayed
/// where they were received: behind their headers.
fn flood(lengths: &[usize]) -> usize {
    let mut home = Home::new().unwrap();
    let (_, mut peer) = adopt_as(&mut home, true);
    let texts: Vec<Vec<u8>> = (b' '..b'~')
        .cycle()
        .zip(lengths)
        .map(|(byte, &len)| vec![byte; len])
        .collect();
    let bytes: Vec<u8> = texts.iter().flat_map(|text| masked(text)).collect();
    let writer = std::thread::spawn(move || {
        peer.write_all(&bytes).unwrap();
        peer
    });
    let (mut at, mut stayed) = (0, 0);
    while at < texts.len() {
        let (mut rows, mut slab, mut owned) = ([0; 1024], [0; 66_000], Vec::new());
        let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned);
        home.turn(&mut inbox);
        let len = inbox.len();
        for row in rows[..len * ROW].chunks(ROW) {
            if row[1] & 0xff != RowKind::Text as u32 {
                assert_eq!(row[1], RowKind::Read as u32);
                continue;
            }
            let (offset, length) = (row[2] as usize, row[3] as usize);
            match &owned.get(offset) {
                Some(Owned::Bytes(bytes)) if row[1] >> 8 != 0 => assert!(*bytes == texts[at]),
                _ => {
                    assert!(slab[offset..][..length] == texts[at]);
                    let frame = masked(&texts[at]);
                    let header = &frame[..frame.len() - length];
                    stayed += usize::from(slab[..offset].ends_with(header));
                }
            }
            at += 1;
        }
    }
    drop(writer.join().unwrap());
    stayed
}

#[test]
fn of_a_flood_of_messages_of_a_size_nearly_all_stay_where_they_are_received() {
    for length in [4096, 5000, 12_000, 16_000, 16_384] {
        let stayed = flood(&vec![length; 200]);
        assert!(stayed >= 180, "{stayed} of 200 messages of {length} bytes");
    }
}

#[test]
fn a_flood_of_messages_of_all_sizes_arrives_whole_and_in_order() {
    for seed in 1..20_usize {
        let lengths = (0..300).map(|i: usize| match (i * i * seed + i) % 11 {
            0 => (i * seed) % 130,
            1 => (i * seed * 77) % 70_000,
            _ => 4000 + (i * seed * 31) % 13_000,
        });
        flood(&lengths.collect::<Vec<_>>());
    }
}

#[test]
fn not_all_connections_decompress_large_messages_at_a_time() {
    const PEERS: usize = 3 * MOST_INFLATING;
    let text = vec![b'x'; 3 << 20];
    let mut context = Context::new(15, false);
    let payload = Deflater::new(6, 15).compress(&mut context, &text, true);
    let payload = payload.unwrap();
    let mut frame = vec![0xc1, 126];
    frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    frame.extend_from_slice(&payload);
    let mut home = Home::new().unwrap();
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let config = InflateConfig {
            window_bits: 15,
            no_context_takeover: false,
        };
        let receiver = Receiver::new(ReceiverConfig {
            inflate: Some(config),
            ..limits(false)
        });
        let (_, mut theirs) = adopt_with(&mut home, receiver);
        theirs.write_all(&frame).unwrap();
        peers.push(theirs);
    }
    let (mut received, mut most) = (0, 0);
    while received < PEERS {
        let (mut rows, mut slab, mut owned) = ([0; 1024], [0; 66_000], Vec::new());
        let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned);
        home.turn(&mut inbox);
        received += owned.len();
        most = most.max(home.inflating.len());
    }
    assert_eq!(most, MOST_INFLATING);
    assert!(home.inflating.is_empty());
}

/// Whose events the next turns deliver, with room for a few in each, and how many
/// events each has before it is another's turn.
fn shares(home: &mut Home) -> Vec<(u32, usize)> {
    let mut shares: Vec<(u32, usize)> = Vec::new();
    while home.is_due() || shares.is_empty() {
        let (mut rows, mut slab, mut owned) = ([0; 64], [0; 8192], Vec::new());
        let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned);
        home.turn(&mut inbox);
        let (len, is_full) = (inbox.len(), inbox.is_full());
        assert!(is_full || !home.is_split());
        for row in rows[..len * ROW].chunks(ROW) {
            match shares.last_mut() {
                Some((id, count)) if *id == row[0] => *count += usize::from(row[1] == 1),
                _ => shares.push((row[0], usize::from(row[1] == 1))),
            }
        }
    }
    shares
}

#[test]
fn what_one_read_has_got_is_delivered_before_others_have_their_turn() {
    let mut home = Home::new().unwrap();
    let mut peers: Vec<_> = (0..3).map(|_| adopt(&mut home)).collect();
    assert!(turn(&mut home).is_empty());
    for (_, peer) in &mut peers {
        peer.write_all(&b"\x81\x01x".repeat(50)).unwrap();
    }
    let mut shares = shares(&mut home);
    shares.sort_unstable();
    let expected: Vec<_> = peers.iter().map(|(id, _)| (*id, 50)).collect();
    assert_eq!(shares, expected);
}

#[test]
fn others_have_their_turn_before_the_next_read() {
    const WHOLE: usize = READ_BUFFER / 4;
    let mut home = Home::new().unwrap();
    let (a, mut to_a) = adopt(&mut home);
    let (b, mut to_b) = adopt(&mut home);
    assert!(turn(&mut home).is_empty());
    to_a.write_all(&b"\x81\x02xx".repeat(WHOLE + 7)).unwrap();
    to_b.write_all(b"\x81\x01x").unwrap();
    assert_eq!(shares(&mut home), [(a, WHOLE), (b, 1), (a, 7)]);
}

#[test]
fn a_read_is_delivered_before_the_next_one_also_without_the_driver() {
    const WHOLE: usize = READ_BUFFER / 4;
    let mut home = Home::new().unwrap();
    let (id, mut peer) = adopt(&mut home);
    while home.alone.candidate().is_none() {
        peer.write_all(b"\x81\x02xx").unwrap();
        assert_eq!(shares(&mut home), [(id, 1)]);
    }
    peer.write_all(&b"\x81\x02xx".repeat(WHOLE + 7)).unwrap();
    let (mut rows, mut slab) = (vec![0; WHOLE * 2 * ROW], vec![0; READ_BUFFER * 2]);
    for expected in [WHOLE, 7] {
        let mut owned = Vec::new();
        let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned);
        home.turn(&mut inbox);
        // One row says that there was a read.
        assert_eq!(inbox.len(), 1 + expected);
        home.advance();
    }
}

#[test]
fn after_a_large_message_its_connection_comes_first_unless_it_is_paused() {
    let mut home = Home::new().unwrap();
    let (a, mut to_a) = adopt(&mut home);
    let (b, mut to_b) = adopt(&mut home);
    assert!(turn(&mut home).is_empty());
    let mut bytes = vec![0x82, 127];
    bytes.extend_from_slice(&70_000_u64.to_be_bytes());
    bytes.resize(10 + 70_000, b'x');
    for is_paused in [false, true] {
        to_a.write_all(&bytes.repeat(2)).unwrap();
        to_b.write_all(b"\x81\x01x").unwrap();
        let mut messages = Vec::new();
        while home.is_due() || messages.is_empty() {
            let (mut rows, mut slab, mut owned) = ([0; 256], [0; 8192], Vec::new());
            let mut allocate = |len| Some(Box::new(vec![0_u8; len]) as Box<dyn Room>);
            let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned).with_memory(&mut allocate);
            home.turn(&mut inbox);
            let len = inbox.len();
            let kinds = [RowKind::Text as u32, RowKind::Binary as u32];
            let events = rows[..len * ROW].chunks(ROW);
            let events = events.filter(|row| kinds.contains(&(row[1] & 0xff)));
            messages.extend(events.map(|row| row[0]));
            assert!(!home.is_split());
            if is_paused && messages == [a] {
                home.set_reading(a, false);
            }
        }
        let expected: &[u32] = if is_paused { &[a, b] } else { &[a, a, b] };
        assert_eq!(messages, expected);
    }
}

#[test]
fn what_has_been_read_is_delivered_even_if_the_connection_is_paused_then() {
    let mut home = Home::new().unwrap();
    let (id, mut peer) = adopt(&mut home);
    peer.write_all(&b"\x81\x01x".repeat(1000)).unwrap();
    let first = turn(&mut home).len() - 1;
    assert!(home.is_split());
    home.set_reading(id, false);
    peer.write_all(b"\x81\x01y").unwrap();
    assert_eq!(shares(&mut home), [(id, 1000 - first)]);
    assert!(turn(&mut home).is_empty());
}

#[test]
fn a_large_message_that_is_here_takes_one_turn_and_two_reads() {
    let mut home = Home::new().unwrap();
    let (_, mut peer) = adopt_as(&mut home, true);
    assert!(turn(&mut home).is_empty());
    let bytes = masked(&[b'x'; 150_000]);
    peer.write_all(&bytes).unwrap();
    let (messages, reads) = large(&mut home, 1);
    assert_eq!((messages.len(), reads), (1, 2));
    assert!(!home.is_due());
    peer.write_all(&bytes).unwrap();
    peer.write_all(&bytes[..7]).unwrap();
    let (messages, reads) = large(&mut home, 1);
    assert_eq!((messages.len(), reads), (1, 2));
    assert!(!home.is_due());
    peer.write_all(&bytes[7..1000]).unwrap();
    assert_eq!(large(&mut home, 1).1, 1);
    peer.write_all(&bytes[1000..]).unwrap();
    assert_eq!(large(&mut home, 1).0.len(), 1);
    drop(peer);
    assert_eq!(turn(&mut home)[0].1, RowKind::End as u32);
}

#[test]
fn all_connections_can_go_at_once() {
    let mut home = Home::new().unwrap();
    let (_, mut peer) = adopt(&mut home);
    home.clear();
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    assert!(turn(&mut home).is_empty());
    adopt(&mut home);
}

#[test]
fn a_short_write_is_followed_by_a_writable_row() {
    let mut home = Home::new().unwrap();
    let (id, mut peer) = adopt(&mut home);
    let chunk = vec![1; 1 << 20];
    while home.write(id, &[IoSlice::new(&chunk)]).unwrap() > 0 {}
    home.want_write(id);
    assert!(turn(&mut home).is_empty());
    let mut sink = vec![0; 1 << 20];
    assert!(peer.read(&mut sink).unwrap() > 0);
    assert_eq!(turn(&mut home)[0].1, RowKind::Writable as u32);
    assert!(turn(&mut home).is_empty());
    drop(peer);
    let error = home.write(id, &[IoSlice::new(&chunk)]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::PIPE.raw_os_error()));
}

#[test]
fn an_end_right_behind_data_does_not_keep_a_full_socket_from_going_on() {
    let mut home = Home::new().unwrap();
    let (id, mut peer) = adopt(&mut home);
    let chunk = vec![1; 1 << 20];
    while home.write(id, &[IoSlice::new(&chunk)]).unwrap() > 0 {}
    home.want_write(id);
    assert!(turn(&mut home).is_empty());
    peer.write_all(b"\x81\x02hi").unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(turn(&mut home)[1].1, RowKind::Text as u32);
    assert_eq!(turn(&mut home)[0].1, RowKind::End as u32);
    let mut sink = vec![0; 1 << 20];
    assert!(peer.read(&mut sink).unwrap() > 0);
    assert_eq!(turn(&mut home)[0].1, RowKind::Writable as u32);
}

#[test]
fn an_idle_connection_takes_little_memory() {
    assert!(size_of::<Resident>() <= 136);
}

#[test]
fn an_id_is_not_reused_within_a_turn() {
    let mut home = Home::new().unwrap();
    let (first, _peer) = adopt(&mut home);
    assert!(home.release(first).is_some());
    let (second, _peer) = adopt(&mut home);
    assert_ne!(first, second);
    turn(&mut home);
    let (third, _peer) = adopt(&mut home);
    assert_eq!(first, third);
}

#[test]
fn what_is_not_a_stream_socket_is_refused() {
    let home = Home::new().unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(home.register(file.as_fd()).is_err());
}

#[test]
fn urgent_data_does_not_hide_what_follows_it() {
    let mut home = Home::new().unwrap();
    let (_, mut peer) = adopt_tcp(&mut home);
    peer.set_nodelay(true).unwrap();
    // After some rounds the home reads without asking the driver.
    for _ in 0..40 {
        peer.write_all(b"\x81\x01a").unwrap();
        rustix::net::send(&peer, b"!", rustix::net::SendFlags::OOB).unwrap();
        peer.write_all(b"\x81\x01b").unwrap();
        std::thread::sleep(Duration::from_millis(2));
        let mut texts = Vec::new();
        for _ in 0..500 {
            let rows = turn(&mut home).into_iter();
            let received = rows.filter(|(_, kind, _)| *kind == RowKind::Text as u32);
            texts.extend(received.flat_map(|(_, _, payload)| payload));
            if texts.len() == 2 {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(texts, b"ab");
    }
}
