//! Actors, their devices, and the ways to name some of them.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        DeserializeOwned, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

use super::{Place, Spanned};

/// The devices of one person, by name.
pub type Actor = BTreeMap<String, Spanned<Device>>;

/// Most devices alike: each takes four open files, of which a process may often have 20,000.
pub const DEVICES_MAX: usize = 4_000;

/// What a gateway's name looks like.
const GATEWAY: &str = "^gw[1-9][0-9]*$";

/// One client program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// `gw1`, `gw2`, ...
    pub gateway: String,
    pub client: Client,
    pub transport: Transport,
    /// `false`: it leaves pings unanswered.
    pub pongs: bool,
    /// So many alike; each is a device of its own once the file is read.
    pub count: usize,
}

/// What speaks for a device.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Client {
    /// `rust_socketio`, which nobody here wrote.
    #[default]
    Rust,
    /// Our own, for what a client library hides.
    Raw,
    /// The stock JavaScript client; needs Node.
    Js,
}

/// How a device talks.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A WebSocket from the start.
    #[default]
    Websocket,
    /// HTTP requests alone.
    Polling,
    /// Polling first, then upgraded.
    Upgrade,
}

/// A device with more to say than its gateway.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FullDevice {
    /// The gateway that it connects to: `gw1`, `gw2`, ...
    #[schemars(regex(pattern = GATEWAY), example = &"gw1", example = &"gw2")]
    gateway: String,
    /// What speaks for it; `rust` without.
    #[serde(default)]
    client: Client,
    /// How it talks; `websocket` without.
    #[serde(default)]
    transport: Transport,
    /// `false`: it leaves pings unanswered, so that the gateway must take it for dead; needs `client: raw`.
    #[serde(default = "yes")]
    pongs: bool,
    /// So many devices alike, two or more: `phone` with `count: 500` is `phone1` to `phone500`. The actor's name stands for all of them.
    #[serde(default = "one")]
    count: usize,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

impl<'de> Deserialize<'de> for Device {
    /// `gw1`, or a mapping when there is more to say.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Device;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a gateway such as `gw1`, or `{ gateway: gw1, transport: polling }`")
            }

            fn visit_str<E>(self, gateway: &str) -> Result<Device, E> {
                let (client, transport) = (Client::default(), Transport::default());
                let gateway = gateway.to_owned();
                Ok(Device { gateway, client, transport, pongs: true, count: 1 })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Device, A::Error> {
                let full = FullDevice::deserialize(MapAccessDeserializer::new(map))?;
                let FullDevice { gateway, client, transport, pongs, count } = full;
                Ok(Device { gateway, client, transport, pongs, count })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Device {
    fn schema_name() -> Cow<'static, str> {
        "Device".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A device: the gateway that it connects to, or a mapping when there is more to say.",
            "anyOf": [
                { "type": "string", "pattern": GATEWAY, "examples": ["gw1", "gw2"] },
                generator.subschema_for::<FullDevice>(),
            ],
        })
    }
}

/// Makes `phone1`, `phone2`, ... of a `phone` that is there many times. An error is a name that is taken, with its place.
pub(super) fn spread(devices: &mut Actor) -> Result<(), (String, Place)> {
    let many: Vec<String> = devices
        .iter()
        .filter(|(_, device)| (2..=DEVICES_MAX).contains(&device.value.count))
        .map(|(name, _)| name.clone())
        .collect();
    for name in many {
        let Some(device) = devices.remove(&name) else { continue };
        for n in 1..=device.value.count {
            let name = format!("{name}{n}");
            if let Some(other) = devices.insert(name.clone(), device.clone()) {
                return Err((name, Place::from(&other)));
            }
        }
    }
    Ok(())
}

/// Some devices: `everyone`, an actor (all of their devices), `alice.phone`, or a list of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    One(String),
    Many(Vec<Spanned<String>>),
}

impl Who {
    /// The word for every device of every actor.
    pub const EVERYONE: &str = "everyone";
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Who;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a device such as `alice.phone`, an actor, `everyone`, or a list of these",
                )
            }

            fn visit_str<E>(self, name: &str) -> Result<Who, E> {
                Ok(Who::One(name.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Who, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Who::Many(names))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Who {
    /// The schemas of its two ways.
    fn ways() -> [Schema; 2] {
        let name = json_schema!({
            "type": "string",
            "pattern": r"^[a-z0-9_-]+(\.[a-z0-9_-]+)?$",
            "patternErrorMessage": "write a device such as `alice.phone`, an actor, or `everyone`",
            "examples": [Self::EVERYONE, "alice", "alice.phone"],
        });
        let list = json_schema!({ "type": "array", "items": name.clone(), "minItems": 1 });
        [name, list]
    }
}

impl JsonSchema for Who {
    fn schema_name() -> Cow<'static, str> {
        "Who".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Some devices: `everyone`, an actor (all of their devices), `alice.phone`, or a list of these.",
            "anyOf": Self::ways(),
        })
    }
}

/// A `Who` on its own, or a mapping with more to say.
pub(super) fn who_or<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + From<Spanned<Who>>,
{
    struct Either<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de> + From<Spanned<Who>>> Visitor<'de> for Either<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a device such as `alice.phone`, an actor, `everyone`, a list of these, or a mapping with `who`")
        }

        fn visit_str<E>(self, name: &str) -> Result<T, E> {
            Ok(Spanned::nowhere(Who::One(name.to_owned())).into())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
            let who = Who::deserialize(SeqAccessDeserializer::new(list))?;
            Ok(Spanned::nowhere(who).into())
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Either(std::marker::PhantomData))
}

/// The schema of what [`who_or`] reads.
pub(super) fn who_or_schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let [name, list] = Who::ways();
    json_schema!({ "anyOf": [name, list, generator.subschema_for::<T>()] })
}
