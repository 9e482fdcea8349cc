//! Joins again: while in the room, and after a leave; and what comes after a removal.

use serde_json::json;

use super::{
    room,
    told::{BOB, Told, message},
};

/// Bob leaves, misses a message, joins again 4 s later in this way, and hears it then.
fn comes_back(again: impl Fn(&mut Told)) -> Vec<String> {
    let mut told = Told::new();
    told.joins(10, 1);
    told.joins(20, 2);
    told.sends(30, 1, 0, None);
    told.hears_message(40, 1, 0, 0);
    told.hears_message(40, 2, 0, 0);
    told.leaves(500, 2);
    told.sends(1_000, 1, 1, None);
    told.hears_message(1_010, 1, 1, 1);
    again(&mut told);
    told.hears_message(5_002, 2, 1, 1);
    told.stores(9_000, &[0, 1]);
    told.findings()
}

/// A `joinRoom` that goes on after message 0.
fn resumes(told: &mut Told, at: u64, connection: u32, error: Option<&str>) {
    let join = json!(["joinRoom", {"roomId": room(), "after": message(0, 0)["messageId"]}]);
    let ack = match error {
        None => json!({"success": true}),
        Some(error) => json!({"success": false, "error": error}),
    };
    told.asks(at, connection, &join, &ack);
}

#[test]
fn who_comes_back_hears_what_was_missed_only_where_it_was_asked_for() {
    let expect = "no-leak: bob.phone joined `general` at 5.00 s and heard `message 1`, which was said before, at 1.01 s";
    assert_eq!(comes_back(|told| told.joins(5_000, 2)), [expect]);
    assert_eq!(comes_back(|told| resumes(told, 5_000, 2, None)), Vec::<String>::new());
    // Nor does another join, in the room already, make it wrong to hear what was asked for.
    let in_two_steps = |told: &mut Told| {
        told.joins(4_000, 2);
        resumes(told, 5_000, 2, None);
    };
    assert_eq!(comes_back(in_two_steps), Vec::<String>::new());
    let in_vain = |told: &mut Told| {
        told.joins(4_000, 2);
        resumes(told, 5_000, 2, Some("Temporarily unavailable"));
    };
    assert_eq!(comes_back(in_vain).len(), 1);
}

#[test]
fn who_is_in_the_room_stays_in_whatever_another_join_is_answered() {
    let heard = |joins: bool, error: &str| {
        let mut told = Told::new();
        if joins {
            told.joins(10, 2);
        }
        resumes(&mut told, 20, 2, Some(error));
        told.sends(30, 1, 0, None);
        told.hears_message(40, 2, 0, 0);
        told.stores(50, &[0]);
        told.findings()
    };
    for error in ["Invalid room", "Temporarily unavailable"] {
        assert_eq!(heard(true, error), Vec::<String>::new(), "{error}");
        let expect = "no-leak: bob.phone is not in `general` and heard `message 0`";
        assert_eq!(heard(false, error), [expect], "{error}");
    }
}

/// Bob leaves over HTTP at 100 ms, and hears a message two seconds later, which was said at this time.
fn hears_after_his_removal(said: u64, plant: impl Fn(&mut Told)) -> Vec<String> {
    let mut told = Told::new();
    told.joins(10, 1);
    told.joins(20, 2);
    plant(&mut told);
    told.calls(100, BOB, "leave", 204);
    told.sends(said, 1, 0, None);
    told.hears_message(said + 10, 1, 0, 0);
    told.hears_message(2_100, 2, 0, 0);
    told.stores(9_000, &[0]);
    told.findings()
}

#[test]
fn who_was_removed_may_hear_what_was_held_up_and_nothing_else() {
    let leak = "no-leak: bob.phone is not in `general` and heard `message 0`";
    assert_eq!(hears_after_his_removal(2_000, |_| {}), [leak]);
    let broken = |said, what| hears_after_his_removal(said, |told| told.breaks(90, what));
    for what in ["gw1", "kafka"] {
        assert_eq!(broken(2_000, what), [""; 0], "{what}");
    }
    for what in ["alice.phone", "gw2", "redis", "bob.phone"] {
        assert_eq!(broken(2_000, what), [leak], "{what}");
    }
    // A slow network brings late what was said before, and nothing else.
    assert_eq!(broken(900, "bob.phone"), [""; 0]);
}

