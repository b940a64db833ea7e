//! Compression as JavaScript holds it, see `lib/compressor.js`: compressors that
//! all connections share, and what each of these has sent.
//!
//! Compresses what is short at once, and what is long on a thread of the pool.
//! Knows nothing of when that is done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::bindgen_prelude::{AsyncTask, BufferSlice, Result};
use napi::{Env, Error, ScopedTask, Status};
use napi_derive::napi;

use super::memory::Memory;
use crate::protocol::context::Context;
use crate::protocol::deflate::Deflater;

/// How many compressors are kept for the next messages: as many as libuv has
/// threads, and one for this one.
const KEPT: usize = 5;

/// What is locked is held for a few moments, or by one thread at a time anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compressors for a level and a window size.
#[napi]
#[derive(Clone)]
pub struct Deflaters {
    level: u8,
    window_bits: u8,
    idle: Arc<Mutex<Vec<Deflater>>>,
}

#[napi]
impl Deflaters {
    /// Compressors with zlib's `level` (0 to 9) and a window of `window_bits` (8
    /// to 15).
    #[napi(constructor)]
    pub fn new(level: u32, window_bits: u32) -> Self {
        Self {
            level: level as u8,
            window_bits: window_bits as u8,
            idle: Arc::default(),
        }
    }

    fn compress(&self, context: &Mutex<Context>, data: &[u8], fin: bool) -> Result<Vec<u8>> {
        let mut context = lock(context);
        let idle = self.take_idle(&context);
        let mut deflater = idle.unwrap_or_else(|| Deflater::new(self.level, self.window_bits));
        let compressed = deflater.compress(&mut context, data, fin);

        let mut idle = lock(&self.idle);
        if idle.len() < KEPT {
            idle.push(deflater);
        }
        compressed.ok_or_else(|| Error::from_status(Status::GenericFailure))
    }

    /// Takes a compressor that nobody uses: the one that has just compressed in this
    /// context, or else any.
    fn take_idle(&self, context: &Context) -> Option<Deflater> {
        let mut idle = lock(&self.idle);
        let ready = idle.iter().position(|it| it.is_ready_for(context));
        match ready {
            Some(index) => Some(idle.swap_remove(index)),
            None => idle.pop(),
        }
    }
}

/// What compresses the messages of one connection.
#[napi]
pub struct Compressor {
    deflaters: Deflaters,
    context: Arc<Mutex<Context>>,
}

#[napi]
impl Compressor {
    /// A compressor at the beginning of a connection. With `no_takeover`, it
    /// forgets messages when they are complete.
    #[napi(constructor)]
    pub fn new(deflaters: &Deflaters, no_takeover: bool) -> Self {
        let context = Context::new(deflaters.window_bits, no_takeover);
        Self {
            deflaters: deflaters.clone(),
            context: Arc::new(Mutex::new(context)),
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
        let compressed = self.deflaters.compress(&self.context, &data, fin)?;
        BufferSlice::copy_from(env, compressed)
    }

    /// The same, on another thread. `data` is copied: JavaScript may go on to
    /// change it. To be waited for before the next call.
    #[napi]
    pub fn compress_elsewhere(&self, data: Memory<'_, u8>, fin: bool) -> AsyncTask<Compression> {
        AsyncTask::new(Compression {
            deflaters: self.deflaters.clone(),
            context: self.context.clone(),
            data: data.to_vec(),
            fin,
        })
    }

    /// Forgets the messages so far, and frees the memory.
    #[napi]
    pub fn clear(&self) {
        lock(&self.context).clear();
    }
}

/// A fragment that is compressed on another thread.
pub struct Compression {
    deflaters: Deflaters,
    context: Arc<Mutex<Context>>,
    data: Vec<u8>,
    fin: bool,
}

impl<'task> ScopedTask<'task> for Compression {
    type Output = Vec<u8>;
    type JsValue = BufferSlice<'task>;

    fn compute(&mut self) -> Result<Vec<u8>> {
        self.deflaters.compress(&self.context, &self.data, self.fin)
    }

    fn resolve(&mut self, env: &'task Env, output: Vec<u8>) -> Result<BufferSlice<'task>> {
        BufferSlice::copy_from(env, output)
    }
}
