//! What can go wrong with a stack: one enum for the whole of `stack`. The command line turns it into an exit code.

use super::service::Service;
use std::io;
use std::path::PathBuf;

/// Why a command on a stack failed. The display text is meant for the person at the terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// The machine lacks something that we cannot bring along; nothing was started.
    #[error("{what}\n{remedy}")]
    Lacking {
        /// What is not there.
        what: String,
        /// What to do about it, usually a command.
        remedy: String,
    },
    /// Kafka's jars could not be fetched.
    #[error(
        "downloading Kafka {version} from Maven Central failed; the end of Maven's output:\n{output}"
    )]
    Download {
        /// The version of Kafka that was asked for.
        version: &'static str,
        /// The last lines that Maven wrote.
        output: String,
    },
    /// A server could not be prepared, ended early or did not answer in time.
    #[error("{service} did not start: {reason}; the end of `{}`:\n{tail}", log.display())]
    Start {
        /// The server.
        service: Service,
        /// What was seen.
        reason: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of that file.
        tail: String,
    },
    /// Several servers failed at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<StackError>),
    /// The name is well formed, but no stack has it.
    #[error("stack `{0}` is not up")]
    NotUp(String),
    /// The stack was started without this server.
    #[error("stack `{stack}` has no {service}")]
    NotInStack {
        /// The name of the stack.
        stack: String,
        /// The server that it lacks.
        service: Service,
    },
    /// The server is not running, so it can be neither frozen nor thawed.
    #[error("{0} is not running")]
    NotRunning(Service),
    /// A process ignored even SIGKILL for longer than we wait.
    #[error("{service} (process {pid}) does not end")]
    Immortal {
        /// The server.
        service: Service,
        /// Its first process that is still there.
        pid: i32,
    },
    /// Every candidate port is taken.
    #[error("no free port on 127.0.0.1 between {low} and {high}")]
    NoPort {
        /// The lowest port tried.
        low: u16,
        /// The highest port tried.
        high: u16,
    },
    /// `state.json` is not ours, or from another version.
    #[error("`{}` cannot be read as the state of a stack", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The operating system refused something.
    #[error("{doing}")]
    Io {
        /// What we were doing, with the path or process concerned.
        doing: String,
        /// What it said.
        source: io::Error,
    },
}

impl StackError {
    /// Whether the machine lacks something, as opposed to a server being in trouble.
    pub fn is_lacking(&self) -> bool {
        match self {
            Self::Lacking { .. } => true,
            Self::Several(errors) => errors.iter().any(Self::is_lacking),
            Self::Download { .. }
            | Self::Start { .. }
            | Self::NotUp(_)
            | Self::NotInStack { .. }
            | Self::NotRunning(_)
            | Self::Immortal { .. }
            | Self::NoPort { .. }
            | Self::State { .. }
            | Self::Io { .. } => false,
        }
    }
}

/// Adapts an `io::Error` for `map_err`, saying what was being done.
pub(super) fn doing(what: impl Into<String>) -> impl FnOnce(io::Error) -> StackError {
    let doing = what.into();
    move |source| StackError::Io { doing, source }
}
