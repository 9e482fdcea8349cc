//! The history over HTTP, told wrongly.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Fault::{Delivery, Reply as ReplyFault, Request},
    Mutant,
};
use crate::proxy::{Asked, Reply};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "has-a-cursor-that-includes-its-message-after",
        faults: &[Request(|_, asked| shift(asked, "after", -1))],
    },
    Mutant {
        name: "has-a-cursor-that-includes-its-message-before",
        faults: &[Request(|_, asked| shift(asked, "before", 1))],
    },
    Mutant {
        name: "has-pages-that-miss-the-nearest-message",
        faults: &[ReplyFault(|_, asked, reply| {
            page(asked, reply, |asked, page| {
                if asked.value("before").is_some() {
                    page.pop();
                }
            });
        })],
    },
    Mutant {
        name: "fails-the-history",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/rooms/*/messages") {
                reply.status = 500;
                reply.set(
                    &json!({"statusCode": 500, "error": "Internal Server Error", "message": "no"}),
                );
            }
        })],
    },
    Mutant {
        name: "has-a-descending-history",
        faults: &[ReplyFault(|_, asked, reply| page(asked, reply, |_, page| page.reverse()))],
    },
    Mutant {
        name: "ignores-the-limit",
        faults: &[Request(|_, asked| {
            if asked.is("GET", "/rooms/*/messages")
                && asked
                    .value("limit")
                    .is_some_and(|limit| limit.parse::<u32>().is_ok_and(|it| it < 50))
            {
                asked.target = asked.target.replace("limit=", "limited=");
            }
        })],
    },
    Mutant {
        name: "has-pages-of-a-hundred",
        faults: &[Request(|_, asked| {
            if asked.is("GET", "/rooms/*/messages") && asked.value("limit").is_none() {
                asked.target.push_str(if asked.target.contains('?') {
                    "&limit=100"
                } else {
                    "?limit=100"
                });
            }
        })],
    },
    Mutant {
        name: "begins-with-the-oldest-page",
        faults: &[Request(|_, asked| {
            if asked.is("GET", "/rooms/*/messages")
                && asked.value("after").is_none()
                && asked.value("before").is_none()
            {
                let first = "after=00000000-0000-7000-8000-000000000000";
                asked.target.push(if asked.target.contains('?') { '&' } else { '?' });
                asked.target.push_str(first);
            }
        })],
    },
    Mutant {
        name: "takes-any-limit",
        faults: &[Request(|_, asked| {
            if asked
                .value("limit")
                .is_some_and(|limit| !(1..=100).contains(&limit.parse().unwrap_or(0)))
            {
                asked.target = asked.target.replace("limit=", "limited=");
            }
        })],
    },
    Mutant {
        name: "has-another-time-in-the-history",
        faults: &[ReplyFault(|_, asked, reply| {
            page(asked, reply, |_, page| {
                for message in page {
                    message["createdAt"] = json!("2026-01-02T03:04:05.678Z");
                }
            });
        })],
    },
    Mutant {
        name: "has-an-extra-field-in-the-history",
        faults: &[ReplyFault(|_, asked, reply| {
            page(asked, reply, |_, page| {
                for message in page {
                    message["editedAt"] = Value::Null;
                }
            });
        })],
    },
    Mutant {
        name: "has-another-sender-in-the-history",
        faults: &[ReplyFault(|_, asked, reply| {
            page(asked, reply, |_, page| {
                for message in page {
                    message["senderId"] = json!(Uuid::new_v4());
                }
            });
        })],
    },
    Mutant {
        name: "has-other-words-in-the-history",
        faults: &[ReplyFault(|_, asked, reply| {
            page(asked, reply, |_, page| {
                for message in page {
                    message["content"] =
                        json!(message["content"].as_str().unwrap_or_default().to_uppercase());
                }
            });
        })],
    },
    Mutant {
        name: "loses-the-first-message-from-the-history",
        faults: &[ReplyFault(|_, asked, reply| {
            page(asked, reply, |asked, page| {
                if !page.is_empty()
                    && asked.value("after").is_some_and(|after| after.starts_with("00000000"))
                {
                    page.remove(0);
                }
            });
        })],
    },
    Mutant {
        name: "tells-messages-of-other-rooms",
        faults: &[
            Delivery(|gate, _, message| {
                gate.remember(format!("in {}", message.text("roomId")), message.0.clone());
                vec![message.down()]
            }),
            ReplyFault(|gate, asked, reply| {
                let other = {
                    let memory = crate::gate::lock(&gate.memory);
                    memory
                        .iter()
                        .find(|(key, _)| key.starts_with("in ") && !key.contains(asked.part(2)))
                        .map(|it| it.1.clone())
                };
                page(asked, reply, |_, page| page.extend(other));
            }),
        ],
    },
    Mutant {
        name: "tells-strangers-the-history",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/rooms/*/messages") && reply.status == 403 {
                reply.status = 200;
                reply.set(&json!([]));
            }
        })],
    },
    Mutant {
        name: "has-pages-of-ten-after-a-cursor",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.value("after").is_some()
                && asked.value("limit").is_none()
                && reply.status == 200
            {
                let mut messages = reply.list();
                messages.truncate(10);
                reply.set(&serde_json::json!(messages));
            }
        })],
    },
    Mutant {
        name: "has-pages-of-ninety-nine",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.value("limit") == Some("100") && asked.value("after").is_none() {
                let mut messages = reply.list();
                if messages.len() == 100 {
                    messages.remove(0);
                    reply.set(&serde_json::json!(messages));
                }
            }
        })],
    },
    Mutant {
        name: "has-no-history-where-nothing-was-said",
        faults: &[ReplyFault(|_, asked, reply| {
            let is_page = asked.is("GET", "/rooms/*/messages") && reply.status == 200;
            if is_page && reply.list().is_empty() && !asked.target.contains('?') {
                reply.status = 404;
                let body =
                    json!({"statusCode": 404, "error": "Not Found", "message": "No messages"});
                reply.set(&body);
            }
        })],
    },
    Mutant {
        name: "has-pages-before-of-at-most-fifty",
        faults: &[ReplyFault(|_, asked, reply| {
            page(asked, reply, |asked, page| {
                if asked.value("before").is_some() {
                    page.drain(..page.len().saturating_sub(50));
                }
            });
        })],
    },
];

/// Changes a page of a history.
pub(super) fn page(asked: &Asked, reply: &mut Reply, change: impl FnOnce(&Asked, &mut Vec<Value>)) {
    if asked.is("GET", "/rooms/*/messages") && reply.status == 200 {
        let mut page = reply.list();
        change(asked, &mut page);
        reply.set(&Value::Array(page));
    }
}

/// Moves a cursor past its message.
fn shift(asked: &mut Asked, name: &str, by: i8) {
    let Some(id) = asked.value(name).map(str::to_owned) else { return };
    let Ok(cursor) = Uuid::try_parse(&id) else { return };
    let moved = Uuid::from_u128(cursor.as_u128().saturating_add_signed(by.into()));
    asked.target = asked.target.replace(&id, &moved.to_string());
}
