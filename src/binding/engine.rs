//! The engine of one environment: a home nested in its event loop, as
//! `lib/native-driver.js` drives it and `lib/native-connection.js` uses it.
//!
//! Readiness calls JavaScript once; JavaScript asks for the turn's batch,
//! dispatches it, and hands over what was sent meanwhile in one flush.

#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{BufferSlice, Function, Object, Result};
use napi::{sys, Env, Error, JsValue, Status};
use napi_derive::napi;
use rustix::io::Errno;
use rustix::time::{clock_gettime, ClockId};

use super::caller::{call_outside, Caller};
use super::decoder::{config, fill, take_owned, Decoder};
use super::memory::{Lent, Memory};
use super::nest::{Inbox, Nest, Unsent};
use super::uv::{self, Backend, Watch, Watcher};
use crate::engine::driver::errno;
use crate::engine::home::Home;
use crate::engine::outbox::MAX_SLICES;
use crate::engine::vigil::{Vigil, LIMIT};

/// What ties a nest to the event loop.
struct Tie {
    poll: RefCell<Option<Watch>>,
    prepare: RefCell<Option<Watch>>,
    /// What to call when a turn is due.
    ready: Rc<Caller>,
    /// What to call when the loop goes on within a turn.
    within: Rc<Caller>,
    /// How many turns are under way.
    turning: Rc<Cell<u32>>,
    /// What to call in a closing phase.
    closing: Caller,
    /// Whether it has ended, with the environment or before, so that nothing may
    /// be called.
    has_ended: Cell<bool>,
}

/// The native driver of one environment.
#[napi]
pub struct Engine {
    pub(super) env: Env,
    pub(super) nest: Rc<Nest>,
    tie: Rc<Tie>,
    hook: Cell<Option<Hook>>,
}

