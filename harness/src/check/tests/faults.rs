//! Faults to plant in a right history.

use std::time::Duration;

use serde_json::{Value, json};

use super::{DELIVERY, Fault, OPEN, at_a, chosen, edit, hearer, uuid};
use crate::history::{ConnectionId, Entry, What};

pub(super) const FAULTS: [Fault; 26] = [
    ("a delivery is lost", "nothing-lost", |entries, at| {
        // Who leaves need not hear what was on its way.
        let is_leave = |entry: &Entry| matches!(&entry.what, What::Sent { packet, .. } if packet.contains("leaveRoom"));
        let nobody_leaves = !entries.iter().any(is_leave);
        nobody_leaves && at_a(entries, DELIVERY, at, |entries, place| drop(entries.remove(place)))
    }),
    ("a delivery before another one is lost", "nothing-lost", |entries, at| {
        at_a(entries, DELIVERY, at, |entries, place| {
            // Between two others of its connection, so that even who left later was there for it.
            let Some(connection) = hearer(&entries[place]) else { return };
            let next = (place + 1..entries.len())
                .find(|index| hearer(&entries[*index]) == Some(connection));
            let is_leaving = |entry: &Entry| matches!(&entry.what, What::Sent { connection: who, packet } if *who == connection && packet.contains("leaveRoom"));
            let again = next.is_none_or(|next| entries[place..next].iter().any(is_leaving));
            if again {
                // No such pair here: a fault of the same kind that is always seen.
                if let Some(What::Stored { messages, .. }) =
                    entries.last_mut().map(|it| &mut it.what)
                {
                    messages.pop();
                }
            } else {
                entries.remove(place);
            }
        })
    }),
    ("a stored message is lost", "nothing-lost", |entries, _| {
        let Some(What::Stored { messages, .. }) = entries.last_mut().map(|entry| &mut entry.what)
        else {
            return false;
        };
        messages.pop().is_some()
    }),
    ("a stored message is there twice", "nothing-lost", |entries, _| {
        let Some(What::Stored { messages, .. }) = entries.last_mut().map(|entry| &mut entry.what)
        else {
            return false;
        };
        messages.first().cloned().map(|first| messages.push(first)).is_some()
    }),
    ("a delivery comes twice", "no-duplicate", |entries, at| {
        at_a(entries, DELIVERY, at, |entries, place| entries.insert(place, entries[place].clone()))
    }),
    ("an ack is lost", "one-ack", |entries, at| {
        // What was asked in the last moment need not be answered.
        if let Some(end) = entries.last_mut() {
            end.at += Duration::from_secs(2);
        }
        at_a(entries, "43", at, |entries, place| drop(entries.remove(place)))
    }),
    ("an ack comes twice", "one-ack", |entries, at| {
        at_a(entries, "43", at, |entries, place| entries.insert(place, entries[place].clone()))
    }),
    ("an ack has a wrong id", "one-ack", |entries, at| {
        at_a(entries, "43", at, |entries, place| edit(&mut entries[place], "43", "4399"))
    }),
    ("an ack has a field too many", "one-ack", |entries, at| {
        at_a(entries, "43", at, |entries, place| edit(&mut entries[place], "[{", "[{\"extra\":1,"))
    }),
    ("a message lacks a field", "frames", |entries, at| {
        at_a(entries, DELIVERY, at, |entries, place| {
            edit(&mut entries[place], "\"type\":\"TEXT\"", "\"kind\":\"TEXT\"");
        })
    }),
    ("a time has no milliseconds", "frames", |entries, at| {
        at_a(entries, DELIVERY, at, |entries, place| edit(&mut entries[place], "05.678Z", "05Z"))
    }),
    ("the server has an event of its own", "frames", |entries, at| {
        at_a(entries, DELIVERY, at, |entries, place| {
            edit(&mut entries[place], "newMessage", "news");
        })
    }),
    ("an event has an argument too many", "frames", |entries, at| {
        at_a(entries, DELIVERY, at, |entries, place| edit(&mut entries[place], "}]", "},{}]"))
    }),
    ("an event asks for an ack", "frames", |entries, at| {
        at_a(entries, DELIVERY, at, |entries, place| edit(&mut entries[place], "42[", "427["))
    }),
    ("an ack has an argument too many", "frames", |entries, at| {
        at_a(entries, "43", at, |entries, place| edit(&mut entries[place], "}]", "},\"extra\"]"))
    }),
    ("a session is opened with other times", "frames", |entries, at| {
        at_a(entries, OPEN, at, |entries, place| edit(&mut entries[place], "20000", "20001"))
    }),
    ("a session is opened twice", "frames", |entries, at| {
        at_a(entries, OPEN, at, |entries, place| entries.insert(place, entries[place].clone()))
    }),
    ("a message says something else", "as-sent", |entries, at| {
        at_a(entries, DELIVERY, at, |entries, place| {
            edit(&mut entries[place], "\"content\":\"hi\"", "\"content\":\"ho\"");
        })
    }),
    ("a message is of another type", "as-sent", |entries, at| {
        at_a(entries, DELIVERY, at, |entries, place| edit(&mut entries[place], "TEXT", "IMAGE"))
    }),
    ("a message has another sender", "as-sent", |entries, at| {
        at_a(entries, DELIVERY, at, |entries, place| {
            edit(&mut entries[place], "\"senderId\":\"0000", "\"senderId\":\"1111");
        })
    }),
    ("a message has another time than in the history", "as-sent", |entries, at| {
        at_a(entries, DELIVERY, at, |entries, place| {
            edit(&mut entries[place], "05.678Z", "05.679Z");
        })
    }),
    ("the history says something else", "as-sent", |entries, _| {
        let Some(What::Stored { messages, .. }) = entries.last_mut().map(|entry| &mut entry.what)
        else {
            return false;
        };
        messages.first_mut().map(|first| first["content"] = json!("ho")).is_some()
    }),
    ("a message is delivered although it was refused", "as-sent", |entries, at| {
        // Every ack of one message, as it may have been sent again.
        let Some(place) = chosen(entries, DELIVERY, at) else { return false };
        let What::Received { packet, .. } = &entries[place].what else { return false };
        let heard: Value = serde_json::from_str(&packet[2..]).unwrap();
        let id = heard[1]["clientMsgId"].as_str().unwrap().to_owned();
        for entry in entries.iter_mut() {
            if let What::Received { packet, .. } = &mut entry.what
                && packet.starts_with("43")
                && packet.contains(&id)
            {
                let refused = "\"error\":\"Not a member of this room\",\"status\":\"FAILED\"";
                *packet = packet.replace("\"status\":\"ACCEPTED\"", refused);
            }
        }
        true
    }),
    ("a gateway hangs up", "stays-connected", |entries, at| {
        at_a(entries, "43", at, |entries, place| {
            let What::Received { connection, .. } = entries[place].what else { return };
            let closed = What::Closed { connection, by_gateway: true };
            let at = entries[place].at;
            entries.insert(place + 1, Entry { at, what: closed });
        })
    }),
    ("a malformed event succeeds", "one-ack", |entries, _| {
        let mut is_planted = false;
        for entry in entries {
            if let What::Sent { packet, .. } = &mut entry.what {
                is_planted |= packet.contains("sendMessage");
                *packet = packet.replace("\"hi\"", "\"\"");
            }
        }
        is_planted
    }),
    ("somebody hears a room without having joined", "no-leak", |entries, at| {
        at_a(entries, DELIVERY, at, |entries, place| {
            let What::Received { packet, .. } = entries[place].what.clone() else { return };
            let (connection, at) = (ConnectionId(9), entries[place].at);
            let (device, user) = ("eve.phone".to_owned(), uuid(2, 9));
            let opened = What::Opened {
                connection,
                device,
                user,
                gateway: "gw1".to_owned(),
                is_polling: false,
            };
            entries.insert(place, Entry { at, what: opened });
            entries.insert(place + 1, Entry { at, what: What::Received { connection, packet } });
        })
    }),
];
