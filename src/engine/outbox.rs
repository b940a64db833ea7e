//! Sending what was queued in one tick, for all connections at once, and long
//! frames by themselves.
//!
//! Called by the binding with memory that is JavaScript's (`lib/outbox.js`);
//! writes through a home. Nothing is kept here: what the kernel does not take is
//! the caller's.
//!
//! A row is `[connection, first byte of the frame | flags, offset, length]`;
//! payloads lie in a slab, each with room for its frame header before it.
//! Header and mask are written in place, neighbouring frames of a connection
//! go out in one system call. On return a row is `[errno, bytes sent, offset,
//! length]`: of what the kernel did not take, which the caller keeps, and why if
//! it was an error (on the first row that met it).

use std::io::{self, IoSlice};
use std::ops::Range;

use super::driver::errno;
use super::home::Home;
use super::inbox::ROW;
use crate::protocol::frame::{FrameHeader, Opcode, MAX_HEADER};
use crate::protocol::mask::{append_masked, apply_mask};

/// The bits of a frame's first byte beside the opcode.
const FIN: u32 = 0x80;
const RSV1: u32 = 0x40;
/// The bytes are sent as they are.
const RAW: u32 = 0x100;
/// The masking key lies in the four bytes before the payload.
const MASK: u32 = 0x200;

/// Buffers that one system call takes at the most (IOV_MAX is 1,024).
pub const MAX_SLICES: usize = 512;

/// Bytes of a payload that are masked before they are sent: few enough to stay in
/// the cache, and so many that one more system call does not count.
const MASK_STEP: usize = 128 * 1024;

/// What sending needs besides the memory of the caller, used again each time.
#[derive(Debug, Default)]
pub struct Outbox {
    keys: Vec<u64>,
    order: Vec<u32>,
    groups: Vec<Range<usize>>,
    /// What is masked in one step.
    step: Vec<u8>,
}

impl Outbox {
    /// Sends the frames of all rows. Returns how many are not sent in full.
    pub fn flush(&mut self, home: &mut Home, rows: &mut [u32], slab: &mut [u8]) -> u32 {
        let Self {
            keys,
            order,
            groups,
            ..
        } = self;
        for row in rows.chunks_exact_mut(ROW) {
            encode(row, slab);
        }
        arrange(rows, keys, order, groups);
        let mut unsent = 0;
        for group in groups.iter() {
            let mut blocked = 0;
            for part in order[group.clone()].chunks(MAX_SLICES) {
                // What follows an unsent frame must wait for it.
                blocked += match blocked {
                    0 => send(home, rows, part, slab),
                    _ => skip(rows, part),
                };
            }
            unsent += blocked;
        }
        unsent
    }

    /// Sends an unmasked frame: `first_byte` (with FIN, RSV1 and opcode), the
    /// length of `payload`, and `payload`. Returns how many bytes of the frame
    /// the kernel took.
    ///
    /// # Errors
    /// As for [`Home::write`].
    pub fn send_frame(
        &self,
        home: &mut Home,
        id: u32,
        first_byte: u32,
        payload: &[u8],
    ) -> io::Result<usize> {
        let mut bytes = [0; MAX_HEADER];
        let size = header(first_byte, None, payload.len()).encode(&mut bytes);
        home.write(id, &[IoSlice::new(&bytes[..size]), IoSlice::new(payload)])
    }

    /// The same for a masked frame. The payload is masked step by step, so that it
    /// needs no memory of its own.
    ///
    /// # Errors
    /// As for [`Home::write`], if no byte was taken before.
    pub fn send_masked(
        &mut self,
        home: &mut Home,
        id: u32,
        first_byte: u32,
        payload: &[u8],
        key: [u8; 4],
    ) -> io::Result<usize> {
        let step = &mut self.step;
        let mut bytes = [0; MAX_HEADER];
        let size = header(first_byte, Some(key), payload.len()).encode(&mut bytes);
        step.clear();
        step.extend_from_slice(&bytes[..size]);
        let (mut sent, mut done) = (0, 0);
        loop {
            let part = &payload[done..payload.len().min(done + MASK_STEP)];
            append_masked(step, part, key, done);
            done += part.len();
            let taken = match home.write(id, &[IoSlice::new(step)]) {
                Ok(taken) => taken,
                Err(error) if sent == 0 => return Err(error),
                // The next attempt says so.
                Err(_) => return Ok(sent),
            };
            sent += taken;
            if taken < step.len() || done == payload.len() {
                return Ok(sent);
            }
            step.clear();
        }
    }
}

