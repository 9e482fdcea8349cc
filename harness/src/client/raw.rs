//! Our own client, which hides nothing: WebSocket by tokio-tungstenite, long-polling by hand.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::{ClientError, Options};
use crate::scenario::Transport;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Packets that wait to be written; whoever sends more waits.
const QUEUE_PACKETS_MAX: usize = 1_024;

/// How long a packet may wait for room in the queue.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// How long a goodbye may take.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Longest body of one post, in bytes: servers refuse longer ones.
const POST_BYTES_MAX: usize = 90_000;

/// How long a device that will upgrade polls first: long enough to be in a conversation by then.
const POLLING_FIRST: Duration = Duration::from_millis(400);

/// Between the packets of a long-polling body.
const SEPARATOR: char = '\u{1e}';

/// A connection. Its task answers pings; it ends with the connection or when this is dropped.
#[derive(Debug)]
pub struct Raw {
    packets: mpsc::Sender<String>,
    task: JoinHandle<()>,
    next_ack: u64,
}

impl Raw {
    pub(super) async fn connect(options: &Options) -> Result<Self, ClientError> {
        let hello = match &options.auth {
            Some(auth) => format!("40{auth}"),
            None => "40".to_owned(),
        };
        let (packets, queue) = mpsc::channel(QUEUE_PACKETS_MAX);
        let pongs = options.pongs.then(|| packets.clone());
        let task = match options.transport {
            Transport::Websocket => {
                let mut stream = websocket(options, None).await?;
                send(&mut stream, hello).await?;
                tokio::spawn(serve_websocket(stream, queue, pongs))
            }
            Transport::Polling | Transport::Upgrade => {
                let poller = Poller::open(options).await?;
                poller.post(hello).await?;
                if options.transport == Transport::Polling {
                    tokio::spawn(serve_polling(poller, queue, pongs))
                } else {
                    tokio::spawn(serve_both(poller, options.clone(), queue, pongs))
                }
            }
        };
        Ok(Self { packets, task, next_ack: 0 })
    }

    pub(super) async fn emit(
        &mut self,
        event: &str,
        payload: &Value,
        wants_ack: bool,
    ) -> Result<(), ClientError> {
        let event = json!([event, payload]);
        let packet = if wants_ack {
            self.next_ack += 1;
            format!("42{}{event}", self.next_ack)
        } else {
            format!("42{event}")
        };
        self.send(packet).await
    }

    pub(super) async fn send(&mut self, packet: String) -> Result<(), ClientError> {
        if self.task.is_finished() {
            return Err(ClientError::Gone);
        }
        let queued = timeout(WRITE_LIMIT, self.packets.send(packet)).await;
        queued.map_err(|_| ClientError::Stuck)?.map_err(|_| ClientError::Gone)
    }

