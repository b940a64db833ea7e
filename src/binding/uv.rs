//! libuv's handles: one that watches a descriptor from within Node's event
//! loop, one that is called before that waits, and ones that live only to be
//! called in its closing phase; and the epoll descriptor of that loop, to have
//! another one not watched for a while.
//!
//! The functions are looked up in the running process, not linked: runtimes
//! that load Node addons without being Node (Bun, Deno) do not all have them,
//! and then there is no native driver. Used by `engine.rs`, which decides what
//! a readiness means.

#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ffi::{c_int, c_void, CStr};
use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::OnceLock;

/// `UV_IDLE` of `uv_handle_type`.
const UV_IDLE: c_int = 6;
/// `UV_POLL` of `uv_handle_type`.
const UV_POLL: c_int = 8;
/// `UV_PREPARE` of `uv_handle_type`.
const UV_PREPARE: c_int = 9;
/// `UV_READABLE` of `uv_poll_event`.
const UV_READABLE: c_int = 1;

/// The head of every `uv_handle_t`; the rest is opaque here.
#[repr(C)]
struct Handle {
    data: *mut c_void,
}

type PollCallback = unsafe extern "C" fn(*mut Handle, c_int, c_int);
/// That of closing, or before waiting.
type HandleCallback = unsafe extern "C" fn(*mut Handle);

/// The functions of libuv that are used.
struct Functions {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    idle_init: unsafe extern "C" fn(*mut c_void, *mut Handle) -> c_int,
    poll_init: unsafe extern "C" fn(*mut c_void, *mut Handle, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(*mut Handle, c_int, PollCallback) -> c_int,
    prepare_init: unsafe extern "C" fn(*mut c_void, *mut Handle) -> c_int,
    prepare_start: unsafe extern "C" fn(*mut Handle, HandleCallback) -> c_int,
    reference: unsafe extern "C" fn(*mut Handle),
    unreference: unsafe extern "C" fn(*mut Handle),
    close: unsafe extern "C" fn(*mut Handle, HandleCallback),
}

/// Looks a function of libuv up.
///
/// # Safety
/// `F` is the type of a pointer to the function of that name. (libuv's ABI is
/// stable within its major version 1, the only one that Node exports.)
unsafe fn function<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the name is a C string; looking up a symbol has no other
    // precondition.
    let symbol = NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })?;
    // SAFETY: it is a pointer to that function, as the caller promises, of the size
    // of `F`.
    Some(unsafe { std::mem::transmute_copy(&symbol) })
}

impl Functions {
    /// They are looked up once in a process: that takes as long as a system call,
    /// for each.
    fn get() -> Option<&'static Self> {
        static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
        FUNCTIONS.get_or_init(Self::find).as_ref()
    }

    fn find() -> Option<Self> {
        Some(Self {
            // SAFETY: the field has the type of libuv's declaration.
            handle_size: unsafe { function(c"uv_handle_size")? },
            // SAFETY: as above.
            idle_init: unsafe { function(c"uv_idle_init")? },
            // SAFETY: as above.
            poll_init: unsafe { function(c"uv_poll_init")? },
            // SAFETY: as above.
            poll_start: unsafe { function(c"uv_poll_start")? },
            // SAFETY: as above.
            prepare_init: unsafe { function(c"uv_prepare_init")? },
            // SAFETY: as above.
            prepare_start: unsafe { function(c"uv_prepare_start")? },
            // SAFETY: as above.
            reference: unsafe { function(c"uv_ref")? },
            // SAFETY: as above.
            unreference: unsafe { function(c"uv_unref")? },
            // SAFETY: as above.
            close: unsafe { function(c"uv_close")? },
        })
    }
}

/// The epoll descriptor of a loop, behind the back of its handles.
pub struct Backend {
    uv_loop: *const c_void,
    epoll: RawFd,
    timeout: unsafe extern "C" fn(*const c_void) -> c_int,
}

impl Backend {
    /// That of the given loop. `None` when libuv is not to be had, or the loop
    /// has none.
    ///
    /// # Safety
    /// `uv_loop` is the loop of the calling thread, and what this gives is not
    /// used after it has ended.
    pub unsafe fn of(uv_loop: *const c_void) -> Option<Self> {
        type Ask = unsafe extern "C" fn(*const c_void) -> c_int;
        // SAFETY: that is the type of libuv's declaration.
        let backend_fd: Ask = unsafe { function(c"uv_backend_fd")? };
        // SAFETY: as above.
        let timeout: Ask = unsafe { function(c"uv_backend_timeout")? };
        // SAFETY: the loop is initialised, as the caller promises.
        let epoll = unsafe { backend_fd(uv_loop) };
        (epoll >= 0).then_some(Self {
            uv_loop,
            epoll,
            timeout,
        })
    }

