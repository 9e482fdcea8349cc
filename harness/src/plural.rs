//! Numbers of things in words.

/// `1 time`, `2 times`. `what`: one of them, whose plural has an `s` more.
pub(crate) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
