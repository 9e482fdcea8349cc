//! The language as a JSON schema, made from its types: completion, hover and mistakes of form in an editor.
//!
//! What names mean is left to `lint`. Stricter than `lint` in two things: a key has a value, and most texts that
//! YAML takes for something else have quotes.

use std::borrow::Cow;

use schemars::{
    JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema,
    transform::RecursiveTransform,
};
use serde_json::{Map, Value, json};

use super::Scenario;

/// The schema of a scenario, in JSON Schema 2020-12 and the few keywords that editors know besides.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(for_editors));
    let mut schema = settings.into_generator().into_root_schema_for::<Scenario>();
    // An editor would put it above every hover.
    schema.remove("title");
    schema.to_value()
}

/// Every verb that a step can have.
pub fn verbs() -> Vec<String> {
    let step = schema()["$defs"]["Step"]["properties"].take();
    step.as_object().into_iter().flatten().map(|(verb, _)| verb.clone()).collect()
}

/// The values of an enum of the language, such as `CrashHow`, as they are written.
pub fn values(name: &str) -> Vec<String> {
    let mut values = schema()["$defs"][name]["enum"].take();
    let values = values.as_array_mut().map(std::mem::take).unwrap_or_default();
    values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

/// What has a text that YAML may take for something else: `5`, `true`.
pub(super) struct Scalar;

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// A text that is one of those, each with its sentence.
pub(super) fn one_of(list: &[(&str, &str)]) -> Schema {
    let (names, sentences): (Vec<_>, Vec<_>) = list.iter().copied().unzip();
    json_schema!({ "type": "string", "enum": names, "enumDescriptions": sentences })
}

/// What a process may be called.
pub(super) const PROCESSES: [&str; 5] = ["gw1", "worker1", "kafka", "redis", "postgres"];

/// The keys of this map, and of the maps in it, are names.
pub(super) fn names(schema: &mut Schema) {
    keys(schema, "^[a-z0-9_-]+$", "a name has a-z, 0-9, `-` and `_`");
    if let Some(Ok(inner)) = schema.get_mut("additionalProperties").map(<&mut Schema>::try_from)
        && inner.get("additionalProperties").is_some()
    {
        names(inner);
    }
}

/// The keys of this map are names of settings.
pub(super) fn settings(schema: &mut Schema) {
    keys(schema, "^[A-Z0-9_]+$", "a setting has a name such as `MAILBOX_EVENTS_MAX`");
}

fn keys(schema: &mut Schema, pattern: &str, otherwise: &str) {
    let names = json!({ "pattern": pattern, "patternErrorMessage": otherwise });
    schema.insert("propertyNames".to_owned(), names);
}

/// Instead of one object for each verb a single one with all of them, of which one is there: it completes better.
pub(super) fn one_verb(schema: &mut Schema) {
    let Some(Value::Array(variants)) = schema.remove("oneOf") else { return };
    let mut verbs = Map::new();
    for mut variant in variants {
        let sentence = variant["description"].take();
        let Value::Object(properties) = variant["properties"].take() else { continue };
        for (verb, mut needs) in properties {
            needs["description"] = sentence.clone();
            verbs.insert(verb, needs);
        }
    }
    let object = schema.ensure_object();
    object.insert("type".to_owned(), "object".into());
    object.insert("properties".to_owned(), verbs.into());
    object.insert("additionalProperties".to_owned(), false.into());
    object.insert("minProperties".to_owned(), 1.into());
    object.insert("maxProperties".to_owned(), 1.into());
}

fn for_editors(schema: &mut Schema) {
    // Sizes of integers, which no editor knows; what they mean is in `minimum` and `maximum`.
    schema.remove("format");
    without_null(schema);
    values_in_one(schema);
}

/// What may be left out is left out, not null.
fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &mut types[..] {
            let only = only.take();
            schema.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(ways)) = schema.get_mut("anyOf") else { return };
    ways.retain(|way| way["type"] != "null");
    if let [only] = &mut ways[..]
        && let Value::Object(only) = only.take()
    {
        schema.remove("anyOf");
        for (key, value) in only {
            schema.ensure_object().entry(key).or_insert(value);
        }
    }
}

/// Values with a sentence each, as editors show them best.
fn values_in_one(schema: &mut Schema) {
    let Some(Value::Array(values)) = schema.get("oneOf") else { return };
    let named: Option<Vec<_>> = values
        .iter()
        .map(|value| Some((value["const"].as_str()?, value["description"].as_str()?)))
        .collect();
    let Some(named) = named else { return };
    let mut one = one_of(&named);
    schema.remove("oneOf");
    schema.ensure_object().append(one.ensure_object());
}
