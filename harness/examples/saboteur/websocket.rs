//! WebSockets through the proxy, text frame by text frame.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{self, HeaderValue},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, sync::mpsc, time::sleep};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message, client::IntoClientRequest as _, handshake::derive_accept_key,
        protocol::Role,
    },
};

use crate::{
    gate::{Gate, QUEUE_PACKETS_MAX, Socket},
    packets::Out,
    proxy::{Asked, Reply, respond},
};

/// Opens one to the gateway; what the device is told.
pub(crate) async fn open(
    gate: &Arc<Gate>,
    asked: &Asked,
    upgrade: OnUpgrade,
) -> Response<Full<Bytes>> {
    let behind = match connect(gate, asked).await {
        Ok(behind) => behind,
        Err(Error::Http(refusal)) => {
            let status = refusal.status().as_u16();
            let headers = header::HeaderMap::new();
            return respond(Reply {
                status,
                headers,
                body: refusal.body().clone().unwrap_or_default(),
            });
        }
        Err(_) => {
            return respond(Reply {
                status: 502,
                headers: header::HeaderMap::new(),
                body: Vec::new(),
            });
        }
    };
    let socket = match asked.value("sid").and_then(|id| gate.session(id)) {
        Some(socket) => socket,
        None => gate.open(asked.authorization()),
    };
    let gate = Arc::clone(gate);
    // Ends with either connection.
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let device =
                WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            carry(&gate, &socket, device, behind).await;
        }
        gate.close(&socket);
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let key = asked.headers.get("sec-websocket-key").map(HeaderValue::as_bytes).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key)) {
        headers.insert("sec-websocket-accept", accept);
    }
    response
}

async fn connect(gate: &Gate, asked: &Asked) -> Result<WebSocketStream<TcpStream>, Error> {
    let mut request = format!("ws://{}{}", gate.behind, asked.target).into_client_request()?;
    for name in [header::AUTHORIZATION, header::ORIGIN, header::USER_AGENT] {
        if let Some(value) = asked.headers.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    let stream = TcpStream::connect(gate.behind).await?;
    stream.set_nodelay(true)?;
    Ok(client_async(request, stream).await?.0)
}

async fn carry<S>(
    gate: &Gate,
    socket: &Arc<Socket>,
    device: WebSocketStream<S>,
    behind: WebSocketStream<TcpStream>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut to_device, mut from_device) = device.split();
    let (mut to_gateway, mut from_gateway) = behind.split();
    let (down, mut downs) = mpsc::channel::<String>(QUEUE_PACKETS_MAX);
    let (up, mut ups) = mpsc::channel::<String>(QUEUE_PACKETS_MAX);
    socket.known().is_upgrading = true;
    let pipes = (down.clone(), up.clone());
    let reading_device = async {
        while let Some(Ok(Message::Text(packet))) = from_device.next().await {
            if packet.as_str() == "5" || packet.starts_with("40") {
                // From here on the session lives by this connection.
                let mut known = socket.known();
                known.is_upgrading = false;
                known.pipes = Some(pipes.clone());
            }
            if !hand_out(gate.up(socket, packet.as_str().to_owned()), &down, &up).await {
                return;
            }
        }
    };
    let reading_gateway = async {
        while let Some(Ok(Message::Text(packet))) = from_gateway.next().await {
            called(gate, socket, &packet);
            if !hand_out(gate.down(socket, packet.as_str().to_owned()), &down, &up).await {
                return;
            }
        }
    };
    let writing_device = async {
        while let Some(packet) = downs.recv().await {
            if to_device.send(Message::text(packet)).await.is_err() {
                return;
            }
        }
    };
    let writing_gateway = async {
        while let Some(packet) = ups.recv().await {
            if to_gateway.send(Message::text(packet)).await.is_err() {
                return;
            }
        }
    };
    let is_over_by_gateway = tokio::select! {
        () = reading_device => false,
        () = reading_gateway => true,
        () = writing_device => false,
        () = writing_gateway => true,
    };
    socket.known().pipes = None;
    if is_over_by_gateway {
        // What it said last is still on its way.
        while let Ok(packet) = downs.try_recv() {
            if to_device.send(Message::text(packet)).await.is_err() {
                return;
            }
        }
        // The device may be gone as well.
        drop(to_device.close().await);
    } else {
        while let Ok(packet) = ups.try_recv() {
            if to_gateway.send(Message::text(packet)).await.is_err() {
                return;
            }
        }
    }
}

/// Where packets go; `false`: the transport is to be closed.
async fn hand_out(outs: Vec<Out>, down: &mpsc::Sender<String>, up: &mpsc::Sender<String>) -> bool {
    for out in outs {
        match out {
            // An error is the end of the connection, which others notice.
            Out::Down(packet) => drop(down.send(packet).await),
            Out::Up(packet) => drop(up.send(packet).await),
            Out::DownLater(after, packet) => later(down, after, packet),
            Out::UpLater(after, packet) => later(up, after, packet),
            Out::Close => return false,
        }
    }
    true
}

fn later(pipe: &mpsc::Sender<String>, after: std::time::Duration, packet: String) {
    let pipe = pipe.clone();
    // Ends with its one packet.
    tokio::spawn(async move {
        sleep(after).await;
        drop(pipe.send(packet).await);
    });
}

/// A session that begins as a WebSocket has its id from here.
fn called(gate: &Gate, socket: &Arc<Socket>, packet: &str) {
    let open: Option<Value> =
        packet.strip_prefix('0').and_then(|open| serde_json::from_str(open).ok());
    if let Some(id) = open.as_ref().and_then(|open| open["sid"].as_str()) {
        gate.call(socket, id);
    }
}
