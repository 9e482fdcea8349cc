//! Messages that were sent several times, and the order of the history.

use super::told::Told;

/// A is sent and answered so, then B, then A once more; the room hears B and A.
fn b_before_a(error: Option<&str>) -> Vec<String> {
    let mut told = Told::new();
    told.joins(10, 2);
    told.sends(20, 1, 0, error);
    told.sends(30, 1, 1, None);
    told.sends(40, 1, 0, None);
    told.hears_message(50, 2, 1, 0);
    told.hears_message(60, 2, 0, 1);
    told.stores(70, &[1, 0]);
    told.findings()
}

#[test]
fn a_message_that_was_refused_first_has_the_place_of_its_next_try() {
    for error in ["Rate limit exceeded", "Not a member of this room", "Message delivery failed"] {
        assert_eq!(b_before_a(Some(error)), Vec::<String>::new(), "{error}");
    }
    let expect = [
        "one-order: bob.phone heard `message 0` of `general` after `message 1`, but alice.phone sent it before, at 0.02 s",
        "one-order: the history tells `message 0` of `general` after `message 1`, but alice.phone sent it before, at 0.02 s",
    ];
    assert_eq!(b_before_a(None), expect);
}

#[test]
fn a_message_that_may_have_been_kept_at_its_first_try_may_come_early() {
    let mut told = Told::new();
    told.joins(10, 2);
    told.sends(20, 1, 0, Some("Message delivery failed"));
    told.sends(30, 1, 1, None);
    told.sends(40, 1, 0, None);
    told.hears_message(50, 2, 0, 0);
    told.hears_message(60, 2, 1, 1);
    told.stores(70, &[0, 1]);
    assert_eq!(told.findings(), Vec::<String>::new());
}

#[test]
fn what_was_sent_from_two_sockets_at_once_has_either_place() {
    for heard in [[0, 1], [1, 0]] {
        let mut told = Told::new();
        told.connects(1, 3, "alice.laptop", super::told::ALICE);
        told.joins(10, 2);
        told.sends(20, 1, 0, Some("Message delivery failed"));
        told.sends(30, 1, 1, None);
        told.sends(40, 3, 0, None);
        told.hears_message(50, 2, heard[0], 0);
        told.hears_message(60, 2, heard[1], 1);
        told.stores(70, &heard);
        assert_eq!(told.findings(), Vec::<String>::new(), "{heard:?}");
    }
}

#[test]
fn a_history_in_another_order_is_found_where_nobody_listens() {
    let stored = |numbers: &[u128]| {
        let mut told = Told::new();
        told.sends(20, 1, 0, None);
        told.sends(30, 1, 1, None);
        told.sends(40, 1, 2, None);
        told.stores(50, numbers);
        told.findings()
    };
    assert_eq!(stored(&[0, 1, 2]), Vec::<String>::new());
    let expect = "one-order: the history tells `message 1` of `general` after `message 2`, but alice.phone sent it before, at 0.03 s";
    assert_eq!(stored(&[0, 2, 1]), [expect]);
}
