//! `harness schema`: the language for editors.

use super::{SUCCESS, terminal::say};
use crate::scenario::schema;

pub(super) fn run() -> anyhow::Result<u8> {
    say(&format!("{:#}", schema()))?;
    Ok(SUCCESS)
}
