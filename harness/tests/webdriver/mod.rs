//! A headless Chromium, driven over `WebDriver`. Ends with its test: the session first, which ends the browser, then the
//! driver, by its process id.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long something may take to become true in the browser.
const LIMIT: Duration = Duration::from_secs(10);

/// From one look to the next.
const BETWEEN_LOOKS: Duration = Duration::from_millis(30);

/// How `WebDriver` calls the id of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

const SWITCHES: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--window-size=1400,1000",
];

pub(crate) struct Browser {
    driver: Child,
    session: String,
    http: reqwest::Client,
    _profile: TempDir,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver is installed: `script/test` does that");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let profile = tempfile::tempdir().unwrap();
        let mut switches: Vec<String> = SWITCHES.iter().map(|it| (*it).to_owned()).collect();
        switches.push(format!("--user-data-dir={}", profile.path().display()));
        let mut browser = Self {
            driver,
            session: format!(
                "http://127.0.0.1:{}/session",
                port.expect("chromedriver says its port")
            ),
            http: reqwest::Client::new(),
            _profile: profile,
        };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": switches},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let session = browser.call("", &wanted).await;
        let id = session["sessionId"].as_str().expect("a session has an id");
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    pub(crate) async fn open(&self, page: &Path) {
        self.call("/url", &json!({"url": format!("file://{}", page.display())})).await;
    }

    /// What a piece of JavaScript returns.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.call("/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// Waits until an expression of JavaScript is true.
    pub(crate) async fn until(&self, expression: &str) {
        let began = Instant::now();
        while self.script(&format!("return !!({expression})")).await != true {
            assert!(began.elapsed() < LIMIT, "never true in the browser: {expression}");
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Clicks in the middle of the first element with this selector, as a person would.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.call(&format!("/element/{element}/click"), &json!({})).await;
    }

    /// Types into it what comes, after what is there already.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.call(&format!("/element/{element}/value"), &json!({"text": text})).await;
    }

    /// Turns the wheel over it.
    pub(crate) async fn wheel(&self, selector: &str, down: i32) {
        let origin = json!({ELEMENT: self.element(selector).await});
        let turn = json!({
            "type": "scroll", "origin": origin, "x": 0, "y": 0, "deltaX": 0, "deltaY": down, "duration": 0,
        });
        let wheel = json!({"type": "wheel", "id": "wheel", "actions": [turn]});
        self.call("/actions", &json!({"actions": [wheel]})).await;
    }

    /// The text of the first element with this selector, as it is shown.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let selector = json!(selector);
        let text =
            self.script(&format!("return document.querySelector({selector})?.innerText")).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// What the browser's console said, warnings and errors.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let lines = self.call("/se/log", &json!({"type": "browser"})).await;
        let lines = lines.as_array().cloned().unwrap_or_default();
        lines.iter().map(|line| line["message"].to_string()).collect()
    }

    /// Every address that was asked for.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let lines = self.call("/se/log", &json!({"type": "performance"})).await;
        let lines = lines.as_array().cloned().unwrap_or_default();
        let address = |line: &Value| {
            let event: Value = serde_json::from_str(line["message"].as_str()?).ok()?;
            let message = &event["message"];
            if message["method"] != "Network.requestWillBeSent" {
                return None;
            }
            message["params"]["request"]["url"].as_str().map(str::to_owned)
        };
        lines.iter().filter_map(address).collect()
    }

    /// By hand, since nothing can be awaited where a test panics.
    fn end_session(&self) -> io::Result<()> {
        let address = self.session.trim_start_matches("http://");
        let (host, path) = address.split_once('/').unwrap_or((address, ""));
        let mut connection = TcpStream::connect(host)?;
        connection.set_read_timeout(Some(LIMIT))?;
        write!(connection, "DELETE /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        connection.read(&mut [0; 64]).map(|_| ())
    }

    async fn element(&self, selector: &str) -> String {
        let found =
            self.call("/element", &json!({"using": "css selector", "value": selector})).await;
        found[ELEMENT].as_str().expect("an element has an id").to_owned()
    }

    async fn call(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let answer = self.http.post(url).json(body).send().await.unwrap();
        let is_good = answer.status().is_success();
        let mut said: Value = answer.json().await.unwrap();
        assert!(is_good, "{path} {body}: {}", said["value"]["message"]);
        said["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver would leave the browser behind. An error means that it has ended already, as after a failed start.
        let _ = self.end_session();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