#[napi]
impl Engine {
    /// Nests a runtime in the event loop. `on_ready` is called without
    /// arguments when a turn is due, `on_closing` in the closing phase that
    /// [`Engine::await_closing`] asks for, `on_within` before the loop waits where
    /// a turn is under way, since a listener runs it; they must not throw.
    ///
    /// # Errors
    /// Where nesting is impossible: no `/proc`, no libuv, no descriptors left.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        on_ready: Function<'_, (), ()>,
        on_closing: Function<'_, (), ()>,
        on_within: Function<'_, (), ()>,
    ) -> Result<Self> {
        let home = Home::new().map_err(|error| Error::from_reason(error.to_string()))?;
        let nest = Rc::new(Nest::new(home));
        let tie = Rc::new(Tie {
            poll: RefCell::default(),
            prepare: RefCell::default(),
            ready: Rc::new(Caller::new(&env, &on_ready)?),
            within: Rc::new(Caller::new(&env, &on_within)?),
            turning: Rc::default(),
            closing: Caller::new(&env, &on_closing)?,
            has_ended: Cell::new(false),
        });
        let ready = Ready {
            caller: tie.ready.clone(),
            turning: tie.turning.clone(),
            nest: Rc::downgrade(&nest),
            backend: backend(&env)?,
            vigil: RefCell::default(),
            start: Instant::now(),
        };
        let uv_loop = env.get_uv_event_loop()?;
        let epoll = nest.home.borrow().epoll();
        // SAFETY: the loop is that of this environment, whose thread this is.
        // The descriptor lives as long as the nest, which the cleanup hook
        // keeps until the handle is closed.
        let poll = unsafe { Watch::poll(uv_loop.cast(), epoll, Rc::new(ready)) };
        let poll = poll.ok_or_else(|| Error::from_reason("no poll handle"))?;
        tie.poll.replace(Some(poll));
        let within = Within {
            caller: tie.within.clone(),
            turning: tie.turning.clone(),
        };
        // SAFETY: as above.
        tie.prepare
            .replace(unsafe { Watch::prepare(uv_loop.cast(), Rc::new(within)) });
        let hook = close_with_environment(&env, nest.clone(), tie.clone())?;
        Ok(Self {
            env,
            nest,
            tie,
            hook: Cell::new(Some(hook)),
        })
    }

    /// Closes the poll handle and all connections, and lets go of JavaScript.
    /// Nothing but this may be called from then on.
    #[napi]
    pub fn close(&self) {
        let Some(Hook { handle, cleanup }) = self.hook.take() else {
            return;
        };
        // SAFETY: added in `new`, not removed before, and not called, since
        // JavaScript still runs.
        unsafe { sys::napi_remove_async_cleanup_hook(handle) };
        // SAFETY: the pointer is the box of `close_with_environment`, and the hook
        // that would take it back is gone.
        let cleanup = unsafe { Box::from_raw(cleanup) };
        self.tie.ready.release();
        self.tie.within.release();
        self.tie.closing.release();
        cleanup.run(|| ());
    }

    /// The functions of [`Nest::calls`].
    ///
    /// # Errors
    /// N-API's.
    #[napi]
    pub fn calls<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        self.nest.calls(env)
    }

    /// Takes in the socket with the descriptor `fd`. Returns the connection's
    /// id, or -1 if the socket can't be taken. For the other arguments see
    /// [`config`].
    #[napi]
    pub fn adopt(
        &self,
        fd: i32,
        flags: u32,
        max_payload: u32,
        max_fragments: u32,
        max_buffered_chunks: u32,
    ) -> i64 {
        if fd < 0 {
            return -1;
        }
        // SAFETY: JavaScript passes the descriptor of a handle that it holds
        // open; should it not be open, duplicating it fails.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let mut home = self.nest.home.borrow_mut();
        let Ok(socket) = home.register(fd) else {
            return -1;
        };
        let config = config(flags, max_payload, max_fragments, max_buffered_chunks);
        home.adopt(socket, self.nest.receiver(config)).into()
    }

    /// Lets a connection go. Gives its decoder if that has something to go on with:
    /// data that was received but not decoded, or a question that waits for an answer.
    #[napi]
    pub fn release(&self, id: u32) -> Option<Decoder> {
        self.spill(id).filter(Decoder::is_busy)
    }

    /// Lets a connection go, and gives its decoder, with its state and what was
    /// received but not decoded.
    #[napi]
    pub fn spill(&self, id: u32) -> Option<Decoder> {
        let connection = self.nest.home.borrow_mut().release(id)?;
        let (receiver, rest) = connection.into_parts();
        Some(Decoder::go_on(receiver, rest))
    }

    /// Takes what a connection has received and not read, as far as that is what
    /// a stream would have read ahead.
    #[napi]
    pub fn take_received<'env>(&self, env: &'env Env, id: u32) -> Result<BufferSlice<'env>> {
        BufferSlice::copy_from(env, self.nest.home.borrow_mut().take_received(id))
    }

    /// Calls `callback` in the asynchronous context of what the event loop calls,
    /// which is empty, whatever that of the caller is.
    #[napi]
    pub fn run_outside(&self, env: Env, callback: Function<'_, (), ()>) {
        call_outside(&env, &callback);
    }

    /// Tells that a turn begins which the loop has not asked for.
    #[napi]
    pub fn begin_turn(&self) {
        self.tie.turning.set(self.tie.turning.get() + 1);
    }

    /// Tells that it has ended, and that the next one is of a later iteration of the
    /// event loop. (If it is the loop that asks for it, that is known.)
    #[napi]
    pub fn end_turn(&self) {
        self.tie.turning.set(self.tie.turning.get() - 1);
        self.nest.home.borrow_mut().advance();
    }

    /// Whether a turn is under way.
    #[napi]
    pub fn is_turning(&self) -> bool {
        self.tie.turning.get() > 0
    }

    /// Keeps the process alive, or no longer.
    #[napi]
    pub fn set_referenced(&self, referenced: bool) {
        if let Some(poll) = &*self.tie.poll.borrow() {
            poll.set_referenced(referenced);
        }
    }

    /// Takes the memory for the next turns: that of [`fill`], of whose slab the
    /// first `used` bytes are not to be touched, and some for heads of requests.
    #[napi]
    pub fn lend_inbox(&self, rows: Lent<u32>, slab: Lent<u8>, used: u32, heads: Lent<u8>) {
        self.nest.inbox.replace(Some(Inbox {
            rows,
            slab,
            used: used as usize,
            heads,
        }));
    }

    /// Decodes data of a connection that the engine has not read, as
    /// [`Decoder::feed`] does. Returns the number of rows alone.
    #[napi]
    pub fn feed(
        &self,
        id: u32,
        chunk: Memory<'_, u8>,
        start: u32,
        rows: Memory<'_, u32>,
        slab: Memory<'_, u8>,
        used: u32,
    ) -> u32 {
        let mut home = self.nest.home.borrow_mut();
        let mut owned = self.nest.owned.borrow_mut();
        let part = chunk.get(start as usize..).unwrap_or_default();
        let (mut rows, mut slab) = (rows, slab.after(used as usize));
        fill(
            self.env,
            &mut rows,
            &mut slab,
            &mut [],
            &mut owned,
            |inbox| start + home.feed(id, part, inbox) as u32,
        )
    }

    /// Changes the limits of a connection's decoder, and whether it checks text;
    /// for the arguments see [`config`].
    #[napi]
    pub fn set_limits(
        &self,
        id: u32,
        flags: u32,
        max_payload: u32,
        max_fragments: u32,
        max_buffered_chunks: u32,
    ) {
        let limits = config(flags, max_payload, max_fragments, max_buffered_chunks);
        self.nest.home.borrow_mut().set_limits(id, limits);
    }

    /// Answers the question of a connection's decoder: whether it is the one
    /// that decompresses. Returns the bytes that waited for the answer, for
    /// [`Engine::feed`].
    #[napi]
    pub fn decide_inflating<'env>(
        &self,
        env: &'env Env,
        id: u32,
        here: bool,
    ) -> Result<BufferSlice<'env>> {
        let rest = self.nest.home.borrow_mut().decide_inflating(id, here);
        BufferSlice::copy_from(env, rest)
    }

    /// Takes back the rest of those bytes, to be decoded in the next turn.
    #[napi]
    pub fn put_back(&self, id: u32, rest: Memory<'_, u8>) {
        self.nest.home.borrow_mut().put_back(id, rest.to_vec());
    }

    /// The payload of a row with the "owned" detail, of the last turn or feed.
    #[napi]
    pub fn take_owned<'env>(&self, env: &'env Env, index: u32) -> Result<BufferSlice<'env>> {
        take_owned(env, &mut self.nest.owned.borrow_mut(), index)
    }

    /// Takes the memory of what is sent from now on: rows and a slab, see
    /// `outbox.rs` of the engine.
    #[napi]
    pub fn lend_outbox(&self, rows: Lent<u32>, slab: Lent<u8>) {
        self.nest.unsent.replace(Some(Unsent { rows, slab }));
    }

    /// Hands one buffer to the kernel. Returns how many bytes it took, or the
    /// negative errno.
    #[napi]
    pub fn write(&self, id: u32, buffer: Memory<'_, u8>) -> i64 {
        self.nest.send(id, &[IoSlice::new(&buffer)])
    }

    /// The same for several buffers in one call.
    #[napi]
    pub fn writev(&self, id: u32, buffers: Vec<Memory<'_, u8>>) -> i64 {
        let slices: Vec<IoSlice<'_>> = buffers
            .iter()
            .take(MAX_SLICES)
            .map(|buffer| IoSlice::new(buffer))
            .collect();
        self.nest.send(id, &slices)
    }

    /// Stops also the delivery of what a connection has read already, or no longer.
    /// Returns whether a turn is due without a readiness that would call for it.
    #[napi]
    pub fn set_full(&self, id: u32, full: bool) -> bool {
        let mut home = self.nest.home.borrow_mut();
        home.set_full(id, full);
        home.is_due()
    }

    /// Asks for a writable row once the kernel takes bytes of `id` again.
    /// Returns whether a turn is due without a readiness that would call for it.
    #[napi]
    pub fn want_write(&self, id: u32) -> bool {
        let mut home = self.nest.home.borrow_mut();
        home.want_write(id);
        home.is_due()
    }

    /// Has `on_closing` called in the closing phase of the event loop's current
    /// iteration.
    ///
    /// # Errors
    /// When the loop is not to be had.
    #[napi]
    pub fn await_closing(&self) -> Result<()> {
        let uv_loop = self.env.get_uv_event_loop()?;
        let tie = Rc::downgrade(&self.tie);
        let closed = move || {
            if let Some(tie) = tie.upgrade().filter(|tie| !tie.has_ended.get()) {
                tie.closing.call_from_loop();
            }
        };
        // SAFETY: the loop is that of this environment, whose thread this is.
        let is_set = unsafe { uv::in_closing_phase(uv_loop.cast(), Box::new(closed)) };
        match is_set {
            true => Ok(()),
            false => Err(Error::from_reason("no closing phase")),
        }
    }

    /// ws's `_totalPayloadLength` of a connection.
    #[napi]
    pub fn total_payload_length(&self, id: u32) -> f64 {
        let mut home = self.nest.home.borrow_mut();
        home.total_payload_length(id).unwrap_or(0) as f64
    }

    /// Accepts connections on the listening socket with the descriptor `fd`, in
    /// the place of Node's event loop. Returns the listener's id, or the
    /// negative errno: `ENOENT` if the loop does not watch it, or not yet.
    #[napi]
    pub fn listen(&self, fd: i32) -> Result<i64> {
        let backend = backend(&self.env)?;
        if fd < 0 {
            return Ok(-i64::from(Errno::BADF.raw_os_error()));
        }
        // SAFETY: JavaScript passes the descriptor of a handle that it holds
        // open; should it not be open, duplicating it fails.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let mut home = self.nest.home.borrow_mut();
        let result = home.listen(borrowed).and_then(|id| {
            backend.forget(fd).map(|()| id).inspect_err(|_| {
                home.unlisten(id);
            })
        });
        Ok(match result {
            Ok(id) => id.into(),
            Err(error) => -i64::from(errno(&error)),
        })
    }
}