    pub(super) async fn disconnect(mut self) {
        let goodbye = async {
            // If it is gone already, that is what was wanted.
            drop(self.send("41".to_owned()).await);
            drop(self.send("1".to_owned()).await);
            drop((&mut self.task).await);
        };
        // A gateway that takes nothing any more shall not hold a scenario up.
        drop(timeout(DISCONNECT_LIMIT, goodbye).await);
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn refused(error: impl std::fmt::Display) -> ClientError {
    ClientError::Refused(error.to_string())
}

async fn websocket(options: &Options, session: Option<&str>) -> Result<Stream, ClientError> {
    let session = session.map(|id| format!("&sid={id}")).unwrap_or_default();
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket{session}", options.address);
    let mut request = url.into_client_request().map_err(refused)?;
    if let Some(value) = &options.authorization {
        let value = HeaderValue::from_str(value).map_err(refused)?;
        request.headers_mut().insert("authorization", value);
    }
    let (stream, _) = connect_async_with_config(request, None, true).await.map_err(refused)?;
    Ok(stream)
}

async fn send(stream: &mut Stream, packet: String) -> Result<(), ClientError> {
    stream.send(Message::text(packet)).await.map_err(|_| ClientError::Gone)
}

/// Reads and writes until the connection ends or a packet `1` was sent.
async fn serve_websocket(
    stream: Stream,
    mut queue: mpsc::Receiver<String>,
    pongs: Option<mpsc::Sender<String>>,
) {
    let (mut write, mut read) = stream.split();
    let writing = async {
        while let Some(packet) = queue.recv().await {
            let is_last = packet == "1";
            if !is_last && write.feed(Message::text(packet)).await.is_err() {
                return;
            }
            if (queue.is_empty() || is_last) && write.flush().await.is_err() {
                return;
            }
            if is_last {
                // The peer may have closed first.
                drop(write.close().await);
                return;
            }
        }
    };
    let reading = async {
        while let Some(Ok(message)) = read.next().await {
            if matches!(&message, Message::Text(text) if text.as_str() == "2") {
                // A full queue: the pong is late, as the device is busy.
                if !answer(pongs.as_ref()).await {
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
}

/// Answers a ping, unless the device leaves it unanswered; `false`: the connection is gone.
async fn answer(pongs: Option<&mpsc::Sender<String>>) -> bool {
    match pongs {
        Some(pongs) => pongs.send("3".to_owned()).await.is_ok(),
        None => true,
    }
}

/// Long-polling by hand: one request reads, another one writes.
struct Poller {
    http: reqwest::Client,
    url: String,
    session: String,
}

impl Poller {
    async fn open(options: &Options) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder().no_proxy().build().map_err(refused)?;
        let base = format!("http://{}/socket.io/?EIO=4&transport=polling", options.address);
        let mut request = http.get(&base);
        if let Some(value) = &options.authorization {
            request = request.header("authorization", value);
        }
        let response = request.send().await.map_err(refused)?;
        let status = response.status();
        let open = response.text().await.map_err(refused)?;
        let first = open.split(SEPARATOR).next().and_then(|packet| packet.strip_prefix('0'));
        let open: Option<Value> = first.and_then(|json| serde_json::from_str(json).ok());
        let session = open.and_then(|open| open["sid"].as_str().map(str::to_owned));
        let session =
            session.ok_or_else(|| refused(format!("the handshake was answered {status}")))?;
        Ok(Self { http, url: format!("{base}&sid={session}"), session })
    }

    async fn post(&self, body: String) -> Result<(), ClientError> {
        let response = self.http.post(&self.url).body(body).send().await.map_err(refused)?;
        response.error_for_status().map(drop).map_err(refused)
    }

    /// The packets of one poll.
    async fn poll(&self) -> Result<Vec<String>, ClientError> {
        let response = self.http.get(&self.url).send().await.map_err(refused)?;
        let body = response.error_for_status().map_err(refused)?.text().await.map_err(refused)?;
        Ok(body.split(SEPARATOR).map(str::to_owned).collect())
    }

    /// Polls, after a while probes a WebSocket, and moves the session there; polls go on meanwhile, as with stock clients.
    async fn upgrade(
        self,
        options: &Options,
        queue: &mut mpsc::Receiver<String>,
    ) -> Result<Stream, ClientError> {
        let probing = async {
            sleep(POLLING_FIRST).await;
            let mut stream = websocket(options, Some(&self.session)).await?;
            send(&mut stream, "2probe".to_owned()).await?;
            while let Some(Ok(message)) = stream.next().await {
                if matches!(&message, Message::Text(text) if text.as_str() == "3probe") {
                    return Ok(stream);
                }
            }
            Err(refused("the probe of the upgrade was not answered"))
        };
        let mut probing = Box::pin(probing);
        let mut poll = Box::pin(self.poll());
        let mut stream = loop {
            tokio::select! {
                probed = &mut probing => break probed?,
                packets = &mut poll => {
                    if packets?.iter().any(|packet| packet == "2") && options.pongs {
                        self.post("3".to_owned()).await?;
                    }
                    poll = Box::pin(self.poll());
                }
                Some(packet) = queue.recv() => self.post(packet).await?,
            }
        };
        // The gateway ends it with `6`.
        let last = poll.await?;
        send(&mut stream, "5".to_owned()).await?;
        if options.pongs && last.iter().any(|packet| packet == "2") {
            send(&mut stream, "3".to_owned()).await?;
        }
        Ok(stream)
    }
}

/// Polls first, and goes on over a WebSocket.
async fn serve_both(
    poller: Poller,
    options: Options,
    mut queue: mpsc::Receiver<String>,
    pongs: Option<mpsc::Sender<String>>,
) {
    if let Ok(stream) = poller.upgrade(&options, &mut queue).await {
        serve_websocket(stream, queue, pongs).await;
    }
}

/// Polls and posts until the session ends or a packet `1` was sent.
async fn serve_polling(
    poller: Poller,
    mut queue: mpsc::Receiver<String>,
    pongs: Option<mpsc::Sender<String>>,
) {
    let writing = async {
        let mut next = queue.recv().await;
        while let Some(first) = next.take() {
            let mut is_last = first == "1";
            let mut body = first;
            while let Ok(packet) = queue.try_recv() {
                if body.len() + packet.len() > POST_BYTES_MAX {
                    next = Some(packet);
                    break;
                }
                is_last |= packet == "1";
                body.push(SEPARATOR);
                body.push_str(&packet);
            }
            if poller.post(body).await.is_err() || is_last {
                return;
            }
            if next.is_none() {
                next = queue.recv().await;
            }
        }
    };
    let reading = async {
        while let Ok(packets) = poller.poll().await {
            if packets.iter().any(|packet| packet == "1") {
                return;
            }
            let is_pinged = packets.iter().any(|packet| packet == "2");
            if is_pinged && !answer(pongs.as_ref()).await {
                return;
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
}
