//! What looks at presence show, beside what was so.

use std::time::Duration;

use super::{
    TIMES,
    told::{ALICE, BOB, Told},
    uuid,
};
use crate::{history::What, scenario::TimeNames};

/// Presence heals within 3 s, of which two are for a busy machine.
const QUICK: TimeNames = TimeNames {
    lease: Duration::from_secs(1),
    ping: Duration::from_millis(700),
    ttl: Duration::from_secs(20),
    ..TIMES
};

/// The sockets of these connections were listed for a user by a look that took so long.
fn look(told: &mut Told, [began, at]: [u64; 2], user: u128, connections: &[u32]) {
    let sockets = connections.iter().map(|it| format!("socket {it}")).collect();
    let began = Duration::from_millis(began);
    told.push(at, What::Presence { user: uuid(2, user), began, sockets });
}

/// The findings about a look at alice, whose connection is 1, after what `plant` does.
fn seen(plant: impl Fn(&mut Told), span: [u64; 2], connections: &[u32]) -> Vec<String> {
    let mut told = Told::new();
    plant(&mut told);
    look(&mut told, span, ALICE, connections);
    told.findings_within(QUICK)
}

fn leaves(told: &mut Told) {
    told.says(5_000, 1, "41");
}

const STILL_LISTED: &str =
    "presence: alice.phone ended at 5.00 s and `alice` was still listed with its socket at";
const NOT_LISTED: &str =
    "presence: alice.phone is connected since 0.00 s and `alice` was not listed with its socket at";

#[test]
fn a_socket_is_listed_while_it_is_there_and_for_its_user_only() {
    assert_eq!(seen(|_| {}, [3_000, 3_010], &[1]), Vec::<String>::new());
    assert_eq!(seen(|_| {}, [3_000, 3_010], &[]), [format!("{NOT_LISTED} 3.01 s")]);
    assert_eq!(seen(leaves, [7_100, 7_110], &[]), Vec::<String>::new());
    assert_eq!(seen(leaves, [7_100, 7_110], &[1]), [format!("{STILL_LISTED} 7.10 s")]);
    let mut told = Told::new();
    look(&mut told, [1_000, 1_010], BOB, &[1, 2]);
    let expect = "presence: `bob` is listed at 1.01 s with the socket of alice.phone";
    assert_eq!(told.findings_within(QUICK), [expect]);
}

#[test]
fn a_slow_look_shows_what_was_so_at_any_moment_of_it() {
    // It began soon enough after the end, or before the connection had to be listed.
    assert_eq!(seen(leaves, [6_900, 9_000], &[1]), Vec::<String>::new());
    assert_eq!(seen(|_| {}, [1_900, 4_000], &[]), Vec::<String>::new());
    // It was still under way when the entry may have expired.
    assert_eq!(seen(|_| {}, [18_000, 19_500], &[]), Vec::<String>::new());
}

#[test]
fn presence_must_have_healed_some_time_after_a_fault() {
    for what in ["redis", "gw1", "alice.phone"] {
        let broken = |told: &mut Told| {
            told.breaks(3_000, what);
            told.mends(5_000, what);
        };
        assert_eq!(seen(broken, [2_999, 3_000], &[]), Vec::<String>::new(), "{what}");
        assert_eq!(seen(broken, [7_900, 7_910], &[]), Vec::<String>::new(), "{what}");
        assert_eq!(seen(broken, [8_100, 8_110], &[]), [format!("{NOT_LISTED} 8.11 s")], "{what}");
    }
    for what in ["kafka", "postgres", "worker1", "gw2", "bob.phone"] {
        let broken = |told: &mut Told| told.breaks(3_000, what);
        assert_eq!(seen(broken, [4_000, 4_010], &[]), [format!("{NOT_LISTED} 4.01 s")], "{what}");
    }
}

#[test]
fn a_device_that_crashed_once_must_be_listed_when_it_is_back() {
    let back = |told: &mut Told| {
        told.breaks(3_000, "alice.phone");
        told.closes(3_001, 1, false);
        told.mends(4_000, "alice.phone");
        told.connects(4_010, 3, "alice.phone", ALICE);
    };
    assert_eq!(seen(back, [6_100, 6_110], &[1, 3]), Vec::<String>::new());
    let expect = "presence: alice.phone is connected since 4.01 s and `alice` was not listed with its socket at 6.11 s";
    assert_eq!(seen(back, [6_100, 6_110], &[]), [expect]);
}

#[test]
fn a_connection_that_nobody_said_goodbye_for_is_listed_for_its_time_and_no_longer() {
    // A crashed device until the TTL, a killed gateway until its lease ends.
    for (what, longest) in [("alice.phone", 22_000), ("gw1", 3_000)] {
        let crashed = |told: &mut Told| {
            told.breaks(4_999, what);
            told.closes(5_000, 1, true);
        };
        let (early, late) = (5_000 + longest - 10, 5_000 + longest + 10);
        assert_eq!(seen(crashed, [early, early], &[1]), Vec::<String>::new(), "{what}");
        let is_found = seen(crashed, [late, late], &[1])[0].starts_with(STILL_LISTED);
        assert!(is_found, "{what}");
    }
    let without_redis = |told: &mut Told| {
        told.breaks(4_000, "redis");
        leaves(told);
        told.mends(9_000, "redis");
    };
    assert_eq!(seen(without_redis, [11_900, 11_910], &[1]), Vec::<String>::new());
    assert_eq!(seen(without_redis, [12_100, 12_110], &[1]), [format!("{STILL_LISTED} 12.10 s")]);
}
