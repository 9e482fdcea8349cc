//! A client library that nobody here wrote: `rust_socketio` talks to the gateway as its users would.

use std::time::Duration;

use futures_util::FutureExt as _;
use rust_socketio::{
    Event, Payload, TransportType,
    asynchronous::{Client, ClientBuilder},
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    people::{Person, message},
    process::Process,
    world::{Backends, World},
};

const LIMIT: Duration = Duration::from_secs(10);

/// More than any client hears here.
const HEARD_MAX: usize = 100;

/// A connected client and what it hears: the event's name and its first argument.
struct Stock {
    client: Client,
    heard: mpsc::Receiver<(String, Value)>,
}

impl Stock {
    async fn connect(gateway: &Process, transport: TransportType, token: &str) -> Self {
        let (sender, heard) = mpsc::channel(HEARD_MAX);
        let hear = move |event: &str, payload: Payload| {
            // The test may be over.
            drop(sender.try_send((event.to_owned(), first(payload))));
        };
        let (on_connect, on_close, on_message) = (hear.clone(), hear.clone(), hear);
        let client = ClientBuilder::new(gateway.url("/"))
            .transport_type(transport)
            .auth(json!({"token": token}))
            .reconnect(false)
            .on(Event::Connect, move |payload, _| {
                on_connect("connect", payload);
                async {}.boxed()
            })
            .on(Event::Close, move |payload, _| {
                on_close("close", payload);
                async {}.boxed()
            })
            .on("newMessage", move |payload, _| {
                on_message("newMessage", payload);
                async {}.boxed()
            })
            .connect()
            .await
            .unwrap();
        let mut stock = Self { client, heard };
        assert_eq!(stock.next().await.0, "connect");
        stock
    }

    async fn next(&mut self) -> (String, Value) {
        timeout(LIMIT, self.heard.recv()).await.expect("an event in time").unwrap()
    }

    async fn ask(&self, event: &str, payload: Value) -> Value {
        let (sender, ack) = oneshot::channel();
        let mut sender = Some(sender);
        let answered = move |payload: Payload, _: Client| {
            if let Some(sender) = sender.take() {
                // The test may have given up.
                drop(sender.send(first(payload)));
            }
            async {}.boxed()
        };
        self.client.emit_with_ack(event, payload, LIMIT, answered).await.unwrap();
        timeout(LIMIT, ack).await.expect("an ack in time").unwrap()
    }
}

/// The first argument. This library wraps those of an ack in one more array.
fn first(payload: Payload) -> Value {
    let Payload::Text(mut arguments) = payload else { return Value::Null };
    match arguments.first_mut().map(Value::take) {
        Some(Value::Array(mut wrapped)) => wrapped.first_mut().map(Value::take).unwrap_or_default(),
        other => other.unwrap_or_default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_talk_over_each_transport() {
    let world = World::start(Backends::Embedded).await;
    let people = [Person::new(), Person::new()];
    let room = world.room_of(&people).await;
    for transport in
        [TransportType::Websocket, TransportType::WebsocketUpgrade, TransportType::Polling]
    {
        let mut alice = Stock::connect(world.gateway(), transport.clone(), &people[0].token).await;
        let mut bob = Stock::connect(world.gateway(), transport, &people[1].token).await;
        for device in [&alice, &bob] {
            let ack = device.ask("joinRoom", json!({"roomId": room})).await;
            assert_eq!(ack, json!({"success": true}));
        }
        let sent = message(&room, "hello");
        let ack = alice.ask("sendMessage", sent.clone()).await;
        assert_eq!(ack, json!({"clientMsgId": sent["clientMsgId"], "status": "ACCEPTED"}));
        for device in [&mut alice, &mut bob] {
            let (event, heard) = device.next().await;
            assert_eq!((event.as_str(), &heard["content"]), ("newMessage", &json!("hello")));
        }
        let ack = bob.ask("heartbeat", json!({})).await;
        assert_eq!(ack, json!({"success": true}));
        for device in [alice, bob] {
            device.client.disconnect().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_told_by_a_disconnect() {
    let world = World::start(Backends::Embedded).await;
    let mut client = Stock::connect(world.gateway(), TransportType::Websocket, "nonsense").await;
    assert_eq!(client.next().await.0, "close");
}
