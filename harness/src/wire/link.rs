//! One device's network: a proxy on a port of its own, whose connections can be slowed, frozen, swallowed or ended.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    network::{Network, NetworkChange, State},
    tap::{Direction, Listener, Tap},
};
use crate::history::{Recorder, What};

/// How long connecting to the gateway may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// So many pieces may be under way in a slow network; it takes no more until one has arrived.
const UNDER_WAY_MAX: usize = 1_024;

/// How often a frozen network looks whether the gateway has closed its end.
const LOOK: Duration = Duration::from_millis(10);

/// The proxy of one device. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    state: watch::Sender<State>,
    listener: Listener,
    task: JoinHandle<()>,
}

impl Link {
    /// Listens on a free loopback port for `device`, whose gateway is at `target`.
    pub async fn open(
        recorder: &Arc<Recorder>,
        [device, user, gateway]: [&str; 3],
        target: SocketAddr,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = socket.local_addr()?;
        let listener = Listener {
            recorder: Arc::clone(recorder),
            device: device.to_owned(),
            user: user.to_owned(),
            gateway: gateway.to_owned(),
            sessions: Arc::new(Mutex::new(HashMap::new())),
        };
        let state = watch::Sender::new(State::default());
        let (taps, states) = (listener.clone(), state.clone());
        // Ends when the link is dropped.
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let tap = Tap::new(taps.clone());
                tokio::spawn(carry(stream, target, tap, Network::of(&states)));
            }
        });
        Ok(Self { address, state, listener, task })
    }

    /// Where the device connects.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what the network does, for the connections there are and those to come.
    pub fn change(&self, change: NetworkChange) {
        self.state.send_modify(|state| state.change(change));
        if change.is_end() {
            // One that polls may have no connection just now.
            self.gone();
        }
    }

    pub fn state(&self) -> NetworkChange {
        self.state.borrow().now
    }

    /// The device's program is gone: its sessions are over, whatever the gateway believes.
    pub fn gone(&self) {
        let mut sessions = self.listener.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, session) in sessions.drain() {
            let connection = session.connection;
            self.listener.recorder.push(What::Closed { connection, by_gateway: false });
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
        self.state.send_modify(|state| state.change(NetworkChange::Cut));
    }
}

/// One connection of the device, from its beginning to its end.
async fn carry(device: TcpStream, target: SocketAddr, tap: Tap, mut network: Network) {
    let refused = network.now().is_end();
    let gateway = match timeout(CONNECT_LIMIT, TcpStream::connect(target)).await {
        Ok(Ok(gateway)) if !refused => gateway,
        // The device sees a connection that is reset at once.
        _ => return reset(&device),
    };
    for stream in [&device, &gateway] {
        // Without it everything still goes through, only later.
        drop(stream.set_nodelay(true));
    }
    let tap = Mutex::new(tap);
    let (device_in, mut device_out) = device.into_split();
    let (gateway_in, mut gateway_out) = gateway.into_split();
    let pump_up = pump(device_in, &mut gateway_out, Direction::ToGateway, &tap, network.clone());
    let pump_down = pump(gateway_in, &mut device_out, Direction::ToDevice, &tap, network.clone());
    let by_gateway = tokio::select! {
        by_device = pump_up => !by_device,
        by_gateway = pump_down => by_gateway,
    };
    // Who ended it is known if the network did: both directions end then.
    let now = network.now();
    lock(&tap).end(by_gateway && !now.is_end());
    if now == NetworkChange::Cut {
        for half in [gateway_out, device_out] {
            reset(half.as_ref());
            // Dropped, it would say a polite end first.
            half.forget();
        }
    } else {
        // The other end may be gone already: then there is nobody to tell.
        drop(gateway_out.shutdown().await);
        drop(device_out.shutdown().await);
    }
}

/// What was read and is still on its way, each piece with the time at which it arrives.
#[derive(Default)]
struct UnderWay(VecDeque<(Instant, Vec<u8>)>);

impl UnderWay {
    /// Takes a piece; what arrives at once is given back.
    fn take(&mut self, piece: &[u8], network: NetworkChange) -> Option<Vec<u8>> {
        let delay = match network {
            // Nothing overtakes what is still on its way.
            NetworkChange::Open if self.0.is_empty() => return Some(piece.to_vec()),
            NetworkChange::Slow(delay) => delay,
            NetworkChange::Blackhole => return None,
            NetworkChange::Open
            | NetworkChange::Frozen
            | NetworkChange::Cut
            | NetworkChange::Finished => Duration::ZERO,
        };
        self.0.push_back((Instant::now() + delay, piece.to_vec()));
        None
    }
}

