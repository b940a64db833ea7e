//! Sending what JavaScript has queued in one tick, for all connections in one
//! crossing.
//!
//! A row is `[connection, first byte of the frame | flags, offset, length]`;
//! payloads lie in a slab, each with room for its frame header before it.
//! Header and mask are written in place, neighbouring frames of a connection
//! go out in one system call. On return a row is `[errno, bytes sent, offset,
//! length]`: of what the kernel did not take, which the caller keeps, and why if
//! it was an error (on the first row that met it).

use std::io::IoSlice;
use std::ops::Range;

use super::memory::Lent;
use crate::engine::driver::errno;
use crate::engine::home::Home;
use crate::engine::inbox::ROW;
use crate::protocol::frame::{FrameHeader, Opcode, MAX_HEADER};
use crate::protocol::mask::apply_mask;

/// The bits of a frame's first byte beside the opcode.
const FIN: u32 = 0x80;
const RSV1: u32 = 0x40;
/// The bytes are sent as they are.
const RAW: u32 = 0x100;
/// The masking key lies in the four bytes before the payload.
const MASK: u32 = 0x200;

/// Buffers that one system call takes at the most (IOV_MAX is 1,024).
pub const MAX_SLICES: usize = 512;

/// The memory of what is sent, lent by JavaScript, and some that is used in
/// every flush.
pub struct Outbox {
    rows: Lent<u32>,
    slab: Lent<u8>,
    keys: Vec<u64>,
    order: Vec<u32>,
    groups: Vec<Range<usize>>,
}

impl Outbox {
    /// An outbox over rows and a slab.
    pub fn new(rows: Lent<u32>, slab: Lent<u8>) -> Self {
        Self {
            rows,
            slab,
            keys: Vec::new(),
            order: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Sends the first `count` rows. Returns how many are not sent in full.
    pub fn flush(&mut self, home: &mut Home, count: usize) -> u32 {
        let Self {
            rows,
            slab,
            keys,
            order,
            groups,
        } = self;
        let (rows, slab) = (rows.borrow(), slab.borrow());
        let rows = rows.get_mut(..count * ROW).unwrap_or_default();
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
pub fn header(flags: u32, mask: Option<[u8; 4]>, length: usize) -> FrameHeader {
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
