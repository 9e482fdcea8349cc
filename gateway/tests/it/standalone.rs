//! `standalone` under SIGKILL: what it accepted is there when it comes back.

use std::{collections::HashSet, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::{
    client::{Client, Transport},
    people::{Person, contents, message},
    process::{Process, Settings},
    world::eventually,
};

/// Messages in flight at a time.
const IN_FLIGHT: usize = 50;

/// Starts, talks, kills, `kills` times; then everything that was ever accepted is in the history, once.
pub(crate) async fn killed_under_load(
    settings: &Settings,
    kills: u64,
    pause: impl Fn(u64) -> Duration,
) {
    let alice = Person::new();
    let mut room = None;
    let mut accepted = Vec::new();
    for n in 0..kills {
        let mut process = Process::start(&["standalone"], settings);
        if room.is_none() {
            room = Some(alice.create_room(&process).await);
        }
        let room = room.as_deref().unwrap();
        let mut client =
            Client::connect(process.address(), Transport::WebSocket, &alice.token).await;
        talk(&mut client, room, n, Instant::now() + pause(n), &mut accepted).await;
        process.kill();
    }
    assert!(accepted.len() > 100, "{} accepted", accepted.len());
    let process = Process::start(&["standalone"], settings);
    let room = room.unwrap();
    let read = async || contents(&alice.history(&process, &room).await);
    eventually("everything accepted is stored", Duration::from_secs(30), async || {
        let stored: HashSet<_> = read().await.into_iter().collect();
        accepted.iter().all(|content| stored.contains(content))
    })
    .await;
    let stored = read().await;
    let distinct: HashSet<_> = stored.iter().collect();
    assert_eq!(distinct.len(), stored.len(), "nothing is stored twice");
    let place = |content: &String| -> (u64, u64) {
        let (round, n) = content.split_once(' ').unwrap();
        (round.parse().unwrap(), n.parse().unwrap())
    };
    assert!(stored.is_sorted_by_key(place), "in the order in which it was sent");
}

async fn talk(
    client: &mut Client,
    room: &str,
    round: u64,
    until: Instant,
    accepted: &mut Vec<String>,
) {
    let mut sent = 0_usize;
    let mut answered = 0;
    loop {
        while sent - answered < IN_FLIGHT {
            client.emit("sendMessage", &message(room, &format!("{round} {sent}"))).await;
            sent += 1;
        }
        tokio::select! {
            () = sleep_until(until) => return,
            packet = client.packet() => {
                let packet = packet.unwrap();
                assert!(packet.contains("ACCEPTED"), "{packet}");
                let id = packet.strip_prefix("43").and_then(|ack| ack.split('[').next()).unwrap();
                accepted.push(format!("{round} {id}"));
                answered += 1;
            }
        }
    }
}