#[test]
fn who_joins_after_a_leave_that_was_not_answered_is_in_again() {
    let lost = "nothing-lost: bob.phone was in `general` since 0.20 s and never heard `message 0`, sent at 0.30 s and accepted";
    let joins_again = |leaves: &dyn Fn(&mut Told)| {
        let mut told = Told::new();
        told.joins(10, 1);
        told.joins(20, 2);
        leaves(&mut told);
        told.joins(200, 2);
        told.sends(300, 1, 0, None);
        told.hears_message(310, 1, 0, 0);
        told.stores(9_000, &[0]);
        told.findings()
    };
    let leave = json!(["leaveRoom", {"roomId": room()}]);
    assert_eq!(joins_again(&|told| told.says(100, 2, &format!("42{leave}"))), [lost]);
    // One over HTTP may come true later.
    assert_eq!(joins_again(&|told| told.calls(100, BOB, "leave", 503)), [""; 0]);
}

#[test]
fn who_is_refused_to_leave_is_in_as_before() {
    let lost = "nothing-lost: bob.phone was in `general` since 0.02 s and never heard `message 0`, sent at 0.30 s and accepted";
    let leaves = |ack| {
        let mut told = Told::new();
        told.joins(10, 1);
        told.joins(20, 2);
        told.asks(100, 2, &json!(["leaveRoom", {"roomId": room()}]), &ack);
        told.sends(300, 1, 0, None);
        told.hears_message(310, 1, 0, 0);
        told.stores(9_000, &[0]);
        told.findings()
    };
    let refusal = json!({"success": false, "error": "Temporarily unavailable"});
    assert_eq!(leaves(refusal), [lost]);
    assert_eq!(leaves(json!({"success": true})), [""; 0]);
}

