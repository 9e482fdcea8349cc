//! What the wire cannot do: faults in Redis and in Kafka, only with real ones.

use std::{collections::BTreeMap, env, sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use redis::aio::MultiplexedConnection;
use rustix::process::{Pid, getppid};
use serde_json::json;
use tokio::{process::Command, time::sleep};
use uuid::Uuid;

use super::{
    Fault::{Background, Delivery, Reply},
    Mutant,
};
use crate::gate::{Gate, setting};

/// How often Redis is spoiled anew.
const EVERY: Duration = Duration::from_millis(5);

/// What this program calls itself when it outlives the gateway.
pub(crate) const OUTLIVING: &str = "--after-the-parent-ends";

/// After the end of its saboteur a gateway renews nothing any more: longer than that takes, shorter than a lease.
const LAST_RENEWAL: Duration = Duration::from_millis(200);

/// The hash of one user.
type Fields = BTreeMap<String, String>;

/// What is done to it, again and again; first what it is now, then what it was before.
type Spoil = fn(String, Fields, Fields) -> Vec<redis::Cmd>;

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "keeps-presence-without-a-ttl",
        faults: &[Background(|gate| {
            Box::pin(spoil(gate, |key, _, _| vec![command(&["PERSIST", &key])]))
        })],
    },
    Mutant {
        name: "keeps-presence-for-an-hour",
        faults: &[Background(|gate| {
            Box::pin(spoil(gate, |key, _, _| vec![command(&["EXPIRE", &key, "3600"])]))
        })],
    },
    Mutant {
        name: "keeps-presence-for-twenty-seconds",
        faults: &[Background(|gate| {
            Box::pin(spoil(gate, |key, _, _| vec![command(&["EXPIRE", &key, "20"])]))
        })],
    },
    Mutant {
        name: "writes-presence-in-another-shape",
        faults: &[Background(|gate| {
            Box::pin(spoil(gate, |key, now, _| {
                now.keys().map(|field| command(&["HSET", &key, field, "\"online\""])).collect()
            }))
        })],
    },
    Mutant {
        name: "writes-presence-with-an-extra-field",
        faults: &[Background(|gate| {
            Box::pin(spoil(gate, |key, now, _| {
                let with = |value: &String| {
                    let mut value: serde_json::Value =
                        serde_json::from_str(value).unwrap_or_default();
                    value["device"] = json!("phone");
                    value.to_string()
                };
                now.iter()
                    .map(|(field, value)| command(&["HSET", &key, field, &with(value)]))
                    .collect()
            }))
        })],
    },
    Mutant {
        name: "leaves-entries-of-closed-sockets",
        faults: &[Background(|gate| {
            Box::pin(spoil(gate, |key, now, before| {
                let gone = before.iter().filter(|(field, _)| !now.contains_key(*field));
                gone.map(|(field, value)| command(&["HSET", &key, field, value])).collect()
            }))
        })],
    },
    Mutant {
        name: "removes-the-newer-socket-too",
        faults: &[Background(|gate| {
            Box::pin(spoil(gate, |key, now, before| {
                let has_lost = before.keys().any(|field| !now.contains_key(field));
                if has_lost {
                    now.keys().map(|field| command(&["HDEL", &key, field])).collect()
                } else {
                    vec![]
                }
            }))
        })],
    },
    Mutant {
        name: "keeps-the-lease-of-a-dead-gateway",
        faults: &[Background(|_| Box::pin(long_lease()))],
    },
    Mutant { name: "has-no-lease", faults: &[Background(|_| Box::pin(no_lease()))] },
    Mutant { name: "has-a-lease-of-tomorrow", faults: &[Background(|_| Box::pin(late_lease()))] },
    Mutant {
        name: "tells-joins-as-leaves",
        faults: &[Reply(|_, asked, reply| {
            if asked.is("POST", "/rooms/*/join") && reply.status == 201 {
                let mut value = reply.json();
                let at = value["joinedAt"].take();
                let room = asked.part(2).to_owned();
                let value = json!({
                    "roomId": room, "userId": value["userId"], "change": "left", "at": at,
                });
                // Ends with its one record.
                tokio::spawn(async move {
                    publish("KAFKA_TOPIC_MEMBERSHIPS", &room, &value.to_string()).await;
                });
            }
        })],
    },
    Mutant {
        name: "broadcasts-stored-messages-again",
        faults: &[Delivery(|gate, _, message| {
            let is_new = gate
                .remember(
                    format!("{} {}", message.text("senderId"), message.text("clientMsgId")),
                    true,
                )
                .is_none();
            if is_new {
                let mut value = message.0.clone();
                let kind = value["type"].take();
                if let Some(fields) = value.as_object_mut() {
                    fields.remove("type");
                    fields.insert("messageType".to_owned(), kind);
                }
                value["messageId"] = json!(Uuid::now_v7());
                let room = message.text("roomId").to_owned();
                // Ends with its one record.
                tokio::spawn(async move {
                    publish("KAFKA_TOPIC_PERSISTED", &room, &value.to_string()).await;
                });
            }
            vec![message.down()]
        })],
    },
];

fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    command
}

async fn connection() -> Option<MultiplexedConnection> {
    redis::Client::open(setting("REDIS_URL")).ok()?.get_multiplexed_async_connection().await.ok()
}

/// Does it to the hashes of everybody who has been here.
async fn spoil(gate: Arc<Gate>, how: Spoil) {
    let Some(mut redis) = connection().await else { return };
    let mut before: BTreeMap<String, Fields> = BTreeMap::new();
    loop {
        for user in gate.users() {
            let key = format!("presence:user:{user}");
            let Ok(now) = command(&["HGETALL", &key]).query_async::<Fields>(&mut redis).await
            else {
                continue;
            };
            let last = before.insert(key.clone(), now.clone()).unwrap_or_default();
            for command in how(key, now, last) {
                // Tried again in a moment.
                drop(command.query_async::<redis::Value>(&mut redis).await);
            }
        }
        sleep(EVERY).await;
    }
}

/// The lease of this gateway outlives it: a process outside of its group sees to that, else it would now and then be killed
/// between a renewal and what spoils it.
async fn long_lease() {
    let Ok(program) = env::current_exe() else { return };
    let parent = std::process::id().to_string();
    let keeper = Command::new(program).args([OUTLIVING, &parent]).process_group(0).spawn();
    // Without it the mutant is missed, and the test says so.
    let Ok(mut keeper) = keeper else { return };
    drop(keeper.wait().await);
}

/// Takes the end off the lease of the gateway behind `parent`, also when that has ended.
pub(crate) async fn keep_lease(parent: Option<Pid>) {
    let Some(mut redis) = connection().await else { return };
    let key = format!("presence:server:{}", setting("SERVER_ID"));
    let mut lives = true;
    while lives {
        lives = getppid() == parent;
        if !lives {
            sleep(LAST_RENEWAL).await;
        }
        drop(command(&["PERSIST", &key]).query_async::<redis::Value>(&mut redis).await);
        sleep(EVERY).await;
    }
}

async fn no_lease() {
    let Some(mut redis) = connection().await else { return };
    let key = format!("presence:server:{}", setting("SERVER_ID"));
    loop {
        drop(command(&["DEL", &key]).query_async::<redis::Value>(&mut redis).await);
        sleep(EVERY).await;
    }
}

async fn late_lease() {
    let Some(mut redis) = connection().await else { return };
    let key = format!("presence:server:{}", setting("SERVER_ID"));
    let tomorrow = ["SET", &key, "2099-01-31T12:00:00.000Z", "XX", "KEEPTTL"];
    loop {
        drop(command(&tomorrow).query_async::<redis::Value>(&mut redis).await);
        sleep(EVERY).await;
    }
}

async fn publish(topic: &str, room: &str, value: &str) {
    let producer: Result<FutureProducer, _> = ClientConfig::new()
        .set("bootstrap.servers", setting("KAFKA_BROKERS"))
        .set("partitioner", "murmur2_random")
        .create();
    if let Ok(producer) = producer {
        let topic = setting(topic);
        let record = FutureRecord::to(&topic).key(room).payload(value);
        // One more fault.
        drop(producer.send(record, Duration::from_secs(5)).await);
    }
}
