//! The closing handshake (RFC 6455, section 7).
//!
//! Called by whoever owns a connection, with what happened and what time it
//! is; answers what to do next. Moves no bytes and has no clock: time is a
//! number of milliseconds from any fixed point.

/// The code that stands for a close frame without one (section 7.4.1).
pub const NO_STATUS: u16 = 1005;
/// The code that stands for a connection that ended without a close frame.
pub const ABNORMAL: u16 = 1006;

/// Whether a close frame may carry `code`.
pub fn is_valid_close_code(code: u16) -> bool {
    match code {
        1004..=1006 => false,
        1000..=1014 | 3000..=4999 => true,
        _ => false,
    }
}

/// What is to be done after something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseAction {
    /// Nothing.
    None,
    /// Send a close frame, with this code unless it is 1005. Tell
    /// [`CloseHandshake::frame_written`] when it has been handed over.
    SendFrame(u16),
    /// End our side of the transport.
    EndTransport,
}

/// Whether data may flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseState {
    /// The handshake has not begun.
    Open,
    /// A side has begun it, or the transport is ending.
    Closing,
    /// The transport is gone.
    Closed,
}

/// How far the closing handshake of a connection has come.
#[derive(Debug)]
pub struct CloseHandshake {
    state: CloseState,
    written: bool,
    /// The code of the peer's close frame.
    received: Option<u16>,
    /// The peer broke the protocol; no close frame of its can come any more.
    failed: bool,
    timeout: u64,
    deadline: Option<u64>,
}

impl CloseHandshake {
    /// A handshake that has not begun. Once it has, `timeout` milliseconds may
    /// pass until the transport is closed.
    pub fn new(timeout: u64) -> Self {
        Self {
            state: CloseState::Open,
            written: false,
            received: None,
            failed: false,
            timeout,
            deadline: None,
        }
    }

    /// Whether data may flow.
    pub fn state(&self) -> CloseState {
        self.state
    }

    /// Whether messages, pings and pongs may still be sent.
    pub fn can_send(&self) -> bool {
        self.state == CloseState::Open
    }

    /// Whether our close frame has been handed to the transport.
    pub fn is_frame_written(&self) -> bool {
        self.written
    }

    /// The code to report when the connection is gone: the peer's, 1005 when
    /// its close frame had none, 1006 when there was no close frame.
    pub fn code(&self) -> u16 {
        self.received.unwrap_or(ABNORMAL)
    }

    /// We want to close.
    pub fn close(&mut self, code: u16, now: u64) -> CloseAction {
        match self.state {
            CloseState::Open => {
                self.state = CloseState::Closing;
                self.deadline = Some(now.saturating_add(self.timeout));
                CloseAction::SendFrame(code)
            }
            CloseState::Closing => self.end_if_complete(),
            CloseState::Closed => CloseAction::None,
        }
    }

    /// The peer's close frame has arrived: it is answered with its own code,
    /// or ends the handshake when ours has gone out before.
    pub fn frame_received(&mut self, code: u16, now: u64) -> CloseAction {
        self.received = Some(code);
        self.close(code, now)
    }

    /// The peer broke the protocol; `status` says how.
    pub fn peer_failed(&mut self, status: u16, now: u64) -> CloseAction {
        self.failed = true;
        self.close(status, now)
    }

    /// Our close frame has been handed to the transport.
    pub fn frame_written(&mut self) -> CloseAction {
        self.written = true;
        self.end_if_complete()
    }

    /// The peer has ended its side of the transport: so do we.
    pub fn transport_ended(&mut self) -> CloseAction {
        match self.state {
            CloseState::Closed => CloseAction::None,
            _ => {
                self.state = CloseState::Closing;
                CloseAction::EndTransport
            }
        }
    }

    /// The transport is gone.
    pub fn transport_closed(&mut self) {
        self.state = CloseState::Closed;
        self.deadline = None;
    }

    /// When the transport is to be closed at the latest.
    pub fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Whether the peer has had its time and the transport is to be destroyed.
    pub fn is_overdue(&self, now: u64) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    fn end_if_complete(&self) -> CloseAction {
        if self.written && (self.received.is_some() || self.failed) {
            CloseAction::EndTransport
        } else {
            CloseAction::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_codes_that_may_be_sent() {
        for code in 0..=u16::MAX {
            let expected = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            assert_eq!(is_valid_close_code(code), expected, "{code}");
        }
    }

    #[test]
    fn we_begin_and_the_peer_answers() {
        let mut close = CloseHandshake::new(30_000);
        assert!(close.can_send());
        assert_eq!(close.close(1000, 5), CloseAction::SendFrame(1000));
        assert!(!close.can_send());
        assert_eq!(close.frame_written(), CloseAction::None);
        assert_eq!(close.deadline(), Some(30_005));
        assert_eq!(close.frame_received(1000, 9), CloseAction::EndTransport);
        close.transport_closed();
        assert_eq!(close.code(), 1000);
        assert_eq!(close.deadline(), None);
        assert_eq!(close.state(), CloseState::Closed);
    }

    #[test]
    fn the_peer_begins_and_gets_its_code_back() {
        let mut close = CloseHandshake::new(30_000);
        assert_eq!(close.frame_received(1005, 0), CloseAction::SendFrame(1005));
        assert_eq!(close.frame_written(), CloseAction::EndTransport);
        assert!(close.is_frame_written());
        assert_eq!(close.code(), 1005);
    }

    #[test]
    fn the_answer_may_come_before_our_frame_is_written() {
        let mut close = CloseHandshake::new(30_000);
        close.close(1000, 0);
        assert_eq!(close.frame_received(1001, 0), CloseAction::None);
        assert_eq!(close.frame_written(), CloseAction::EndTransport);
        assert_eq!(close.code(), 1001);
    }

    #[test]
    fn a_second_close_does_nothing_until_the_handshake_is_complete() {
        let mut close = CloseHandshake::new(30_000);
        close.close(1000, 0);
        close.frame_written();
        assert_eq!(close.close(1001, 3), CloseAction::None);
        assert_eq!(close.deadline(), Some(30_000));
    }

    #[test]
    fn a_broken_protocol_is_answered_and_not_waited_for() {
        let mut close = CloseHandshake::new(30_000);
        assert_eq!(close.peer_failed(1002, 0), CloseAction::SendFrame(1002));
        assert_eq!(close.frame_written(), CloseAction::EndTransport);
        assert_eq!(close.code(), ABNORMAL);
    }

    #[test]
    fn a_broken_protocol_during_the_handshake_ends_the_transport() {
        let mut close = CloseHandshake::new(30_000);
        close.close(1000, 0);
        close.frame_written();
        assert_eq!(close.peer_failed(1002, 0), CloseAction::EndTransport);
    }

    #[test]
    fn the_end_of_the_transport_is_answered_with_its_end() {
        let mut close = CloseHandshake::new(30_000);
        assert_eq!(close.transport_ended(), CloseAction::EndTransport);
        assert!(!close.can_send());
        assert_eq!(close.close(1000, 0), CloseAction::None);
        close.transport_closed();
        assert_eq!(close.transport_ended(), CloseAction::None);
        assert_eq!(close.close(1000, 0), CloseAction::None);
        assert_eq!(close.code(), ABNORMAL);
    }

    #[test]
    fn a_peer_that_does_not_answer_runs_out_of_time() {
        let mut close = CloseHandshake::new(100);
        assert!(!close.is_overdue(u64::MAX));
        close.close(1000, 50);
        assert!(!close.is_overdue(149));
        assert!(close.is_overdue(150));
    }
}
