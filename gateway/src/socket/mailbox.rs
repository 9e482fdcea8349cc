//! The bounded queue of one socket's events, and the one task that handles them in the order of arrival.
//!
//! The library spawns a task per event, so two sends of one socket could overtake each other. Only its *future* is
//! spawned: the closure itself runs in the socket's read loop, and queueing there keeps the order. Reports
//! are awaited outside the task, so that many messages of one socket are in flight at once.

use std::{future, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::value::RawValue;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use tokio::{
    sync::{
        Semaphore,
        mpsc::{self, error::TrySendError},
    },
    time::{Instant, timeout_at},
};

use super::rooms::{Member, Rooms};
use crate::{
    broker::{BrokerError, Report},
    error::EventError,
    handlers::{
        heartbeat::heartbeat, join_room::join_room, leave_room::leave_room,
        send_message::send_message,
    },
    protocol::{
        acks::{MessageAck, PlainAck},
        events::{JoinRoom, LeaveRoom, Payload, parse_send_message},
    },
    state::AppState,
};

/// A client is answered within 10 s; what cannot be decided by then is refused.
const DECIDE_LIMIT: Duration = Duration::from_secs(9);

/// The same for a message whose report does not come.
const ANSWER_LIMIT: Duration = Duration::from_millis(9_800);

/// Everything a client may ask for. Adding an event starts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    JoinRoom,
    LeaveRoom,
    SendMessage,
    Heartbeat,
}

impl Kind {
    const ALL: [Self; 4] = [Self::JoinRoom, Self::LeaveRoom, Self::SendMessage, Self::Heartbeat];

    fn name(self) -> &'static str {
        match self {
            Self::JoinRoom => "joinRoom",
            Self::LeaveRoom => "leaveRoom",
            Self::SendMessage => "sendMessage",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// An event as it came from the wire.
pub(super) struct Event {
    kind: Kind,
    /// The array `[name, ...arguments]` as it was on the wire.
    frame: Option<Box<RawValue>>,
    ack: AckSender,
    received: Instant,
}

impl Event {
    /// The first argument, if there is one.
    fn payload(&self) -> Payload<'_> {
        let frame = self.frame.as_deref().map_or("[]", RawValue::get);
        let elements: Vec<&RawValue> = serde_json::from_str(frame).unwrap_or_default();
        Payload::new(elements.get(1).copied())
    }
}

/// Where a socket's events wait.
pub(super) type Mailbox = mpsc::Receiver<Event>;

/// What the task of a socket works with.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) state: AppState,
    pub(super) rooms: Rooms,
    pub(super) member: Arc<Member>,
    /// Places for messages whose report is awaited: who has none left waits, and its mailbox fills.
    pub(super) in_flight: Arc<Semaphore>,
}

/// Queues every known event of `socket` from now on, at most `events_max` at a time.
///
/// `refused` is called when even the refusal of an event could not be queued for the socket.
pub(super) fn open(
    socket: &SocketRef,
    state: &AppState,
    events_max: usize,
    refused: impl Fn() + Clone + Send + Sync + 'static,
) -> Mailbox {
    let (sender, mailbox) = mpsc::channel(events_max);
    for kind in Kind::ALL {
        let (sender, refused, requested) =
            (sender.clone(), refused.clone(), state.shutdown.requested.clone());
        socket.on(kind.name(), move |TryData(frame): TryData<Box<RawValue>>, ack: AckSender| {
            let event = Event { kind, frame: frame.ok(), ack, received: Instant::now() };
            let event = if requested.is_cancelled() {
                Err(TrySendError::Closed(event))
            } else {
                sender.try_send(event)
            };
            if let Err(refusal) = event {
                let (event, error) = match refusal {
                    TrySendError::Full(event) => (event, EventError::MailboxFull),
                    TrySendError::Closed(event) if kind == Kind::SendMessage => {
                        (event, EventError::Draining)
                    }
                    TrySendError::Closed(event) => (event, EventError::UnavailableDraining),
                };
                if refuse(event, &error).is_err() {
                    refused();
                }
            }
            future::ready(())
        });
    }
    mailbox
}

/// Handles one socket's events, one at a time, until it is gone or the process drains; what is queued then
/// is still handled.
pub(super) async fn run(worker: Worker, mut mailbox: Mailbox) {
    let requested = worker.state.shutdown.requested.clone();
    let gone = worker.member.gone.clone();
    loop {
        let event = tokio::select! {
            biased;
            () = requested.cancelled(), if !mailbox.is_closed() => {
                mailbox.close();
                continue;
            }
            () = gone.cancelled(), if !mailbox.is_closed() => {
                mailbox.close();
                continue;
            }
            event = mailbox.recv() => event,
        };
        let Some(event) = event else { return };
        worker.handle(event).await;
    }
}

impl Worker {
    async fn handle(&self, event: Event) {
        let kind = event.kind;
        match kind {
            Kind::JoinRoom => {
                let result = self.in_time(&event, self.join_room(&event.payload())).await;
                self.reply_plain(kind, event.ack, result);
            }
            Kind::LeaveRoom => {
                let result = self.in_time(&event, self.leave_room(&event.payload())).await;
                self.reply_plain(kind, event.ack, result.map(|()| PlainAck::SUCCESS));
            }
            Kind::SendMessage => self.send_message(event).await,
            Kind::Heartbeat => {
                heartbeat(&self.state, self.member.user.id, &self.member.id);
                self.reply_plain(kind, event.ack, Ok(PlainAck::SUCCESS));
            }
        }
    }

