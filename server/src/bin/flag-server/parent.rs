//! Whether the program that has started this one still lives: it holds the other end of standard
//! input, which the system closes however it dies.

use std::io::{self, Read};

use tokio::sync::oneshot;

/// Its end, on a thread that reads what comes until then, and throws it away.
pub(crate) fn end() -> oneshot::Receiver<()> {
    let (alive, ended) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut unread = [0; 1024];
        loop {
            match io::stdin().lock().read(&mut unread) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        drop(alive);
    });
    ended
}
