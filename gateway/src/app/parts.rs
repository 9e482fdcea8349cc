//! Watches those parts of the process that others spawn, by what they own.

use async_trait::async_trait;

use crate::{
    broker::{Tail, TailEvent},
    shutdown::Watch,
};

/// The tail of a topic. Whoever reads it owns it to the end of the process: dropped earlier, its reader has ended.
#[derive(Debug)]
pub(super) struct WatchedTail {
    tail: Box<dyn Tail>,
    _watch: Watch,
}

impl WatchedTail {
    pub(super) fn boxed(tail: Box<dyn Tail>, watch: Watch) -> Box<dyn Tail> {
        Box::new(Self { tail, _watch: watch })
    }
}

#[async_trait]
impl Tail for WatchedTail {
    async fn next(&mut self) -> TailEvent {
        self.tail.next().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::Shutdown;

    /// Its reader panics at once.
    #[derive(Debug)]
    struct Poisoned;

    #[async_trait]
    impl Tail for Poisoned {
        async fn next(&mut self) -> TailEvent {
            panic!("on purpose")
        }
    }

    #[tokio::test]
    async fn a_reader_that_panics_is_noted() {
        let shutdown = Shutdown::default();
        let mut tail = WatchedTail::boxed(Box::new(Poisoned), shutdown.watch("broadcast"));
        shutdown.tasks.spawn(async move { tail.next().await });
        assert_eq!(*shutdown.broken.wait().await, "broadcast");
    }
}
