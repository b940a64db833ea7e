//! JavaScript memory into which a large message is received.
//!
//! Made by the inboxes that `decoder.rs` has filled, when the decoder asks for it,
//! and handed to JavaScript as the message. Knows nothing of messages.

#![allow(unsafe_code)]

use std::hint::black_box;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

use napi::bindgen_prelude::{BufferSlice, FromNapiValue, Result};
use napi::{sys, Env, Error, Status};

use crate::protocol::receiver::Room;

/// A `Buffer` with memory of its own that no JavaScript has seen.
pub struct JsRoom {
    env: sys::napi_env,
    reference: sys::napi_ref,
    data: NonNull<u8>,
    length: usize,
}

/// What all environments have received so far, in batches that are not small, as
/// far as [`received`] counts.
static RECEIVED: AtomicUsize = AtomicUsize::new(0);

/// What must have been received: of small messages every now and then nothing is
/// made.
const LOT: usize = 32 * 1024 * 1024;
/// How many bytes a batch must have to count: no fewer than a full TLS record.
const MUCH: usize = 16 * 1024;
/// A bit less than the largest block that glibc adapts to. V8 collects young
/// garbage when it has 32 MiB of such memory (with the usual settings), so all of
/// that stays.
const BLOCK: usize = 31 * 1024 * 1024;

/// Takes note of how many bytes were received in a batch, and keeps the memory of
/// messages with the process once they are many, so that it is used again.
///
/// Messages are large and freed by the dozen, whenever V8 collects young garbage.
/// An allocator that returns all of that to the system at once has the kernel fetch
/// and clear the pages of every message anew, which costs more than receiving it.
/// glibc adapts to a program: what it returns to the system is what exceeds twice
/// the size of the largest block that was ever freed (at first 128 KiB, and of
/// blocks up to 32 MiB). So when it turns out that there is a lot to be received,
/// such a block is freed, which nobody has touched. Other allocators take no notice.
pub fn received(length: usize) {
    if length < MUCH || RECEIVED.load(Ordering::Relaxed) >= LOT {
        return;
    }
    let before = RECEIVED.fetch_add(length, Ordering::Relaxed);
    if before < LOT && before.saturating_add(length) >= LOT {
        let mut block = Vec::<u8>::new();
        if block.try_reserve_exact(BLOCK).is_ok() {
            black_box(&mut block);
        }
    }
}

/// Allocates such memory, in the call that `env` is given to.
pub fn allocator(env: Env) -> impl FnMut(usize) -> Option<Box<dyn Room>> {
    move |length| {
        let room = JsRoom::new(env, length)?;
        Some(Box::new(room))
    }
}

impl JsRoom {
    /// `None` when there is no such memory, or none that a slice can be of.
    fn new(env: Env, length: usize) -> Option<Self> {
        let env = env.raw();
        let (mut data, mut value, mut reference) =
            (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: the environment is that of the current call, which has a
        // handle scope.
        let status = unsafe { sys::napi_create_buffer(env, length, &mut data, &mut value) };
        if status != sys::Status::napi_ok {
            let mut exception = ptr::null_mut();
            // SAFETY: as above. The exception (too large, out of memory), if
            // there is one, is not that of the current call, which can do
            // without.
            unsafe { sys::napi_get_and_clear_last_exception(env, &mut exception) };
            return None;
        }
        let data = NonNull::new(data.cast())?;
        // SAFETY: as above; the value is of the current scope.
        let status = unsafe { sys::napi_create_reference(env, value, 1, &mut reference) };
        (status == sys::Status::napi_ok).then_some(Self {
            env,
            reference,
            data,
            length,
        })
    }

    /// The `Buffer`, for JavaScript. This was the only thing to write it.
    pub fn into_buffer(self, env: &Env) -> Result<BufferSlice<'_>> {
        let mut value = ptr::null_mut();
        // SAFETY: the reference lives until `self` is dropped; the environment
        // is that of the current call, the same in which it was made.
        let status =
            unsafe { sys::napi_get_reference_value(env.raw(), self.reference, &mut value) };
        if status != sys::Status::napi_ok {
            return Err(Error::from_status(Status::from(status)));
        }
        // SAFETY: the value is of the current scope. The slice is not used,
        // only returned.
        unsafe { BufferSlice::from_napi_value(env.raw(), value) }
    }
}

impl AsMut<[u8]> for JsRoom {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: pointer and length are those of the `Buffer`. Its memory,
        // which does not move, lives as long as the reference. Nobody else can
        // read, write or detach it: until `into_buffer`, which takes `self`,
        // no JavaScript gets hold of it (but by a debugger's look through the
        // heap, which is outside of what is promised). Its bytes have values,
        // if arbitrary ones: it comes from another allocator.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.length) }
    }
}

impl Drop for JsRoom {
    fn drop(&mut self) {
        // SAFETY: the reference was made in `new` and is deleted only here, on
        // the environment's thread: nothing that holds a room can leave it. The
        // environment still lives: decoders and the engine are dropped by
        // their finalizers, at the latest when it ends, and before it deletes
        // references of its own accord; connections go in the cleanup hook.
        unsafe { sys::napi_delete_reference(self.env, self.reference) };
    }
}