/// Puts the numbers of rows in the order in which they are sent, and tells which
/// of them are a connection's: its frames keep their order, and connections
/// have that of their first frames.
fn arrange(
    rows: &[u32],
    keys: &mut Vec<u64>,
    order: &mut Vec<u32>,
    groups: &mut Vec<Range<usize>>,
) {
    keys.clear();
    order.clear();
    groups.clear();
    let connections = rows.iter().step_by(ROW);
    keys.extend(
        (0..)
            .zip(connections)
            .map(|(row, &id)| u64::from(id) << 32 | row),
    );
    keys.sort_unstable();
    let is_same = |a: &u64, b: &u64| a >> 32 == b >> 32;
    if !keys.windows(2).any(|pair| is_same(&pair[0], &pair[1])) {
        // The usual case: one frame for each.
        order.extend(0..keys.len() as u32);
        groups.extend((0..keys.len()).map(|row| row..row + 1));
        return;
    }
    order.extend(keys.iter().map(|&key| key as u32));
    let mut start = 0;
    for group in keys.chunk_by(is_same) {
        groups.push(start..start + group.len());
        start += group.len();
    }
    groups.sort_unstable_by_key(|group| order[group.start]);
}

/// The header of a frame whose first byte is the lowest of `flags`.
fn header(flags: u32, mask: Option<[u8; 4]>, length: usize) -> FrameHeader {
    FrameHeader {
        fin: flags & FIN != 0,
        rsv1: flags & RSV1 != 0,
        opcode: Opcode::from_bits(flags as u8 & 0x0f).unwrap_or(Opcode::Continuation),
        mask,
        len: length as u64,
    }
}

/// Writes header and mask around the payload of a row, and makes the row name
/// the whole frame. A row that does not lie in the slab becomes empty.
fn encode(row: &mut [u32], slab: &mut [u8]) {
    let (flags, offset, length) = (row[1], row[2] as usize, row[3] as usize);
    row[1] = 0;
    if offset
        .checked_add(length)
        .is_none_or(|end| end > slab.len())
    {
        row[2..].fill(0);
        return;
    }
    if flags & RAW != 0 {
        return;
    }
    let (before, payload) = slab.split_at_mut(offset);
    let mask = before.last_chunk().copied().filter(|_| flags & MASK != 0);
    if let Some(key) = mask.filter(|key| *key != [0; 4]) {
        apply_mask(&mut payload[..length], key, 0);
    }
    let mut bytes = [0; MAX_HEADER];
    let size = header(flags, mask, length).encode(&mut bytes);
    let Some(start) = offset.checked_sub(size) else {
        row[2..].fill(0);
        return;
    };
    before[start..].copy_from_slice(&bytes[..size]);
    row[2] = start as u32;
    row[3] = (size + length) as u32;
}

/// Sends the frames of one connection, and notes in their rows what is left.
fn send(home: &mut Home, rows: &mut [u32], group: &[u32], slab: &[u8]) -> u32 {
    let Some(&first) = group.first() else {
        return 0;
    };
    let connection = rows[first as usize * ROW];
    let result = if let [row] = group {
        let (start, end) = range(rows, *row);
        home.write(connection, &[IoSlice::new(&slab[start..end])])
    } else {
        home.write(connection, &slices(rows, group, slab))
    };
    let (mut sent, errno) = match result {
        Ok(sent) => (sent as u32, 0),
        Err(error) => (0, errno(&error).unsigned_abs()),
    };
    let mut unsent = 0;
    for &row in group {
        let row = &mut rows[row as usize * ROW..][..ROW];
        let taken = sent.min(row[3]);
        sent -= taken;
        row.copy_from_slice(&[0, taken, row[2] + taken, row[3] - taken]);
        unsent += u32::from(row[3] > 0);
    }
    rows[first as usize * ROW] = errno;
    unsent
}

/// Where the frame of a row lies.
fn range(rows: &[u32], row: u32) -> (usize, usize) {
    let row = &rows[row as usize * ROW..][..ROW];
    (row[2] as usize, (row[2] + row[3]) as usize)
}

/// The frames of several rows. Those that lie side by side are one slice.
fn slices<'a>(rows: &[u32], group: &[u32], slab: &'a [u8]) -> Vec<IoSlice<'a>> {
    let mut ranges: Vec<(usize, usize)> = Vec::with_capacity(group.len());
    for &row in group {
        let (start, end) = range(rows, row);
        match ranges.last_mut() {
            Some((_, last)) if *last == start => *last = end,
            _ => ranges.push((start, end)),
        }
    }
    ranges
        .iter()
        .map(|&(start, end)| IoSlice::new(&slab[start..end]))
        .collect()
}

