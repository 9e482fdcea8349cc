//! The report in a real browser: filters, an opened scenario, the timeline; whatever the scenario said stays text, and
//! nothing is asked of a network.

#![expect(clippy::unwrap_used, reason = "clippy's leave for tests does not reach their helpers")]

mod webdriver;

use std::{fs, time::Duration};

use harness::{
    check::Finding,
    history::{ConnectionId, What},
    report,
    verdict::{Failure, Margin, Run, StepOutcome, StepReport, Verdict},
};
use webdriver::Browser;

const HOSTILE: &str =
    "</script><script>alert(1)</script><img src=x onerror=\"document.title='broken in'\">";

const ID: &str = "11111111-2222-4333-8444-555555555555";

const ROOM: &str = "66666666-2222-4333-8444-555555555555";

const SOURCE: &str = "\
scenario: bob hears alice  # whatever she says
actors: { alice: [phone], bob: [phone] }
steps:
  - connect: everyone
  - send: { from: alice.phone, text: \"#1\", as: hi }
  - deliver: { message: hi, to: everyone, within: 1s }
";

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn step(line: u64, text: &str, from: u64, to: u64) -> StepReport {
    let (text, from, to) = (text.to_owned(), millis(from), millis(to));
    StepReport {
        line,
        shared: None,
        text,
        from,
        to,
        outcome: StepOutcome::Done,
        margin: None,
        vacuous: None,
    }
}

/// Alice says something hostile, Bob's phone is cut off, and he never hears it.
fn failed() -> Run {
    let mut run = Run::new("fixtures/a/bob-hears.yaml", SOURCE, &format!("bob hears {HOSTILE}"));
    (run.verdict, run.seed, run.duration) = (Verdict::Fail, 7, millis(1_200));
    let (alice, bob) = (ConnectionId(1), ConnectionId(2));
    let sent = |connection, packet: String| What::Sent { connection, packet };
    let received = |connection, packet: String| What::Received { connection, packet };
    let opened = |connection, name: &str| {
        let (device, user) = (format!("{name}.phone"), name.to_owned());
        What::Opened { connection, device, user, gateway: "gw1".to_owned(), is_polling: false }
    };
    let payload = serde_json::json!(["sendMessage", {"clientMsgId": ID, "content": HOSTILE}]);
    let heard = serde_json::json!(["newMessage", {"clientMsgId": ID, "content": HOSTILE}]);
    let looked = What::Presence {
        user: "bob".to_owned(),
        began: Duration::ZERO,
        sockets: ["sB".to_owned()].into(),
    };
    let cut = What::Broken {
        what: "bob.phone".to_owned(),
        text: "bob.phone's network was cut".to_owned(),
    };
    let asked = What::Called {
        user: "alice".to_owned(),
        gateway: Some("gw1".to_owned()),
        is_admin: false,
        call: format!("GET /rooms/{ROOM}/messages"),
        began: millis(85),
        status: 403,
        reply: serde_json::json!({"message": HOSTILE}),
        headers: std::collections::BTreeMap::new(),
    };
    let seen = [
        (1, opened(alice, "alice")),
        (1, opened(bob, "bob")),
        (2, received(alice, "40{\"sid\":\"sA\"}".to_owned())),
        (2, received(bob, "40{\"sid\":\"sB\"}".to_owned())),
        (3, looked),
        (80, cut),
        (81, What::GivenUp { device: "bob.phone".to_owned(), gateway: "gw1".to_owned() }),
        (90, asked),
        (100, sent(alice, format!("421{payload}"))),
        (103, received(alice, "431[{\"status\":\"ACCEPTED\"}]".to_owned())),
        (110, received(alice, format!("42{heard}"))),
    ];
    for (at, what) in seen {
        run.history.push(millis(at), what);
    }
    run.history.call(ID, "hi");
    run.history.call(ROOM, "general");
    run.steps = vec![
        step(4, "connect: everyone", 0, 3),
        step(5, "send: { from: alice.phone, text: \"#1\", as: hi }", 95, 104),
        step(6, "deliver: { message: hi, to: everyone, within: 1s }", 104, 1_104),
    ];
    run.steps[2].outcome = StepOutcome::Failed;
    run.steps[2].margin = Some(Margin { used: millis(1_000), limit: millis(1_000) });
    run.failures.push(Failure {
        shared: None,
        line: 6,
        step: run.steps[2].text.clone(),
        expected: "bob.phone hears `hi`".to_owned(),
        seen: HOSTILE.to_owned(),
        late: None,
        limit: Some(millis(1_000)),
        about: vec!["hi".to_owned(), "bob.phone".to_owned()],
        at: millis(1_104),
    });
    let text = "bob.phone never heard `hi`".to_owned();
    run.findings.push(Finding { invariant: "nothing-lost", at: millis(1_150), text });
    run
}

/// More frames than one page shows.
fn busy() -> Run {
    let mut run = Run::new("fixtures/b/busy.yaml", "scenario: busy\n", "a busy room");
    run.duration = millis(12_000);
    let connection = ConnectionId(1);
    let (device, user) = ("carol.phone".to_owned(), "carol".to_owned());
    run.history.push(
        millis(0),
        What::Opened { connection, device, user, gateway: "gw1".to_owned(), is_polling: false },
    );
    for number in 0..12_000 {
        let packet = format!("42[\"newMessage\",{{\"content\":\"{number}\"}}]");
        run.history.push(millis(number), What::Received { connection, packet });
    }
    run
}

fn runs() -> Vec<Run> {
    let mut skipped = Run::new("fixtures/b/needs.yaml", "scenario: needs Redis\n", "needs Redis");
    skipped.verdict = Verdict::Skipped("it looks into Redis".to_owned());
    vec![busy(), failed(), skipped]
}

/// The scenarios that the list shows.
const LISTED: &str = "[...document.querySelectorAll('#scenarios li:not([hidden]) .place')].map((it) => it.innerText.split('/').at(-1)).join()";

async fn shows(browser: &Browser, expression: &str, expected: &str) {
    browser.until(&format!("({expression}) === {}", serde_json::json!(expected))).await;
}

async fn the_list_is_filtered(browser: &Browser) {
    shows(browser, LISTED, "bob-hears.yaml,busy.yaml,needs.yaml").await;
    browser.click("#verdicts .pass").await;
    shows(browser, LISTED, "busy.yaml").await;
    browser.click("#verdicts .skipped").await;
    shows(browser, LISTED, "busy.yaml,needs.yaml").await;
    browser.write("#search", "redis").await;
    shows(browser, LISTED, "needs.yaml").await;
    browser.write("#search", "nothing").await;
    browser.until("!document.querySelector('.nothing').hidden").await;
    // Escape.
    browser.write("#search", "\u{e00c}").await;
    shows(browser, LISTED, "bob-hears.yaml,busy.yaml,needs.yaml").await;
}

async fn a_failure_is_explained(browser: &Browser) {
    browser.click("#scenarios .skipped").await;
    shows(browser, "document.querySelector('.reason')?.innerText", "it looks into Redis").await;
    browser.click("#scenarios .fail").await;
    shows(
        browser,
        "document.querySelector('.failure .expected pre')?.innerText",
        "bob.phone hears `hi`",
    )
    .await;
    assert_eq!(browser.text(".failure .seen pre").await, HOSTILE);
    assert!(browser.text("#run h2").await.contains(HOSTILE));
    let told = browser.text(".failure .told").await;
    assert!(told.contains("alice.phone sent `hi`") && told.contains("network was cut"), "{told}");
    assert!(browser.text(".finding").await.contains("bob.phone never heard `hi`"));
    let marked = browser.text(".source .wrong").await;
    assert!(marked.contains("deliver: { message: hi"), "{marked}");
    let tight = browser.text(".steps .failed .margin").await;
    assert!(tight.contains("1.00 s of 1.00 s") && tight.contains("tight"), "{tight}");
}

/// How much of the run is shown, as the tools say.
const SHOWN: &str = "document.querySelector('.tools .dim').innerText";

async fn the_timeline_is_zoomed(browser: &Browser) {
    shows(browser, SHOWN, "1.20 s shown").await;
    browser.click(".tools .in").await;
    shows(browser, SHOWN, "750 ms shown").await;
    browser.wheel(".lanes svg", -100).await;
    shows(browser, SHOWN, "502 ms shown").await;
    browser.click(".tools .all").await;
    shows(browser, SHOWN, "1.20 s shown").await;
    browser.until("document.querySelectorAll('.fault').length === 1").await;
    // The moment of a sentence.
    browser.click(".failure .told button").await;
    browser.until(&format!("{SHOWN} !== '1.20 s shown'")).await;
    let lanes = browser.script("return [...document.querySelectorAll('.lane-name')].map((it) => it.lastChild.data).join()").await;
    assert_eq!(lanes, ",Steps,Faults,bob in Redis,gw1,alice over HTTP,alice.phone,bob.phone");
}

async fn a_frame_is_read(browser: &Browser) {
    browser.click(".tools .all").await;
    browser.write(".frame-search", "sendMessage").await;
    shows(browser, "document.querySelector('.tools [role=status]').innerText", "1 of 5 frames")
        .await;
    browser.until("document.querySelectorAll('.mark[data-frame]').length === 1").await;
    browser.click(".mark[data-frame]").await;
    shows(browser, "document.querySelector('.detail h4')?.innerText", "sendMessage #1 hi").await;
    let detail = browser.text(".detail").await;
    for part in
        ["alice.phone → gw1", "0.100000 s", "during line 5", "\"clientMsgId\": \"hi\"", "onerror"]
    {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    // With the keyboard to the frame that answers it: the filter is gone first.
    browser.write(".frame-search", &"\u{e003}".repeat("sendMessage".len())).await;
    shows(browser, "document.querySelector('.tools [role=status]').innerText", "5 frames").await;
    browser.write(".lanes svg", "\u{e014}").await;
    shows(browser, "document.querySelector('.detail h4')?.innerText", "ack #1 ACCEPTED").await;
    assert!(browser.text(".detail .others").await.contains("+10.00 ms"));
}

async fn a_request_is_read(browser: &Browser) {
    browser.click(".call").await;
    shows(
        browser,
        "document.querySelector('.detail h4')?.innerText",
        "GET /rooms/general/messages → 403",
    )
    .await;
    let detail = browser.text(".detail").await;
    for part in ["alice → gw1", "0.085000 s", "took 5 ms", "during line 4", "onerror"] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    let diagram = "return document.querySelector('.failure details pre').textContent";
    let diagram = browser.script(diagram).await.to_string();
    assert!(diagram.contains("GET /rooms/general/messages -> 403"), "{diagram}");
}

async fn a_lane_is_filtered(browser: &Browser) {
    browser.click(".chips .device:nth-child(2)").await;
    let lanes = "[...document.querySelectorAll('.lane-name')].map((it) => it.lastChild.data).filter((it) => it.endsWith('.phone')).join()";
    shows(browser, lanes, "bob.phone").await;
    browser.until("!document.querySelector('.call')").await;
    shows(browser, "document.querySelector('.tools [role=status]').innerText", "1 of 5 frames")
        .await;
}

async fn many_frames_are_cut(browser: &Browser) {
    browser.click("#scenarios .pass").await;
    browser
        .until(
            "document.querySelector('.timeline .note')?.innerText.includes('8,000 frames between')",
        )
        .await;
    shows(browser, "document.querySelector('.tools [role=status]').innerText", "4,000 frames")
        .await;
    // Few paths, however many frames.
    browser.until("document.querySelectorAll('.lanes .marks').length > 0").await;
    assert_eq!(browser.script("return document.querySelectorAll('.lanes .mark').length").await, 0);
}

#[tokio::test]
async fn a_report_is_read_in_a_browser_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    report::write_all(&runs(), folder.path()).unwrap();
    for file in ["junit.xml", "runs.jsonl"] {
        assert!(fs::metadata(folder.path().join(file)).unwrap().len() > 100);
    }
    let page = folder.path().join(report::PAGE);
    let browser = Browser::start().await;
    browser.open(&page).await;
    the_list_is_filtered(&browser).await;
    a_failure_is_explained(&browser).await;
    the_timeline_is_zoomed(&browser).await;
    a_frame_is_read(&browser).await;
    a_request_is_read(&browser).await;
    a_lane_is_filtered(&browser).await;
    many_frames_are_cut(&browser).await;
    assert_eq!(browser.script("return document.title").await, "✗ harness report");
    assert_eq!(browser.complaints().await, [""; 0]);
    let local = format!("file://{}", page.display());
    let asked = browser.requests().await;
    // The browser's own first page is made of `chrome:` and `data:`, which no network carries.
    let own = [local.as_str(), "chrome:", "data:"];
    let foreign: Vec<_> =
        asked.iter().filter(|url| !own.iter().any(|own| url.starts_with(own))).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert!(asked.iter().any(|url| url.starts_with(&local)));
}
