//! Presence over HTTP, and heartbeats.

use serde_json::{Value, json};

use super::{
    Fault::{Event, Reply as ReplyFault},
    Mutant, is_shouted,
};
use crate::proxy::{Asked, Reply};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "never-forgets-a-socket",
        faults: &[ReplyFault(|gate, asked, reply| {
            presence(asked, reply, |sockets| {
                let key = format!("sockets of {}", asked.part(2));
                let before =
                    gate.recall(&key).and_then(|it| it.as_array().cloned()).unwrap_or_default();
                for socket in before {
                    if sockets.iter().all(|it| it["socketId"] != socket["socketId"]) {
                        sockets.push(socket);
                    }
                }
                gate.remember(key, sockets.clone());
            });
        })],
    },
    Mutant {
        name: "forgets-the-newer-socket",
        faults: &[ReplyFault(|gate, asked, reply| {
            presence(asked, reply, |sockets| {
                // Once one of several has gone, the others are gone as well.
                let key = format!("most of {}", asked.part(2));
                let most = gate.recall(&key).and_then(|it| it.as_u64()).unwrap_or_default();
                let now = sockets.len() as u64;
                if now < most && now == 1 {
                    sockets.clear();
                }
                gate.remember(key, most.max(now));
            });
        })],
    },
    Mutant {
        name: "lists-only-one-device",
        faults: &[ReplyFault(|_, asked, reply| {
            presence(asked, reply, |sockets| sockets.truncate(1));
        })],
    },
    Mutant {
        name: "lists-each-device-twice",
        faults: &[ReplyFault(|_, asked, reply| {
            presence(asked, reply, |sockets| sockets.extend(sockets.clone()));
        })],
    },
    Mutant {
        name: "lists-devices-for-ever-online",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/users/*/presence") && reply.status == 200 {
                let mut body = reply.json();
                body["online"] = json!(true);
                reply.set(&body);
            }
        })],
    },
    Mutant {
        name: "lists-devices-without-their-server",
        faults: &[ReplyFault(|_, asked, reply| {
            presence(asked, reply, |sockets| {
                for socket in sockets {
                    socket.as_object_mut().map(|fields| fields.remove("serverId"));
                }
            });
        })],
    },
    Mutant {
        name: "lists-devices-with-a-number-for-a-time",
        faults: &[ReplyFault(|_, asked, reply| {
            presence(asked, reply, |sockets| {
                for socket in sockets {
                    socket["connectedAt"] = json!(1_700_000_000);
                }
            });
        })],
    },
    Mutant {
        name: "lists-devices-under-other-names",
        faults: &[ReplyFault(|_, asked, reply| {
            presence(asked, reply, |sockets| {
                for socket in sockets {
                    socket["socketId"] = json!("a-socket-that-nobody-has");
                }
            });
        })],
    },
    Mutant {
        name: "does-not-refresh-on-heartbeats",
        faults: &[Event(|_, _, event| {
            if event.name == "heartbeat" {
                event.answer(&json!({"success": true}))
            } else {
                vec![event.up()]
            }
        })],
    },
    Mutant {
        name: "lists-devices-of-no-real-server",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/users/*/presence") && reply.status == 200 {
                let mut body = reply.json();
                for socket in body["sockets"].as_array_mut().into_iter().flatten() {
                    socket["serverId"] = json!("localhost");
                }
                reply.set(&body);
            }
        })],
    },
    Mutant {
        name: "has-no-presence-of-shouted-users",
        faults: &[ReplyFault(|_, asked, reply| {
            if asked.is("GET", "/users/*/presence") && is_shouted(asked.part(2)) {
                reply.set(&json!({"online": false, "sockets": []}));
            }
        })],
    },
];

fn presence(asked: &Asked, reply: &mut Reply, change: impl FnOnce(&mut Vec<Value>)) {
    if asked.is("GET", "/users/*/presence") && reply.status == 200 {
        let mut sockets = reply.json()["sockets"].as_array().cloned().unwrap_or_default();
        change(&mut sockets);
        reply.set(&json!({"online": !sockets.is_empty(), "sockets": sockets}));
    }
}
