//! The home of one environment's connections, with the memory that JavaScript
//! has lent for its turns.
//!
//! Held by `engine.rs`, and by the functions that [`Nest::calls`] gives to
//! JavaScript. What is called seldom is a method of the engine.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;

use napi::bindgen_prelude::{FunctionCallContext, JsObjectValue, Object, Result};
use napi::Env;

use super::decoder::{config, fill};
use super::memory::{Lent, Memory};
use super::room::received;
use crate::engine::driver::errno;
use crate::engine::home::Home;
use crate::engine::inbox::{Owned, ROW};
use crate::engine::outbox::Outbox;
use crate::protocol::receiver::{Receiver, ReceiverConfig};

/// Flags of a turn's result.
const DUE: u32 = 1;
const AWAITED: u32 = 2;
const REST: u32 = 4;
const SPLIT: u32 = 8;

/// The memory of the next batch.
pub(super) struct Inbox {
    pub(super) rows: Lent<u32>,
    pub(super) slab: Lent<u8>,
    pub(super) used: usize,
    pub(super) heads: Lent<u8>,
}

/// The memory of what is sent: see `outbox.rs` of the engine.
pub(super) struct Unsent {
    pub(super) rows: Lent<u32>,
    pub(super) slab: Lent<u8>,
}

/// The home, its memory, and what its turns leave behind.
pub(super) struct Nest {
    pub(super) home: RefCell<Home>,
    /// Rows of turns since the event loop last asked for one.
    pub(super) events: Cell<u32>,
    pub(super) inbox: RefCell<Option<Inbox>>,
    pub(super) unsent: RefCell<Option<Unsent>>,
    outbox: RefCell<Outbox>,
    pub(super) owned: RefCell<Vec<Owned>>,
    /// That of the last connection.
    config: RefCell<Arc<ReceiverConfig>>,
}

impl Nest {
    /// A nest without memory.
    pub(super) fn new(home: Home) -> Self {
        Self {
            home: RefCell::new(home),
            events: Cell::new(0),
            inbox: RefCell::default(),
            unsent: RefCell::default(),
            outbox: RefCell::default(),
            owned: RefCell::default(),
            config: RefCell::default(),
        }
    }