/// Hands on what comes, as the network is just then; returns when either end or the network closes the connection: `true`
/// if it was not the end that is written to.
async fn pump(
    mut from: OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    direction: Direction,
    tap: &Mutex<Tap>,
    mut network: Network,
) -> bool {
    let mut buffer = vec![0; 64 << 10];
    let mut under_way = UnderWay::default();
    let mut is_ended = false;
    loop {
        let now = network.now();
        match now {
            NetworkChange::Cut | NetworkChange::Finished => return true,
            // What is under way waits a frozen network out, and is lost in a hole.
            NetworkChange::Frozen => {
                if !frozen(&from, direction, tap, &mut network).await {
                    return true;
                }
                continue;
            }
            NetworkChange::Blackhole => under_way.0.clear(),
            NetworkChange::Open | NetworkChange::Slow(_) => {}
        }
        if is_ended && under_way.0.is_empty() {
            if now == NetworkChange::Blackhole {
                // Nobody is told of an end in a black hole.
                if direction == Direction::ToDevice {
                    lock(tap).given_up();
                }
                network.ended().await;
            }
            return true;
        }
        let next = under_way.0.front().map(|(due, _)| *due);
        let arrived = tokio::select! {
            biased;
            is_there = network.changed() => {
                if is_there {
                    continue;
                }
                return true;
            }
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                under_way.0.pop_front().map(|(_, bytes)| bytes)
            }
            read = from.read(&mut buffer), if !is_ended && under_way.0.len() < UNDER_WAY_MAX => {
                let Ok(len @ 1..) = read else {
                    is_ended = true;
                    continue;
                };
                // It may have changed while this was read.
                under_way.take(&buffer[..len], network.at_once())
            }
        };
        if let Some(bytes) = arrived {
            lock(tap).hear(direction, &bytes);
            let written = tokio::select! {
                written = to.write_all(&bytes) => written.is_ok(),
                () = network.ended() => false,
            };
            if !written {
                return false;
            }
        }
    }
}

/// Waits until the network is not frozen any more; `false`: the link is gone. Nothing is read meanwhile: only that the
/// gateway closes its end is noted.
async fn frozen(
    from: &OwnedReadHalf,
    direction: Direction,
    tap: &Mutex<Tap>,
    network: &mut Network,
) -> bool {
    loop {
        tokio::select! {
            is_there = network.changed() => return is_there,
            () = sleep(LOOK), if direction == Direction::ToDevice => {
                let ready = from.ready(Interest::READABLE).now_or_never();
                if ready.is_some_and(|ready| ready.is_ok_and(tokio::io::Ready::is_read_closed)) {
                    lock(tap).given_up();
                    return network.changed().await;
                }
            }
        }
    }
}

fn lock(tap: &Mutex<Tap>) -> MutexGuard<'_, Tap> {
    // Whoever panicked here left whole packets behind.
    tap.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a connection with a reset, once it is dropped.
fn reset(stream: &TcpStream) {
    // If it is over already there is nothing to reset.
    drop(stream.set_zero_linger());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cut_ends_every_connection_however_soon_the_network_works_again() {
        let gateway = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = gateway.local_addr().unwrap();
        let names = ["alice.phone", "alice", "gw1"];
        let link = Link::open(&Arc::default(), names, target).await.unwrap();
        let mut device = TcpStream::connect(link.address()).await.unwrap();
        let (mut there, _) = gateway.accept().await.unwrap();
        device.write_all(b"a").await.unwrap();
        there.read_exact(&mut [0]).await.unwrap();
        link.change(NetworkChange::Cut);
        link.change(NetworkChange::Open);
        // Both ends see a reset.
        assert!(device.read(&mut [0]).await.is_err());
        assert!(there.read(&mut [0]).await.is_err());
        let mut device = TcpStream::connect(link.address()).await.unwrap();
        let (mut there, _) = gateway.accept().await.unwrap();
        device.write_all(b"b").await.unwrap();
        there.read_exact(&mut [0]).await.unwrap();
    }

    /// An echo behind a slow link: the device writes two pieces with a pause between, and reads both back.
    #[tokio::test]
    async fn what_is_slow_comes_so_much_later_and_no_more() {
        let echo = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = echo.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = echo.accept().await.unwrap();
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
        });
        let names = ["alice.phone", "alice", "gw1"];
        let link = Link::open(&Arc::default(), names, target).await.unwrap();
        let (delay, pause) = (Duration::from_secs(1), Duration::from_millis(50));
        link.change(NetworkChange::Slow(delay));
        let mut device = TcpStream::connect(link.address()).await.unwrap();
        let began = Instant::now();
        device.write_all(b"a").await.unwrap();
        sleep(pause).await;
        device.write_all(b"b").await.unwrap();
        let mut seen = [0; 2];
        device.read_exact(&mut seen[..1]).await.unwrap();
        assert!(began.elapsed() >= 2 * delay, "{:?}", began.elapsed());
        device.read_exact(&mut seen[1..]).await.unwrap();
        // Once there and once back. Whoever waits for the piece before comes two delays later.
        assert!(began.elapsed() >= 2 * delay + pause, "{:?}", began.elapsed());
        assert!(began.elapsed() < 3 * delay, "{:?}", began.elapsed());
        assert_eq!(seen, *b"ab");
        // What is under way when the network works again comes in its order.
        device.write_all(b"c").await.unwrap();
        sleep(pause).await;
        link.change(NetworkChange::Open);
        device.write_all(b"d").await.unwrap();
        device.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen, *b"cd");
    }
}
