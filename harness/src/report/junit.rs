//! Runs for CI, as `JUnit` XML: a suite for each folder, a case for each run. Unknown and broken runs are errors, since they
//! say nothing about what was tested. Valid whatever a run says: characters that XML cannot hold are shown as symbols.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::{self, Display, Formatter, Write as _},
    time::Duration,
};

use super::{in_full, plain};
use crate::{
    files::SCENARIO_ENDS,
    verdict::{Failure, Run, Verdict},
};

/// A case is named by its sentence; from the second run of a file on, with the number of the run.
struct Case<'r> {
    run: &'r Run,
    round: usize,
}

/// All runs.
pub fn junit(runs: &[Run]) -> String {
    let mut suites: BTreeMap<&str, Vec<Case<'_>>> = BTreeMap::new();
    let mut rounds: HashMap<&str, usize> = HashMap::new();
    for run in runs {
        let round = rounds.entry(&run.file).or_default();
        *round += 1;
        suites.entry(folder(&run.file)).or_default().push(Case { run, round: *round });
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    write(&mut xml, format_args!("<testsuites name=\"harness\"{}>\n", Counts::of(runs.iter())));
    for (folder, cases) in suites {
        let counts = Counts::of(cases.iter().map(|case| case.run));
        write(&mut xml, format_args!("  <testsuite name=\"{}\"{counts}>\n", Escaped(folder)));
        for case in cases {
            case.write(&mut xml);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Where a file is: the name of its suite.
fn folder(file: &str) -> &str {
    file.rsplit_once('/').map_or(".", |(folder, _)| folder)
}

/// The attributes that a suite has in common with the whole.
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    time: Duration,
}

impl Counts {
    fn of<'r>(runs: impl Iterator<Item = &'r Run>) -> Self {
        let mut counts =
            Self { tests: 0, failures: 0, errors: 0, skipped: 0, time: Duration::ZERO };
        for run in runs {
            counts.tests += 1;
            counts.time += run.duration;
            match run.verdict {
                Verdict::Pass => {}
                Verdict::Fail => counts.failures += 1,
                Verdict::Unknown(_) | Verdict::Broken(_) => counts.errors += 1,
                Verdict::Skipped(_) => counts.skipped += 1,
            }
        }
        counts
    }
}

impl Display for Counts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { tests, failures, errors, skipped, time } = self;
        let time = time.as_secs_f64();
        write!(
            f,
            " tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{time:.3}\""
        )
    }
}

impl Case<'_> {
    fn write(&self, xml: &mut String) {
        let Self { run, round } = self;
        let number = if *round > 1 { format!(" (run {round})") } else { String::new() };
        let file = SCENARIO_ENDS.iter().find_map(|end| run.file.strip_suffix(end));
        let class = file.unwrap_or(&run.file).replace('/', ".");
        write(
            xml,
            format_args!(
                "    <testcase classname=\"{}\" name=\"{}{number}\" file=\"{}\" time=\"{:.3}\">\n",
                Escaped(&class),
                Escaped(&run.scenario),
                Escaped(&run.file),
                run.duration.as_secs_f64()
            ),
        );
        xml.push_str("      <properties>\n");
        write(xml, format_args!("        <property name=\"seed\" value=\"{}\"/>\n", run.seed));
        if let Some(bundle) = &run.bundle {
            let bundle = bundle.display().to_string();
            let bundle = Escaped(&bundle);
            write(xml, format_args!("        <property name=\"bundle\" value=\"{bundle}\"/>\n"));
        }
        xml.push_str("      </properties>\n");
        self.write_outcome(xml);
        xml.push_str("    </testcase>\n");
    }

    fn write_outcome(&self, xml: &mut String) {
        let (run, word) = (self.run, self.run.verdict.word());
        let reason = Escaped(run.verdict.reason());
        match &run.verdict {
            Verdict::Pass => {}
            Verdict::Fail => {
                let (headline, text) = (headline(run), plain(&in_full(run)));
                let (headline, text) = (Escaped(&headline), Escaped(&text));
                write(
                    xml,
                    format_args!(
                        "      <failure type=\"{word}\" message=\"{headline}\">{text}</failure>\n"
                    ),
                );
            }
            Verdict::Unknown(_) | Verdict::Broken(_) => {
                write(
                    xml,
                    format_args!(
                        "      <error type=\"{word}\" message=\"{reason}\">{reason}</error>\n"
                    ),
                );
            }
            Verdict::Skipped(_) => {
                write(xml, format_args!("      <skipped message=\"{reason}\"/>\n"));
            }
        }
    }
}

