//! Actors, their devices, and the ways to name some of them.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::Spanned;

/// The devices of one person, by name.
pub type Actor = BTreeMap<String, Spanned<Device>>;

/// One client program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// `gw1`, `gw2`, ...
    pub gateway: String,
    pub client: Client,
    pub transport: Transport,
}

/// What speaks for a device.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    #[default]
    Websocket,
    Polling,
    /// Polling first, then upgraded.
    Upgrade,
}

impl<'de> Deserialize<'de> for Device {
    /// `gw1`, or a mapping when there is more to say.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            gateway: String,
            #[serde(default)]
            client: Client,
            #[serde(default)]
            transport: Transport,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Device;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a gateway such as `gw1`, or `{ gateway: gw1, transport: polling }`")
            }

            fn visit_str<E>(self, gateway: &str) -> Result<Device, E> {
                let (client, transport) = (Client::default(), Transport::default());
                Ok(Device { gateway: gateway.to_owned(), client, transport })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Device, A::Error> {
                let full = Full::deserialize(MapAccessDeserializer::new(map))?;
                let Full { gateway, client, transport } = full;
                Ok(Device { gateway, client, transport })
            }
        }
        deserializer.deserialize_any(Either)
    }
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