    /// What JavaScript calls in every turn, for every large message or for
    /// every connection, as functions: napi-rs keeps books, under a lock, of
    /// what each call of a method borrows, and that takes longer than most of
    /// these calls do.
    ///
    /// - `turn()`: [`Self::turn`]
    /// - `flush(count)`: [`Self::flush`]
    /// - `sendFrame(id, firstByte, payload)`: [`Self::send_frame`]
    /// - `sendMasked(id, firstByte, payload, key)`: [`Self::send_masked`]
    /// - `accept(id, …)`: [`Self::accept`], with the arguments of [`config`]
    /// - `setReading(id, reading)`: [`Self::set_reading`]
    /// - `shutdown(id)`: [`Self::shutdown`]
    ///
    /// # Errors
    /// N-API's.
    pub(super) fn calls<'env>(self: &Rc<Self>, env: &'env Env) -> Result<Object<'env>> {
        let mut calls = Object::new(env)?;
        let mut add = |name, call: fn(&Self, &FunctionCallContext<'_>) -> Result<i64>| {
            let nest = self.clone();
            let call = move |cx: FunctionCallContext<'_>| call(&nest, &cx);
            let function = env.create_function_from_closure::<(), i64, _>(name, call)?;
            calls.set_named_property(name, function)
        };
        add("turn", |nest, cx| Ok(nest.turn(*cx.env).into()))?;
        add("flush", |nest, cx| Ok(nest.flush(cx.get(0)?).into()))?;
        add("sendFrame", |nest, cx| {
            let payload: Memory<'_, u8> = cx.get(2)?;
            Ok(nest.send_frame(cx.get(0)?, cx.get(1)?, &payload))
        })?;
        add("sendMasked", |nest, cx| {
            let (payload, key): (Memory<'_, u8>, u32) = (cx.get(2)?, cx.get(3)?);
            Ok(nest.send_masked(cx.get(0)?, cx.get(1)?, &payload, key))
        })?;
        add("accept", |nest, cx| {
            let config = config(cx.get(1)?, cx.get(2)?, cx.get(3)?, cx.get(4)?);
            Ok(nest.accept(cx.get(0)?, config).into())
        })?;
        add("setReading", |nest, cx| {
            Ok(nest.set_reading(cx.get(0)?, cx.get(1)?).into())
        })?;
        add("shutdown", |nest, cx| Ok(nest.shutdown(cx.get(0)?).into()))?;
        Ok(calls)
    }

    /// One turn. The memory is that of `Engine::lend_inbox`; the third word of
    /// the header says with [`DUE`] that another turn is due, with [`REST`] that
    /// it goes on with this one, with [`SPLIT`] that it does so within what one read
    /// has got, and with [`AWAITED`] that there are connections whose request is yet
    /// to come. Returns the number of rows.
    fn turn(&self, env: Env) -> u32 {
        let mut home = self.home.borrow_mut();
        let mut owned = self.owned.borrow_mut();
        let mut inbox = self.inbox.borrow_mut();
        let Some(Inbox {
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
        let count = fill(env, rows, slab, heads.borrow(), &mut owned, |inbox| {
            home.turn(inbox);
            received(inbox.bytes_read());
            let due = if home.is_due() { DUE } else { 0 };
            // What is decompressed is not emitted at once, so others wait until
            // the event loop has gone on.
            let goes_on = home.has_rest() && !inbox.is_much_inflated();
            let rest = if goes_on { REST } else { 0 };
            let split = if goes_on && home.is_split() { SPLIT } else { 0 };
            let awaited = if home.is_awaiting() { AWAITED } else { 0 };
            due | rest | split | awaited
        });
        *used += rows.get(1).copied().unwrap_or_default() as usize;
        self.events.set(self.events.get() + count);
        count
    }

    /// Sends the first `count` rows of the memory of `Engine::lend_outbox`.
    /// Returns how many of them the kernel did not take in full.
    fn flush(&self, count: u32) -> u32 {
        let mut unsent = self.unsent.borrow_mut();
        let Some(Unsent { rows, slab }) = &mut *unsent else {
            return 0;
        };
        let rows = rows.borrow().get_mut(..count as usize * ROW);
        let home = &mut self.home.borrow_mut();
        let mut outbox = self.outbox.borrow_mut();
        outbox.flush(home, rows.unwrap_or_default(), slab.borrow())
    }

    /// Hands an unmasked frame to the kernel; see [`Outbox::send_frame`]. Returns
    /// how many bytes of the frame it took, or the negative errno.
    fn send_frame(&self, id: u32, first_byte: u32, payload: &[u8]) -> i64 {
        let home = &mut self.home.borrow_mut();
        let outbox = self.outbox.borrow();
        taken(outbox.send_frame(home, id, first_byte, payload))
    }

    /// The same for a masked frame, with its key in the order of its bytes.
    fn send_masked(&self, id: u32, first_byte: u32, payload: &[u8], key: u32) -> i64 {
        let home = &mut self.home.borrow_mut();
        let mut outbox = self.outbox.borrow_mut();
        taken(outbox.send_masked(home, id, first_byte, payload, key.to_le_bytes()))
    }

    /// Lets in the connection of an "upgrade" row, which keeps its id and does
    /// not read yet. Returns whether there was one.
    fn accept(&self, id: u32, config: ReceiverConfig) -> bool {
        self.home.borrow_mut().accept(id, self.receiver(config))
    }

    /// A receiver for a new connection, which shares its configuration with the
    /// last one if it is the same.
    pub(super) fn receiver(&self, config: ReceiverConfig) -> Receiver {
        let mut last = self.config.borrow_mut();
        if **last != config {
            *last = Arc::new(config);
        }
        Receiver::new(last.clone()).asking()
    }

    /// Starts or stops the delivery of what a connection receives. Returns
    /// whether a turn is due without a readiness that would call for it.
    fn set_reading(&self, id: u32, reading: bool) -> bool {
        let mut home = self.home.borrow_mut();
        home.set_reading(id, reading);
        home.is_due()
    }

    /// Ends the sending direction of a connection. Returns 0 or the errno.
    fn shutdown(&self, id: u32) -> i32 {
        match self.home.borrow().shutdown(id) {
            Ok(()) => 0,
            Err(error) => errno(&error),
        }
    }

    /// Hands bytes to the kernel. Returns how many it took, or the negative
    /// errno.
    pub(super) fn send(&self, id: u32, slices: &[IoSlice<'_>]) -> i64 {
        taken(self.home.borrow_mut().write(id, slices))
    }
}

/// How many bytes the kernel took, or the negative errno.
fn taken(result: io::Result<usize>) -> i64 {
    match result {
        Ok(count) => count as i64,
        Err(error) => -i64::from(errno(&error)),
    }
}