/// What went wrong first, in a line.
fn headline(run: &Run) -> String {
    if let Some(failure) = run.failures.first() {
        let Failure { line, shared, expected, seen, .. } = failure;
        let shared = shared.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
        return format!("line {line}{shared}: expected {expected}; seen {seen}");
    }
    match run.findings.first() {
        Some(finding) => format!("{}: {}", finding.invariant, finding.text),
        None => "it failed".to_owned(),
    }
}

/// A text for an attribute or between tags.
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                // Parsers change them if they stand for themselves.
                '\t' | '\n' | '\r' => write!(f, "&#{};", u32::from(c))?,
                // The symbol that Unicode has for each.
                '\0'..='\x1f' => {
                    f.write_char(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'))?;
                }
                '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

fn write(text: &mut String, arguments: fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use quick_xml::{Reader, XmlVersion, escape::resolve_predefined_entity, events::Event};

    use super::*;

    /// Every tag with its attributes, and every text, as a parser reads them.
    fn read(xml: &str) -> Vec<String> {
        let mut reader = Reader::from_str(xml);
        let (mut seen, mut text) = (Vec::new(), String::new());
        loop {
            match reader.read_event().unwrap() {
                Event::Start(tag) | Event::Empty(tag) => {
                    let mut line = tag.name().as_ref().to_owned();
                    for attribute in tag.attributes() {
                        let attribute = attribute.unwrap();
                        let key = attribute.key.as_ref();
                        let value = attribute.normalized_value(XmlVersion::Implicit1_0).unwrap();
                        write(&mut line, format_args!(" {key}={value}"));
                    }
                    seen.push(line);
                }
                Event::Text(part) => text.push_str(&part),
                Event::GeneralRef(part) => match part.resolve_char_ref().unwrap() {
                    Some(c) => text.push(c),
                    None => text.push_str(resolve_predefined_entity(&part).unwrap()),
                },
                Event::End(_) => {
                    let whole = std::mem::take(&mut text);
                    if !whole.trim().is_empty() {
                        seen.push(whole.trim().to_owned());
                    }
                }
                Event::Eof => return seen,
                Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_) => {}
            }
        }
    }

    fn run(file: &str, verdict: Verdict) -> Run {
        let mut run = Run::new(file, "", "it works");
        (run.verdict, run.seed, run.duration) = (verdict, 7, Duration::from_millis(1_500));
        run
    }

    #[test]
    fn folders_are_suites_and_each_verdict_has_its_element() {
        let runs = [
            run("b/one.yaml", Verdict::Pass),
            run("a/two.yaml", Verdict::Skipped("no Redis".to_owned())),
            run("a/three.yaml", Verdict::Unknown("nothing was seen".to_owned())),
            run("b/one.yaml", Verdict::Broken("Kafka did not start".to_owned())),
        ];
        let seen = read(&junit(&runs));
        let expected = [
            "testsuites name=harness tests=4 failures=0 errors=2 skipped=1 time=6.000",
            "testsuite name=a tests=2 failures=0 errors=1 skipped=1 time=3.000",
            "testcase classname=a.two name=it works file=a/two.yaml time=1.500",
            "properties",
            "property name=seed value=7",
            "skipped message=no Redis",
            "testcase classname=a.three name=it works file=a/three.yaml time=1.500",
            "properties",
            "property name=seed value=7",
            "error type=unknown message=nothing was seen",
            "nothing was seen",
            "testsuite name=b tests=2 failures=0 errors=1 skipped=0 time=3.000",
            "testcase classname=b.one name=it works file=b/one.yaml time=1.500",
            "properties",
            "property name=seed value=7",
            "testcase classname=b.one name=it works (run 2) file=b/one.yaml time=1.500",
            "properties",
            "property name=seed value=7",
            "error type=broken message=Kafka did not start",
            "Kafka did not start",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn anything_that_was_said_can_be_read_back() {
        let mut run = run("a.yaml", Verdict::Fail);
        run.failures.push(Failure {
            line: 3,
            expected: "<b>\"x\" & 'y'".to_owned(),
            seen: "]]> \u{0}\u{1b}\u{fffe}\tz\r\nend".to_owned(),
            ..Failure::default()
        });
        let xml = junit(&[run]);
        let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
        assert!(xml.chars().all(allowed));
        let seen = read(&xml);
        let failure = seen.iter().find(|line| line.starts_with("failure")).unwrap();
        assert!(
            failure.contains("line 3: expected <b>\"x\" & 'y'; seen ]]> ␀␛\u{fffd}\tz\r\nend"),
            "{failure}"
        );
        let text = seen.last().unwrap();
        assert!(text.contains("expected  <b>\"x\" & 'y'"), "{text}");
        assert!(text.contains("]]> "), "{text}");
    }
}