/// What is lost when Bob is refused to leave, after he has done this.
fn lost_after(act: impl Fn(&mut Told)) -> Vec<String> {
    let mut told = Told::new();
    told.joins(10, 1);
    told.joins(20, 2);
    told.says(100, 2, &format!("427{}", json!(["leaveRoom", {"roomId": room()}])));
    act(&mut told);
    told.hears(120, 2, r#"437[{"success":false,"error":"Rate limit exceeded"}]"#);
    told.sends(300, 1, 0, None);
    told.hears_message(310, 1, 0, 0);
    told.stores(9_000, &[0]);
    told.findings().into_iter().filter(|it| it.starts_with("nothing-lost")).collect()
}

#[test]
fn a_leave_that_is_refused_takes_no_other_one_back() {
    let leave = format!("428{}", json!(["leaveRoom", {"roomId": room()}]));
    assert_eq!(lost_after(|_| {}).len(), 1);
    assert_eq!(lost_after(|told| told.says(110, 2, &leave)), [""; 0]);
    assert_eq!(lost_after(|told| told.says(110, 2, "41")), [""; 0]);
}

#[test]
fn the_ack_of_a_leave_may_come_after_that_of_a_later_join() {
    let mut told = Told::new();
    told.joins(10, 1);
    told.joins(20, 2);
    let [leave, join] = ["leaveRoom", "joinRoom"].map(|event| json!([event, {"roomId": room()}]));
    told.says(100, 2, &format!("427{leave}"));
    told.says(110, 2, &format!("428{join}"));
    told.hears(120, 2, r#"438[{"success":true}]"#);
    told.hears(130, 2, r#"437[{"success":true}]"#);
    told.sends(200, 1, 0, None);
    told.hears_message(210, 1, 0, 0);
    told.hears_message(210, 2, 0, 0);
    told.stores(9_000, &[0]);
    assert_eq!(told.findings(), [""; 0]);
}

fn about(event: &str, ack_id: &str) -> String {
    format!("42{ack_id}{}", json!([event, {"roomId": room()}]))
}

/// What is said when Bob says these at these times, and hears these of three messages, at 100, 200 and 300 ms.
fn heard_of_three(says: &[(u64, &str)], heard: &[u64]) -> Vec<String> {
    let mut told = Told::new();
    told.joins(10, 1);
    let mut says = says.iter().peekable();
    for n in 0..3 {
        told.sends(30 + n, 1, u128::from(n), None);
    }
    for n in 0..3 {
        let at = 100 * (n + 1);
        while let Some((at, packet)) = says.next_if(|(said, _)| *said <= at) {
            told.says(*at, 2, packet);
        }
        told.hears_message(at, 1, n.into(), n.into());
        if heard.contains(&n) {
            told.hears_message(at, 2, n.into(), n.into());
        }
    }
    told.stores(9_000, &[0, 1, 2]);
    told.findings().into_iter().filter(|it| !it.starts_with("one-ack")).collect()
}

#[test]
fn who_hears_a_room_is_in_it_though_no_join_was_answered() {
    let lost = |n| {
        format!(
            "nothing-lost: bob.phone heard older messages of `general` from 0.10 s and never heard `message {n}`, sent at 0.03 s and accepted"
        )
    };
    let join = about("joinRoom", "");
    let heard = |heard: &[u64]| heard_of_three(&[(50, &join)], heard);
    assert_eq!(heard(&[0, 2]), [lost(1)]);
    assert_eq!(heard(&[0]), [lost(1), lost(2)]);
    // Nobody knows when it was let in.
    for right in [&[0, 1, 2][..], &[1, 2], &[2], &[]] {
        assert_eq!(heard(right), [""; 0], "{right:?}");
    }
    // A second join changes nothing.
    assert_eq!(heard_of_three(&[(50, &join), (150, &join)], &[0, 2]), [lost(1)]);
}

#[test]
fn who_may_have_been_out_need_not_have_heard_it() {
    let (join, leave) = (about("joinRoom", ""), about("leaveRoom", ""));
    let (asking_join, asking_leave) = (about("joinRoom", "8"), about("leaveRoom", "7"));
    let resume = format!(
        "42{}",
        json!(["joinRoom", {"roomId": room(), "after": message(9, 9)["messageId"]}])
    );
    // What is heard first may be from before the leave.
    for (join, leave, again) in [
        (&join, &leave, &join),
        (&join, &asking_leave, &asking_join),
        (&asking_join, &leave, &join),
        (&asking_join, &asking_leave, &asking_join),
    ] {
        let said = [(50, &**join), (90, &**leave), (95, &**again)];
        assert_eq!(heard_of_three(&said, &[0, 2]), [""; 0], "{said:?}");
        let said = [(50, &**join), (150, &**leave), (250, &**again)];
        assert_eq!(heard_of_three(&said, &[0, 2]), [""; 0], "{said:?}");
    }
    assert_eq!(heard_of_three(&[(50, &join), (150, &leave)], &[0]), [""; 0]);
    assert_eq!(heard_of_three(&[(50, &join), (150, "41")], &[0]), [""; 0]);
    let back = [(50, &*join), (90, "41"), (92, "40{}"), (95, &join)];
    assert_eq!(heard_of_three(&back, &[0, 2]), [""; 0]);
    // A replay may break off, and then it is not in.
    assert_eq!(heard_of_three(&[(50, &resume)], &[0]), [""; 0]);
}

#[test]
fn who_has_left_over_http_is_not_in_by_hearsay() {
    let heard = |removed: u64, heard: u64| {
        let mut told = Told::new();
        told.joins(10, 1);
        told.says(20, 2, &about("joinRoom", ""));
        told.calls(removed, BOB, "leave", 204);
        told.hears_message(heard, 2, 0, 0);
        told.sends(heard + 100, 1, 1, None);
        told.hears_message(heard + 110, 1, 1, 1);
        told.findings().into_iter().filter(|it| it.starts_with("nothing-lost")).collect::<Vec<_>>()
    };
    assert_eq!(heard(100, 200), [""; 0]);
    assert_eq!(heard(30, 50), [""; 0]);
}
