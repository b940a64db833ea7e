//! A function of JavaScript that the event loop has called.
//!
//! Made and called by `engine.rs`, on the environment's thread. Knows nothing of
//! what the function is for.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr;

use napi::bindgen_prelude::{Function, Result};
use napi::{sys, Env, Error, JsValue, Status};

/// A function to be called without arguments.
pub(super) struct Caller {
    env: sys::napi_env,
    /// Null when it was released.
    function: Cell<sys::napi_ref>,
}

impl Caller {
    /// Refers to `function` until [`Self::release`], or the environment's end.
    ///
    /// # Errors
    /// N-API's.
    pub(super) fn new(env: &Env, function: &Function<'_, (), ()>) -> Result<Self> {
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
            function: Cell::new(reference),
        })
    }

    fn call(&self) -> Option<()> {
        let mut function = ptr::null_mut();
        let reference = self.function.get();
        if reference.is_null() {
            return None;
        }
        // SAFETY: called with a handle scope open, on the environment's
        // thread; the reference has not been released.
        let status = unsafe { sys::napi_get_reference_value(self.env, reference, &mut function) };
        (status == sys::Status::napi_ok).then_some(())?;
        call(self.env, function)
    }

    /// Lets the function go: it is not called any more. To be called by
    /// JavaScript's doing, so that there is an environment.
    pub(super) fn release(&self) {
        let reference = self.function.replace(ptr::null_mut());
        if !reference.is_null() {
            // SAFETY: made in `new`, and deleted only here, on the environment's
            // thread.
            unsafe { sys::napi_delete_reference(self.env, reference) };
        }
    }

    /// Calls from within the event loop, outside of any JavaScript.
    pub(super) fn call_from_loop(&self) {
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

/// Calls `function` in the empty asynchronous context, whatever the current one
/// is.
pub(super) fn call_outside(env: &Env, function: &Function<'_, (), ()>) {
    call(env.raw(), function.value().value);
}

/// Calls a function of the open handle scope, on the environment's thread.
fn call(env: sys::napi_env, function: sys::napi_value) -> Option<()> {
    let mut receiver = ptr::null_mut();
    let ok = |status| (status == sys::Status::napi_ok).then_some(());
    // SAFETY: a handle scope is open, as the caller sees to.
    ok(unsafe { sys::napi_get_global(env, &mut receiver) })?;
    // SAFETY: function and receiver are values of the open scope. A null async
    // context is the empty one; ticks run when the outermost call returns.
    let status = unsafe {
        sys::napi_make_callback(
            env,
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
        ok(unsafe { sys::napi_get_and_clear_last_exception(env, &mut exception) })?;
        // SAFETY: the exception is a value of the open scope.
        ok(unsafe { sys::napi_fatal_exception(env, exception) })?;
    }
    Some(())
}
