//! An even pace of sending, whatever becomes of what was sent: the open loop.
//!
//! A thread of its own keeps it, since the runtime's timers are a millisecond coarse.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::Error;

/// From the call to the first sending.
const LEAD: Duration = Duration::from_millis(5);

/// So many sendings, each at its time.
pub(crate) struct Pace {
    /// The time of the first.
    pub(crate) start: Instant,
    /// From one to the next.
    pub(crate) period: Duration,
    // Bounded by the number of sendings, which is fixed.
    due: UnboundedReceiver<(u32, Instant)>,
    thread: JoinHandle<()>,
}

impl Pace {
    /// So many a second for a window.
    pub(crate) fn start(rate: f64, window: Duration) -> Result<Self, Error> {
        let (start, period) = (Instant::now() + LEAD, Duration::from_secs_f64(1.0 / rate));
        let count = (rate * window.as_secs_f64()) as u32;
        let (ticks, due) = unbounded_channel();
        let keep = move || {
            for n in 0..count {
                let intended = start + period * n;
                thread::sleep(intended.saturating_duration_since(Instant::now()));
                if ticks.send((n, intended)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new()
            .name("bench-pace".to_owned())
            .spawn(keep);
        let thread = thread.map_err(|cause| Error::of("the pacing thread", cause))?;
        Ok(Self {
            start,
            period,
            due,
            thread,
        })
    }

    /// Waits for the next sending: its number and the time it was meant for; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<(u32, Instant)> {
        self.due.recv().await
    }

    /// Ends it.
    pub(crate) fn end(self) -> Result<(), Error> {
        drop(self.due);
        self.thread
            .join()
            .map_err(|_panic| Error::of("the pacing thread", "it panicked"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_sending_comes_once_and_not_before_its_time() {
        let mut pace = Pace::start(2000.0, Duration::from_millis(20)).unwrap();
        let mut numbers = Vec::new();
        while let Some((n, intended)) = pace.next().await {
            assert!(Instant::now() >= intended);
            assert_eq!(intended, pace.start + pace.period * n);
            numbers.push(n);
        }
        assert_eq!(numbers, (0..40).collect::<Vec<_>>());
        pace.end().unwrap();
    }
}
