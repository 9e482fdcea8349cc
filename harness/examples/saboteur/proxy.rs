//! The HTTP side of the proxy: hands requests on, and lets mutants change requests and replies.

use std::{convert::Infallible, sync::Arc};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::{gate::Gate, mutants::Fault, polling, websocket};

/// An HTTP request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// `GET /rooms/X/members`: whether it is one of these, `*` standing for one part.
    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        let asked = self.target.split('?').next().unwrap_or_default();
        let mut parts = asked.split('/');
        self.method == *method
            && path
                .split('/')
                .all(|wanted| parts.next().is_some_and(|part| wanted == "*" || wanted == part))
            && parts.next().is_none()
    }

    /// A part of the path: 2 is the `X` of `/rooms/X/members`.
    pub(crate) fn part(&self, index: usize) -> &str {
        let path = self.target.split('?').next().unwrap_or_default();
        path.split('/').nth(index).unwrap_or_default()
    }

    /// A value of the query.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    pub(crate) fn authorization(&self) -> Option<&str> {
        self.headers.get(header::AUTHORIZATION)?.to_str().ok()
    }
}

/// Its reply.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn set(&mut self, body: &Value) {
        self.body = body.to_string().into_bytes();
    }

    /// The entries of a list.
    pub(crate) fn list(&self) -> Vec<Value> {
        self.json().as_array().cloned().unwrap_or_default()
    }

    fn gone() -> Self {
        Self { status: 502, headers: header::HeaderMap::new(), body: Vec::new() }
    }
}

pub(crate) async fn serve(listener: TcpListener, gate: Arc<Gate>) {
    while let Ok((stream, _)) = listener.accept().await {
        let gate = Arc::clone(&gate);
        // Only makes small packets faster.
        drop(stream.set_nodelay(true));
        // Ends with the connection.
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&gate, request));
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A device that goes away in the middle is nothing to tell anybody.
            drop(served.with_upgrades().await);
        });
    }
}

async fn answer(
    gate: &Arc<Gate>,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let upgrade =
        request.headers().contains_key(header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let target = head.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
    let mut asked = Asked { method: head.method, target, headers: head.headers, body };
    if let Some(upgrade) = upgrade {
        return Ok(websocket::open(gate, &asked, upgrade).await);
    }
    if asked.target.starts_with("/socket.io/") {
        return Ok(respond(polling::answer(gate, asked).await));
    }
    for fault in gate.mutant.faults {
        if let Fault::Request(change) = fault {
            change(gate, &mut asked);
        }
    }
    let mut reply = hand_on(gate, &asked).await;
    for fault in gate.mutant.faults {
        if let Fault::Reply(change) = fault {
            change(gate, &asked, &mut reply);
        }
    }
    Ok(respond(reply))
}

/// Asks the gateway.
pub(crate) async fn hand_on(gate: &Gate, asked: &Asked) -> Reply {
    let mut headers = asked.headers.clone();
    for name in
        [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
    {
        headers.remove(name);
    }
    let url = format!("http://{}{}", gate.behind, asked.target);
    let request =
        gate.http.request(asked.method.clone(), url).headers(headers).body(asked.body.clone());
    let Ok(response) = request.send().await else { return Reply::gone() };
    let (status, mut headers) = (response.status().as_u16(), response.headers().clone());
    for name in [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    match response.bytes().await {
        Ok(body) => Reply { status, headers, body: body.to_vec() },
        Err(_) => Reply::gone(),
    }
}

pub(crate) fn respond(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = reply.headers;
    response
}
