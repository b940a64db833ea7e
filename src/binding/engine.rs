//! The engine of one environment: a home nested in its event loop, as
//! `lib/native.js` drives it.
//!
//! Readiness calls JavaScript once; JavaScript asks for the turn's batch,
//! dispatches it, and hands over what was sent meanwhile in one flush.

use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{BufferSlice, Function, Result};
use napi::{sys, Env, Error, JsValue, Status};
use napi_derive::napi;

use super::decoder::{config, fill, take_owned, Decoder};
use super::memory::{Lent, Memory};
use super::outbox;
use super::room::Reuse;
use super::uv::{self, Backend, Poll, Watcher};
use crate::engine::home::Home;
use crate::engine::inbox::Owned;
use crate::engine::vigil::{Vigil, LIMIT};
use crate::protocol::frame::MAX_HEADER;
use crate::protocol::receiver::Receiver;

/// Flags of a turn's result.
const DUE: u32 = 1;
const AWAITED: u32 = 2;

/// The memory of the next batch.
struct LentInbox {
    rows: Lent<u32>,
    slab: Lent<u8>,
    used: usize,
    heads: Lent<u8>,
}

/// The memory of what is sent.
struct LentOutbox {
    rows: Lent<u32>,
    slab: Lent<u8>,
}

/// The home, its memory, and what its turns leave behind.
pub(super) struct Nest {
    pub(super) home: RefCell<Home>,
    poll: RefCell<Option<Poll>>,
    /// What to call in a closing phase.
    closing: Caller,
    /// Whether the environment has ended, so that nothing may be called.
    has_ended: Cell<bool>,
    /// Rows of turns since the event loop last asked for one.
    events: Cell<u32>,
    inbox: RefCell<Option<LentInbox>>,
    outbox: RefCell<Option<LentOutbox>>,
    owned: RefCell<Vec<Owned>>,
    reuse: Reuse,
}

/// The native driver of one environment.
#[napi]
pub struct Engine {
    pub(super) env: Env,
    pub(super) nest: Rc<Nest>,
}