    /// The answer, if it can be given while the client still waits for it.
    async fn in_time<T>(
        &self,
        event: &Event,
        answer: impl Future<Output = Result<T, EventError>>,
    ) -> Result<T, EventError> {
        let deadline = event.received + DECIDE_LIMIT;
        let requested = &self.state.shutdown.requested;
        tokio::select! {
            biased;
            () = requested.cancelled() => Err(EventError::UnavailableDraining),
            () = self.member.gone.cancelled() => Err(EventError::SocketGone),
            answer = timeout_at(deadline, answer) => answer.unwrap_or(Err(EventError::Undecidable)),
        }
    }

    async fn join_room(&self, payload: &Payload<'_>) -> Result<PlainAck, EventError> {
        let event = JoinRoom::parse(payload).map_err(EventError::InvalidRoom)?;
        let admission = join_room(&self.state, self.member.user.id, event).await?;
        if !self.rooms.enter(&self.member, &admission) {
            tracing::debug!(socket.id = %self.member.id, "socket left before it entered the room");
        }
        Ok(if admission.is_truncated { PlainAck::TRUNCATED } else { PlainAck::SUCCESS })
    }

    async fn leave_room(&self, payload: &Payload<'_>) -> Result<(), EventError> {
        let event = LeaveRoom::parse(payload).map_err(EventError::InvalidRoom)?;
        let is_inside = self.member.hears(event.room_id);
        leave_room(&self.state, self.member.user.id, event, is_inside).await?;
        self.rooms.leave(&self.member, event.room_id);
        Ok(())
    }

    async fn send_message(&self, event: Event) {
        let payload = event.payload();
        let parsed = parse_send_message(&payload);
        let client_msg_id = payload.sent_client_msg_id();
        let Event { ack, received, .. } = event;
        let draft = match parsed.map_err(EventError::InvalidMessage) {
            Ok(draft) => draft,
            Err(error) => {
                self.reply_message(ack, client_msg_id, received, Err(error));
                return;
            }
        };
        match send_message(&self.state, self.member.user.id, draft, received).await {
            Err(error) => self.reply_message(ack, client_msg_id, received, Err(error)),
            Ok(report) => {
                let place = Arc::clone(&self.in_flight).acquire_owned().await;
                let place = place.expect("nobody closes it");
                // Ends with the report or the answer's deadline.
                let answering = self.clone().answer(report, ack, client_msg_id, received);
                self.state.shutdown.events.spawn(async move {
                    answering.await;
                    drop(place);
                });
            }
        }
    }

    async fn answer(
        self,
        report: Report,
        ack: AckSender,
        client_msg_id: String,
        received: Instant,
    ) {
        let handed_over = Instant::now();
        let report = timeout_at(received + ANSWER_LIMIT, report).await;
        let result = report.unwrap_or(Err(BrokerError::TimedOut)).map_err(EventError::Publish);
        metrics::histogram!("publish_seconds").record(handed_over.elapsed());
        self.reply_message(ack, client_msg_id, received, result);
    }

    fn reply_message(
        &self,
        ack: AckSender,
        client_msg_id: String,
        received: Instant,
        result: Result<(), EventError>,
    ) {
        metrics::histogram!("ack_seconds").record(received.elapsed());
        count(Kind::SendMessage, result.as_ref().err());
        let body = match result {
            Ok(()) => MessageAck::accepted(client_msg_id),
            Err(error) => MessageAck::failed(client_msg_id, error.wire()),
        };
        self.send(ack, &body);
    }

    fn reply_plain(&self, kind: Kind, ack: AckSender, result: Result<PlainAck, EventError>) {
        count(kind, result.as_ref().err());
        let body = result.unwrap_or_else(|error| PlainAck::failed(error.wire()));
        self.send(ack, &body);
    }

    fn send(&self, ack: AckSender, body: &impl Serialize) {
        if let Err(error) = ack.send(body) {
            self.rooms.emit_failed(&self.member, &error);
        }
    }
}

/// Answers an event that never got into the mailbox.
fn refuse(event: Event, error: &EventError) -> Result<(), socketioxide::SendError> {
    let kind = event.kind;
    count(kind, Some(error));
    let client_msg_id = event.payload().sent_client_msg_id();
    let Event { ack, .. } = event;
    match kind {
        Kind::SendMessage => ack.send(&MessageAck::failed(client_msg_id, error.wire())),
        // Presence needs no answer to be true; a draining gateway still says so kindly.
        Kind::Heartbeat if !matches!(error, EventError::MailboxFull) => {
            ack.send(&PlainAck::SUCCESS)
        }
        Kind::Heartbeat | Kind::JoinRoom | Kind::LeaveRoom => {
            ack.send(&PlainAck::failed(error.wire()))
        }
    }
}

fn count(kind: Kind, error: Option<&EventError>) {
    let outcome = error.map_or("accepted", EventError::code);
    metrics::counter!("events_total", "event" => kind.name(), "outcome" => outcome).increment(1);
    if let Some(error) = error {
        let is_retryable = error.is_retryable();
        tracing::debug!(
            event = kind.name(),
            outcome,
            is_retryable,
            "refused {}: {error}",
            kind.name()
        );
    }
}
