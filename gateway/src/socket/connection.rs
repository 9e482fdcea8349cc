//! The TCP side of one connection, with a switch to end it from outside.
//!
//! A peer that does not read keeps a writer in `flush`, where no time-out and no `disconnect()` of the
//! Socket.IO library reaches it. Here every read and write fails at once after [`Control::kill`].

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
};

use super::event_names::Frames;

/// Above the initial 0, open: only what has come is still read; what is queued is still written.
const CLOSING: u8 = 1;
/// Nothing is read or written any more.
const KILLED: u8 = 2;

/// The switch of a connection. Outlives it harmlessly.
#[derive(Debug, Default)]
pub(super) struct Control {
    state: AtomicU8,
    /// What comes from here on are frames of a WebSocket.
    is_websocket: AtomicBool,
    /// Tasks that wait for this connection: at most a reader and a writer.
    waiting: Mutex<Vec<Waker>>,
}

impl Control {
    /// Ends the connection as if the peer had closed it: what is queued is written first.
    pub(super) fn close(&self) {
        self.set(CLOSING);
    }

    /// Ends the connection now. What is queued is lost.
    pub(super) fn kill(&self) {
        self.set(KILLED);
    }

    /// The request that was just read asks for a WebSocket.
    pub(super) fn speaks_websocket(&self) {
        self.is_websocket.store(true, Ordering::Release);
    }

    fn set(&self, state: u8) {
        self.state.fetch_max(state, Ordering::AcqRel);
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for waker in waiting {
            waker.wake();
        }
    }

    /// To be woken by a change. Look at the state after this, not before.
    fn watch(&self, context: &Context<'_>) {
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
    }

    fn is_at_least(&self, state: u8) -> bool {
        self.state.load(Ordering::Acquire) >= state
    }
}

/// Who is at the other end; in the extensions of every request of the connection.
#[derive(Clone)]
pub struct Peer {
    pub address: SocketAddr,
    pub(super) control: Arc<Control>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peer").field(&self.address).finish()
    }
}

/// A TCP stream under a [`Control`]. Keeps its place among the connections for as long as it is open, also
/// after an upgrade to WebSocket has taken it out of hyper's hands.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    control: Arc<Control>,
    frames: Frames,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> (Self, Arc<Control>) {
        metrics::gauge!("tcp_connections").increment(1);
        let control = Arc::<Control>::default();
        let frames = Frames::default();
        (Self { stream, control: Arc::clone(&control), frames, _place: place }, control)
    }

    /// `poll` unless the connection was killed; woken also when it is.
    ///
    /// What was written counts as written, also when the kill comes meanwhile: a writer that is told of a failure writes the
    /// same bytes again.
    fn unless_killed<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let aborted = || Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        if self.control.is_at_least(KILLED) {
            return aborted();
        }
        let ready = poll(Pin::new(&mut self.stream), context);
        if ready.is_pending() {
            self.control.watch(context);
            if self.control.is_at_least(KILLED) {
                return aborted();
            }
        }
        ready
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        metrics::gauge!("tcp_connections").decrement(1);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let ready =
            self.unless_killed(context, |stream, context| stream.poll_read(context, buffer));
        if self.control.is_websocket.load(Ordering::Acquire) {
            self.frames.defuse(&mut buffer.filled_mut()[before..]);
        }
        // What has come before the close is still read, so that it can be answered.
        if ready.is_pending() && self.control.is_at_least(CLOSING) {
            return Poll::Ready(Ok(())); // Nothing filled in: end of stream.
        }
        ready
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unless_killed(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_killed(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_killed(context, AsyncWrite::poll_shutdown)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unless_killed(context, |stream, context| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        sync::Semaphore,
        time::timeout,
    };

    use super::*;

    async fn connection() -> (Connection, Arc<Control>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let (connection, control) = Connection::new(listener.accept().await.unwrap().0, place);
        (connection, control, peer)
    }

    #[tokio::test]
    async fn who_tries_again_after_a_kill_writes_nothing() {
        let (mut connection, control, mut peer) = connection().await;
        connection.write_all(b"before").await.unwrap();
        control.kill();
        for _ in 0..3 {
            let error = connection.write(b"after").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        }
        drop(connection);
        let mut heard = String::new();
        peer.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "before");
    }

    #[tokio::test]
    async fn a_kill_ends_who_waits() {
        let (mut connection, control, peer) = connection().await;
        let reading = tokio::spawn(async move { connection.read_u8().await });
        // One thread runs both, so the reader waits when this goes on.
        tokio::task::yield_now().await;
        assert_eq!(control.waiting.lock().len(), 1);
        control.kill();
        let read = timeout(Duration::from_secs(5), reading).await.expect("it is woken").unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        drop(peer);
    }
}
