//! The socket of an attempt to connect, so that giving up ends it.
//!
//! The library reads on a thread of its own, which waits for ever for a broker that accepts
//! and then says nothing: without this each such attempt would leave a thread and a socket.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Shuts the attempt's socket when dropped, unless it is [`kept`](Self::keep).
pub(super) struct Attempt(Socket);

/// Where the attempt's socket is made known.
#[derive(Clone)]
pub(super) struct Socket(Arc<Mutex<State>>);

enum State {
    Open(Option<TcpStream>),
    GivenUp,
}

impl Attempt {
    pub(super) fn new() -> Self {
        Self(Socket(Arc::new(Mutex::new(State::Open(None)))))
    }

    pub(super) fn socket(&self) -> Socket {
        self.0.clone()
    }

    /// The connection stands: it is the library's from here on.
    pub(super) fn keep(self) {
        self.0.set(State::Open(None));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let State::Open(Some(socket)) = self.0.set(State::GivenUp) {
            // One that is shut already needs nothing.
            socket.shutdown(Shutdown::Both).ok();
        }
    }
}

impl Socket {
    /// Keeps hold of a socket; fails where the attempt was given up meanwhile.
    pub(super) fn is(&self, socket: &impl AsFd) -> io::Result<()> {
        let socket = TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::GivenUp) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        *state = State::Open(Some(socket));
        Ok(())
    }

    fn set(&self, state: State) -> State {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut held, state)
    }
}