#[napi]
impl Engine {
    /// Nests a runtime in the event loop. `on_ready` is called without
    /// arguments when a turn is due, `on_closing` in the closing phase that
    /// [`Engine::await_closing`] asks for; they must not throw.
    ///
    /// # Errors
    /// Where nesting is impossible: no `/proc`, no libuv, no descriptors left.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        on_ready: Function<'_, (), ()>,
        on_closing: Function<'_, (), ()>,
    ) -> Result<Self> {
        let home = Home::new().map_err(|error| Error::from_reason(error.to_string()))?;
        let nest = Rc::new(Nest {
            home: RefCell::new(home),
            poll: RefCell::new(None),
            closing: Caller::new(&env, &on_closing)?,
            has_ended: Cell::new(false),
            events: Cell::new(0),
            inbox: RefCell::default(),
            outbox: RefCell::default(),
            owned: RefCell::default(),
            reuse: Reuse::default(),
        });
        let caller = Ready {
            caller: Caller::new(&env, &on_ready)?,
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
        let poll = unsafe { Poll::start(uv_loop.cast(), epoll, Box::new(caller)) };
        let poll = poll.ok_or_else(|| Error::from_reason("no poll handle"))?;
        nest.poll.replace(Some(poll));
        close_with_environment(&env, nest.clone())?;
        Ok(Self { env, nest })
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
        home.adopt(socket, Receiver::new(config).asking()).into()
    }

    /// Lets a connection go. Gives its decoder if that waits for an answer, to
    /// go on with what was received.
    #[napi]
    pub fn release(&self, id: u32) -> Option<Decoder> {
        self.spill(id).filter(Decoder::is_asking)
    }

    /// Lets a connection go, and gives its decoder, with its state and what was
    /// received but not decoded.
    #[napi]
    pub fn spill(&self, id: u32) -> Option<Decoder> {
        let connection = self.nest.home.borrow_mut().release(id)?;
        let (receiver, rest) = connection.into_parts();
        Some(Decoder::go_on(receiver, rest))
    }

    /// Starts or stops the delivery of what a connection receives. Returns
    /// whether a turn is due without a readiness that would call for it.
    #[napi]
    pub fn set_reading(&self, id: u32, reading: bool) -> bool {
        let mut home = self.nest.home.borrow_mut();
        home.set_reading(id, reading);
        home.is_due()
    }

    /// Keeps the process alive, or no longer.
    #[napi]
    pub fn set_referenced(&self, referenced: bool) {
        if let Some(poll) = &*self.nest.poll.borrow() {
            poll.set_referenced(referenced);
        }
    }

    /// Takes the memory for the next turns: that of [`fill`], of whose slab the
    /// first `used` bytes are not to be touched, and some for heads of requests.
    #[napi]
    pub fn lend_inbox(&self, rows: Lent<u32>, slab: Lent<u8>, used: u32, heads: Lent<u8>) {
        self.nest.inbox.replace(Some(LentInbox {
            rows,
            slab,
            used: used as usize,
            heads,
        }));
    }

    /// One turn. The memory is that of [`Engine::lend_inbox`]; the third word of
    /// the header says with [`DUE`] that another turn is due, and with
    /// [`AWAITED`] that there are connections whose request is yet to come.
    /// Returns the number of rows.
    #[napi]
    pub fn turn(&self) -> u32 {
        let mut home = self.nest.home.borrow_mut();
        let mut owned = self.nest.owned.borrow_mut();
        let mut inbox = self.nest.inbox.borrow_mut();
        let Some(LentInbox {
            rows,
            slab,
            used,
            heads,
        }) = &mut *inbox
        else {
            return 0;
        };
        let rows = rows.borrow();
        let slab = slab.borrow().get_mut(*used..).unwrap_or_default();
        let count = fill(self.env, rows, slab, heads.borrow(), &mut owned, |inbox| {
            home.turn(inbox);
            self.nest.reuse.received(inbox.bytes_read());
            let due = if home.is_due() { DUE } else { 0 };
            due | if home.is_awaiting() { AWAITED } else { 0 }
        });
        *used += rows.get(1).copied().unwrap_or_default() as usize;
        self.nest.events.set(self.nest.events.get() + count);
        count
    }

    /// Decodes data of a connection that the engine has not read; otherwise as
    /// [`Decoder::feed`].
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

    /// The payload of a row with the "owned" detail, of the last turn or feed.
    #[napi]
    pub fn take_owned<'env>(&self, env: &'env Env, index: u32) -> Result<BufferSlice<'env>> {
        take_owned(env, &mut self.nest.owned.borrow_mut(), index)
    }

    /// Takes the memory of what is sent from now on: rows and a slab, see
    /// `outbox.rs`.
    #[napi]
    pub fn lend_outbox(&self, rows: Lent<u32>, slab: Lent<u8>) {
        self.nest.outbox.replace(Some(LentOutbox { rows, slab }));
    }

    /// Sends the first `count` rows of that memory. Returns how many of them the
    /// kernel did not take in full.
    #[napi]
    pub fn flush(&self, count: u32) -> u32 {
        let mut home = self.nest.home.borrow_mut();
        let mut outbox = self.nest.outbox.borrow_mut();
        let Some(LentOutbox { rows, slab }) = &mut *outbox else {
            return 0;
        };
        outbox::flush(&mut home, rows.borrow(), count as usize, slab.borrow())
    }

    /// Hands one buffer to the kernel. Returns how many bytes it took, or the
    /// negative errno.
    #[napi]
    pub fn write(&self, id: u32, buffer: Memory<'_, u8>) -> i64 {
        self.send(id, &[IoSlice::new(&buffer)])
    }

    /// The same for several buffers in one call.
    #[napi]
    pub fn writev(&self, id: u32, buffers: Vec<Memory<'_, u8>>) -> i64 {
        let slices: Vec<IoSlice<'_>> = buffers
            .iter()
            .take(outbox::MAX_SLICES)
            .map(|buffer| IoSlice::new(buffer))
            .collect();
        self.send(id, &slices)
    }

    /// Hands an unmasked frame to the kernel: `first_byte` (with FIN, RSV1 and
    /// opcode), the length of `payload`, and `payload`. Returns how many bytes
    /// of the frame it took, or the negative errno.
    #[napi]
    pub fn send_frame(&self, id: u32, first_byte: u32, payload: Memory<'_, u8>) -> i64 {
        let mut header = [0; MAX_HEADER];
        let size = outbox::header(first_byte, None, payload.len()).encode(&mut header);
        self.send(id, &[IoSlice::new(&header[..size]), IoSlice::new(&payload)])
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
        let nest = Rc::downgrade(&self.nest);
        let closed = move || {
            if let Some(nest) = nest.upgrade().filter(|nest| !nest.has_ended.get()) {
                nest.closing.call_from_loop();
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
        let home = self.nest.home.borrow();
        home.total_payload_length(id).unwrap_or(0) as f64
    }

    /// Accepts connections on the listening socket with the descriptor `fd`, in
    /// the place of Node's event loop. Returns the listener's id, or the
    /// negative errno: `ENOENT` if the loop does not watch it, or not yet.
    #[napi]
    pub fn listen(&self, fd: i32) -> Result<i64> {
        let backend = backend(&self.env)?;
        if fd < 0 {
            return Ok(-i64::from(libc::EBADF));
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
            Err(error) => -i64::from(error.raw_os_error().unwrap_or(libc::EIO)),
        })
    }

    fn send(&self, id: u32, slices: &[IoSlice<'_>]) -> i64 {
        match self.nest.home.borrow_mut().write(id, slices) {
            Ok(sent) => sent as i64,
            Err(error) => -i64::from(error.raw_os_error().unwrap_or(libc::EIO)),
        }
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

/// Calls JavaScript when a turn is due.
struct Caller {
    env: sys::napi_env,
    function: sys::napi_ref,
}

impl Caller {
    fn new(env: &Env, function: &Function<'_, (), ()>) -> Result<Self> {
        let mut reference = ptr::null_mut();
        // SAFETY: environment and value are of the current call.
        let status = unsafe {
            sys::napi_create_reference(env.raw(), function.value().value, 1, &mut reference)
        };
        if status != sys::Status::napi_ok {
            return Err(Error::from_status(Status::from(status)));
        }
        Ok(Self {
            env: env.raw(),
            function: reference,
        })
    }

    fn call(&self) -> Option<()> {
        let (mut function, mut receiver) = (ptr::null_mut(), ptr::null_mut());
        let ok = |status| (status == sys::Status::napi_ok).then_some(());
        // SAFETY: called with a handle scope open, on the environment's
        // thread; the reference lives as long as `self`.
        ok(unsafe { sys::napi_get_reference_value(self.env, self.function, &mut function) })?;
        // SAFETY: a handle scope is open.
        ok(unsafe { sys::napi_get_global(self.env, &mut receiver) })?;
        // SAFETY: function and receiver are values of the open scope. A null
        // async context is the empty one; ticks run when the call returns.
        let status = unsafe {
            sys::napi_make_callback(
                self.env,
                ptr::null_mut(),
                receiver,
                function,
                0,
                ptr::null(),
                ptr::null_mut(),
            )
        };
        if status == sys::Status::napi_pending_exception {
            let mut exception = ptr::null_mut();
            // SAFETY: an exception is pending, as the status says.
            ok(unsafe { sys::napi_get_and_clear_last_exception(self.env, &mut exception) })?;
            // SAFETY: the exception is a value of the open scope.
            ok(unsafe { sys::napi_fatal_exception(self.env, exception) })?;
        }
        Some(())
    }

    /// Calls from within the event loop, outside of any JavaScript.
    fn call_from_loop(&self) {
        let mut scope = ptr::null_mut();
        // SAFETY: libuv calls on the environment's thread, outside of any
        // JavaScript; the environment lives until its cleanup hook has closed
        // the handle.
        if unsafe { sys::napi_open_handle_scope(self.env, &mut scope) } == sys::Status::napi_ok {
            self.call();
            // SAFETY: opened above, and nothing opened since is left open.
            unsafe { sys::napi_close_handle_scope(self.env, scope) };
        }
    }
}

/// Has JavaScript do a turn, and stays awake after it if that pays.
struct Ready {
    caller: Caller,
    nest: Weak<Nest>,
    backend: Backend,
    vigil: RefCell<Vigil>,
    start: Instant,
}

impl Watcher for Ready {
    fn ready(&self) {
        self.caller.call_from_loop();
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

/// The CPU time that this thread has used.
fn thread_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock writes to the given place. Every Linux has it.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// What the cleanup hook is given.
struct Cleanup {
    nest: Rc<Nest>,
}

/// Closes the poll handle and all connections of `nest` when the environment
/// ends.
fn close_with_environment(env: &Env, nest: Rc<Nest>) -> Result<()> {
    let cleanup = Box::into_raw(Box::new(Cleanup { nest }));
    // SAFETY: the hook gets the pointer once, and takes the box back.
    let status = unsafe {
        sys::napi_add_async_cleanup_hook(
            env.raw(),
            Some(on_environment_end),
            cleanup.cast(),
            ptr::null_mut(),
        )
    };
    if status == sys::Status::napi_ok {
        return Ok(());
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
    let poll = cleanup.nest.poll.borrow_mut().take();
    cleanup.nest.has_ended.set(true);
    // What refers to JavaScript memory goes while the environment is whole; the
    // rest of the nest may outlive this.
    cleanup.nest.home.borrow_mut().clear();
    cleanup.nest.owned.borrow_mut().clear();
    cleanup.nest.inbox.replace(None);
    cleanup.nest.outbox.replace(None);
    let done = move || {
        drop(cleanup);
        // SAFETY: the handle is the one this hook was called with; removing it
        // tells Node that the asynchronous cleanup is over.
        unsafe { sys::napi_remove_async_cleanup_hook(hook) };
    };
    match poll {
        Some(poll) => poll.close(Box::new(done)),
        None => done(),
    }
}
