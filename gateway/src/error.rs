//! Every way an event can fail, and what the client is told about it.

use crate::{broker::BrokerError, protocol::events::PayloadError, store::StoreError};

/// Why an event was refused. The text is for our logs; clients get [`EventError::wire`] alone.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error("invalid room: {0}")]
    InvalidRoom(#[source] PayloadError),
    /// `after` names no message of the room.
    #[error("`after` is not a message of that room")]
    UnknownCursor,
    #[error("invalid message: {0}")]
    InvalidMessage(#[source] PayloadError),
    #[error("not a member of this room")]
    NotAMember,
    #[error("the message could not be published: {0}")]
    Publish(#[source] BrokerError),
    /// A message that could not be decided in time: nothing was published.
    #[error("the message could not be authorised in time: {0}")]
    Undecided(#[source] StoreError),
    /// A message that waited in the mailbox for longer than a client waits.
    #[error("the message waited too long")]
    Expired,
    /// A message that came while the gateway was draining.
    #[error("the gateway is draining")]
    Draining,
    /// `joinRoom` or `leaveRoom` that cannot be decided now.
    #[error("the database cannot tell now: {0}")]
    Unavailable(#[source] StoreError),
    /// `joinRoom` or `leaveRoom` that could not be decided while the client waited.
    #[error("could not be decided in time")]
    Undecidable,
    /// `joinRoom` or `leaveRoom` of a socket that is gone: nobody waits for the answer.
    #[error("the socket is gone")]
    SocketGone,
    /// `joinRoom` or `leaveRoom` that came while the gateway was draining.
    #[error("the gateway is draining")]
    UnavailableDraining,
    #[error("the mailbox of this socket is full")]
    MailboxFull,
}

impl EventError {
    /// The contract's exact string (section 1).
    pub fn wire(&self) -> &'static str {
        match self {
            Self::InvalidRoom(_) | Self::UnknownCursor => "Invalid room",
            Self::InvalidMessage(_) => "Invalid message format",
            Self::NotAMember => "Not a member of this room",
            Self::Publish(_) | Self::Undecided(_) | Self::Expired | Self::Draining => {
                "Message delivery failed"
            }
            Self::Unavailable(_)
            | Self::UnavailableDraining
            | Self::Undecidable
            | Self::SocketGone => "Temporarily unavailable",
            Self::MailboxFull => "Rate limit exceeded",
        }
    }

    /// Stable word for metrics and logs. Never reuse or rename one.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRoom(_) => "invalid_room",
            Self::UnknownCursor => "unknown_cursor",
            Self::InvalidMessage(_) => "invalid_message",
            Self::NotAMember => "not_a_member",
            Self::Publish(_) => "publish_failed",
            Self::Undecided(_) => "undecided",
            Self::Expired => "expired",
            Self::Draining | Self::UnavailableDraining => "draining",
            Self::Unavailable(_) => "unavailable",
            Self::Undecidable => "undecidable",
            Self::SocketGone => "socket_gone",
            Self::MailboxFull => "mailbox_full",
        }
    }

    /// Whether the same event may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::InvalidRoom(_)
            | Self::UnknownCursor
            | Self::InvalidMessage(_)
            | Self::NotAMember
            | Self::SocketGone
            | Self::Publish(BrokerError::Refused(_)) => false,
            Self::Publish(_)
            | Self::Undecided(_)
            | Self::Expired
            | Self::Draining
            | Self::Unavailable(_)
            | Self::UnavailableDraining
            | Self::Undecidable
            | Self::MailboxFull => true,
        }
    }
}
