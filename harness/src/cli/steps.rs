//! `harness steps`: the language on one page.

use super::{SUCCESS, terminal::say};
use crate::scenario::{INVARIANTS, LANGUAGE, RULES};

pub(super) fn run() -> anyhow::Result<u8> {
    say(LANGUAGE)?;
    say("Rules that `spec` can name")?;
    list(RULES)?;
    say("\nInvariants, always judged; `without: [name]` leaves one out")?;
    list(INVARIANTS)?;
    Ok(SUCCESS)
}

fn list(named: &[(&str, &str)]) -> std::io::Result<()> {
    let width = named.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    named.iter().try_for_each(|(name, sentence)| say(&format!("      {name:width$}  {sentence}")))
}
