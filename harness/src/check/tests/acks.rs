//! Late acks, and what findings about acks say.

use serde_json::json;

use super::{room, told::Told, uuid};

/// Alice joins at 20 s, which is answered 11.5 s later.
fn late(plant: impl Fn(&mut Told)) -> Vec<String> {
    let mut told = Told::new();
    plant(&mut told);
    told.says(20_000, 1, &format!("427{}", json!(["joinRoom", {"roomId": room()}])));
    told.hears(31_500, 1, &format!("437{}", json!([{"success": true}])));
    told.findings()
}

const TOO_LATE: &str = "one-ack: joinRoom by alice.phone was acknowledged after 11.50 s";

#[test]
fn an_ack_after_eleven_seconds_is_too_late() {
    assert_eq!(late(|_| {}), [TOO_LATE]);
    for what in ["alice.phone", "gw1"] {
        let mended = |at| {
            late(|told| {
                told.breaks(10, what);
                told.mends(at, what);
            })
        };
        assert_eq!(mended(19_000), [TOO_LATE], "{what}");
    }
    for what in ["bob.phone", "gw2", "kafka"] {
        assert_eq!(late(|told| told.breaks(10, what)), [TOO_LATE], "{what}");
    }
}

#[test]
fn an_ack_may_be_late_while_its_device_or_its_gateway_is_broken() {
    for what in ["alice.phone", "gw1"] {
        assert_eq!(late(|told| told.breaks(10, what)), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn a_finding_about_an_ack_or_a_frame_speaks_of_names() {
    let mut told = Told::new();
    told.sends(20, 1, 0, Some("no"));
    told.hears(30, 2, &format!("42{}", json!(["news", uuid(4, 0)])));
    told.hears(40, 2, &format!("427{}", json!(["newMessage", {"roomId": room()}])));
    let findings = told.findings();
    let expect = [
        r#"one-ack: sendMessage of `message 0` by alice.phone was acknowledged {"clientMsgId":"message 0","error":"no","status":"FAILED"}, which is not in the contract"#,
        r#"frames: bob.phone: the server has no event "news""#,
        r#"frames: bob.phone: the event `427["newMessage",{"roomId":"general"}]` asks for an ack"#,
    ];
    for text in expect {
        assert!(findings.iter().any(|it| it == text), "{text}: {findings:#?}");
    }
}

#[test]
fn an_end_long_after_an_event_does_not_answer_it() {
    let ends = |at, plant: &dyn Fn(&mut Told)| {
        let mut told = Told::new();
        told.says(1_000, 1, &format!("427{}", json!(["heartbeat", {}])));
        plant(&mut told);
        told.says(at, 1, "41");
        told.closes(at, 1, false);
        told.stores(20_000, &[]);
        told.findings()
    };
    let unanswered = "one-ack: heartbeat by alice.phone, sent at 1.00 s, was never acknowledged";
    assert_eq!(ends(13_000, &|_| {}), [unanswered]);
    assert_eq!(ends(11_000, &|_| {}), [""; 0]);
    assert_eq!(ends(13_000, &|told| told.breaks(2_000, "gw1")), [""; 0]);
}

#[test]
fn a_message_with_a_field_too_many_is_judged_like_any_other() {
    let mut told = Told::new();
    let draft = json!({"roomId": room(), "clientMsgId": uuid(4, 0), "content": "hi", "after": 7});
    let error = "Invalid message format";
    let ack = json!({"clientMsgId": uuid(4, 0), "status": "FAILED", "error": error});
    told.asks(20, 1, &json!(["sendMessage", draft]), &ack);
    let [found] = &told.findings()[..] else { panic!("one finding") };
    assert!(found.ends_with("though its payload is right"), "{found}");
}

#[test]
fn who_has_said_goodbye_is_not_answered_any_more() {
    let heartbeat = format!("427{}", json!(["heartbeat", {}]));
    let says = |packets: [&str; 2]| {
        let mut told = Told::new();
        told.says(900, 1, packets[0]);
        told.says(1_000, 1, packets[1]);
        told.stores(13_000, &[]);
        told.findings()
    };
    assert_eq!(says(["41", &heartbeat]), [""; 0]);
    let unanswered = "one-ack: heartbeat by alice.phone, sent at 0.90 s, was never acknowledged";
    assert_eq!(says([&heartbeat, "41"]), [unanswered]);
}
