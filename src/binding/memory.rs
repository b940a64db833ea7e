//! Typed arrays as slices: of arguments for the length of one call, and of
//! arrays that are lent for as long as they are wanted.
//!
//! Used by the other files of the binding as argument types. What JavaScript
//! must guarantee is said in `mod.rs`.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr;

use napi::bindgen_prelude::{FromNapiValue, Result, TypeName, ValidateNapiValue};
use napi::{sys, Error, Status, ValueType};

/// The memory of a `Uint8Array` (or `Buffer`) or `Uint32Array` argument.
pub struct Memory<'call, T> {
    data: *mut T,
    length: usize,
    call: PhantomData<&'call mut [T]>,
}

impl<T> Memory<'_, T> {
    /// The part from `start` on, or nothing if there is none. What comes before
    /// may be borrowed elsewhere: of a slab it is payloads that JavaScript has,
    /// and may pass in the same call.
    pub fn after(self, start: usize) -> Self {
        let start = start.min(self.length);
        Self {
            // SAFETY: `start` is within the array, or at its end.
            data: unsafe { self.data.add(start) },
            length: self.length - start,
            call: PhantomData,
        }
    }
}

/// Types of which JavaScript has arrays.
pub trait Element {
    /// N-API's name for such an array.
    const TYPE: i32;
}

impl Element for u8 {
    const TYPE: i32 = sys::TypedarrayType::uint8_array;
}

impl Element for u32 {
    const TYPE: i32 = sys::TypedarrayType::uint32_array;
}

impl<T> Deref for Memory<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: N-API gave pointer and length of an array whose memory
        // JavaScript can neither free nor detach during the call.
        unsafe { std::slice::from_raw_parts(self.data, self.length) }
    }
}

impl<T> DerefMut for Memory<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; arguments of one call that are written do not
        // overlap others, which `lib/` guarantees.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.length) }
    }
}

impl<T: Element> FromNapiValue for Memory<'_, T> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let (mut kind, mut length, mut data) = (-1, 0, ptr::null_mut());
        // SAFETY: environment and value are those of the current call; null
        // pointers are for what is not asked for.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                env,
                value,
                &mut kind,
                &mut length,
                &mut data,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        if status != sys::Status::napi_ok || kind != T::TYPE {
            return Err(Error::from_status(Status::InvalidArg));
        }
        // An array without memory has no pointer, but a slice must have one.
        let empty = data.is_null() || length == 0;
        Ok(Self {
            data: if empty {
                ptr::NonNull::dangling().as_ptr()
            } else {
                data.cast()
            },
            length: if empty { 0 } else { length },
            call: PhantomData,
        })
    }
}

impl<T> TypeName for Memory<'_, T> {
    fn type_name() -> &'static str {
        "TypedArray"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl<T: Element> ValidateNapiValue for Memory<'_, T> {}

/// A `Uint8Array` (or `Buffer`) or `Uint32Array` that is kept: asking N-API for
/// pointer and length in each call takes longer than most calls do.
pub struct Lent<T> {
    env: sys::napi_env,
    /// Of the `ArrayBuffer`.
    reference: sys::napi_ref,
    data: *mut T,
    length: usize,
}

impl<T> Lent<T> {
    /// The memory, for the length of the current call. Nothing if JavaScript
    /// has transferred it to another thread.
    pub fn borrow(&mut self) -> &mut [T] {
        if self.is_detached() {
            return &mut [];
        }
        // SAFETY: N-API gave pointer and length of an array whose memory lives
        // as long as its `ArrayBuffer`, which is referenced, and not detached.
        // JavaScript can do nothing to it during the call, and what is written
        // does not overlap other arguments, which `lib/` guarantees.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.length) }
    }

    fn is_detached(&self) -> bool {
        let (mut value, mut detached) = (ptr::null_mut(), true);
        // SAFETY: the reference lives as long as `self`; this is called in a
        // call from JavaScript, so with a handle scope open.
        let status = unsafe { sys::napi_get_reference_value(self.env, self.reference, &mut value) };
        if status != sys::Status::napi_ok || value.is_null() {
            return true;
        }
        // SAFETY: the value is of the current scope.
        let status = unsafe { sys::napi_is_detached_arraybuffer(self.env, value, &mut detached) };
        status != sys::Status::napi_ok || detached
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        // SAFETY: made in `from_napi_value` and deleted only here, on the
        // environment's thread: what holds it is dropped by the environment's
        // calls, finalizers and hooks.
        unsafe { sys::napi_delete_reference(self.env, self.reference) };
    }
}

impl<T: Element> FromNapiValue for Lent<T> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        // SAFETY: as promised by the caller.
        let memory = unsafe { Memory::<T>::from_napi_value(env, value) }?;
        let (mut buffer, mut reference) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: environment and value are those of the current call; null
        // pointers are for what is not asked for.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                env,
                value,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                &mut buffer,
                ptr::null_mut(),
            )
        };
        if status != sys::Status::napi_ok {
            return Err(Error::from_status(Status::InvalidArg));
        }
        // SAFETY: the value is of the current scope.
        let status = unsafe { sys::napi_create_reference(env, buffer, 1, &mut reference) };
        if status != sys::Status::napi_ok {
            return Err(Error::from_status(Status::GenericFailure));
        }
        Ok(Self {
            env,
            reference,
            data: memory.data,
            length: memory.length,
        })
    }
}

impl<T> TypeName for Lent<T> {
    fn type_name() -> &'static str {
        "TypedArray"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl<T: Element> ValidateNapiValue for Lent<T> {}
