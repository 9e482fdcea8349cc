//! Messages whose fields are not what they should be.

use serde_json::json;
use uuid::Uuid;

use super::{
    Fault::{Delivery, Event, Reply},
    Mutant, dice,
    history::page,
};

/// Tells another `createdAt` wherever it is told.
macro_rules! has_time {
    ($name:literal, $change:ident) => {
        Mutant {
            name: $name,
            faults: &[
                Delivery(|_, _, message| {
                    message.down_with("createdAt", $change(message.text("createdAt")))
                }),
                Reply(|_, asked, reply| {
                    page(asked, reply, |_, page| {
                        for message in page {
                            let time = $change(message["createdAt"].as_str().unwrap_or_default());
                            message["createdAt"] = time.into();
                        }
                    });
                }),
            ],
        }
    };
}

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "has-an-extra-field",
        faults: &[Delivery(|_, _, message| message.down_with("edited", false))],
    },
    Mutant {
        name: "lacks-a-field",
        faults: &[Delivery(|_, _, mut message| {
            message.0.as_object_mut().map(|fields| fields.remove("clientMsgId"));
            vec![message.down()]
        })],
    },
    Mutant {
        name: "lacks-the-type-where-it-is-the-default",
        faults: &[
            Delivery(|gate, _, mut message| {
                let is_default = gate.recall(message.text("clientMsgId")).is_some();
                if is_default {
                    message.0.as_object_mut().map(|fields| fields.remove("type"));
                }
                vec![message.down()]
            }),
            Event(|gate, _, event| {
                if event.payload["type"].is_null() {
                    gate.remember(event.text("clientMsgId"), true);
                }
                vec![event.up()]
            }),
        ],
    },
    Mutant {
        name: "says-text-for-images",
        faults: &[Delivery(|_, _, message| message.down_with("type", "TEXT"))],
    },
    Mutant {
        name: "says-image-where-the-type-is-missing",
        faults: &[Event(|_, _, event| {
            let is_default = event.name == "sendMessage"
                && event.payload["type"].is_null()
                && event.payload.is_object();
            vec![if is_default { event.up_changed("type", "IMAGE") } else { event.up() }]
        })],
    },
    Mutant {
        name: "trims-what-is-delivered",
        faults: &[Delivery(|_, _, message| {
            message.down_with("content", message.text("content").trim())
        })],
    },
    Mutant {
        name: "trims-what-is-sent",
        faults: &[Event(|_, _, event| {
            let content = event.text("content");
            vec![if content.trim().is_empty() {
                event.up()
            } else {
                event.up_changed("content", content.trim())
            }]
        })],
    },
    Mutant {
        name: "escapes-html",
        faults: &[Delivery(|_, _, message| {
            message.down_with("content", message.text("content").replace('<', "&lt;"))
        })],
    },
    Mutant {
        name: "composes-accents",
        faults: &[Event(|_, _, event| {
            let content = event.text("content").replace("e\u{301}", "é");
            vec![if content.is_empty() { event.up() } else { event.up_changed("content", content) }]
        })],
    },
    Mutant {
        name: "cuts-long-content",
        faults: &[Delivery(|_, _, message| {
            let content: String = message.text("content").chars().take(2_000).collect();
            message.down_with("content", content)
        })],
    },
    Mutant {
        name: "mixes-up-one-text-of-fifty",
        faults: &[Delivery(|_, _, message| {
            if dice(message.text("messageId"), 50) == 0 {
                return message.down_with("content", "something else");
            }
            vec![message.down()]
        })],
    },
    Mutant {
        name: "names-the-hearer-as-the-sender",
        faults: &[Delivery(|_, socket, message| {
            let user = socket.user().unwrap_or_default();
            message.down_with("senderId", user)
        })],
    },
    Mutant {
        name: "names-a-stranger-as-the-sender",
        faults: &[Delivery(|_, _, message| message.down_with("senderId", json!(Uuid::new_v4())))],
    },
    Mutant {
        name: "has-a-time-without-milliseconds",
        faults: &[Delivery(|_, _, message| {
            let time: String = message.text("createdAt").chars().take(19).collect();
            message.down_with("createdAt", time + "Z")
        })],
    },
    Mutant {
        name: "has-a-time-with-an-offset",
        faults: &[Delivery(|_, _, message| {
            message.down_with("createdAt", message.text("createdAt").replace('Z', "+00:00"))
        })],
    },
    Mutant {
        name: "has-a-time-in-milliseconds",
        faults: &[Delivery(|_, _, message| message.down_with("createdAt", 1_700_000_000_000_u64))],
    },
    Mutant {
        name: "has-another-time-than-the-history",
        faults: &[Delivery(|_, _, message| {
            message.down_with("createdAt", "2026-01-02T03:04:05.678Z")
        })],
    },
    Mutant {
        name: "has-another-id-than-the-history",
        faults: &[Delivery(|gate, _, message| {
            let own =
                gate.recall(message.text("messageId")).unwrap_or_else(|| json!(Uuid::now_v7()));
            gate.remember(message.text("messageId"), own.clone());
            message.down_with("messageId", own)
        })],
    },
    Mutant {
        name: "has-an-id-of-its-own-for-each-socket",
        faults: &[Delivery(|_, _, message| message.down_with("messageId", json!(Uuid::now_v7())))],
    },
    Mutant {
        name: "has-random-ids",
        faults: &[Delivery(|_, _, message| message.down_with("messageId", json!(Uuid::new_v4())))],
    },
    Mutant {
        name: "spells-rooms-in-upper-case",
        faults: &[Delivery(|_, _, message| {
            message.down_with("roomId", message.text("roomId").to_uppercase())
        })],
    },
    Mutant {
        name: "spells-client-ids-in-lower-case",
        faults: &[
            Delivery(|_, _, message| {
                message.down_with("clientMsgId", message.text("clientMsgId").to_lowercase())
            }),
            Reply(|_, asked, reply| {
                page(asked, reply, |_, page| {
                    for message in page {
                        message["clientMsgId"] =
                            json!(message["clientMsgId"].as_str().map(str::to_lowercase));
                    }
                });
            }),
        ],
    },
    has_time!("has-the-time-of-nine-hours-ago", long_ago),
    has_time!("has-the-time-of-another-minute", another_minute),
    has_time!("has-whole-seconds", whole_second),
    Mutant {
        name: "cuts-images-at-255",
        faults: &[Event(|_, _, event| {
            let content: String = event.text("content").chars().take(255).collect();
            let is_long =
                event.text("type") == "IMAGE" && content.len() < event.text("content").len();
            vec![if is_long { event.up_changed("content", content) } else { event.up() }]
        })],
    },
    Mutant {
        name: "has-a-time-that-there-is-not",
        faults: &[Delivery(|_, _, message| {
            message.down_with("createdAt", "2026-13-45T25:61:61.000Z")
        })],
    },
];

/// The same time on another day.
fn long_ago(time: &str) -> String {
    format!("2001-01-01{}", time.get(10..).unwrap_or_default())
}

fn whole_second(time: &str) -> String {
    format!("{}.000Z", &time[..19])
}

/// The same second of the minute before, or at the full hour after.
fn another_minute(time: &str) -> String {
    let minute: u32 = time[14..16].parse().unwrap_or_default();
    format!("{}{:02}{}", &time[..14], minute.checked_sub(1).unwrap_or(1), &time[16..])
}
