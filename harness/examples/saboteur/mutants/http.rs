//! Statuses and bodies of rooms over HTTP.

use serde_json::{Value, json};

use super::{
    Fault::{Reply as ReplyFault, Request},
    Mutant,
};
use crate::gate::token_of;

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "answers-200-for-201",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("POST", "/rooms/*/join") && reply.status == 201 && has_members(asked) {
                reply.status = 200;
            }
        })],
    },
    Mutant {
        name: "answers-200-for-a-new-room",
        faults: &[ReplyFault(|gate, asked, reply| {
            // The first rooms are made by the harness itself.
            if asked.is("POST", "/rooms")
                && reply.status == 201
                && gate.next() > 0
                && asked.body.windows(5).any(|it| it == b"attic")
            {
                reply.status = 200;
            }
        })],
    },
    Mutant {
        name: "answers-404-for-403",
        faults: &[ReplyFault(|_, _, reply| {
            if reply.status == 403 {
                reply.status = 404;
            }
        })],
    },
    Mutant {
        name: "answers-409-for-404",
        faults: &[ReplyFault(|_, _, reply| {
            if reply.status == 404 {
                reply.status = 409;
            }
        })],
    },
    Mutant {
        name: "answers-201-for-409",
        faults: &[ReplyFault(|_, _, reply| {
            if reply.status == 409 {
                reply.status = 201;
            }
        })],
    },
    Mutant {
        name: "answers-422-for-400",
        faults: &[ReplyFault(|_, _, reply| {
            if reply.status == 400 {
                reply.status = 422;
            }
        })],
    },
    Mutant {
        name: "answers-403-for-401",
        faults: &[ReplyFault(|_, _, reply| {
            if reply.status == 401 {
                reply.status = 403;
            }
        })],
    },
    Mutant {
        name: "answers-200-for-204",
        faults: &[ReplyFault(|_, _, reply| {
            if reply.status == 204 {
                reply.status = 200;
                reply.set(&json!({}));
            }
        })],
    },
    Mutant {
        name: "has-errors-without-a-body",
        faults: &[ReplyFault(|_, _, reply| {
            if reply.status >= 400 {
                reply.body.clear();
            }
        })],
    },
    Mutant {
        name: "has-error-bodies-without-a-status",
        faults: &[ReplyFault(|_, _, reply| {
            let mut body = reply.json();
            if reply.status >= 400 && body.is_object() {
                body.as_object_mut().map(|fields| fields.remove("statusCode"));
                reply.set(&body);
            }
        })],
    },
    Mutant {
        name: "has-error-bodies-with-another-status",
        faults: &[ReplyFault(|_, _, reply| {
            let mut body = reply.json();
            if reply.status == 409 {
                body["statusCode"] = json!(400);
                reply.set(&body);
            }
        })],
    },
    Mutant {
        name: "has-rooms-without-a-time",
        faults: &[ReplyFault(|_, asked, reply| {
            let mut room = reply.json();
            if asked.is("POST", "/rooms") && room.is_object() {
                room.as_object_mut().map(|fields| fields.remove("createdAt"));
                reply.set(&room);
            }
        })],
    },
    Mutant {
        name: "has-joins-without-a-user",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("POST", "/rooms/*/join") && reply.status == 201 {
                reply.set(&json!({"success": true}));
            }
        })],
    },
    Mutant {
        name: "tells-of-another-user-than-the-one-who-joined",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("POST", "/rooms/*/join") && reply.status == 201 {
                let mut joined = reply.json();
                joined["userId"] = joined["roomId"].clone();
                reply.set(&joined);
            }
        })],
    },
    Mutant {
        name: "says-in-other-words-who-is-not-authenticated",
        faults: &[ReplyFault(|_, _, reply| {
            if reply.status == 401 {
                let mut error = reply.json();
                error["message"] = json!("Not authenticated.");
                reply.set(&error);
            }
        })],
    },
    Mutant {
        name: "lists-members-by-name",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/rooms/*/members") && reply.status == 200 {
                let ids: Vec<Value> =
                    reply.list().into_iter().map(|mut member| member["userId"].take()).collect();
                reply.set(&Value::Array(ids));
            }
        })],
    },
    Mutant {
        name: "lists-one-member-too-few",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/rooms/*/members") && reply.status == 200 {
                let mut members = reply.list();
                members.pop();
                reply.set(&Value::Array(members));
            }
        })],
    },
    Mutant {
        name: "lists-members-for-strangers",
        faults: &[
            ReplyFault(|gate, asked, reply| {
                if asked.is("POST", "/rooms")
                    && let Some(id) = reply.json()["id"].as_str()
                {
                    gate.remember(
                        id,
                        asked.authorization().and_then(crate::gate::user_of).unwrap_or_default(),
                    );
                }
            }),
            Request(|gate, asked| {
                let member =
                    gate.recall(asked.part(2)).and_then(|user| user.as_str().map(token_of));
                if asked.is("GET", "/rooms/*/members")
                    && asked.authorization().and_then(crate::gate::user_of).is_some()
                    && let Some(value) =
                        member.and_then(|token| format!("Bearer {token}").parse().ok())
                {
                    asked.headers.insert("authorization", value);
                }
            }),
        ],
    },
    Mutant {
        name: "lists-no-rooms",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/rooms") && reply.status == 200 {
                reply.set(&json!([]));
            }
        })],
    },
    Mutant {
        name: "lists-rooms-of-others",
        faults: &[ReplyFault(|gate, asked, reply| {
            if asked.is("POST", "/rooms") && reply.status == 201 {
                gate.remember("room", reply.json());
            }
            if asked.is("GET", "/rooms") && reply.status == 200 {
                let mut rooms = reply.list();
                let other = gate.recall("room").filter(|room| !rooms.contains(room));
                rooms.extend(other);
                reply.set(&Value::Array(rooms));
            }
        })],
    },
    Mutant {
        name: "takes-long-names",
        faults: &[Request(|_, asked| {
            if asked.is("POST", "/rooms") && asked.body.len() > 100 {
                asked.body = br#"{"name":"a shorter name"}"#.to_vec();
            }
        })],
    },
    Mutant {
        name: "takes-strangers-tokens-over-http",
        faults: &[Request(|_, asked| {
            let is_bad =
                asked.authorization().is_some_and(|token| crate::gate::user_of(token).is_none());
            let value =
                format!("Bearer {}", token_of("6f2bb5f4-4c7c-4a34-8c0f-2f2b3a1d5e6f")).parse();
            if let (true, Ok(value)) = (is_bad, value) {
                asked.headers.insert("authorization", value);
            }
        })],
    },
    Mutant {
        name: "lists-at-most-ten-members",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/rooms/*/members") && reply.status == 200 {
                let mut members = reply.list();
                members.truncate(10);
                reply.set(&json!(members));
            }
        })],
    },
    Mutant {
        name: "lists-at-most-ten-rooms",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/rooms") && reply.status == 200 {
                let mut rooms = reply.list();
                rooms.truncate(10);
                reply.set(&json!(rooms));
            }
        })],
    },
    Mutant {
        name: "fails-at-broken-json",
        faults: &[ReplyFault(|_, asked, reply| {
            let is_json = serde_json::from_slice::<Value>(&asked.body).is_ok();
            if asked.is("POST", "/rooms") && reply.status == 400 && !is_json {
                let message = "Unexpected end of JSON input";
                reply.status = 500;
                reply.set(&json!({"statusCode": 500, "error": "Internal Server Error", "message": message}));
            }
        })],
    },
    Mutant {
        name: "says-in-plain-text-that-there-is-no-such-path",
        faults: &[ReplyFault(|_, _, reply| {
            if reply.status == 404 && reply.json()["message"] == "No such route" {
                reply.body = b"Not Found".to_vec();
            }
        })],
    },
    Mutant {
        name: "has-rooms-of-another-time-in-the-list",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/rooms") && reply.status == 200 {
                let mut rooms = reply.list();
                for room in &mut rooms {
                    room["createdAt"] = json!("1970-01-01T00:00:00.000Z");
                }
                reply.set(&json!(rooms));
            }
        })],
    },
    Mutant {
        name: "says-why-a-token-is-bad",
        faults: &[ReplyFault(|_, asked, reply| {
            let mut body = reply.json();
            if reply.status == 401 && !asked.is("GET", "/rooms") && body.is_object() {
                body["message"] = json!("jwt malformed");
                reply.set(&body);
            }
        })],
    },
    Mutant {
        name: "lists-members-of-another-time",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/rooms/*/members") && reply.status == 200 {
                let mut members = reply.list();
                for member in &mut members {
                    let time = member["joinedAt"].as_str().unwrap_or_default();
                    let digit = if time.ends_with("1Z") { "2Z" } else { "1Z" };
                    let time = time.get(..time.len().saturating_sub(2)).unwrap_or_default();
                    member["joinedAt"] = json!(format!("{time}{digit}"));
                }
                reply.set(&Value::Array(members));
            }
        })],
    },
    Mutant {
        name: "lets-pages-of-every-origin-read",
        faults: &[ReplyFault(|_, _, reply| {
            let any = hyper::header::HeaderValue::from_static("*");
            reply.headers.insert("access-control-allow-origin", any);
        })],
    },
    Mutant {
        name: "has-an-empty-health",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/health") && reply.status == 200 {
                reply.set(&json!({}));
            }
        })],
    },
    Mutant {
        name: "has-no-metrics",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/metrics") {
                reply.status = 404;
            }
        })],
    },
    Mutant {
        name: "has-metrics-in-json",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/metrics") && reply.status == 200 {
                reply.set(&json!({"sockets": 7}));
            }
        })],
    },
];

/// The harness itself joins members to rooms before the first step, and would give up there.
fn has_members(asked: &crate::proxy::Asked) -> bool {
    asked.headers.contains_key("authorization")
}
