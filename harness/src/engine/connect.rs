//! Steps in which devices connect, are turned away, and say goodbye.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{
    device::Device,
    steps::{Running, StepResult, wrong},
    talk::{BREATH, about},
};
use crate::{
    client::ClientError,
    history::{Connection, Sent, Story, shown},
    scenario::{Connect, TokenPlace, Who},
    verdict::Failure,
};

/// How long connecting may take where the step does not say.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a device that is shown the door may stay.
const GOODBYE_LIMIT: Duration = Duration::from_secs(3);

/// How long after the welcome a goodbye comes at the latest that comes at once: the contract's word, and a bit for the machine.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A text that is no token.
const BAD_TOKEN: &str = "no.token.at.all";

impl Running<'_> {
    pub(super) async fn connect(&self, connect: &Connect) -> StepResult {
        let is_let_in = connect.accepted.unwrap_or(connect.token.is_good());
        let names = self.world.who(&connect.who.value);
        try_join_all(names.iter().map(|name| self.connect_one(name, connect, is_let_in))).await?;
        if let (Some(socket), Some(device)) = (&connect.name, names.first()) {
            let id = |story: &Story| story.connection_of(device)?.1.socket.clone();
            if let Some(id) = self.world.recorder.look(id) {
                self.world.capture(&socket.value, &id, false);
            }
        }
        if !is_let_in {
            self.judge();
        }
        Ok(None)
    }

    async fn connect_one(
        &self,
        name: &str,
        connect: &Connect,
        is_let_in: bool,
    ) -> Result<(), Failure> {
        let recorder = &self.world.recorder;
        let shared = &self.world.devices[name];
        let mut device = shared.lock().await;
        let before = recorder.look(|story| story.connection_of(name).map(|(id, _)| id));
        let token = self.world.site.signer.token(connect.token, &device.user);
        let (auth, header) = shown_at(connect.via, token.as_ref());
        self.begins(&device);
        let asked = timeout(CONNECT_LIMIT, device.connect(recorder, auth, header)).await;
        let asked = asked.unwrap_or_else(|_| {
            Err(ClientError::Refused(format!("no answer for {}", shown(CONNECT_LIMIT))))
        });
        // The connection that this has made, as far as it has come.
        let newest = |story: &Story| {
            let (id, known) = story.connection_of(name)?;
            (Some(id) > before).then(|| known.clone())
        };
        let result = match asked {
            // Its library may give up on a goodbye before we look.
            _ if !is_let_in => self.is_turned_away(&mut device, newest).await,
            Ok(()) => self.is_welcomed(newest).await,
            Err(error) => Err(self.why_refused(&device, newest, &error).await),
        };
        if result.is_ok()
            && is_let_in
            && let Some(every) = self.world.heartbeat
        {
            let task = Device::beat(shared, recorder, every);
            device.keep_beating(task);
        }
        let expected = if is_let_in {
            format!("{name} connects")
        } else {
            format!("{name} is told that it is disconnected")
        };
        result.map_err(|seen| about(wrong(expected, seen), name))
    }

    /// Why a client could not connect.
    async fn why_refused(
        &self,
        device: &Device,
        newest: impl Fn(&Story) -> Option<Connection>,
        error: &ClientError,
    ) -> String {
        let ended = self.world.recorder.look(newest).and_then(|known| known.ended());
        match ended {
            _ if !device.is_gateway_there().await => {
                format!("nothing listens at {}", device.gateway)
            }
            Some(at) => format!("its connection ended at {}, unwelcomed", shown(at)),
            None => format!("no session was opened ({error})"),
        }
    }

    /// Whether a device is in the namespace in time; what is seen instead.
    async fn is_welcomed(
        &self,
        newest: impl Fn(&Story) -> Option<Connection>,
    ) -> Result<(), String> {
        let settled =
            |story: &Story| newest(story).filter(|it| it.welcomed.is_some() || it.closed.is_some());
        let deadline = Instant::now() + CONNECT_LIMIT;
        match self.world.recorder.until(deadline, settled).await {
            Some(known) if known.is_connected() => Ok(()),
            Some(known) if known.dismissed.is_some() => {
                Err("the gateway said goodbye at once".to_owned())
            }
            Some(_) => Err("its connection ended before it was welcomed".to_owned()),
            None => Err(format!("no answer for {}", shown(CONNECT_LIMIT))),
        }
    }

    /// Whether a device is told goodbye, as the contract says, and then hangs up; what is seen instead.
    async fn is_turned_away(
        &self,
        device: &mut Device,
        newest: impl Fn(&Story) -> Option<Connection>,
    ) -> Result<(), String> {
        let recorder = &self.world.recorder;
        let dismissed = |story: &Story| newest(story).filter(|it| it.dismissed.is_some());
        let seen = recorder.until(Instant::now() + GOODBYE_LIMIT, dismissed).await;
        let closed = |story: &Story| newest(story).filter(|it| it.closed.is_some());
        if device.never_hangs_up() {
            if recorder.until(Instant::now() + BREATH, closed).await.is_some() {
                return Err("the transport is closed in the same breath, which some clients take for a reason to come back".to_owned());
            }
            if seen.is_some() && self.is_still_served(device).await {
                return Err("an event after the goodbye is answered: it is still served".to_owned());
            }
        }
        // It has no business here any more.
        device.disconnect(recorder).await;
        let text = match seen {
            Some(Connection { welcomed: Some(welcomed), dismissed: Some(dismissed), .. }) => {
                let later = dismissed.saturating_sub(welcomed);
                // The next poll has to be asked for.
                if later <= AT_ONCE + 2 * device.delay() {
                    return Ok(());
                }
                return Err(format!(
                    "its goodbye comes {} after the welcome, not at once",
                    shown(later)
                ));
            }
            Some(_) => "`41` without the `40` before it",
            None => match recorder.look(&newest) {
                Some(known) if known.welcomed.is_some() => "it is connected, and stays so",
                Some(_) => "the transport is open, and nothing is said",
                None => "no transport at all",
            },
        };
        Err(text.to_owned())
    }

    /// Whether a device that was told goodbye is answered all the same.
    async fn is_still_served(&self, device: &mut Device) -> bool {
        let name = device.name.clone();
        let recorder = &self.world.recorder;
        let before = recorder.look(|story| story.sent.len());
        // The transport may be gone by now, which is well.
        drop(device.frame(r#"420["heartbeat",{}]"#).await);
        let answered = |story: &Story| {
            let (id, _) = story.connection_of(&name)?;
            let ours = |sent: &&Sent| sent.connection == id && sent.event == "heartbeat";
            story.sent[before..].iter().find(ours).filter(|it| !it.acks.is_empty()).map(drop)
        };
        recorder.until(Instant::now() + BREATH, answered).await.is_some()
    }

    /// A device whose program has crashed has another one from now on.
    fn begins(&self, device: &Device) {
        if device.has_crashed() {
            self.world.mended(&device.name, format!("{} runs again", device.name));
        }
    }

    pub(super) async fn disconnect(&self, who: &Who) -> StepResult {
        let names = self.world.who(who);
        let recorder = &self.world.recorder;
        let goodbye = async |name| self.world.devices[name].lock().await.disconnect(recorder).await;
        join_all(names.iter().map(goodbye)).await;
        Ok(None)
    }
}

/// The payload of CONNECT and the header of a device that shows this token there.
fn shown_at(place: TokenPlace, token: Option<&Value>) -> (Option<Value>, Option<String>) {
    let text = || token.and_then(Value::as_str).unwrap_or_default().to_owned();
    let bearer = || Some(format!("Bearer {}", text()));
    let auth = token.map(|token| json!({"token": token}));
    match place {
        TokenPlace::Auth => (auth, None),
        TokenPlace::Header => (None, bearer()),
        TokenPlace::BareHeader => (None, Some(text())),
        TokenPlace::OddHeader => (None, Some(format!("bEARER {}", text()))),
        TokenPlace::HeaderBesideEmpty => (Some(json!({"token": ""})), bearer()),
        TokenPlace::HeaderBesideBadAuth => (Some(json!({"token": BAD_TOKEN})), bearer()),
        TokenPlace::HeaderBesideNumber => (Some(json!({"token": 7})), bearer()),
        TokenPlace::AuthBesideBadHeader => (auth, Some(format!("Bearer {BAD_TOKEN}"))),
    }
}