/// Notes that a part was not sent, behind one that is blocked.
fn skip(rows: &mut [u32], part: &[u32]) -> u32 {
    for &row in part {
        rows[row as usize * ROW..][..2].copy_from_slice(&[0, 0]);
    }
    part.len() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::receiver::{Receiver, ReceiverConfig};
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    const TEXT: u32 = FIN | 1;

    fn connect(home: &mut Home) -> (u32, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let socket = home.register(ours.as_fd()).unwrap();
        let receiver = Receiver::new(ReceiverConfig::default());
        (home.adopt(socket, receiver), theirs)
    }

    fn received(peer: &mut UnixStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        // It ends with "would block".
        let _ = peer.read_to_end(&mut bytes);
        bytes
    }

    /// Rows for these payloads of connections, and the slab in which they lie.
    fn queue(frames: &[(u32, u32, &[u8])]) -> (Vec<u32>, Vec<u8>) {
        let (mut rows, mut slab) = (Vec::new(), Vec::new());
        for (id, flags, payload) in frames {
            slab.extend_from_slice(&[0xee; MAX_HEADER]);
            rows.extend_from_slice(&[*id, *flags, slab.len() as u32, payload.len() as u32]);
            slab.extend_from_slice(payload);
        }
        (rows, slab)
    }

    #[test]
    fn each_connection_gets_its_frames_in_order() {
        let mut home = Home::new().unwrap();
        let (a, mut to_a) = connect(&mut home);
        let (b, mut to_b) = connect(&mut home);
        let frames: [(u32, u32, &[u8]); 4] = [
            (b, TEXT, b"1"),
            (a, TEXT, b"two"),
            (b, RAW, b"as it is"),
            (b, 2, b""),
        ];
        let (mut rows, mut slab) = queue(&frames);
        let unsent = Outbox::default().flush(&mut home, &mut rows, &mut slab);
        assert_eq!(unsent, 0);
        assert_eq!(received(&mut to_a), b"\x81\x03two");
        assert_eq!(received(&mut to_b), b"\x81\x011as it is\x02\x00");
        let sent: Vec<u32> = rows.chunks(ROW).map(|row| row[1]).collect();
        assert_eq!(sent, [3, 5, 8, 2]);
    }

    #[test]
    fn what_follows_an_unsent_frame_waits_and_others_do_not() {
        let mut home = Home::new().unwrap();
        let (full, mut to_full) = connect(&mut home);
        let (other, mut to_other) = connect(&mut home);
        let large = vec![7; 1024 * 1024];
        // More rows of the connection than go into one call.
        let mut frames: Vec<(u32, u32, &[u8])> = vec![(full, TEXT, &large)];
        frames.extend(vec![(full, TEXT, b"later" as &[u8]); MAX_SLICES]);
        frames.push((other, TEXT, b"now"));
        let (mut rows, mut slab) = queue(&frames);
        let unsent = Outbox::default().flush(&mut home, &mut rows, &mut slab);
        assert_eq!(unsent as usize, MAX_SLICES + 1);
        assert_eq!(received(&mut to_other), b"\x81\x03now");
        let [errno, sent, offset, length] = rows[..ROW] else {
            panic!("a row has four words");
        };
        assert_eq!(errno, 0);
        assert_eq!(received(&mut to_full).len(), sent as usize);
        assert_eq!((sent + length) as usize, large.len() + 10);
        assert_eq!(offset as usize + length as usize, MAX_HEADER + large.len());
        let rest = &rows[ROW..ROW * (MAX_SLICES + 1)];
        assert!(rest.chunks(ROW).all(|row| row[1] == 0 && row[3] == 7));
    }

    #[test]
    fn a_row_says_why_nothing_is_sent() {
        let mut home = Home::new().unwrap();
        let (id, _peer) = connect(&mut home);
        home.release(id);
        let (mut rows, mut slab) = queue(&[(id, TEXT, b"text"), (id, TEXT, b"more")]);
        let unsent = Outbox::default().flush(&mut home, &mut rows, &mut slab);
        assert_eq!(unsent, 2);
        let badf = rustix::io::Errno::BADF.raw_os_error() as u32;
        assert_eq!((rows[0], rows[ROW]), (badf, 0));
    }

    #[test]
    fn a_row_beside_the_slab_is_empty() {
        let mut home = Home::new().unwrap();
        let (id, mut peer) = connect(&mut home);
        let mut slab = [0; 32];
        for (offset, length) in [(30, 3), (u32::MAX, 2), (1, 5), (33, 0)] {
            let mut rows = [id, TEXT, offset, length];
            Outbox::default().flush(&mut home, &mut rows, &mut slab);
            assert_eq!(rows[1..], [0, 0, 0]);
        }
        assert!(received(&mut peer).is_empty());
    }

    #[test]
    fn a_masked_frame_is_the_same_in_the_slab_and_step_by_step() {
        let mut home = Home::new().unwrap();
        let (id, mut peer) = connect(&mut home);
        let key = [0x12, 0x34, 0x56, 0x78];
        for length in [
            0,
            1,
            125,
            126,
            4099,
            MASK_STEP - 1,
            MASK_STEP,
            MASK_STEP + 1,
        ] {
            let payload: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let mut slab = vec![0; MAX_HEADER - 4];
            slab.extend_from_slice(&key);
            slab.extend_from_slice(&payload);
            let mut rows = [id, TEXT | MASK, MAX_HEADER as u32, length as u32];
            let mut outbox = Outbox::default();
            assert_eq!(outbox.flush(&mut home, &mut rows, &mut slab), 0);
            let whole = received(&mut peer);
            let sent = outbox.send_masked(&mut home, id, TEXT, &payload, key);
            assert_eq!(sent.unwrap(), whole.len());
            assert_eq!(received(&mut peer), whole);
            let unmasked = &whole[whole.len() - length..];
            assert!(unmasked
                .iter()
                .zip(&payload)
                .enumerate()
                .all(|(i, (masked, byte))| *masked == byte ^ key[i % 4]));
        }
    }
}