    /// Whether the loop would not sleep now: something is ready, or to be done
    /// without it.
    pub fn is_busy(&self) -> bool {
        let mut poll = libc::pollfd {
            fd: self.epoll,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: the loop has not ended, as the caller of `of` promises.
        if unsafe { (self.timeout)(self.uv_loop) } == 0 {
            return true;
        }
        // SAFETY: the descriptor's entry is valid for the call, which does not
        // wait.
        unsafe { libc::poll(&mut poll, 1, 0) != 0 }
    }

    /// Has `fd`, of a handle that is watched for reading only, not watched.
    ///
    /// # Errors
    /// The kernel's; `ENOENT` if it is not watched yet, which libuv sees to when
    /// it next waits.
    pub fn forget(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd)
    }

    /// Has `fd` watched again, as libuv does it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn watch(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd)
    }

    fn control(&self, operation: c_int, fd: RawFd) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: u64::from(fd.unsigned_abs()),
        };
        // SAFETY: the event is valid for the call; wrong descriptors are an
        // error.
        match unsafe { libc::epoll_ctl(self.epoll, operation, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// What a handle calls, on the loop's thread.
pub trait Watcher {
    /// The descriptor is readable (or in error, which a read will tell); or the
    /// loop is about to wait.
    fn ready(&self);
}

/// An active handle. It keeps its watcher until it is closed; dropping this
/// without [`Watch::close`] leaves the handle with its loop.
pub struct Watch {
    functions: &'static Functions,
    handle: NonNull<Handle>,
}

/// What the handle's `data` points to.
struct Data {
    /// Shared with [`call`], which may be under way when the handle is closed.
    watcher: Option<Rc<dyn Watcher>>,
    closed: Option<Box<dyn FnOnce()>>,
    layout: Layout,
}

impl Watch {
    /// Watches `fd` for readability in the given loop, unreferenced. `None`
    /// when libuv is not to be had or refuses.
    ///
    /// # Safety
    /// `uv_loop` is the loop of the calling thread. `fd` stays open until the
    /// handle is closed.
    pub unsafe fn poll(uv_loop: *mut c_void, fd: RawFd, watcher: Rc<dyn Watcher>) -> Option<Self> {
        let functions = Functions::get()?;
        // SAFETY: the handle's memory has libuv's size; loop and descriptor
        // are as the caller promises.
        let init = |handle| unsafe { (functions.poll_init)(uv_loop, handle, fd) };
        // SAFETY: the handle was initialised.
        let start = |handle| unsafe { (functions.poll_start)(handle, UV_READABLE, on_ready) };
        Self::start(functions, UV_POLL, watcher, init, start)
    }

    /// Has the watcher called in each iteration of the given loop before it
    /// waits, unreferenced. `None` when libuv is not to be had or refuses.
    ///
    /// # Safety
    /// `uv_loop` is the loop of the calling thread.
    pub unsafe fn prepare(uv_loop: *mut c_void, watcher: Rc<dyn Watcher>) -> Option<Self> {
        let functions = Functions::get()?;
        // SAFETY: the handle's memory has libuv's size; the loop is as the
        // caller promises.
        let init = |handle| unsafe { (functions.prepare_init)(uv_loop, handle) };
        // SAFETY: the handle was initialised.
        let start = |handle| unsafe { (functions.prepare_start)(handle, on_prepare) };
        Self::start(functions, UV_PREPARE, watcher, init, start)
    }

    /// Makes a handle of the type `kind`, which `init` initialises and `start`
    /// starts; each returns 0 if it has.
    fn start(
        functions: &'static Functions,
        kind: c_int,
        watcher: Rc<dyn Watcher>,
        init: impl FnOnce(*mut Handle) -> c_int,
        start: impl FnOnce(*mut Handle) -> c_int,
    ) -> Option<Self> {
        let (handle, layout) = allocate(functions, kind)?;
        if init(handle.as_ptr()) != 0 {
            // SAFETY: allocated above with this layout, and unknown to libuv.
            unsafe { std::alloc::dealloc(handle.as_ptr().cast(), layout) };
            return None;
        }
        attach(
            handle,
            Data {
                watcher: Some(watcher),
                closed: None,
                layout,
            },
        );
        let watch = Self { functions, handle };
        if start(handle.as_ptr()) != 0 {
            watch.close(Box::new(|| ()));
            return None;
        }
        watch.set_referenced(false);
        Some(watch)
    }

    /// Whether the handle keeps its loop alive.
    pub fn set_referenced(&self, referenced: bool) {
        let function = if referenced {
            self.functions.reference
        } else {
            self.functions.unreference
        };
        // SAFETY: the handle is initialised, and not closed before `self` is
        // consumed.
        unsafe { function(self.handle.as_ptr()) };
    }

    /// Closes the handle; its watcher is dropped and `closed` called once
    /// libuv is done with it.
    pub fn close(self, closed: Box<dyn FnOnce()>) {
        // SAFETY: `data` was attached in `start` and lives until `on_closed`; no
        // callback runs while it is borrowed.
        let data = unsafe { data(self.handle.as_ptr()) };
        // SAFETY: `data` gives a valid pointer, not otherwise borrowed here.
        unsafe { (*data).closed = Some(closed) };
        // SAFETY: initialised, and closed only once since `self` is consumed.
        unsafe { (self.functions.close)(self.handle.as_ptr(), on_closed) };
    }
}

/// Has `closed` called in the closing phase of the loop's current iteration,
/// where the handles of sockets are closed too. False when libuv is not to be
/// had.
///
/// # Safety
/// `uv_loop` is the loop of the calling thread.
pub unsafe fn in_closing_phase(uv_loop: *mut c_void, closed: Box<dyn FnOnce()>) -> bool {
    let Some(functions) = Functions::get() else {
        return false;
    };
    let Some((handle, layout)) = allocate(functions, UV_IDLE) else {
        return false;
    };
    // SAFETY: the handle's memory has libuv's size; the loop is as the caller
    // promises. This cannot fail.
    unsafe { (functions.idle_init)(uv_loop, handle.as_ptr()) };
    attach(
        handle,
        Data {
            watcher: None,
            closed: Some(closed),
            layout,
        },
    );
    // SAFETY: initialised above, and closed only here.
    unsafe { (functions.close)(handle.as_ptr(), on_closed) };
    true
}

/// Memory for a handle of a type, zeroed.
fn allocate(functions: &Functions, kind: c_int) -> Option<(NonNull<Handle>, Layout)> {
    // SAFETY: the function only looks up a size.
    let size = unsafe { (functions.handle_size)(kind) };
    let layout = Layout::from_size_align(size, 16).ok()?;
    if size < size_of::<Handle>() {
        return None;
    }
    // SAFETY: the layout has a size above zero.
    let memory = unsafe { std::alloc::alloc_zeroed(layout) };
    Some((NonNull::new(memory.cast())?, layout))
}

/// Gives a handle its data, for `on_closed` to take back.
fn attach(handle: NonNull<Handle>, data: Data) {
    let data = Box::into_raw(Box::new(data));
    // SAFETY: `data` is the first field of every handle, free for its owner to
    // use.
    unsafe { (*handle.as_ptr()).data = data.cast() };
}

/// # Safety
/// `handle` is one that was initialised and attached to, and that libuv has not
/// closed.
unsafe fn data(handle: *mut Handle) -> *mut Data {
    // SAFETY: as promised; `data` is the handle's first field.
    unsafe { (*handle).data.cast::<Data>() }
}

/// Calls the watcher of a handle.
///
/// # Safety
/// As for [`data`].
unsafe fn call(handle: *mut Handle) {
    // SAFETY: as promised.
    let data = unsafe { data(handle) };
    // SAFETY: `data` lives until `on_closed`. That may be called before `ready`
    // returns, by a loop that a listener runs: so the watcher is kept for as long,
    // and nothing is read from `data` again.
    let watcher = unsafe { (*data).watcher.clone() };
    if let Some(watcher) = watcher {
        watcher.ready();
    }
}

unsafe extern "C" fn on_ready(handle: *mut Handle, _status: c_int, _events: c_int) {
    // SAFETY: libuv calls back with the handle that was started.
    unsafe { call(handle) };
}

unsafe extern "C" fn on_prepare(handle: *mut Handle) {
    // SAFETY: as above.
    unsafe { call(handle) };
}

unsafe extern "C" fn on_closed(handle: *mut Handle) {
    // SAFETY: libuv calls back with the handle that was closed, once.
    let data = unsafe { data(handle) };
    // SAFETY: made by `Box::into_raw` in `attach`, and taken back only here.
    let data = unsafe { Box::from_raw(data) };
    // SAFETY: allocated with this layout; libuv is done with it.
    unsafe { std::alloc::dealloc(handle.cast(), data.layout) };
    let Data {
        watcher, closed, ..
    } = *data;
    drop(watcher);
    if let Some(closed) = closed {
        closed();
    }
}
