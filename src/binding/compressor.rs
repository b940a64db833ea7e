//! The compressor of one connection as JavaScript holds it, see
//! `lib/compressor.js`.
//!
//! Compresses what is short at once, and what is long on a thread of the pool.
//! Knows nothing of when that is done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::bindgen_prelude::{AsyncTask, BufferSlice, Result};
use napi::{Env, Error, ScopedTask, Status};
use napi_derive::napi;

use super::memory::Memory;
use crate::protocol::deflate::Deflater;

/// A quarter of a megabyte, which is there only while there is a context to keep.
#[derive(Clone)]
struct Context {
    level: u8,
    window_bits: u8,
    deflater: Arc<Mutex<Option<Deflater>>>,
}

impl Context {
    /// Never contended: JavaScript waits for the end of one call before the next.
    fn lock(&self) -> MutexGuard<'_, Option<Deflater>> {
        self.deflater.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compress(&self, data: &[u8], fin: bool) -> Result<Vec<u8>> {
        let mut deflater = self.lock();
        let deflater = deflater.get_or_insert_with(|| Deflater::new(self.level, self.window_bits));
        let compressed = deflater.compress(data, fin);
        compressed.ok_or_else(|| Error::from_status(Status::GenericFailure))
    }
}

/// A compressor, with the context of the messages so far.
#[napi]
pub struct Compressor {
    context: Context,
}

#[napi]
impl Compressor {
    /// A compressor with zlib's `level` (0 to 9) and a window of `window_bits` (8
    /// to 15).
    #[napi(constructor)]
    pub fn new(level: u32, window_bits: u32) -> Self {
        Self {
            context: Context {
                level: level as u8,
                window_bits: window_bits as u8,
                deflater: Arc::default(),
            },
        }
    }

    /// Compresses a fragment of a message; `fin` says that it is the last one.
    #[napi]
    pub fn compress<'env>(
        &self,
        env: &'env Env,
        data: Memory<'_, u8>,
        fin: bool,
    ) -> Result<BufferSlice<'env>> {
        BufferSlice::copy_from(env, self.context.compress(&data, fin)?)
    }

    /// The same, on another thread. `data` is copied: JavaScript may go on to
    /// change it.
    #[napi]
    pub fn compress_elsewhere(&self, data: Memory<'_, u8>, fin: bool) -> AsyncTask<Compression> {
        AsyncTask::new(Compression {
            context: self.context.clone(),
            data: data.to_vec(),
            fin,
        })
    }

    /// Forgets the messages so far.
    #[napi]
    pub fn reset(&self) {
        if let Some(deflater) = self.context.lock().as_mut() {
            deflater.reset();
        }
    }

    /// Forgets the messages so far, and frees the memory.
    #[napi]
    pub fn clear(&self) {
        *self.context.lock() = None;
    }
}

/// A fragment that is compressed on another thread.
pub struct Compression {
    context: Context,
    data: Vec<u8>,
    fin: bool,
}

impl<'task> ScopedTask<'task> for Compression {
    type Output = Vec<u8>;
    type JsValue = BufferSlice<'task>;

    fn compute(&mut self) -> Result<Vec<u8>> {
        self.context.compress(&self.data, self.fin)
    }

    fn resolve(&mut self, env: &'task Env, output: Vec<u8>) -> Result<BufferSlice<'task>> {
        BufferSlice::copy_from(env, output)
    }
}
