//! Connections that end, and what was broken then.

use std::time::Duration;

use super::{TIMES, told::Told};
use crate::scenario::TimeNames;

/// Short pings, as fixtures have them: what was missed is held against a device for 700 ms.
const PINGS: TimeNames = TimeNames { ping: Duration::from_millis(700), ..TIMES };

/// Alice is served, `plant` does something, and her gateway hangs up at 60 s.
fn hung_up(plant: impl Fn(&mut Told)) -> Vec<String> {
    let mut told = Told::new();
    told.joins(10, 1);
    plant(&mut told);
    told.closes(60_000, 1, true);
    told.findings_within(PINGS)
}

const FINDING: &str = "stays-connected: alice.phone lost its connection at 60.00 s, for no reason";

#[test]
fn what_never_ends_connections_is_no_excuse() {
    assert_eq!(hung_up(|_| {}), [FINDING]);
    for what in ["redis", "postgres", "worker1", "gw2", "bob.phone"] {
        assert_eq!(hung_up(|told| told.breaks(59_000, what)), [FINDING], "{what}");
    }
}

#[test]
fn what_ends_connections_is_an_excuse_while_it_is_broken_and_for_a_while_after() {
    for (what, after) in [("alice.phone", 2_700), ("gw1", 2_700), ("kafka", 30_000)] {
        assert_eq!(hung_up(|told| told.breaks(20, what)), Vec::<String>::new(), "{what}");
        let mended = |at| {
            hung_up(|told| {
                told.breaks(20, what);
                told.mends(at, what);
            })
        };
        assert_eq!(mended(60_000 - after), Vec::<String>::new(), "{what}");
        assert_eq!(mended(59_900 - after), [FINDING], "{what}");
    }
}

#[test]
fn who_connects_after_a_fault_is_not_excused_by_it() {
    let hung_up_again = |connected: u64| {
        let mut told = Told::new();
        told.breaks(20, "gw1");
        told.closes(30, 1, true);
        let connects =
            |told: &mut Told| told.connects(connected, 3, "alice.phone", super::told::ALICE);
        if connected < 1_000 {
            connects(&mut told);
        }
        told.mends(1_000, "gw1");
        if connected > 1_000 {
            connects(&mut told);
        }
        told.joins(1_200, 3);
        told.closes(1_300, 3, true);
        told.findings_within(PINGS)
    };
    assert_eq!(hung_up_again(999), Vec::<String>::new());
    let expect = "stays-connected: alice.phone lost its connection at 1.30 s, for no reason";
    assert_eq!(hung_up_again(1_100), [expect]);
}
