//! A value and its place in the file.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Location;

/// A value that knows where it is written.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "serde_saphyr::Spanned<T>")]
pub struct Spanned<T> {
    pub value: T,
    /// Where it is used: of an alias, the place of the alias.
    pub referenced: Location,
}

impl<T> Spanned<T> {
    /// A value that stands nowhere in the file.
    pub const fn nowhere(value: T) -> Self {
        Self { value, referenced: Location::UNKNOWN }
    }
}

impl<T> From<serde_saphyr::Spanned<T>> for Spanned<T> {
    fn from(spanned: serde_saphyr::Spanned<T>) -> Self {
        let serde_saphyr::Spanned { value, referenced, .. } = spanned;
        Self { value, referenced }
    }
}

/// In the schema it is the value alone.
impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A value of which `null` is one too: `payload: null` is a payload.
pub(super) fn even_null<'de, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<Spanned<Value>>, D::Error> {
    Spanned::deserialize(d).map(Some)
}
