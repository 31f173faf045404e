//! The thread that starts processes.
//!
//! A process of an action is killed by the kernel when the *thread* that started it ends, and
//! threads of an async runtime come and go. This one lives as long as the runtimes do.

use std::io;

use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

/// Starts that may wait for their turn; each takes about a millisecond.
const WAITING: usize = 64;

type Wish = (Command, oneshot::Sender<io::Result<Child>>);

/// See the module. Processes end when the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Starter {
    wishes: mpsc::Sender<Wish>,
}

impl Starter {
    /// Must be called within a tokio runtime.
    pub(super) fn new() -> io::Result<Self> {
        let (wishes, mut asked) = mpsc::channel::<Wish>(WAITING);
        let runtime = tokio::runtime::Handle::current();
        let work = move || {
            let _context = runtime.enter();
            while let Some((mut command, answer)) = asked.blocking_recv() {
                // If nobody waits any more, the child is dropped, which kills it.
                drop(answer.send(command.spawn()));
            }
        };
        std::thread::Builder::new()
            .name("function-starter".to_owned())
            .spawn(work)?;
        Ok(Self { wishes })
    }

    /// Starts a command.
    pub(super) async fn start(&self, command: Command) -> io::Result<Child> {
        let (answer, started) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.wishes
            .send((command, answer))
            .await
            .map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}