/// The event loop of an environment, from below.
pub(super) fn backend(env: &Env) -> Result<Backend> {
    let uv_loop = env.get_uv_event_loop()?;
    // SAFETY: the loop is that of this environment, whose thread this is.
    let backend = unsafe { Backend::of(uv_loop.cast()) };
    backend.ok_or_else(|| Error::from_reason("no event loop"))
}

/// Reports `error` as an uncaught exception, as if it had been thrown from a
/// callback of its own. Returns if the program handles it.
#[napi]
pub fn fatal_exception(env: Env, error: napi::Unknown<'_>) {
    // SAFETY: both are of the current call.
    unsafe { sys::napi_fatal_exception(env.raw(), error.raw()) };
}

/// Has JavaScript do a turn, and stays awake after it if that pays.
struct Ready {
    caller: Rc<Caller>,
    turning: Rc<Cell<u32>>,
    nest: Weak<Nest>,
    backend: Backend,
    vigil: RefCell<Vigil>,
    start: Instant,
}

impl Watcher for Ready {
    fn ready(&self) {
        if let Some(nest) = self.nest.upgrade() {
            nest.home.borrow_mut().advance();
        }
        self.turning.set(self.turning.get() + 1);
        self.caller.call_from_loop();
        self.turning.set(self.turning.get() - 1);
        let Some(nest) = self.nest.upgrade() else {
            return;
        };
        let events = nest.events.take();
        let begin = self.start.elapsed();
        let mut vigil = self.vigil.borrow_mut();
        if vigil.after_turn(events, begin, thread_time) {
            while !self.backend.is_busy() && self.start.elapsed() - begin < LIMIT {}
        }
    }
}

