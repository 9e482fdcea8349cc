//! What the YAML library says, in words for who writes scenarios. Sentences that nobody has reworded stay as they are.

/// A sentence of the library that begins so, in our words, and what to do about it.
const SAID: &[(&str, &str, &str)] = &[
    (
        "expected string scalar",
        "one value is wanted here",
        "a text that begins with `{` or `[` needs quotes",
    ),
    (
        "expected mapping start",
        "keys with values are wanted here",
        "write them as `{ key: value }`, or as `key: value` below",
    ),
    (
        "unexpected sequence end",
        "the step before this says its verb and no more",
        "write what it is about: `- connect: alice.phone`",
    ),
    ("expected sequence start", "a list is wanted here", "begin each of its lines with `- `"),
    ("cannot deserialize null", "nothing stands here", "write a value, or leave the name out"),
    (
        "externally tagged enum expected",
        "one word is wanted here, or a word with what belongs to it",
        "a step is written as `- connect: alice.phone`",
    ),
    (
        "expected string key for externally tagged enum",
        "one word is wanted here, or a word with what belongs to it",
        "a step is written as `- connect: alice.phone`",
    ),
    ("invalid u", "this is no whole number that fits here", ""),
    ("invalid bool", "this is neither `true` nor `false`", ""),
    (
        "budget breached",
        "the file is nested far too deeply, or too large once its aliases (`*name`) are written out",
        "write it without aliases, and steps that are no deeper than `repeat` and `parallel` need",
    ),
    ("recursion limit", "this is nested too deeply", ""),
    (
        "misplaced bracket",
        "this bracket closes nothing",
        "remove it, or put quotes around the text that it belongs to",
    ),
    ("unclosed bracket", "this bracket is never closed", "close it in the same step"),
    ("unclosed quote", "this quote is never closed", "close it in the same line"),
    (
        "mapping values are not allowed",
        "a second `: ` in a line that has one already",
        "put quotes around a text that has `: ` in it",
    ),
    (
        "while parsing a flow mapping",
        "a comma or a `}` is missing before this",
        "put quotes around a text that has one of `{ } [ ] ,` in it: `\"GET /rooms/${general}\"`",
    ),
    (
        "while parsing a flow sequence",
        "a comma or a `]` is missing before this",
        "put quotes around a text that has one of `{ } [ ] ,` in it",
    ),
    (
        "while parsing a block mapping",
        "this line does not begin where the lines around it do",
        "lines that belong together begin with the same number of spaces",
    ),
    (
        "did not find expected '-'",
        "this line does not begin where the lines around it do",
        "lines that belong together begin with the same number of spaces",
    ),
    (
        "alias references unknown anchor",
        "`*name` stands for what `&name` marks, and nothing is marked so",
        "put quotes around a text that begins with `*`",
    ),
    (
        "unexpected character",
        "there is a character here that no text can have",
        "remove it: it is not visible in most editors",
    ),
    (
        "unexpected end of input",
        "there are only comments here",
        "`harness new` writes a scenario to begin with",
    ),
];

/// The sentence in our words, and what to do about it.
pub(super) fn in_plain_words(said: &str) -> Option<(&'static str, Option<&'static str>)> {
    let (_, text, help) = SAID.iter().find(|(begin, _, _)| said.contains(begin))?;
    Some((text, Some(*help).filter(|help| !help.is_empty())))
}