/// Has JavaScript go on where a listener runs the event loop.
struct Within {
    caller: Rc<Caller>,
    turning: Rc<Cell<u32>>,
}

impl Watcher for Within {
    fn ready(&self) {
        if self.turning.get() > 0 {
            self.caller.call_from_loop();
        }
    }
}

/// The CPU time that this thread has used.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// A cleanup hook, and what it is given.
struct Hook {
    handle: sys::napi_async_cleanup_hook_handle,
    cleanup: *mut Cleanup,
}

/// What the cleanup hook is given.
struct Cleanup {
    nest: Rc<Nest>,
    tie: Rc<Tie>,
}

impl Cleanup {
    /// Closes the handles and all connections; `done` is called when libuv is done
    /// with the handles.
    fn run(self: Box<Self>, done: impl FnOnce() + 'static) {
        let poll = self.tie.poll.borrow_mut().take();
        let prepare = self.tie.prepare.borrow_mut().take();
        self.tie.has_ended.set(true);
        // What refers to JavaScript memory goes while the environment is whole;
        // the rest of the nest may outlive this.
        self.nest.home.borrow_mut().clear();
        self.nest.owned.borrow_mut().clear();
        self.nest.inbox.replace(None);
        self.nest.unsent.replace(None);
        let done = move || {
            drop(self);
            done();
        };
        // Both are closed in the same closing phase.
        if let Some(prepare) = prepare {
            prepare.close(Box::new(|| ()));
        }
        match poll {
            Some(poll) => poll.close(Box::new(done)),
            None => done(),
        }
    }
}

/// Closes the poll handle and all connections of `nest` when the environment
/// ends.
fn close_with_environment(env: &Env, nest: Rc<Nest>, tie: Rc<Tie>) -> Result<Hook> {
    let cleanup = Box::into_raw(Box::new(Cleanup { nest, tie }));
    let mut handle = ptr::null_mut();
    // SAFETY: the hook gets the pointer once, and takes the box back, unless
    // `Engine::close` has removed it.
    let status = unsafe {
        sys::napi_add_async_cleanup_hook(
            env.raw(),
            Some(on_environment_end),
            cleanup.cast(),
            &mut handle,
        )
    };
    if status == sys::Status::napi_ok {
        return Ok(Hook { handle, cleanup });
    }
    Err(Error::from_status(Status::from(status)))
}

unsafe extern "C" fn on_environment_end(
    hook: sys::napi_async_cleanup_hook_handle,
    data: *mut std::ffi::c_void,
) {
    // SAFETY: the pointer is the box of `close_with_environment`; Node calls a
    // hook once.
    let cleanup = unsafe { Box::from_raw(data.cast::<Cleanup>()) };
    cleanup.run(move || {
        // SAFETY: the handle is the one this hook was called with; removing it
        // tells Node that the asynchronous cleanup is over.
        unsafe { sys::napi_remove_async_cleanup_hook(hook) };
    });
}
